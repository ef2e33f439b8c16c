"""``lookalike table`` and ``lookalike sql`` as a user runs them."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .command import Command
from .conftest import Disk
from .contents import contents
from .test_disk_full import LIMITED, said_full

ROWS = 60_000


@pytest.fixture
def sold(command: Command, album: Path, tmp_path: Path) -> Command:
    """Six photos, and a table ``sales`` of rows by their names in two parts."""
    command("index", album).done()
    (tmp_path / "sales.tsv000").write_text("photo\tn\tprice\n0000.jpg\t1\t2.50\n0001.jpg\t2\t3\n")
    (tmp_path / "sales.tsv001").write_text("photo\tn\tprice\n0001.jpg\t\t1\ngone.jpg\t4\t0.5\n")
    command("table", "add", "sales", tmp_path / "sales.tsv*", "--key", "photo").done()
    return command


def test_table_is_added_shown_listed_and_dropped(sold: Command, tmp_path: Path) -> None:
    shown = sold("table", "show", "sales").done()
    assert shown.text.splitlines() == [
        "column  kind",
        "photo   text     key",
        "n       integer",
        "price   real",
        "",
        "photo     n     price",
        "0000.jpg  1     2.5",
        "0001.jpg  2     3",
        "0001.jpg  NULL  1",
        "gone.jpg  4     0.5",
    ]
    assert shown.talk == ["lookalike: sales: 4 rows, by name; 3 belong to a picture"]
    as_json = sold("table", "show", "sales", "--json").done().json()
    assert as_json["first"][2] == ["0001.jpg", None, 1.0]
    assert (as_json["rows"], as_json["matched"], as_json["matches"]) == (4, 3, "name")
    assert "sales" in sold("table", "list").done().text
    again = ("table", "add", "sales", tmp_path / "sales.tsv000", "--key", "photo")
    sold(*again).refused(2, "is there already; --replace")
    added = sold(*again, "--replace", "--matches", "path", "--json").done()
    assert added.json()["columns"][1] == {"name": "n", "kind": "integer"}
    assert added.talk[-1] == (
        "lookalike: sales: 2 rows, by path; 0 belong to a picture; if the key is something else:"
        " --replace --matches, one of foreign_id, name, id"
    )
    assert sold("table", "drop", "sales").done().talk == ["lookalike: table forgotten: sales"]
    assert sold("table", "list").done().talk == [
        "lookalike: no tables yet; see: lookalike table add --help"
    ]
    sold("table", "show", "sales").refused(2, "table 'sales': there is none")


def test_statement_prints_an_aligned_table_and_other_forms(sold: Command) -> None:
    statement = 'SELECT photo, n, price AS "the price" FROM sales ORDER BY photo, n'
    aligned = sold("sql", statement).done()
    assert aligned.text.splitlines() == [
        "photo        n  the price",
        "0000.jpg     1        2.5",
        "0001.jpg  NULL          1",
        "0001.jpg     2          3",
        "gone.jpg     4        0.5",
    ]
    assert aligned.talk == ["lookalike: rows: 4"]
    rows = list(csv.reader(io.StringIO(sold("sql", statement, "--csv").done().text, newline="")))
    assert rows[:3] == [
        ["photo", "n", "the price"], ["0000.jpg", "1", "2.5"], ["0001.jpg", "", "1.0"]
    ]  # fmt: skip
    assert sold("sql", statement, "--json").done().json() == {
        "columns": ["photo", "n", "the price"],
        "rows": [
            ["0000.jpg", 1, 2.5], ["0001.jpg", None, 1.0], ["0001.jpg", 2, 3.0],
            ["gone.jpg", 4, 0.5],
        ],
    }  # fmt: skip
    lines = sold("sql", statement, "--jsonl").done().text.splitlines()
    assert json.loads(lines[1]) == {"photo": "0001.jpg", "n": None, "the price": 1.0}
    assert sold("sql", "SELECT 1e999 AS x", "--json").done().json()["rows"] == [[None]]
    assert sold("sql", "SELECT 1 AS x WHERE 0", "--json").done().json()["rows"] == []
    assert sold("sql", "SELECT 1 AS x WHERE 0").done().text == "x\n"
    sold("sql", "SELECT 1 AS x, 2 AS x", "--jsonl").refused(2, "two columns have one name")


def test_hits_are_joined_with_a_table(sold: Command, album: Path) -> None:
    statement = (
        "SELECT name, sum(price) AS price FROM sales JOIN files ON name = photo"
        f" JOIN similar('{album / '0002.jpg'}', 9) USING (id) GROUP BY name ORDER BY price DESC"
    )
    assert sold("sql", statement, "--csv").done().text.splitlines() == [
        "name,price", "0001.jpg,4.0", "0000.jpg,2.5"
    ]  # fmt: skip


def test_statement_comes_from_stdin(sold: Command) -> None:
    for statement, status in [(b"SELECT count(*) AS n FROM sales -- all\n", 0), (b"\xff", 2)]:
        done = subprocess.run(
            [*sold.program, "sql", "-", "--csv"],
            input=statement,
            capture_output=True,
            env=sold.environment(),
            check=False,
        )
        assert done.returncode == status
        assert done.stdout == (b"" if status else b"n\r\n4\r\n")


def test_schema_names_tables_and_columns(sold: Command) -> None:
    lines = [line.split() for line in sold("sql", "--schema").done().text.splitlines()]
    assert lines[0] == ["table", "column", "kind"]
    assert ["sales", "photo", "text"] in lines
    assert ["images", "id", "text"] in lines
    sold("sql").refused(2, "give one statement, in quotes, or --schema")
    sold("sql", "SELECT 1", "--schema").refused(2, "give one statement")


def test_writing_must_be_asked_for(sold: Command) -> None:
    delete = "DELETE FROM sales WHERE photo = 'gone.jpg'"
    sold("sql", delete).refused(2, "only SELECT, WITH, VALUES and EXPLAIN read; --write")
    assert sold("sql", "--write", delete).done().talk == ["lookalike: rows changed: 1"]
    assert sold("sql", "SELECT count(*) AS n FROM sales", "--csv").done().text == "n\r\n3\r\n"
    sold("sql", "--write", "DELETE FROM files").refused(2, "'files' is no side table")


def test_only_the_owner_of_the_lock_changes_tables(sold: Command, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom lookalike.stores import SqliteStore\n"
        "store = SqliteStore(sys.argv[1], write=True)\nprint('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    holder = sold.start(sold.library, source=script)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"ready\n"
        sold("sql", "--write", "DELETE FROM sales").refused(1, "is writing to this library")
        add = ("table", "add", "sales2", tmp_path / "sales.tsv000", "--key", "photo")
        sold(*add).refused(1, "is writing to this library")
        sold("sql", "SELECT count(*) FROM sales").done()
    finally:
        holder.communicate()


def tables(command: Command) -> dict[str, int]:
    """Rows of side tables by name."""
    listed = command("table", "list", "--json").done().json()["tables"]
    return {one["name"]: one["rows"] for one in listed}


def big_table(folder: Path) -> Path:
    path = folder / "big.tsv"
    with path.open("w") as file:
        file.write("photo\tword\n")
        file.writelines(f"{n % 6:04d}.jpg\tword {n} {'x' * 100}\n" for n in range(ROWS))
    return path


@pytest.mark.parametrize("replace", [False, True], ids=["new", "replaced"])
def test_killed_while_adding_leaves_what_there_was(
    sold: Command, tmp_path: Path, replace: bool
) -> None:
    add = ("table", "add", "sales" if replace else "more", big_table(tmp_path), "--key", "photo")
    add = (*add, "--replace") if replace else add
    before = sold("table", "list", "--json").done().json()
    log = sold.library / "catalog.sqlite-wal"
    for grown in (1, 400_000, 3_000_000):
        process = sold.start(*add)
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            if log.exists() and log.stat().st_size >= grown:
                break
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it was to be killed before it ended"
        assert sold("table", "list", "--json").done().json() == before
        assert sold("sql", "SELECT count(*) AS n FROM sales", "--csv").done().text == "n\r\n4\r\n"
    sold(*add).done()
    tables = {
        one["name"]: one["rows"] for one in sold("table", "list", "--json").done().json()["tables"]
    }
    assert tables == ({"sales": ROWS} if replace else {"more": ROWS, "sales": 4})


def test_interrupted_while_adding_ends_in_one_line(sold: Command, tmp_path: Path) -> None:
    process = sold.start("table", "add", "more", big_table(tmp_path), "--key", "photo")
    assert process.stderr is not None
    while b"writing" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, talk = process.communicate()
    assert process.returncode == 130
    assert b"stopped" in talk.splitlines()[-1]
    assert [one["name"] for one in sold("table", "list", "--json").done().json()["tables"]] == [
        "sales"
    ]


def test_interrupted_statement_ends_in_one_line(sold: Command) -> None:
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"
    process = sold.start("sql", endless)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    out, talk = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, b"")
    assert len(talk.splitlines()) == 1


def test_endless_rows_are_printed_as_they_come(sold: Command) -> None:
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t"
    for form in ("--csv", "--json", "--jsonl", None):
        with sold.start("sql", endless, *([form] if form else [])) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(2_000)]
            assert all(lines)
            process.stdout.close()  # as head does
            process.wait(20)
        assert process.returncode == 0


def test_full_disk_keeps_the_old_table(disk: Disk, album: Path, tmp_path: Path) -> None:
    disk.resize(6)
    command = Command(disk.folder / "library")
    command("index", album).done()
    before = contents(command.library)
    add = ("table", "add", "more", big_table(tmp_path), "--key", "photo")
    answer = command(*add)
    assert answer.status == 1
    assert "the disk is full" in answer.talk[-1]
    assert command("table", "list").done().out == b""
    assert contents(command.library).vectors == before.vectors
    disk.resize(60)
    assert "60,000 rows" in command(*add).done().talk[-1]


def test_a_file_that_may_not_grow_keeps_the_old_table(sold: Command, tmp_path: Path) -> None:
    add = ("table", "add", "more", str(big_table(tmp_path)), "--key", "photo")
    answer = sold.script(LIMITED, str(2_000_000), *add)
    assert answer.status == 1
    said_full(type(answer)(1, answer.out, answer.err.splitlines(keepends=True)[-1]), sold.library)
    assert [one["name"] for one in sold("table", "list", "--json").done().json()["tables"]] == [
        "sales"
    ]


def test_odd_files_are_refused_in_one_line(sold: Command, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tsv")
    for name, content, words in [
        ("empty.tsv", b"", "is empty"),
        ("picture.csv", b"\x89PNG\0\0\0", "zero byte"),
        ("latin.csv", b"photo,\xe9\n", "is not UTF-8"),
        ("pipe.tsv", None, "no regular file"),
        ("none.tsv", None, "no such file"),
    ]:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        sold("table", "add", "more", tmp_path / name, "--key", "photo").refused(2, words)
    sold("table", "add", "files", tmp_path / "sales.tsv000", "--key", "photo").refused(
        2, "my_files"
    )


def test_rows_are_drawn_with_their_pictures(sold: Command, album: Path, tmp_path: Path) -> None:
    statement = (
        "SELECT path, sum(price) AS price FROM sales JOIN files ON name = photo GROUP BY path"
        " ORDER BY price DESC"
    )
    for name in ("chart.png", "chart.html"):
        done = sold("sql", statement, "--csv", "--plot", tmp_path / name).done()
        assert done.text.splitlines()[1:] == [
            f"{album / '0001.jpg'},4.0", f"{album / '0000.jpg'},2.5"
        ]  # fmt: skip
        assert done.talk == [f"lookalike: chart: {tmp_path / name}"]
    assert (tmp_path / "chart.html").read_text().count("data:image/jpeg") == 2
    sold("sql", statement, "--plot", tmp_path / "x.svg").refused(2, "ending in .png or .html")
    sold("sql", "SELECT 'a'", "--plot", tmp_path / "x.png").refused(2, "no column has numbers")
    sold("sql", statement, "--plot", album / "0000.jpg").refused(2, "ending in .png or .html")
    sold("sql", statement, "--plot", sold.library / "x.png").refused(2, "lies in the library")
    count = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT 150)"
    done = sold("sql", f"{count} SELECT n FROM t", "--csv", "--plot", tmp_path / "many.png").done()
    assert len(done.text.splitlines()) == 151
    assert "the first 100 rows" in done.talk[0]


def test_search_keeps_to_pictures_by_their_rows(sold: Command, album: Path) -> None:
    def found(where: str) -> list[str]:
        answer = sold("search", album / "0005.jpg", "-k", "9", "--paths", "--where", where).done()
        return sorted(Path(path).name for path in answer.paths)

    assert found("sales.n = 2") == ["0001.jpg"]
    assert found("some sales (n is null and price < 2)") == ["0001.jpg"]
    assert found("some sales (n = 2 and price < 2)") == []
    assert found("sales.n = 2 and sales.price < 2") == ["0001.jpg"]
    assert found("some sales and not sales.n = 2") == ["0000.jpg"]
    search = ("search", album / "0005.jpg", "--where")
    sold(*search, "sale.n = 2").refused(2, "no side table 'sale'; tables are sales")
    sold(*search, "sales.m = 2").refused(2, "no column 'm' in sales; columns are photo, n, price")
    sold(*search, "sales.n = '2'").refused(2, "n is a number and '2' is none")
