"""SQL over a library and side tables: system B's two analyses, and what no statement may do."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lookalike import Library
from lookalike.errors import InputError
from lookalike.side_tables import TableOptions, table_name
from lookalike.types import SqlResult
from tests.conftest import SOLD, give_foreign_ids


def rows(library: Library, statement: str) -> list[tuple[Any, ...]]:
    return list(library.sql(statement))


# -- what it is for --------------------------------------------------------------------------------

DOWNLOADS = """
SELECT photo_id, count(*) AS count
FROM conversions
JOIN files ON files.foreign_id = photo_id
JOIN similar('id:photo-003', 5, 'include_self') USING (id)
GROUP BY photo_id ORDER BY count DESC, photo_id
"""

TOP_KEYWORDS = """
WITH popular AS (
    SELECT photo_id FROM conversions
    JOIN files ON files.foreign_id = photo_id
    JOIN similar('id:photo-003', 5, 'include_self') USING (id)
    GROUP BY photo_id ORDER BY count(*) DESC, photo_id LIMIT 1
)
SELECT keyword, count(*) AS count FROM conversions JOIN popular USING (photo_id)
GROUP BY keyword ORDER BY count DESC, keyword LIMIT 5
"""


def test_downloads_per_candidate_and_the_keywords_of_the_most_popular(
    sold: Library, photos: Path
) -> None:
    hits = sold.search(photos / "003.png", 5, include_self=True).hits
    names = [Path(hit.paths[0]).stem for hit in hits]
    counts = [(f"photo-{name}", SOLD[name]) for name in names if name in SOLD]
    counts.sort(key=lambda one: (-one[1], one[0]))
    result = sold.sql(DOWNLOADS)
    assert result.columns == ("photo_id", "count")
    assert list(result) == counts
    assert counts[0] == ("photo-003", 29)
    all_rows = rows(sold, "SELECT keyword FROM conversions WHERE photo_id = 'photo-003'")
    words = Counter(keyword for (keyword,) in all_rows)
    top = sorted(words.items(), key=lambda one: (-one[1], one[0]))[:5]
    assert rows(sold, TOP_KEYWORDS) == top


def test_similar_has_the_hits_of_a_search(sold: Library, photos: Path) -> None:
    query = f"2*{photos / '000.png'} - {photos / '001.png'}"
    result = sold.search([f"2*{photos / '000.png'}", f"-{photos / '001.png'}"], 4)
    found = rows(sold, f"SELECT * FROM similar('{query}', 4)")
    assert found == [
        (hit.rank, str(hit.id), hit.score, hit.distance, None, hit.paths[0]) for hit in result.hits
    ]


def test_options_of_similar_are_those_of_a_search(sold: Library) -> None:
    def best(options: str) -> list[str]:
        statement = f"SELECT path FROM similar('id:photo-000', 3, {options})"
        return [Path(path).stem for (path,) in rows(sold, statement)]

    assert best("'include_self'")[0] == "000"
    assert "000" not in best("'exact'")
    assert best("'where=name > ''009z'''") == best("'where=name like ''01%'''")
    assert sorted(best("'where=name > ''009z'''")) == ["010", "011"]
    assert len(best("'by=colour', 'metric=correlation'")) == 3
    assert len(best("'by=mix', 'colour-weight=0.5', 'space=toy', 'combine=all'")) == 3
    for options, words in [
        ("'nearest'", "'nearest' is no option; use include_self, exact"),
        ("'by'", "'by' is no option"),
        ("'exact=1'", "'exact=1' is no option"),
        ("'dims=many'", "'dims=many' has no number"),
        ("'by=magic'", "way of comparing 'magic'"),
        ("'space=none'", "space 'none'"),
        ("'where=widht > 3'", "no column 'widht'"),
        ("'category=xyzzy'", "xyzzy"),
    ]:
        with pytest.raises(InputError, match=words):
            best(options)
    with pytest.raises(InputError, match="no such file"):
        rows(sold, "SELECT * FROM similar('missing.jpg', 3)")


def test_tables_say_what_the_library_knows(sold: Library, photos: Path) -> None:
    (id_,) = [record.id for record in sold.get(sold.matching("name = '005.png'")) if record]
    sold.label("blotch", [id_])
    assert rows(sold, f"SELECT * FROM labels WHERE id = '{id_}'") == [
        (str(id_), "blotch", "own", 1.0)
    ]
    image = rows(sold, f"SELECT * FROM images WHERE id = '{id_}'")
    path = str(photos / "005.png")
    size = os.stat(path).st_size
    assert image == [
        (str(id_), 48, 32, 48 * 32 / 1e6, "PNG", None, None, None, None, size, 1, path, "photo-005")
    ]
    ((modified, *own),) = rows(
        sold,
        f"SELECT modified, foreign_id, path, folder, name, bytes FROM files WHERE id = '{id_}'",
    )
    assert own == ["photo-005", path, str(photos), "005.png", size]
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(os.stat(path).st_mtime)))
    assert modified == at
    assert rows(sold, "SELECT count(*) FROM images JOIN files USING (id)") == [(12,)]


def test_tables_and_columns_are_listed(sold: Library) -> None:
    known = sold.sql_tables()
    assert list(known) == ["images", "files", "labels", "conversions"]
    for name, columns in known.items():
        assert sold.sql(f"SELECT * FROM {name}").columns == tuple(one.name for one in columns)


def test_files_that_are_gone_are_in_no_table(sold: Library, photos: Path) -> None:
    (photos / "003.png").unlink()
    sold.add([photos])
    for table in ("images", "files"):
        assert rows(sold, f"SELECT count(*) FROM {table}") == [(11,)]


def test_ids_of_hits_are_looked_up_and_not_searched_for(sold: Library) -> None:
    for table in ("images", "files"):
        statement = f"SELECT * FROM {table} JOIN similar('id:photo-003', 5) USING (id)"
        plan = " ".join(str(row[3]) for row in rows(sold, f"EXPLAIN QUERY PLAN {statement}"))
        assert "records_by_id_text" in plan
        assert "side_conversions by key" in " ".join(
            str(row[3]) for row in rows(sold, f"EXPLAIN QUERY PLAN {DOWNLOADS}")
        )


def test_statements_see_one_commit_while_others_write(sold: Library) -> None:
    result = sold.sql("SELECT a.n FROM conversions a, conversions b")
    first = next(result.rows)
    sold.change_by_sql("DELETE FROM conversions")
    assert sum(1 for _ in result) == (sum(SOLD.values()) + 1) ** 2 - 1
    assert len(first) == 1
    assert rows(sold, "SELECT count(*) FROM conversions") == [(0,)]


def test_a_result_can_be_closed_before_its_last_row(sold: Library) -> None:
    result = sold.sql("SELECT * FROM conversions")
    next(result.rows)
    result.close()
    result.close()
    assert list(result) == []


def test_bytes_come_as_hexadecimal_text(sold: Library) -> None:
    assert rows(sold, "SELECT x'00ff', NULL, 1.5") == [("00ff", None, 1.5)]


# -- what no statement may do ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM records",
        "SELECT * FROM main.files",
        "SELECT jpeg FROM thumbnails",
        "SELECT * FROM settings",
        "SELECT * FROM side_conversions",
        "SELECT * FROM sqlite_schema",
        "SELECT * FROM sqlite_temp_schema",
        "SELECT * FROM pragma_database_list",
        "SELECT * FROM pragma_table_info('records')",
        "SELECT * FROM dbstat",
        "SELECT * FROM sqlite_dbpage",
        "WITH files AS (SELECT * FROM main.records) SELECT * FROM files",
        "SELECT * FROM (SELECT * FROM main.records) AS files",
        "SELECT * FROM files WHERE path = (SELECT value FROM settings)",
        "SELECT (SELECT content_hash FROM records) FROM files",
        "SELECT load_extension('x.so')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT writefile('x', 'y')",
        "SELECT readfile('x')",
        "SELECT edit('x')",
        "ATTACH 'x.sqlite' AS x",
        "DETACH temp",
        "VACUUM INTO 'x.sqlite'",
        "PRAGMA query_only = OFF",
        "PRAGMA writable_schema = ON",
        "CREATE TABLE x (a)",
        "CREATE TEMP TABLE x (a)",
        "CREATE TEMP TRIGGER x INSTEAD OF DELETE ON conversions BEGIN SELECT 1; END",
        "DROP TABLE records",
        "DELETE FROM conversions",
        "INSERT INTO conversions DEFAULT VALUES",
        "WITH a AS (SELECT 1) DELETE FROM main.side_conversions",
        "WITH a AS (SELECT 1) INSERT INTO main.settings VALUES ('a', 'b')",
        "WITH a AS (SELECT 1) REPLACE INTO side_conversions DEFAULT VALUES",
        "WITH a AS (SELECT 1) UPDATE records SET bytes = 0",
        "EXPLAIN DROP TABLE records",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT x",
        "REINDEX",
        "ANALYZE",
        "SELECT 1; DROP TABLE records",
        "SELECT zeroblob(1000000000)",
        "SELECT ?",
        "SELECT :name",
        "SELECT keywrd FROM conversions",
        "SELECT CAST(x'ff' AS TEXT)",
        "SELEC 1",
        "SELECT FROM",
    ],
)
def test_what_no_statement_may_is_refused_in_one_line(
    sold: Library, statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir()), catalogue(sold)
    for run in (rows, lambda library, text: library.change_by_sql(text)):
        if run is not rows and statement.startswith(("DELETE FROM conv", "INSERT INTO conv")):
            continue  # what --write is for
        with pytest.raises(InputError) as caught:
            run(sold, statement)
        assert str(caught.value).startswith("statement: ")
        assert "\n" not in str(caught.value)
    assert (sorted(tmp_path.iterdir()), catalogue(sold)) == before


def catalogue(library: Library) -> list[str]:
    db = sqlite3.connect(library.folder / "catalog.sqlite")
    try:
        return list(db.iterdump())
    finally:
        db.close()


def test_errors_name_what_there_is(sold: Library) -> None:
    for statement, words in [
        ("SELECT keywrd FROM conversions", "conversions has photo_id, keyword, country, n"),
        ("SELECT * FROM convs", "tables are images, files, labels, conversions, and similar"),
        ("SELECT scor FROM similar('id:photo-003', 5)", "similar has rank, id, score"),
        ("DROP TABLE conversions", "only SELECT, WITH, VALUES and EXPLAIN read; --write"),
        ("SELECT ?", "write the value itself"),
        ("SELECT id FROM files JOIN images ON 1", "ambiguous column name: id; images has id"),
    ]:
        with pytest.raises(InputError, match=words):
            rows(sold, statement)


def test_the_catalogue_can_be_counted_and_json_be_read(sold: Library) -> None:
    assert rows(sold, "SELECT count(*) FROM images, files") == [(144,)]
    assert rows(sold, "SELECT value FROM json_each('[1, 2]')") == [(1,), (2,)]
    recursive = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 4)"
    assert rows(sold, f"{recursive} SELECT sum(n) FROM t") == [(10,)]


def test_an_endless_statement_can_be_interrupted(sold: Library) -> None:
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"
    timer = threading.Timer(0.5, os.kill, (os.getpid(), 2))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        rows(sold, endless)
    timer.join()


# -- changing --------------------------------------------------------------------------------------


def test_a_statement_changes_a_side_table_if_that_is_asked_for(sold: Library) -> None:
    assert sold.change_by_sql("DELETE FROM conversions WHERE photo_id = 'photo-gone'") == 1
    assert sold.side_tables()[0].rows == sum(SOLD.values())
    changed = sold.change_by_sql("UPDATE conversions SET n = conversions.n + 100 WHERE n = 28")
    assert changed == 1
    assert rows(sold, "SELECT n FROM conversions WHERE n > 99") == [(128,)]
    insert = "INSERT INTO conversions (photo_id, keyword) SELECT foreign_id, 'like 3' FROM files"
    assert sold.change_by_sql(f"{insert} JOIN similar('id:photo-003', 2) USING (id)") == 2
    assert sold.side_tables()[0].rows == sum(SOLD.values()) + 2
    assert rows(sold, "SELECT count(*) FROM conversions WHERE keyword = 'like 3'") == [(2,)]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SELECT 1", "changes no table; --write changes side tables, which are: conversions"),
        ("UPDATE files SET name = 'x'", "'files' is no side table"),
        ("DELETE FROM records", "'records' is no side table"),
        ("DELETE FROM side_tables", "'side_tables' is no side table"),
        ("DROP TABLE conversions", "changes no table"),
        ("UPDATE conversions SET n = 'many'", "does not fit its column"),
        ("UPDATE conversions SET n = (SELECT value FROM settings)", "more than it may"),
        ("INSERT INTO conversions (n) SELECT n FROM convs", "no such table"),
        ("UPDATE conversions SET m = 1", "no such column: m; conversions has photo_id"),
    ],
)
def test_nothing_but_side_tables_is_changed(sold: Library, statement: str, words: str) -> None:
    before = catalogue(sold)
    with pytest.raises(InputError, match=words):
        sold.change_by_sql(statement)
    assert catalogue(sold) == before


# -- side tables -----------------------------------------------------------------------------------


def test_the_key_is_what_most_of_the_first_rows_are(
    filled: Library, photos: Path, tmp_path: Path
) -> None:
    give_foreign_ids(filled)
    ids = [str(id_) for id_ in filled.matching("width > 0")]
    for matches, keys in [
        ("foreign_id", ["photo-001", "photo-002"]),
        ("name", ["001.png", "x"]),
        ("path", [str(photos / "001.png"), "001.png", str(photos / "002.png")]),
        ("id", ids[:3]),
        ("foreign_id", ["nothing", "fits"]),
    ]:
        table = tmp_path / "t.csv"
        table.write_text("\n".join(["key,n", *(f"{key},1" for key in keys)]))
        report = filled.add_table("t", [table], TableOptions("key", replace=True))
        assert report.table.matches == matches
        fitting = {"path": 2, "name": 1}.get(matches, 0 if keys[0] == "nothing" else len(keys))
        assert report.matched == filled.rows_matched(report.table) == fitting


def test_some_columns_of_a_table_are_enough(filled: Library, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("key,n,code\nx,1,7\n")
    options = TableOptions("key", columns=["code"], texts=["code"])
    table = filled.add_table("t", [tmp_path / "t.csv"], options).table
    assert [(one.name, one.kind.value) for one in table.columns] == [
        ("key", "text"), ("code", "text")
    ]  # fmt: skip
    assert rows(filled, "SELECT * FROM t") == [("x", "7")]


def test_a_side_table_that_cannot_be_added_changes_nothing(sold: Library, tmp_path: Path) -> None:
    before = catalogue(sold)
    (tmp_path / "t.tsv").write_text("photo_id\tn\nx\t1\ny\n")
    wide = ",".join(f"c{n}" for n in range(501))
    (tmp_path / "wide.csv").write_text(wide)
    for name, file, options, words in [
        ("conversions", "t.tsv", TableOptions("photo_id"), "is there already; --replace"),
        ("sales", "t.tsv", TableOptions("photo_id"), "line 3 has 1 cells"),
        ("conversions", "t.tsv", TableOptions("photo_id", replace=True), "line 3 has 1 cells"),
        ("sales", "t.tsv", TableOptions("photo"), "no column 'photo'; columns are photo_id, n"),
        ("sales", "t.tsv", TableOptions("photo_id", columns=["x"]), "no column 'x'"),
        ("sales", "t.tsv", TableOptions("photo_id", texts=["x"]), "no column 'x'"),
        ("sales", "t.tsv", TableOptions("photo_id", "shape"), "matches 'shape': not known"),
        ("sales", "none.tsv", TableOptions("photo_id"), "no such file"),
        ("sales", "wide.csv", TableOptions("c0"), "501 columns; at most 500"),
    ]:
        with pytest.raises(InputError, match=words):
            sold.add_table(name, [tmp_path / file], options)
    assert catalogue(sold) == before


def test_names_of_tables_mean_nothing_else() -> None:
    assert table_name("Conversions_2") == "conversions_2"
    for name in (
        *("images", "FILES", "labels", "similar", "tables", "select", "Order", "some", "sqlite_x"),
        *("pg_x", "2nd", "", "a b", "a;b", 'a"b', "é", "x" * 64, "_x"),
    ):
        with pytest.raises(InputError, match="table "):
            table_name(name)


def test_a_table_is_forgotten(sold: Library) -> None:
    sold.drop_table("Conversions")
    assert sold.side_tables() == []
    with pytest.raises(InputError, match="table 'conversions': there is none; tables are: none"):
        sold.drop_table("conversions")
    with pytest.raises(InputError, match="no such table"):
        rows(sold, "SELECT * FROM conversions")


def test_odd_names_of_columns_can_be_asked_for(filled: Library, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('key,"a ""b""",select,größe\nx,1,2,3\n')
    filled.add_table("t", [tmp_path / "t.csv"], TableOptions("key"))
    assert rows(filled, 'SELECT "a ""b""", "select", größe FROM t') == [(1, 2, 3)]


def test_a_result_is_of_its_own_type(sold: Library) -> None:
    assert isinstance(sold.sql("SELECT 1"), SqlResult)
