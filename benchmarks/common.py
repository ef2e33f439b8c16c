"""What all benchmarks share: where a figure came from, how it is written down, small pictures."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

import lookalike
from lookalike import Library
from lookalike.indexes import compact
from lookalike.query import tables

RESULTS = Path(__file__).parent / "results"


def provenance() -> dict[str, Any]:
    """Commit, machine and versions under which a figure was taken."""
    return {
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("describe", "--always", "--dirty", "--abbrev=10"),
        "lookalike": lookalike.__version__,
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "cores_felt": _cores_felt(),
        "load_before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def write(name: str, result: dict[str, Any]) -> None:
    """Write a result with its provenance to ``results/NAME.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written: {path.relative_to(Path.cwd())}" if path.is_relative_to(Path.cwd()) else path)


def deliver(name: str, result: dict[str, Any], *, short: bool) -> None:
    """``write``, or for a short run, whose figures mean nothing, one line of JSON on stdout."""
    if short:
        print(json.dumps(result))
    else:
        write(name, result)


def add_short(parser: argparse.ArgumentParser) -> None:
    """``--short``, the same everywhere."""
    parser.add_argument(
        "--short",
        action="store_true",
        help="a few seconds with tiny pictures of its own: does it run? Writes no result",
    )


def require(parser: argparse.ArgumentParser, options: argparse.Namespace, *names: str) -> None:
    """End with the usage if an argument is missing that only ``--short`` does without."""
    missing = [name for name in names if getattr(options, name) is None]
    if missing and not options.short:
        parser.error(f"missing: {', '.join(missing)} (or --short)")


def library_parser(documentation: str | None, name: str) -> argparse.ArgumentParser:
    """LIBRARY, ``--name`` of the result, ``--short``."""
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", type=Path, nargs="?")
    parser.add_argument("--name", default=name)
    add_short(parser)
    return parser


@contextlib.contextmanager
def opened(options: argparse.Namespace) -> Iterator[Library]:
    """The library to measure, its indexes made: LIBRARY, or a short one."""
    with short_library() if options.short else Library.open(options.library) as library:
        library.refresh()
        yield library


def small_photos(folder: Path, count: int, classes: int, seed: int) -> None:
    """Write ``count`` JPEGs of 96 x 72 pixels, evenly over ``classes`` folders of ``folder``.

    Those of a class share two colours that run into each other; every one has noise of its own.
    """
    blend = np.linspace(0, 1, 96, dtype=np.float32)[None, :, None]
    for number in range(count):
        of_class = np.random.default_rng([seed, 0, number % classes])
        first, second = of_class.uniform(30, 225, (2, 3)).astype(np.float32)
        noise = np.random.default_rng([seed, 1, number]).normal(0, 20, (72, 96, 3))
        pixels = first * (1 - blend) + second * blend + noise
        path = folder / f"class_{number % classes:02d}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=90)


@contextlib.contextmanager
def short_library(records: int = 120) -> Iterator[Library]:
    """A library of a few small pictures that is searched as half a million would be."""
    usual = compact.LEAST_ROWS, compact.Effort.of
    compact.LEAST_ROWS = tables.LEAST_ROWS = 50
    compact.Effort.of = classmethod(lambda cls, k: cls(90, 60))  # type: ignore[assignment]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            small_photos(Path(scratch) / "photos", records, 6, seed=1)
            with Library.open(Path(scratch) / "library", create=True) as library:
                library.add([Path(scratch) / "photos"])
                yield library
    finally:
        compact.LEAST_ROWS = tables.LEAST_ROWS = usual[0]
        compact.Effort.of = usual[1]  # type: ignore[method-assign]


# -- figures ---------------------------------------------------------------------------------------


