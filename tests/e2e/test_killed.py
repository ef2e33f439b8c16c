"""kill -9 at any moment: what was acknowledged stays, and the same command continues."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from .command import Command
from .contents import Contents, contents, segment_files, surplus_bytes
from .gallery import flipped, write_crops

PHOTOS = 160
BATCH = 8

INDEX = f"""
import sys
from lookalike import IndexOptions, Library
class Told:
    def stage(self, name): pass
    def start(self, total): print("total", total, flush=True)
    def close(self): pass
    def advance(self, count): print("committed", count, flush=True)
with Library.open(create=True) as library:
    options = IndexOptions(encode_batch=4, commit_batch={BATCH}, prune=True)
    library.add(sys.argv[1:], options, Told())
print("done", flush=True)
"""

# The process kills itself at the n-th call of a function that a commit or its cleaning up makes.
KILL_AT = """
import os, signal, sys
import lookalike.stores.run, lookalike.stores.segments, lookalike.stores.sqlite
from lookalike import IndexOptions, Library
place, when = sys.argv[1], int(sys.argv[2])
module, _, name = place.rpartition(".")
owner = sys.modules.get(module) or getattr(sys.modules[module.rpartition(".")[0]],
                                           module.rpartition(".")[2])
original, calls = getattr(owner, name), 0
def killing(*arguments, **options):
    global calls
    calls += 1
    if calls == when:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)
