"""A library that is missing, damaged, newer, locked or read-only: one line, and nothing lost."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from lookalike.stores.schema import MIGRATIONS

from .command import Command
from .contents import contents, segment_files
from .gallery import crops, state_of

INTERRUPTED = """
import os, signal, sys
from lookalike import IndexOptions, Library
class Once:
    def stage(self, name): pass
    def start(self, total): pass
    def close(self): pass
    def advance(self, count): os.kill(os.getpid(), signal.SIGKILL)
with Library.open(create=True) as library:
    library.add(sys.argv[1:], IndexOptions(commit_batch=4), Once())
"""

WRITING = """
import sys, time
from lookalike import IndexOptions, Library
class Waiting:
    def stage(self, name): pass
    def start(self, total): pass
    def close(self): pass
    def advance(self, count):
        print(count, flush=True)
        sys.stdin.read()
with Library.open(create=True) as library:
    library.add(sys.argv[1:], IndexOptions(commit_batch=4), Waiting())
"""


@pytest.fixture
def filled(album: Path, command: Command) -> Command:
    """The command with a library of the album's six photos."""
    command("index", album).done()
    return command


@pytest.fixture
def newcomer(album: Path) -> Path:
    """One more photo, which has not been indexed."""
    *_, (_, data) = crops(8)
    path = album / "newcomer.jpg"
    path.write_bytes(data)
    return path


def every_command(photo: Path) -> list[tuple[str | Path, ...]]:
    return [
        ("search", photo),
        ("search", photo, "--by", "colour"),
        ("search", "--random"),
        ("ledger",),
        ("index", photo.parent),
        ("pca", "study", "--dims", "2"),
    ]


def library_files(library: Path) -> dict[bytes, tuple[object, ...]]:
    """What the library consists of; locks and the log's shared memory are not part of it."""
    passing = (b"/writer.lock", b"/writer.pid", b"-shm", b"-wal", b"/.")
    return {
        path: status[3:] for path, status in state_of(library).items() if not path.endswith(passing)
    }


# -- there is none ---------------------------------------------------------------------------------


def test_missing_library_is_refused_and_not_made(album: Path, command: Command) -> None:
    for arguments in every_command(album / "0000.jpg"):
        if arguments[0] != "index":
            line = command(*arguments).refused(1, str(command.library), "no library here")
            assert "lookalike index" in line
    assert not command.library.exists()


def test_folder_of_other_things_is_not_taken_as_a_library(album: Path, tmp_path: Path) -> None:
    home = tmp_path / "documents"
    home.mkdir()
    (home / "letter.txt").write_text("dear")
    before = state_of(home)
    command = Command(home)
    command("index", album).refused(2, str(home), "letter.txt", "--library")
    command("search", album / "0000.jpg").refused(1, str(home), "no library")
    assert state_of(home) == before


def test_failed_first_run_does_not_delete_what_lay_in_the_folder(tmp_path: Path) -> None:
    """A folder of one's own may happen to have a name that libraries use, too."""
    home = tmp_path / "work"
    (home / "vectors").mkdir(parents=True)
    (home / "vectors" / "logo.svg").write_text("<svg/>")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert Command(home)("index", empty).status != 0
    assert (home / "vectors" / "logo.svg").read_text() == "<svg/>"


def test_library_that_is_a_file_is_refused(album: Path, tmp_path: Path) -> None:
    (tmp_path / "library").write_text("a file")
    command = Command(tmp_path / "library")
    for arguments in every_command(album / "0000.jpg"):
        command(*arguments).refused(1, str(command.library))
    assert (tmp_path / "library").read_text() == "a file"


def test_missing_path_is_refused_and_leaves_no_library(album: Path, command: Command) -> None:
    command("index", album, album / "none").refused(2, str(album / "none"), "no such file")
    assert not command.library.exists()


def test_folder_without_images_is_refused_and_leaves_no_library(
    tmp_path: Path, command: Command
) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    command("index", folder).refused(1, str(folder), "no images found")
    (folder / "a.txt").write_text("text")
    assert command("index", folder).status == 1
    assert not (command.library / "catalog.sqlite").exists() or command.ledger()


# -- damaged ---------------------------------------------------------------------------------------


def _random_bytes(catalog: Path) -> None:
    catalog.write_bytes(random.Random(1).randbytes(50_000))