def clocked(
    function: Callable[[Any], Any], items: Iterable[Any]
) -> tuple[list[Any], dict[str, float]]:
    """``function`` of each item, and its milliseconds: median, 99th percentile, how many."""
    values, seconds = [], []
    for item in items:
        started = time.perf_counter()
        values.append(function(item))
        seconds.append(time.perf_counter() - started)
    ms = np.array(seconds) * 1e3
    figures = {"p50_ms": float(np.median(ms)), "p99_ms": float(np.percentile(ms, 99))}
    return values, {**{name: round(ms, 3) for name, ms in figures.items()}, "asked": len(values)}


def recall(found: Sequence[Any], truth: Sequence[Any]) -> float:
    """The mean share of the true rows that was found."""
    shares = [
        len(np.intersect1d(own, right)) / max(1, len(right))
        for own, right in zip(found, truth, strict=True)
    ]
    return round(float(np.mean(shares)), 4)


# -- other processes -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finished:
    """A process that ended. CPU seconds are those of the system's own account (wait4), with the
    children it waited for; peaks are the process's own, from /proc, so without its children.
    """

    status: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    peak_anon_bytes: int
    out: str
    err: str

    def checked(self) -> Finished:
        """The same, if it succeeded; else ends with what it said."""
        if self.status:
            sys.exit(f"ended with {self.status}: {self.err[-2000:] or self.out[-2000:]}")
        return self


def watched(
    command: Sequence[str | os.PathLike[str]],
    tick: Callable[[], bool] = lambda: False,
    interval: float = 0.1,
    env: Mapping[str, str] | None = None,
) -> Finished:
    """Run a command to its end; every ``interval`` seconds look at its memory and call ``tick``.

    Its end is noticed within a tenth of that. It is killed (SIGKILL) as soon as ``tick`` says True,
    and if this process is interrupted.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env
        )
        peak = anon = 0
        due = started
        try:
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                seconds = time.perf_counter() - started
                if pid:
                    break
                if time.perf_counter() >= due:
                    due += interval
                    now = memory(process.pid)
                    peak, anon = max(peak, now["VmHWM"]), max(anon, now["RssAnon"])
                    if tick():
                        os.kill(process.pid, signal.SIGKILL)  # send_signal might reap it
                time.sleep(interval / 10)
        except BaseException:
            process.kill()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime
        return Finished(process.returncode, seconds, cpu, peak, anon, _text(out), _text(err))


def memory(pid: int | str = "self") -> dict[str, int]:
    """Bytes: the most a process ever had resident (VmHWM), and what of it is anonymous now."""
    found = {"VmHWM": 0, "RssAnon": 0}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key in found:
            found[key] = int(value.split()[0]) * 1024
    return found


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def index_command(stages: Path, *arguments: str | os.PathLike[str], batch: int = 0) -> list[Any]:
    """``lookalike ARGUMENTS`` that also writes its stages' seconds; see ``index_child.py``."""
    script = Path(__file__).parent / "index_child.py"
    return [sys.executable, script, stages, str(batch), *arguments]


def percentile_ms(seconds: list[float]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds."""
    values = np.array(seconds) * 1e3
    return {
        "p50_ms": round(float(np.median(values)), 2),
        "p95_ms": round(float(np.percentile(values, 95)), 2),
    }


def _cores_felt() -> float:
    """How many cores' work all cores do together: a shared host may give less than it shows."""
    cores, data = len(os.sched_getaffinity(0)), bytes(16_000_000)

    def work(_: int) -> None:
        hashlib.sha256(data).digest()

    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(work, range(cores)))
        started = time.perf_counter()
        work(0)
        alone = time.perf_counter() - started
        started = time.perf_counter()
        list(pool.map(work, range(cores)))
        return round(cores * alone / (time.perf_counter() - started), 2)


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return done.stdout.strip() or "unknown"


def _cpu() -> str:
    flags = model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            model = value.strip()
        if key.strip() == "flags":
            flags = " ".join(f for f in ("avx2", "avx512f", "amx_tile") if f in value.split())
    return f"{model} ({flags})"