setattr(owner, name, killing)
with Library.open(create=True) as library:
    library.add(sys.argv[3:], IndexOptions(encode_batch=4, commit_batch=3, prune=True))
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small photos, some of them twice, some damaged."""
    folder = tmp_path_factory.mktemp("many") / "photos"
    write_crops(folder, PHOTOS, 72)
    data = (folder / "0000.jpg").read_bytes()
    (folder / "0003 again.jpg").write_bytes((folder / "0003.jpg").read_bytes())
    (folder / "within" / "0004 again.jpg").write_bytes((folder / "0004.jpg").read_bytes())
    (folder / "0010 cut.jpg").write_bytes(data[:700])
    (folder / "0020 text.jpg").write_text("text")
    (folder / "0030 flipped.jpg").write_bytes(flipped(data, 900))
    (folder / "notes.txt").write_text("text")
    return folder


@pytest.fixture(scope="module")
def uninterrupted(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """What an indexer that nobody killed makes of them."""
    command = Command(tmp_path_factory.mktemp("uninterrupted") / "library")
    assert command.script(INDEX, many).status == 0
    result = contents(command.library)
    assert len(result.vectors) >= PHOTOS
    return result


def acknowledged(output: bytes) -> int:
    """Files that a run said were committed."""
    lines = [line.split() for line in output.decode().splitlines()]
    return sum(int(line[1]) for line in lines if line[0] == "committed" and len(line) == 2)


def kill_at(running: subprocess.Popen[bytes], dice: random.Random) -> bytes:
    """Kill a run at a random moment: early on, or some time after one of its commits."""
    assert running.stdout is not None
    said = b""
    if dice.random() < 0.25:
        time.sleep(dice.uniform(0.0, 0.5))
    else:
        for _ in range(dice.randint(1, 3)):
            said += running.stdout.readline()
        time.sleep(dice.uniform(0.0, 0.08))
    running.send_signal(signal.SIGKILL)
    rest, _ = running.communicate(timeout=60)
    return said + rest


def entered(library: Path) -> int:
    """Files with an outcome in the ledger; a library that is not there has none."""
    if not (library / "catalog.sqlite").exists():
        return 0
    states = Command(library)("ledger", "--csv", "-")
    if states.status:
        assert "creation was interrupted" in states.talk[0]
        return 0
    reasons = ("new", "same content as another file", "truncated", "corrupt", "not an image")
    lines = states.out.decode().splitlines()
    return sum(any(f",{reason}," in line for reason in reasons) for line in lines)


def torture(many: Path, library: Path, seed: int, rounds: int) -> int:
    """Kill a run again and again; returns how often it was really killed."""
    command, dice = Command(library), random.Random(seed)
    committed = killed = 0
    for _ in range(rounds):
        running = command.start(many, source=INDEX)
        said = kill_at(running, dice)
        killed += running.returncode == -signal.SIGKILL
        committed += acknowledged(said)
        assert entered(library) >= committed
    return killed


def finish(many: Path, library: Path) -> None:
    """Let a run come to its end."""
    finished = Command(library).script(INDEX, many)
    assert (finished.status, finished.err) == (0, b"")


def test_killed_again_and_again_the_library_ends_as_if_never_interrupted(
    many: Path, uninterrupted: Contents, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    assert torture(many, library, seed=7, rounds=12) >= 6
    finish(many, library)
    assert contents(library) == uninterrupted
    assert surplus_bytes(library) == 0


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 106))
def test_killed_sixty_times_the_library_ends_as_if_never_interrupted(
    seed: int, many: Path, uninterrupted: Contents, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    assert torture(many, library, seed, rounds=10) >= 4
    finish(many, library)
    assert contents(library) == uninterrupted
    assert surplus_bytes(library) == 0


@pytest.mark.parametrize(
    ("place", "times"),
    [
        ("lookalike.stores.segments.os.fsync", (2, 4, 7, 8)),
        ("lookalike.stores.segments.os.write", (2, 4, 13)),
        ("lookalike.stores.run.SqliteRun._enter", (4,)),
        ("lookalike.stores.run.SqliteRun.settle", (1,)),
        ("lookalike.stores.run.SqliteRun.finish", (1,)),
        ("lookalike.stores.sqlite.SqliteStore.close", (1,)),
    ],
)
def test_killed_within_a_commit_nothing_of_it_remains_and_the_next_run_completes_it(
    place: str, times: tuple[int, ...], album: Path, tmp_path: Path
) -> None:
    whole = Command(tmp_path / "whole")
    whole("index", album).done()
    expected = contents(whole.library)
    for number in times:
        command = Command(tmp_path / f"library {number}")
        assert command.script(KILL_AT, place, str(number), album).status == -signal.SIGKILL
        committed = len(contents(command.library).vectors)
        assert committed in (0, 3, 6)
        command("index", album).done()
        completed = contents(command.library)
        if place.endswith("close"):  # the run had ended: the next one finds nothing to do
            assert {reason for _, reason, _ in completed.files.values()} == {"same size and time"}
            completed = replace(completed, files=expected.files)
        assert completed == expected
        assert surplus_bytes(command.library) == 0


def test_killed_while_the_catalogue_is_made_the_next_run_makes_it(
    album: Path, tmp_path: Path
) -> None:
    for number, place in enumerate(
        ("lookalike.stores.schema._migrate", "lookalike.stores.sqlite.SqliteStore.trim")
    ):
        command = Command(tmp_path / f"library {number}")
        script = KILL_AT.replace("import lookalike.stores.run", "import lookalike.stores.schema")
        assert command.script(script, place, "1", album).status == -signal.SIGKILL
        assert command("index", album).done().counts() == {("indexed", "new"): 6}


def test_rows_behind_the_last_commit_are_cut_off(album: Path, command: Command) -> None:
    command("index", album).done()
    before = contents(command.library)
    for path in segment_files(command.library):
        with open(path, "ab") as file:
            file.write(b"left by a killed process" * 100)
    (command.library / "histograms" / "000002.bins").write_bytes(b"a segment never committed")
    assert contents(command.library) == before, "readers look past them"
    command("index", album).done()
    assert surplus_bytes(command.library) == 0
    after = contents(command.library)
    assert replace(after, files=before.files) == before


def test_killed_while_pruning_the_files_are_forgotten_wholly_or_not_at_all(
    many: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted(many.glob("*.jpg"))[:40]:
        (photos / path.name).write_bytes(path.read_bytes())
    first = Command(tmp_path / "first")
    first("index", photos).done()
    before = contents(first.library)
    for path in sorted(photos.iterdir())[::2]:
        path.unlink()
    pruned = first.copy(tmp_path / "pruned")
    pruned("index", photos, "--prune").done()
    expected = contents(pruned.library)
    assert len(expected.files) == len(before.files) // 2
    places = [
        ("lookalike.stores.run.SqliteRun.finish", 1),
        ("lookalike.stores.sqlite.SqliteStore.delete", 1),
        ("lookalike.stores.sqlite.SqliteStore._bury", 1),
        ("lookalike.stores.sqlite.SqliteStore.close", 1),
    ]
    for number, (place, when) in enumerate(places):
        command = first.copy(tmp_path / f"library {number}")
        killed = command.script(KILL_AT, place, str(when), photos)
        assert killed.status == -signal.SIGKILL, killed.err
        left = contents(command.library)
        assert len(left.files) in (len(before.files), len(expected.files))
        command("index", photos, "--prune").done()
        assert contents(command.library) == expected


def test_terminated_politely_the_library_is_as_whole_as_after_kill(
    many: Path, uninterrupted: Contents, tmp_path: Path
) -> None:
    command = Command(tmp_path / "library")
    running = command.start(many, source=INDEX)
    assert running.stdout is not None
    said = running.stdout.readline() + running.stdout.readline()
    running.terminate()
    rest, _ = running.communicate(timeout=60)
    assert entered(command.library) >= acknowledged(said + rest) > 0
    finish(many, command.library)
    assert contents(command.library) == uninterrupted