def _half(catalog: Path) -> None:
    os.truncate(catalog, catalog.stat().st_size // 2)


def _first_page_only(catalog: Path) -> None:
    os.truncate(catalog, 4096)


def _other_program(catalog: Path) -> None:
    catalog.unlink()
    with sqlite3.connect(catalog) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()


def _newer(catalog: Path) -> None:
    with sqlite3.connect(catalog) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_random_bytes, ("catalog.sqlite", "damaged")),
        (_half, ("catalog.sqlite", "damaged")),
        (_first_page_only, ("catalog.sqlite", "damaged")),
        (_other_program, ("catalog.sqlite", "another program")),
        (_newer, ("catalog.sqlite", "99", "upgrade")),
    ],
)
def test_unusable_catalogue_is_refused_by_every_command(
    damage: Callable[[Path], None], words: tuple[str, ...], filled: Command, newcomer: Path
) -> None:
    damage(filled.library / "catalog.sqlite")
    before = library_files(filled.library)
    for arguments in every_command(newcomer):
        filled(*arguments).refused(1, *words)
    assert library_files(filled.library) == before


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 40))]
)
def test_page_of_the_catalogue_that_was_overwritten_gives_no_traceback(
    seed: int, filled: Command, newcomer: Path
) -> None:
    catalog = filled.library / "catalog.sqlite"
    dice = random.Random(seed)
    with open(catalog, "r+b") as file:
        file.seek(4096 * dice.randrange(1, catalog.stat().st_size // 4096))
        file.write(dice.randbytes(4096))
    for arguments in (("ledger",), ("search", newcomer), ("index", newcomer.parent)):
        answer = filled(*arguments)
        answer.said_nothing_odd()
        assert answer.status in (0, 1)
        if answer.status:
            assert "catalog.sqlite" in answer.talk[-1]


def test_catalogue_whose_creation_was_interrupted_is_completed_by_index(
    album: Path, command: Command
) -> None:
    command.library.mkdir()
    (command.library / "catalog.sqlite").touch()
    command("search", album / "0000.jpg").refused(1, "catalog.sqlite", "index")
    assert command("index", album).done().counts() == {("indexed", "new"): 6}


def made_older(library: Path) -> None:
    """Takes a catalogue back to the format of the first version."""
    with closing(sqlite3.connect(library / "catalog.sqlite")) as connection:
        for table in ("labels", "tiles", "decisions", "settings"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP TABLE side_tables")
        for index in ("files_by_foreign_id", "records_by_id_text"):
            connection.execute(f"DROP INDEX {index}")
        for column in ("foreign_id", "validator"):
            connection.execute(f"ALTER TABLE files DROP COLUMN {column}")
        connection.execute("PRAGMA user_version = 1")


def test_catalogue_of_an_older_version_is_migrated_when_it_is_read(
    filled: Command, newcomer: Path
) -> None:
    before = contents(filled.library)
    made_older(filled.library)
    filled("search", newcomer).done()
    assert contents(filled.library) == before
    with closing(sqlite3.connect(filled.library / "catalog.sqlite")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


def test_catalogue_of_an_older_version_that_somebody_writes_to_is_refused(
    filled: Command, newcomer: Path
) -> None:
    made_older(filled.library)
    with FileLock(filled.library / "writer.lock"):
        filled("search", newcomer).refused(1, "format 1", "wait for its writer")


@pytest.mark.parametrize(
    ("damage", "suffix"),
    [
        *(("truncated", suffix) for suffix in ("f16", "ids", "bins", "counts", "ends")),
        *((damage, suffix) for damage in ("missing", "header") for suffix in ("f16", "ends")),
    ],
)
def test_damaged_segment_is_refused_and_never_papered_over(
    suffix: str, damage: str, filled: Command, newcomer: Path
) -> None:
    for path in (p for p in segment_files(filled.library) if p.suffix == f".{suffix}"):
        if damage == "truncated":
            os.truncate(path, path.stat().st_size - 3)
        elif damage == "missing":
            path.unlink()
        else:
            path.write_bytes(bytes(64) + path.read_bytes()[64:])
    before = library_files(filled.library)
    by = "meaning" if suffix in ("f16", "ids") else "colour"
    filled("search", newcomer, "--by", by).refused(1, f".{suffix}", "restore it")
    filled("index", newcomer.parent).refused(1, f".{suffix}")
    assert library_files(filled.library) == before
    filled("search", newcomer, "--by", by).refused(1, f".{suffix}", "restore it")


def test_emptied_segment_is_refused(filled: Command, newcomer: Path) -> None:
    for path in segment_files(filled.library):
        os.truncate(path, 0)
    filled("search", newcomer).refused(1, "restore it")
    filled("index", newcomer.parent).refused(1)


def test_damaged_derived_files_are_made_anew(filled: Command, newcomer: Path) -> None:
    query = ("search", newcomer, "--by", "pca", "--dims", "3", "--json")
    expected = filled(*query).done().out
    derived = [path for path in (filled.library / "derived").rglob("*") if path.is_file()]
    assert derived
    for damage in (lambda data: data[:100], lambda _: b"", lambda data: bytes(len(data))):
        for path in derived:
            path.write_bytes(damage(path.read_bytes()))
        assert filled(*query).done().out == expected
    shutil.rmtree(filled.library / "derived")
    assert filled(*query).done().out == expected


def test_strange_files_in_the_derived_folder_are_no_harm(filled: Command, newcomer: Path) -> None:
    query = ("search", newcomer, "--by", "pca", "--dims", "3", "--json")
    expected = filled(*query).done().out
    (folder,) = (filled.library / "derived" / "pca").iterdir()
    (folder / "linear-copy of it.model.npz").write_text("mine")
    assert filled(*query).done().out == expected


# -- locked, read-only -----------------------------------------------------------------------------


def test_second_writer_is_refused_while_readers_see_what_is_committed(
    album: Path, command: Command, newcomer: Path
) -> None:
    running = command.start(album, source=WRITING)
    assert running.stdout is not None
    try:
        assert running.stdout.readline() == b"4\n"
        command("index", album).refused(1, f"process {running.pid} is writing", "wait")
        assert len(command("ledger").done().text.splitlines()) == 4
        query = ("search", album / "0000.jpg", "--include-self", "-k", "9", "--json")
        assert len(command(*query).done().json()["hits"]) == 4
    finally:
        running.kill()
        running.communicate()
    assert command("index", album).done().counts() == {("indexed", "new"): 7}
    assert len(contents(command.library).vectors) == 7


def test_lock_of_a_killed_writer_does_not_hold(filled: Command, newcomer: Path) -> None:
    assert filled.script(INTERRUPTED, newcomer).status == -9
    assert filled("index", newcomer.parent).done().counts()["indexed", "new"] == 1


def test_read_only_library_can_be_searched_and_not_indexed_into(
    filled: Command,
    newcomer: Path,
    powerless: tuple[str, ...],
    protect: Callable[[Path, int], None],
) -> None:
    command = Command(filled.library, powerless)
    expected = command("search", newcomer, "--json").done().out
    _protect_all(filled.library, protect)
    before = state_of(filled.library)
    for by in ("meaning", "colour", "mix"):
        command("search", newcomer, "--by", by).done()
    command("search", newcomer, "--by", "pca", "--dims", "3").done()
    assert command("search", newcomer, "--json").done().out == expected
    assert len(command("ledger").done().text.splitlines()) == 6
    command("index", newcomer.parent).refused(1, str(filled.library), "permission")
    assert state_of(filled.library) == before


def test_read_only_library_whose_writer_was_killed_shows_all_that_was_committed(
    album: Path,
    tmp_path: Path,
    powerless: tuple[str, ...],
    protect: Callable[[Path, int], None],
) -> None:
    """What was committed may still lie in SQLite's log; a reader must not look past it."""
    command = Command(tmp_path / "library", powerless)
    assert command.script(INTERRUPTED, album).status == -9
    assert (command.library / "catalog.sqlite-wal").stat().st_size > 0
    _protect_all(command.library, protect)
    query = ("search", album / "0000.jpg", "--include-self", "-k", "9", "--json")
    assert len(command(*query).done().json()["hits"]) == 4
    assert len(command("ledger").done().text.splitlines()) == 4


def test_unreadable_library_is_refused(
    filled: Command,
    newcomer: Path,
    powerless: tuple[str, ...],
    protect: Callable[[Path, int], None],
) -> None:
    protect(filled.library / "catalog.sqlite", 0)
    for arguments in every_command(newcomer):
        Command(filled.library, powerless)(*arguments).refused(1, str(filled.library), "permission")


def test_unreadable_segment_is_refused(
    filled: Command,
    newcomer: Path,
    powerless: tuple[str, ...],
    protect: Callable[[Path, int], None],
) -> None:
    for path in segment_files(filled.library):
        protect(path, 0)
    command = Command(filled.library, powerless)
    command("search", newcomer).refused(1, "permission")
    command("index", newcomer.parent).refused(1, "permission")


def test_library_where_nothing_may_be_made_is_refused(
    album: Path,
    tmp_path: Path,
    powerless: tuple[str, ...],
    protect: Callable[[Path, int], None],
) -> None:
    (tmp_path / "closed").mkdir()
    protect(tmp_path / "closed", 0o555)
    place = tmp_path / "closed" / "library"
    command = Command(tmp_path / "default", powerless)
    command("index", album, "--library", place).refused(1, str(place), "permission")


def _protect_all(library: Path, protect: Callable[[Path, int], None]) -> None:
    for top, folders, names in os.walk(library, topdown=False):
        for name in names:
            protect(Path(top) / name, 0o444)
        for name in folders:
            protect(Path(top) / name, 0o555)
    protect(library, 0o555)


def test_refused_commands_end_soon(filled: Command, newcomer: Path) -> None:
    """Waiting for a lock is not an answer: the user is told at once."""
    running = filled.start(newcomer, source=WRITING)
    assert running.stdout is not None
    try:
        assert running.stdout.readline() == b"1\n"
        begun = time.monotonic()
        filled("index", newcomer.parent).refused(1, "is writing")
        assert time.monotonic() - begun < 5
    finally:
        running.kill()
        running.communicate()
