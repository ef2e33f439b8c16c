"""``push`` and ``status`` as a user runs them."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.command import Command
from tests.servers import postgres_library


@pytest.fixture(params=["postgresql", "chdb"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where nothing lies yet; chDB in a folder of its own, which one process at a time has."""
    if request.param == "postgresql":
        return postgres_library(tmp_path / "pushed")
    return f"chdb://{tmp_path / 'chdb'}?database=pushed"


def test_a_library_is_pushed_and_its_status_is_that_of_the_folder(
    indexed: Command, address: str, tmp_path: Path
) -> None:
    own = indexed.copy(tmp_path / "copy")
    first = own("push", address).done()
    assert "holds the same as this library, by counts and checksums" in first.talk[-1]
    again = own("push", address, "--no-verify", "--json").done().json()
    assert {table["sent"] for table in again["tables"].values()} == {0}
    here = own("status", "--json").done().json()
    there = own("status", "--json", "--library", address).done().json()
    for name in ("records", "files", "spaces", "thumbnails", "labels", "side_tables", "checks"):
        assert here[name] == there[name], name
    assert here["records"] == again["tables"]["_records"]["rows"] > 0
    text = own("status", "--library", address).done().text
    assert "all counts fit each other" in text
    photo = next(iter(own.ledger("--state", "indexed")), None) or next(iter(own.ledger()))
    local = own("search", photo, "-k", "3", "--paths").done().paths
    assert own("search", photo, "-k", "3", "--paths", "--library", address).done().paths == local


def test_what_cannot_be_pushed_is_one_line(indexed: Command, tmp_path: Path) -> None:
    own = indexed.copy(tmp_path / "copy")
    own("push", str(tmp_path)).refused(2, "push sends a library in a folder")
    own("push", "postgresql://me:hidden@127.0.0.1:1/db").refused(1, "cannot be reached")
    own("push", "postgresql://127.0.0.1/db?nonsense=1").refused(2, "option 'nonsense' is not known")
    own("push", f"chdb://{tmp_path / 'x'}", "--space", "none").refused(2, "space 'none'")


def test_a_status_with_something_amiss_ends_with_1(indexed: Command, tmp_path: Path) -> None:
    own = indexed.copy(tmp_path / "copy")
    own.script(
        "import os, sqlite3; db = sqlite3.connect(os.environ['LOOKALIKE_LIBRARY'] +"
        " '/catalog.sqlite'); db.execute('PRAGMA foreign_keys = OFF');"
        " db.execute('DELETE FROM files WHERE key = (SELECT min(key) FROM files WHERE live)');"
        " db.commit()"
    ).done()
    answer = own("status")
    assert answer.status == 1
    assert "lie in no file" in answer.text


KILLED = """
import os, signal, sys
from lookalike import Library
from lookalike.stores.server.clickhouse.engine import ClickHouseEngine
from lookalike.stores.server.postgres.engine import PostgresEngine

left = [int(sys.argv[2])]

def dying(write):
    def written(self, table, rows):
        write(self, table, rows)
        if rows and table.name not in ("_settings", "_writers"):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
    return written

for kind in (PostgresEngine, ClickHouseEngine):
    kind.add, kind.put = dying(kind.add), dying(kind.put)
Library.open().push(sys.argv[1])
"""


@pytest.mark.parametrize("after", [2, 6])
def test_a_killed_push_shows_nothing_and_goes_on(
    indexed: Command, address: str, after: int, tmp_path: Path
) -> None:
    own = indexed.copy(tmp_path / "copy")
    assert own.script(KILLED, address, str(after)).status == -signal.SIGKILL
    broken = own("status", "--json", "--library", address).json()
    assert (broken["records"], broken["files"]) == (0, {})
    report = own("push", address, "--json").done().json()
    sent = sum(table["sent"] for table in report["tables"].values())
    assert 0 < sent < sum(table["rows"] for table in report["tables"].values())
    own("status", "--library", address).done()
