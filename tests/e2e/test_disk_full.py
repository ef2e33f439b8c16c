"""A full disk: one line, nothing committed is lost, and with room again the command continues."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .command import Answer, Command
from .conftest import Disk
from .contents import contents, surplus_bytes
from .gallery import write_crops

PHOTOS = 150

INDEX = """
import sys
from lookalike import IndexOptions, Library, LookalikeError
class Told:
    def stage(self, name): pass
    def start(self, total): pass
    def close(self): pass
    def advance(self, count): print(count, flush=True)
try:
    with Library.open(create=True) as library:
        library.add(sys.argv[1:], IndexOptions(commit_batch=5), Told())
except LookalikeError as error:
    print(f"lookalike: {error}", file=sys.stderr)
    sys.exit(error.exit_status)
"""

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from lookalike.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many") / "photos"
    write_crops(folder, PHOTOS, 128)
    return folder


def said_full(answer: Answer, library: Path) -> None:
    answer.said_nothing_odd()
    assert answer.status == 1
    assert len(answer.talk) == 1
    assert str(library) in answer.talk[0]
    assert "free" in answer.talk[0], "the cure is named"


def test_full_disk_keeps_what_was_committed_and_more_room_lets_it_go_on(
    disk: Disk, many: Path
) -> None:
    command = Command(disk.folder / "library")
    answer = command.script(INDEX, many)
    said_full(answer, command.library)
    committed = sum(map(int, answer.out.split()))
    assert 0 < committed < PHOTOS
    said_full(command.script(INDEX, many), command.library)
    disk.resize(30)
    assert len(contents(command.library).vectors) >= committed
    counts = command("index", many).done().counts()
    assert sum(counts.values()) == PHOTOS
    assert {state for state, _ in counts} <= {"indexed", "unchanged"}
    assert surplus_bytes(command.library) == 0
    whole = Command(disk.folder / "whole")
    whole("index", many).done()
    assert contents(command.library).vectors == contents(whole.library).vectors


def test_command_on_a_full_disk_ends_in_one_line_and_continues_later(
    disk: Disk, many: Path
) -> None:
    disk.resize(1)
    command = Command(disk.folder / "library")
    assert command("index", many, "--limit", "20").done().counts() == {("indexed", "new"): 20}
    before = contents(command.library)
    answer = command("index", many)
    assert answer.out == b""
    said_full(answer, command.library)
    after = contents(command.library)
    assert (after.vectors, after.thumbnails) == (before.vectors, before.thumbnails)
    assert sum(bool(row["record"]) for row in command.ledger().values()) == 20
    disk.resize(30)
    counts = command("index", many).done().counts()
    assert counts == {("unchanged", "same size and time"): 20, ("indexed", "new"): PHOTOS - 20}


def test_library_on_a_disk_without_a_byte_left_can_still_be_searched(
    disk: Disk, many: Path
) -> None:
    command = Command(disk.folder / "library")
    command("index", many, "--limit", "20").done()
    query = ("search", many / "0100.jpg", "--json")
    expected = command(*query).done().out
    stuffing = disk.fill()
    said_full(command("index", many), command.library)
    try:
        assert command(*query).done().out == expected
        command("search", many / "0100.jpg", "--by", "pca", "--dims", "4").done()
        assert len(command("ledger").done().text.splitlines()) == 20
    finally:
        os.unlink(stuffing)
    assert command(*query).done().out == expected


def test_new_library_on_a_disk_without_room_is_refused_in_one_line(disk: Disk, many: Path) -> None:
    disk.fill()
    command = Command(disk.folder / "library")
    said_full(command("index", many), command.library)
    disk.resize(30)
    assert command("index", many).done().counts() == {("indexed", "new"): PHOTOS}


@pytest.mark.parametrize(
    "kilobytes", [100, *(pytest.param(n, marks=pytest.mark.long) for n in (20, 250, 400))]
)
def test_file_that_may_not_grow_ends_in_one_line_and_loses_nothing(
    kilobytes: int, many: Path, command: Command
) -> None:
    """Quotas and limits refuse a write as a full disk does; this needs no right to mount."""
    command("index", many, "--limit", "10").done()
    before = contents(command.library)
    answer = command.script(LIMITED, str(kilobytes * 1000), "index", many)
    said_full(answer, command.library)
    after = contents(command.library)
    assert (after.vectors, after.thumbnails) == (before.vectors, before.thumbnails)
    command("index", many).done()
    assert len(contents(command.library).vectors) == PHOTOS
