"""Half a million pictures, indexed as a user would: how long, how much disk and memory, all there?

    python benchmarks/full.py FOLDER LIBRARY [--kill-at 0.4] [--resume] [--name NAME]

`lookalike plan FOLDER` says what to expect. `lookalike index FOLDER` is killed (SIGKILL) once so
many of the pictures are committed, runs again to the end, and a third time with nothing changed.
Then every file that a walk of FOLDER finds is looked for in the ledger, records committed before
the kill among those there after it, and a vector and a histogram for every record. All with
default settings; LIBRARY must not exist yet.

What is known so far lies in LIBRARY.notes.json. Interrupted itself, the benchmark continues with
--resume, without a kill; seconds of the interrupted part count too, at the least up to its last
note. (If it was killed itself, the indexer that it had started goes on: wait for it or end it.)

--drawn LIBRARY leaves the encoder out: vectors are drawn like those of LIBRARY, the rest is done.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import drawn
from common import (
    Finished,
    add_short,
    deliver,
    index_command,
    provenance,
    require,
    small_photos,
    watched,
)

ALLOWED_BYTES = 10.3e9
"""What the library without its thumbnails is held against."""

NOTE_SECONDS = 10.0
TOLD_SECONDS = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("library", type=Path, nargs="?")
    parser.add_argument("--kill-at", type=float, default=0.4, metavar="SHARE")
    parser.add_argument("--resume", action="store_true", help="continue, without a kill")
    parser.add_argument(
        "--drawn", type=Path, metavar="LIBRARY", help="vectors drawn like those of this library"
    )
    parser.add_argument("--name", default="full")
    add_short(parser)
    options = parser.parse_args()
    require(parser, options, "folder", "library")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped; --resume continues"))
    if options.short:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "photos"
            small_photos(folder, 40, 4, seed=1)
            run = FullRun(folder, Path(scratch) / "library", batch=4, interval=0.02)
            result = run.measure(options.kill_at)
    else:
        run = FullRun(options.folder, options.library, drawn_like=options.drawn)
        result = run.resume() if options.resume else run.measure(options.kill_at)
    deliver(options.name, result, short=options.short)


@dataclass
class FullRun:
    """The steps and what they found. ``batch``: files a commit takes, 0 for the default."""

    folder: Path
    library: Path
    batch: int = 0
    interval: float = 1.0
    drawn_like: Path | None = None
    """A library whose vectors are imitated instead of computed; see ``drawn.py``."""
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str] | None:
        """The indexer's; None for this process's own."""
        if self.drawn_like is None:
            return None
        return {**os.environ, drawn.VARIABLE: str(self.drawn_like)}

    @property
    def notes(self) -> Path:
        return self.library.with_name(self.library.name + ".notes.json")

    def measure(self, kill_at: float) -> dict[str, Any]:
        """From an empty library to the result."""
        if self.library.exists() or self.notes.exists():
            sys.exit(f"{self.library} or {self.notes} exists; remove them, or add --resume")
        self.begin()
        self.index_and_kill(kill_at)
        return self.resume()

    def begin(self) -> None:
        """Count the files and ask for the plan."""
        self.found = {
            "provenance": provenance(),
            "encoder": "drawn, not computed" if self.drawn_like else "computed",
            "parts": [],
        }
        self.found["files_walked"] = sum(1 for _ in walk(self.folder))
        say(f"{self.found['files_walked']:,} files in {self.folder}")
        command = [sys.executable, "-m", "lookalike", "plan", self.folder, "--json"]
        planned = watched([*command, "--library", self.library]).checked()
        self.found["plan"] = json.loads(planned.out)
        self.found["plan_took_seconds"] = round(planned.seconds, 1)
        say(f"planned: {self.found['plan']['seconds']:.0f} s")
        self.note()

    def index_and_kill(self, share: float) -> None:
        """Index until ``share`` of the planned pictures are committed; what does the kill cost?"""
        target = share * self.found["plan"]["new"]
        before: set[bytes] = set()

        def far_enough() -> bool:
            if records(self.library) >= target:
                before.update(record_ids(self.library))
            return bool(before)

        part = self.index("until killed", far_enough)
        after = record_ids(self.library)
        part["killed"] = part["status"] == -9
        part["records_before_kill"], part["records_after_kill"] = len(before), len(after)
        part["records_lost"] = len(before - after)
        say(f"killed with {len(before):,} records committed, {part['records_lost']} of them lost")
        self.note()

    def resume(self) -> dict[str, Any]:
        """Index to the end, once more with nothing changed, and look at what is there."""
        if not self.found and not self.notes.exists():
            sys.exit(f"{self.notes}: not there, so nothing to resume; begin anew")
        self.found = self.found or json.loads(self.notes.read_text())
        parts = self.found["parts"]
        if not any(part["what"] == "to the end" and part["status"] == 0 for part in parts):
            self.succeed("to the end")
        self.succeed("nothing changed")
        result = {**self.found, "total": self.total(), "library": examined(self)}
        self.notes.unlink()
        return result

    def succeed(self, what: str) -> None:
        part = self.index(what)
        if part["status"]:
            sys.exit(f"{what}: ended with {part['status']}: {part['said']}")

    def index(self, what: str, enough: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """One run of ``lookalike index``, noted while it goes on."""
        part: dict[str, Any] = {"what": what, "status": None, "seconds": 0.0}
        part["records_at_start"] = records(self.library)
        self.found["parts"].append(part)
        self.note()
        started, noted, told = (time.perf_counter(),) * 3

        def tick() -> bool:
            nonlocal noted, told
            now = time.perf_counter()
            if now - noted >= NOTE_SECONDS:
                noted, part["seconds"] = now, round(now - started, 1)
                self.note()
            if now - told >= TOLD_SECONDS:
                told = now
                self.tell(part, now - started)
            return enough()

        say(f"index, {what}")
        with tempfile.TemporaryDirectory() as scratch:
            stages = Path(scratch) / "stages.json"
            command = ["index", self.folder, "--library", self.library]
            try:
                full = index_command(stages, *command, batch=self.batch)
                done = watched(full, tick, self.interval, self.environment)
            except BaseException:  # interrupted: what it took until now counts
                part["seconds"] = round(time.perf_counter() - started, 1)
                self.note()
                raise
            part.update(described(done))
            part["said"] = part["said"].replace(str(self.library), "LIBRARY")
            part["stages"] = json.loads(stages.read_text()) if stages.exists() else None
        part["records_at_end"] = records(self.library)
        say(f"index, {what}: {part['seconds']} s, {part['records_at_end']:,} records")
        self.note()
        return part

    def tell(self, part: dict[str, Any], seconds: float) -> None:
        there = records(self.library)
        rate = (there - part["records_at_start"]) / seconds
        say(f"{there:,} of {self.found['plan']['images']:,}, {rate:.0f} a second")

    def note(self) -> None:
        temporary = self.notes.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.found))
        temporary.replace(self.notes)

    def total(self) -> dict[str, Any]:
        """All parts that had something to do, together."""
        parts = [part for part in self.found["parts"] if part["what"] != "nothing changed"]
        seconds = sum(part["seconds"] for part in parts)
        ended = [part for part in self.found["parts"] if part["status"] is not None]
        return {
            "seconds": round(seconds, 1),
            "interrupted_parts": len(self.found["parts"]) - len(ended),
            "files_per_second": round(self.found["files_walked"] / seconds, 1),
            "cpu_seconds": round(sum(part.get("cpu_seconds", 0.0) for part in parts), 1),
            "seconds_to_planned": round(seconds / self.found["plan"]["seconds"], 3),
            "nothing_changed_seconds": self.found["parts"][-1]["seconds"],
            "records_lost_by_kill": sum(p.get("records_lost", 0) for p in parts),
            "peak_bytes": max(part["peak_bytes"] for part in ended),
            "peak_anon_bytes": max(part["peak_anon_bytes"] for part in ended),
        }


def described(done: Finished) -> dict[str, Any]:
    return {
        "status": done.status,
        "seconds": round(done.seconds, 2),
        "cpu_seconds": round(done.cpu_seconds, 1),
        "peak_bytes": done.peak_bytes,
        "peak_anon_bytes": done.peak_anon_bytes,
        "said": done.err[-500:],
    }


# -- what is there ---------------------------------------------------------------------------------


def examined(run: FullRun) -> dict[str, Any]:
    """Is everything there, and what does it take on disk?"""
    walked = set(walk(run.folder))
    with catalogue(run.library) as db:
        ledger = dict(db.execute("SELECT path, state || ': ' || reason FROM files"))
        series = dict(db.execute("SELECT series, sum(rows) FROM segments GROUP BY series"))
        count = db.execute("SELECT count(*) FROM records").fetchone()[0]
        damage = db.execute("PRAGMA quick_check").fetchone()[0]
    missing, unknown = walked - ledger.keys(), ledger.keys() - walked
    return {
        "files": len(walked),
        "records": count,
        "ledger": dict(Counter(ledger.values()).most_common()),
        "files_missing_in_ledger": len(missing),
        "ledger_rows_without_file": len(unknown),
        "rows": series,
        "quick_check": damage,
        "complete": not missing
        and not unknown
        and damage == "ok"
        and set(series.values()) == {count},
        "bytes": disk(run.library),
    }


def disk(library: Path) -> dict[str, Any]:
    """Bytes of the library's parts; thumbnails lie in the catalogue, whose pages are counted."""
    with catalogue(library) as db:
        pages = "SELECT sum(pgsize) FROM dbstat WHERE name = 'thumbnails'"
        thumbnails = int(db.execute(pages).fetchone()[0])
    files: Counter[str] = Counter()
    for path in library.rglob("*"):
        if path.is_file():
            files[path.relative_to(library).parts[0]] += path.stat().st_size
    everything = sum(files.values())
    whole = sum(files.pop(name) for name in list(files) if name.startswith("catalog.sqlite"))
    return {
        **files,
        "thumbnails": thumbnails,
        "catalogue": whole - thumbnails,
        "total": everything,
        "without_thumbnails": everything - thumbnails,
        "share_of_10_3_gb": round((everything - thumbnails) / ALLOWED_BYTES, 3),
    }


def walk(folder: Path) -> Iterator[bytes]:
    """All files below a folder, as absolute paths in the file system's bytes."""
    for place, _, names in os.walk(os.path.abspath(folder)):
        for name in names:
            yield os.fsencode(os.path.join(place, name))


@contextlib.contextmanager
def catalogue(library: Path) -> Iterator[sqlite3.Connection]:
    address = (library.absolute() / "catalog.sqlite").as_uri() + "?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as db:
        yield db


def records(library: Path) -> int:
    """Records committed so far; 0 before there is a catalogue."""
    try:
        with catalogue(library) as db:
            return int(db.execute("SELECT count(*) FROM records").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def record_ids(library: Path) -> set[bytes]:
    with catalogue(library) as db:
        return {row[0] for row in db.execute("SELECT id FROM records")}


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    main()
