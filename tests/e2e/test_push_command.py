"""``push`` and ``status`` as a user runs them."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.command import Command
from tests.servers import killed_after_writes


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


PUSH = killed_after_writes(
    "from lookalike import Library; Library.open().push(sys.argv[1])", "_settings", "_writers"
)


@pytest.mark.parametrize("after", [2, 6])
def test_a_killed_push_shows_nothing_and_goes_on(
    indexed: Command, address: str, after: int, tmp_path: Path
) -> None:
    own = indexed.copy(tmp_path / "copy")
    assert own.script(PUSH, address, str(after)).status == -signal.SIGKILL
    broken = own("status", "--json", "--library", address).json()
    assert (broken["records"], broken["files"]) == (0, {})
    report = own("push", address, "--json").done().json()
    sent = sum(table["sent"] for table in report["tables"].values())
    assert 0 < sent < sum(table["rows"] for table in report["tables"].values())
    own("status", "--library", address).done()
