"""``lookalike index``: bring a library up to date with folders of pictures."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any

from tqdm import tqdm

from lookalike.cli.output import add_library_option, talk
from lookalike.config import IndexOptions, Limits
from lookalike.library import Library
from lookalike.pipeline import FillReport, IndexReport
from lookalike.present.table import columns
from lookalike.types import State


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "index",
        help="index folders of pictures; again: only what is new or changed",
        description="Index folders of pictures. Run again, only what is new or changed is read;"
        " killed at any moment, the same command continues.",
    )
    add_reading_options(parser)
    parser.add_argument("--limit", type=positive, metavar="N", help="stop after N pictures")
    parser.add_argument("--prune", action="store_true", help="forget files that are gone")
    parser.add_argument("--retry", action="store_true", help="read unreadable files again")
    parser.add_argument(
        "--allow-empty", action="store_true", help="believe a known folder that has become empty"
    )
    parser.add_argument(
        "--tiles",
        action="store_true",
        help="also see what parts of the pictures show: several and small things are found",
    )
    parser.add_argument(
        "--memory-limit",
        type=memory,
        metavar="SIZE",
        help="keep below this, like 2GB: large pictures wait for each other",
    )
    parser.set_defaults(run=run)


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """What is to be read, and how; ``plan`` has the same."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a folder or a file")
    add_library_option(parser)
    parser.add_argument("--hidden", action="store_true", help="take names starting with a dot too")
    parser.add_argument(
        "--workers",
        type=positive,
        default=0,
        metavar="N",
        help="threads that read, decode and encode (default: one per core)",
    )
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help="what makes vectors in a new library (default: efficientnet-lite0;"
        " efficientnet-lite0-int8 is faster with the extra openvino on processors without AMX;"
        " lookalike models lists others);"
        " in a library that has vectors of another, adds a space",
    )
    parser.add_argument(
        "--max-megapixels",
        type=amount,
        default=Limits.megapixels,
        metavar="MP",
        help="refuse larger pictures (default: %(default)g)",
    )
    parser.add_argument(
        "--max-megabytes",
        type=amount,
        default=Limits.megabytes,
        metavar="MB",
        help="refuse larger files (default: %(default)g)",
    )


def run(options: argparse.Namespace) -> int:
    """Index, and print what became of the files."""
    library = Library.open(options.library, create=True)
    index_options = IndexOptions(
        limit=options.limit,
        hidden=options.hidden,
        prune=options.prune,
        allow_empty=options.allow_empty,
        retry=options.retry,
        workers=options.workers,
        memory_limit=options.memory_limit,
        encoder=options.encoder,
        tiles=options.tiles,
        limits=Limits(options.max_megapixels, options.max_megabytes),
    )
    with library:
        report = library.add(options.paths, index_options, Bar())
        print(summary(report))
        if report.images_read and sys.stderr.isatty():
            seconds = max(report.seconds.get("read", 0.0), 1e-3)
            rate = report.images_read / seconds
            talk(f"{report.images_read} files read in {seconds:.0f} s, {rate:.0f} a second")
        for one in report.filled:
            _tell_filled(one, f"space {one.space.name}: {one.added} records got a vector")
        if report.tiled is not None:
            _tell_filled(report.tiled, f"parts of {report.tiled.added} records were looked at")
        talk(f"{len(library)} records in {library.folder}")
        refused = report.total(State.UNREADABLE)
        if refused:
            talk(
                f"{refused} files could not be read; why: lookalike ledger --state unreadable"
                + (f" --library {options.library}" if options.library else "")
            )
    return 0


def _tell_filled(report: FillReport, what: str) -> None:
    left = f", {report.left} files are not what they were or cannot be read" if report.left else ""
    if report.added or report.left:
        talk(f"{what}{left}")


def summary(report: IndexReport) -> str:
    """Counts by state and reason."""
    order = list(State)
    rows = [
        [state.value, reason.value, str(count)]
        for (state, reason), count in sorted(
            report.counts.items(), key=lambda item: (order.index(item[0][0]), -item[1])
        )
    ]
    if report.forgotten:
        rows.append(["forgotten", "--prune", str(report.forgotten)])
    return columns(["state", "reason", "files"], rows, "llr")


_STAGES = {"scan": "looking for pictures", "index": "bringing the search index up to date"}


class Bar:
    """Progress with rate and time left on stderr, if that is a terminal; ``what`` is counted."""

    def __init__(self, what: str = "pictures to read") -> None:
        self._what = what
        self._bar: tqdm[Any] | None = None

    def stage(self, name: str) -> None:
        if sys.stderr.isatty() and name in _STAGES:
            talk(_STAGES[name])

    def start(self, total: int) -> None:
        if sys.stderr.isatty():
            talk(f"{total} {self._what}")
            self._bar = tqdm(total=total, unit="img", smoothing=0.1, dynamic_ncols=True)

    def advance(self, count: int) -> None:
        if self._bar is not None:
            self._bar.update(count)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def memory(text: str) -> int:
    """Bytes from a size like 2GB or 1500MB, for argparse."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.I)
    size = float(match[1]) * 1_000 ** " KMGT".index((match[2] or " ").upper()) if match else 0.0
    if size < 1:
        raise argparse.ArgumentTypeError(f"{text}: a size like 2GB or 1500MB is needed")
    return int(size)


def amount(text: str) -> float:
    """A finite number above zero, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: a number above zero is needed")
    return value


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    value = int(text) if text.lstrip("+-").isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: a whole number of at least 1 is needed")
    return value
