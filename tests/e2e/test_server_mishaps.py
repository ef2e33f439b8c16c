"""Bad luck and bad will with libraries on servers: one line, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lookalike import Library
from lookalike.errors import InputError
from lookalike.side_tables import TableOptions
from lookalike.stores import Store
from lookalike.types import Column, ColumnKind, SideTable
from tests.conftest import ToyEncoder
from tests.e2e.command import Command
from tests.servers import (
    chdb_library,
    open_chdb,
    open_postgres,
    postgres_address,
    postgres_library,
)

ODD = ("file", "que?stion", 'q"u?ote', "ba`c?k", "'?", "back\\?slash", "id", "a b", "üñí")


@pytest.fixture
def own(indexed: Command, tmp_path: Path) -> Command:
    return indexed.copy(tmp_path / "copy")


def test_every_file_that_commands_write_is_written_of_a_library_on_a_server(
    own: Command, tmp_path: Path
) -> None:
    address = postgres_library(tmp_path / "pushed")
    own("push", address).done()
    photo = next(iter(own.ledger("--state", "indexed")))
    on = ("--library", address)
    own("search", photo, "--sheet", tmp_path / "sheet.png", *on).done()
    own("ledger", "--csv", tmp_path / "ledger.csv", *on).done()
    own("duplicates", "--csv", tmp_path / "pairs.csv", *on).done()
    counts = "SELECT name, bytes FROM files"
    own("sql", counts, "--plot", tmp_path / "bars.html", *on).done()
    for name in ("sheet.png", "ledger.csv", "pairs.csv", "bars.html"):
        assert (tmp_path / name).stat().st_size > 0


def test_clickhouse_out_of_reach_is_one_line(own: Command) -> None:
    line = own("status", "--library", "clickhouse://me:hidden@127.0.0.1:1/db").refused(
        1, "cannot be reached", "refused"
    )
    assert "hidden" not in line
    assert "HTTPConnectionPool" not in line


def test_columns_with_odd_names_are_pushed_and_asked(filled: Library, tmp_path: Path) -> None:
    table = tmp_path / "odd.jsonl"
    live = (row for row in filled.ledger() if row.state.value == "indexed")
    names = [name for name in (Path(row.path).name for row in live) if name.isprintable()]
    rows = [{name: f"{name} {n}" for name in ODD} | {"file": own} for n, own in enumerate(names)]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    filled.add_table("odd", [table], TableOptions("file", matches="name"))
    condition = "odd.\"que?stion\" = 'que?stion 1' and odd.\"ba`c?k\" like '%?k_1'"
    for address in (postgres_library(tmp_path / "there"), chdb_library(tmp_path / "there")):
        filled.push(address)
        filled.push(address)
        with Library.open(address, encoder=ToyEncoder()) as there:
            assert there.matching(condition) == filled.matching(condition)
            assert len(there.matching(condition)) == 1


@pytest.mark.parametrize("open_store", [open_postgres, open_chdb])
@pytest.mark.parametrize("name", ["side_sales", "vectors_toy"])
def test_a_side_table_takes_no_table_of_the_librarys_own(
    open_store: Callable[..., Store], name: str, tmp_path: Path
) -> None:
    store = open_store(tmp_path, write=True)
    table = SideTable(name, "file", "name", (Column("file", ColumnKind.TEXT),), 0, "x", "now")
    with pytest.raises(InputError, match=f"table {name}: names that begin so"):
        store.put_table(table, [])
    store.close()


@pytest.mark.parametrize("open_store", [open_postgres, open_chdb])
def test_zero_is_zero_with_either_sign(
    open_store: Callable[..., Store], tmp_path: Path, filled: Library
) -> None:
    (tmp_path / "zeros.jsonl").write_text('{"file": "003.png", "r": 0.0}\n{"file": "", "r": 0.5}\n')
    filled.add_table("zeros", [tmp_path / "zeros.jsonl"], TableOptions("file", matches="name"))
    place = {open_postgres: postgres_library, open_chdb: chdb_library}[open_store](tmp_path)
    filled.push(place)
    with Library.open(place, encoder=ToyEncoder()) as there:
        for condition in ("zeros.r in (-0.0, 3)", "zeros.r = -0.0"):
            assert there.matching(condition) == filled.matching(condition)
            assert len(there.matching(condition)) == 1


def test_a_name_that_postgresql_would_cut_is_refused(filled: Library, tmp_path: Path) -> None:
    long = "ü" * 32
    (tmp_path / "long.csv").write_text(f"file,{long}\n003.png,1\n")
    filled.add_table("long", [tmp_path / "long.csv"], TableOptions("file", matches="name"))
    with pytest.raises(InputError, match=f"table long, column {long}: .* shorten this one"):
        filled.push(postgres_library(tmp_path / "there"))


def test_hints_do_not_repeat_a_password(command: Command, album: Path, tmp_path: Path) -> None:
    (album / "broken.jpg").write_bytes(b"no picture")
    address = postgres_library(tmp_path / "there").replace("postgres:@", "postgres:hidden@")
    assert "hidden" in address, postgres_address()
    answer = command("index", album, "--library", address).done()
    assert "lookalike ledger --state unreadable --library postgresql:///" in answer.err.decode()
    assert b"hidden" not in answer.err + answer.out
