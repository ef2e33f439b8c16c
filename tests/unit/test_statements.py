"""Statements of users: where calls of similar stand in them, and what stands there instead."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.errors import InputError
from lookalike.sql import HIT_COLUMNS, Call, Dialect, HitRow, Statement
from lookalike.sql.tokens import tokens

HITS = [
    HitRow(1, "aa", 0.75, 0.25, "likely", "/a/it's.jpg"),
    HitRow(2, "bb", 1e-05, 0.99999, None, "/b/back\\slash.jpg"),
]
DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgresql", "clickhouse")


def calls(text: str, dialect: Dialect = "sqlite") -> list[Call]:
    return list(Statement(text, dialect).calls)


def run(text: str, hits: Any = HITS, setup: str = "") -> list[tuple[Any, ...]]:
    """What SQLite makes of a statement whose calls are all answered with the same hits."""
    statement = Statement(text, "sqlite")
    answered = statement.answered(dict.fromkeys(statement.calls, hits))
    db = sqlite3.connect(":memory:")
    try:
        db.executescript(f"CREATE TABLE files (id, n); INSERT INTO files VALUES ('aa', 7);{setup}")
        return db.execute(answered.text).fetchall()
    finally:
        db.close()


# -- finding calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SELECT * FROM similar('cat.jpg', 5)", [Call("cat.jpg", 5)]),
        ("select * from SIMILAR ( 'cat.jpg' )", [Call("cat.jpg", 10)]),
        ("SELECT 1 FROM a JOIN similar('it''s', 1) s ON 1", [Call("it's", 1)]),
        ("SELECT 1 FROM a, similar('x', 2)", [Call("x", 2)]),
        ("SELECT 1 FROM a JOIN b ON f(1, 2) = 3, similar('x', 2)", [Call("x", 2)]),
        ("SELECT 1 FROM (similar('x', 2) JOIN a)", [Call("x", 2)]),
        ("SELECT 1 FROM (SELECT * FROM similar('x', 2)) WHERE 1", [Call("x", 2)]),
        ("SELECT (SELECT max(score) FROM similar('x', 2))", [Call("x", 2)]),
        ("SELECT 1 WHERE 'a' IN (SELECT id FROM similar('x', 2))", [Call("x", 2)]),
        ("SELECT 1 FROM similar('x', 3, 'exact', 'by=pca')", [Call("x", 3, ("exact", "by=pca"))]),
        ("SELECT 1 FROM similar('x', 3, 'where=a = ''b''')", [Call("x", 3, ("where=a = 'b'",))]),
        ("SELECT 1 FROM similar('x') a JOIN similar('x') b JOIN similar('y') c",
         [Call("x", 10), Call("y", 10)]),
        ("SELECT 1 FROM similar('x', /* how many */ 3) -- similar('y')", [Call("x", 3)]),
        ("SELECT 'FROM similar(''x'', 3)' FROM a", []),
        ('SELECT 1 FROM "similar"', []),
        ("SELECT 1 /* FROM similar('x', 3) */", []),
        ("SELECT 1 -- FROM similar('x', 3)", []),
        ("SELECT 1 FROM [from similar('x', 3)]", []),
        ("SELECT similar.rank FROM b AS similar", []),
        ("SELECT 1 FROM similar", []),
    ],
)  # fmt: skip
def test_calls_are_found_where_tables_stand(text: str, found: list[Call]) -> None:
    assert calls(text) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT similar('x', 3)", "similar at 8 stands where no table can"),
        ("SELECT a, similar('x', 3) FROM b", "stands where no table can"),
        ("SELECT 1 FROM a WHERE similar('x', 3)", "stands where no table can"),
        ("SELECT 1 FROM f(a, similar('x', 3))", "stands where no table can"),
        ("WITH similar(a) AS (SELECT 1) SELECT 1", "stands where no table can"),
        ("SELECT 1 FROM similar()", "has no arguments"),
        ("SELECT 1 FROM similar(x, 3)", "has 'x' where a text in single quotes stands"),
        ('SELECT 1 FROM similar("x", 3)', "where a text in single quotes stands"),
        ("SELECT 1 FROM similar('x', 0)", "asks for 0 hits"),
        ("SELECT 1 FROM similar('x', 1.5)", "asks for 1.5 hits"),
        ("SELECT 1 FROM similar('x', 9999999999)", "asks for 9999999999 hits"),
        ("SELECT 1 FROM similar('x', -3)", "no literals"),
        ("SELECT 1 FROM similar('x' || 'y', 3)", "no literals"),
        ("SELECT 1 FROM similar('x', (3))", "similar at 15"),
        ("SELECT 1 FROM similar('x',)", "no literals"),
        ("SELECT 1 FROM similar('x' 3)", "no literals"),
        ("SELECT 1 FROM similar('x', 3", "is not closed"),
        ("SELECT 'a", "a quotation ' is not closed (at 8)"),
        ('SELECT "a', "is not closed"),
        ("", "is empty"),
        (" ; -- nothing\n ;", "is empty"),
        ("SELECT 1; SELECT 2", "several statements, the second after 9"),
        ("SELECT '\0'", "a character that no text has (at 9)"),
        ("SELECT '\ud800'", "a character that no text has"),
    ],
)
def test_what_cannot_be_understood_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        Statement(text, "sqlite")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_quotations_and_comments_are_those_of_the_engine() -> None:
    nested = "SELECT 1 /* a /* b */ FROM similar('x') */"
    assert calls(nested, "postgresql") == []
    assert calls("SELECT 1 /* a /* b */ FROM similar('x')", "sqlite") == [Call("x", 10)]
    assert calls("SELECT $a$ FROM similar('x') $a$", "postgresql") == []
    assert calls("SELECT $$ ' $$ FROM similar('x')", "clickhouse") == [Call("x", 10)]
    assert calls(r"SELECT E'\' FROM similar(''x'')'", "postgresql") == []
    assert calls(r"SELECT '\' FROM similar(''x'')'", "clickhouse") == []
    assert calls(r"SELECT '\' FROM similar('x')", "sqlite") == [Call("x", 10)]
    assert calls("SELECT a[1] FROM similar('x')", "postgresql") == [Call("x", 10)]
    assert calls("# FROM similar('y')\nSELECT 1 FROM similar('x')", "clickhouse") == [Call("x", 10)]
    assert calls("SELECT 1 FROM t ARRAY JOIN a, similar('x')", "clickhouse") == [Call("x", 10)]
    with pytest.raises(InputError, match="comment is not closed"):
        Statement("SELECT 1 /* a /* b */", "postgresql")


# -- putting rows in their place -------------------------------------------------------------------


def test_rows_have_the_columns_and_values_of_hits() -> None:
    assert run(f"SELECT {', '.join(HIT_COLUMNS)} FROM similar('x', 2)") == HITS
    assert run("SELECT * FROM similar('x', 2)") == HITS


def test_a_call_keeps_its_name_unless_it_has_another() -> None:
    for text in (
        "SELECT similar.id FROM similar('x') JOIN files USING (id)",
        "SELECT s.id FROM similar('x') s JOIN files USING (id)",
        "SELECT s.id FROM similar('x') AS s JOIN files USING (id)",
        'SELECT "s s".id FROM similar(\'x\') "s s" NATURAL JOIN files',
        "SELECT id FROM files WHERE id IN (SELECT similar.id FROM similar('x'))",
        "SELECT similar.id FROM files, similar('x') WHERE similar.id = files.id",
        "SELECT similar.id FROM similar('x') CROSS JOIN files WHERE similar.id = files.id LIMIT 1",
        "SELECT similar.id FROM similar('x') LEFT JOIN files ON files.id = similar.id LIMIT 1",
    ):
        assert run(text) == [("aa",)], text


def test_own_table_expressions_stay() -> None:
    for text in (
        "WITH a AS (SELECT 1 AS n) SELECT n, rank FROM a, similar('x') ORDER BY rank LIMIT 1",
        "/* one */ with /* two */ a AS (SELECT 1 AS n) SELECT n, rank FROM a, similar('x') LIMIT 1",
        "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a WHERE n < 3)"
        " SELECT n, rank FROM a, similar('x') ORDER BY n, rank LIMIT 1",
        "WITH a AS (SELECT * FROM similar('x')) SELECT 1, rank FROM a ORDER BY rank LIMIT 1",
    ):
        assert run(text) == [(1, 1)], text
    assert run("EXPLAIN QUERY PLAN SELECT * FROM similar('x')")


def test_several_calls_and_no_hits() -> None:
    text = "SELECT count(*) FROM similar('x') a JOIN similar('y', 3) b USING (id)"
    assert run(text) == [(2,)]
    assert run(text, []) == [(0,)]
    statement = Statement("SELECT 1 FROM similar('x') a, similar('x') b", "sqlite")
    assert statement.answered({Call("x", 10): HITS}).text.count("VALUES") == 1


def test_rows_in_the_words_of_other_engines() -> None:
    text = "SELECT * FROM similar('x') WHERE rank = 1"
    hits = {Call("x", 10): HITS}
    assert Statement(text, "postgresql").answered(hits).text == (
        "WITH lookalike_similar_1 (rank, id, score, distance, likeness, path) AS (VALUES"
        " (CAST(1 AS bigint), CAST('aa' AS text), CAST(0.75 AS double precision),"
        " CAST(0.25 AS double precision), CAST('likely' AS text), CAST('/a/it''s.jpg' AS text)),"
        r" (2, 'bb', 1e-05, 0.99999, NULL, '/b/back\slash.jpg'))"
        ' SELECT * FROM lookalike_similar_1 AS "similar" WHERE rank = 1'
    )
    assert Statement(text, "clickhouse").answered(hits).text == (
        "WITH lookalike_similar_1 AS (SELECT * FROM values('rank UInt64, id String, score Float64,"
        " distance Float64, likeness Nullable(String), path String',"
        " (1, 'aa', 0.75, 0.25, 'likely', '/a/it''s.jpg'),"
        r" (2, 'bb', 1e-05, 0.99999, NULL, '/b/back\\slash.jpg')))"
        ' SELECT * FROM lookalike_similar_1 AS "similar" WHERE rank = 1'
    )
    for dialect in DIALECTS:
        nothing = Statement(text, dialect).answered({Call("x", 10): []}).text
        assert "WHERE 1 = 0)" in nothing or "WHERE 0)" in nothing


def test_clickhouse_takes_the_rows() -> None:
    pytest.importorskip("chdb", reason="ClickHouse's engine is not installed")
    # A process of its own: there is one engine in each, and other tests have theirs.
    ask = "import chdb, sys; print(chdb.query(sys.argv[1], 'JSONCompactEachRow'))"
    statement = Statement("SELECT id, likeness, path FROM similar('x') ORDER BY rank", "clickhouse")
    for hits in (HITS, []):
        answered = statement.answered({Call("x", 10): hits}).text
        done = subprocess.run(
            [sys.executable, "-c", ask, answered], capture_output=True, text=True, check=True
        )
        rows = [json.loads(line) for line in done.stdout.splitlines() if line]
        assert rows == [[hit.id, hit.likeness, hit.path] for hit in hits]


# -- tables that are changed -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("UPDATE sales SET n = 1", "sales"),
        ("update or ignore Sales set n = 1", "sales"),
        ("DELETE FROM sales WHERE n = 1", "sales"),
        ("INSERT INTO sales VALUES (1)", "sales"),
        ("INSERT OR REPLACE INTO \"sales\" SELECT 1", "sales"),
        ("REPLACE INTO sales VALUES (1)", "sales"),
        ("WITH a AS (SELECT 1) DELETE FROM sales", "sales"),
        ("SELECT 1", None),
        ("DELETE FROM main.sales", None),
        ("UPDATE", None),
        ("WITH a AS (DELETE FROM sales) SELECT 1", None),
    ],
)  # fmt: skip
def test_the_table_that_a_statement_changes(text: str, target: str | None) -> None:
    assert Statement(text, "sqlite").target() == target


def test_another_table_takes_its_place_under_its_name() -> None:
    for text, written in [
        ("UPDATE sales SET n = sales.n + 1", 'UPDATE "x" AS sales SET n = sales.n + 1'),
        ("UPDATE sales AS s SET n = s.n", 'UPDATE "x" AS s SET n = s.n'),
        ("INSERT INTO sales (n) VALUES (1)", 'INSERT INTO "x" AS sales (n) VALUES (1)'),
        ("DELETE FROM sales", 'DELETE FROM "x" AS sales'),
    ]:
        assert Statement(text, "sqlite").retargeted('"x"') == written


# -- any text --------------------------------------------------------------------------------------

PIECES = st.one_of(
    st.sampled_from([
        "SELECT", "FROM", "JOIN", ",", "(", ")", "1", "a", "similar", "*", "WHERE", "'", '"', "--",
        "/*", "*/", "\n", "$$", "[", "]", "`", "similar('x', 3)", "WITH", "AS", ";", ".", "E'\\'",
    ]),
    st.text(max_size=3),
)  # fmt: skip


@given(pieces=st.lists(PIECES, max_size=20), dialect=st.sampled_from(DIALECTS))
def test_any_text_is_a_statement_or_an_input_error(pieces: list[str], dialect: Dialect) -> None:
    text = " ".join(pieces)
    try:
        statement = Statement(text, dialect)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    answered = statement.answered(dict.fromkeys(statement.calls, HITS))
    assert answered.calls == ()
    assert bool(statement.calls) == (answered.text != text)


QUIET = st.lists(
    st.one_of(
        st.text(max_size=8).map(lambda text: "'" + text.replace("'", "''") + "'"),
        st.text(max_size=8).map(lambda text: '"' + text.replace('"', '""') + '"'),
        st.text(max_size=8).map(lambda text: f"/*{text.replace('*/', '').rstrip('*')} */"),
        st.text(max_size=8).map(lambda text: "--" + text.replace("\n", "") + "\n"),
        st.sampled_from(["'FROM similar(''x'')'", "\"FROM similar('x')\"", "/* ' */", "--'\n"]),
    ),
    max_size=4,
).map(" ".join)


@given(before=QUIET, after=QUIET)
def test_what_stands_in_quotations_and_comments_is_left_alone(before: str, after: str) -> None:
    text = f"SELECT 1 {before} FROM similar('x', 3) AS s {after}"
    if "\0" in text:
        return
    statement = Statement(text, "sqlite")
    assert statement.calls == (Call("x", 3),)
    answered = statement.answered({Call("x", 3): HITS}).text
    assert answered.endswith(f"SELECT 1 {before} FROM lookalike_similar_1 AS s {after}")


@given(text=st.text(max_size=30), dialect=st.sampled_from(DIALECTS))
def test_tokens_are_pieces_of_the_text_in_order(text: str, dialect: Dialect) -> None:
    try:
        found = tokens(text, dialect)
    except InputError:
        return
    assert all(text[one.start : one.end] == one.text for one in found)
    assert all(one.end <= two.start for one, two in pairwise(found))
