"""``lookalike index``: bring a library up to date with folders of pictures."""

from __future__ import annotations

import argparse
import math
import re
import sys
from typing import Any

from tqdm import tqdm

from lookalike.cli.output import add_library_option, talk
from lookalike.cli.scale import (
    add_cluster_options,
    check_cluster_options,
    index_parts,
    working,
)
from lookalike.config import Fetching, IndexOptions, Limits
from lookalike.errors import InputError
from lookalike.library import Library
from lookalike.pipeline import FillReport, IndexReport
from lookalike.places import is_archive, shown
from lookalike.present.table import columns
from lookalike.sources import Source
from lookalike.types import State


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "index",
        help="index folders of pictures; again: only what is new or changed",
        description="Index folders of pictures, tar shards, or the pictures whose URLs stand in a"
        " table. Run again, only what is new or changed is read; killed at any moment, the same"
        " command continues.",
    )
    add_reading_options(parser, "*")
    add_table_options(parser)
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
    add_cluster_options(parser, positive, amount)
    parser.set_defaults(run=run)


def add_reading_options(parser: argparse.ArgumentParser, paths: str = "+") -> None:
    """What is to be read, and how; ``plan`` has the same."""
    parser.add_argument(
        "paths", nargs=paths, metavar="PATH", help="a folder, a file, or a tar shard of pictures"
    )
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


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Where pictures come from that are not in folders."""
    web = parser.add_argument_group(
        "tables of URLs and shards", "see docs/urls.md; needs the extra urls"
    )
    web.add_argument(
        "--from",
        nargs="+",
        dest="tables",
        metavar="TABLE",
        help="index the pictures whose URLs stand in a table: TSV, CSV, JSON lines, Parquet; in"
        " several parts, or a pattern of them",
    )
    web.add_argument("--url-column", metavar="NAME", help="the column with the URLs")
    web.add_argument(
        "--id-column",
        metavar="NAME",
        help="the column with what other tables call the pictures; of shards, a field of their"
        " JSON",
    )
    web.add_argument(
        "--url-suffix",
        default="",
        metavar="TEXT",
        help="append to each URL when it is fetched, like '?w=200'",
    )
    add_fetching_options(web)


def add_fetching_options(web: argparse._ActionsContainer) -> None:
    """How servers are asked; ``unsplash`` has the same."""
    usual = Fetching()
    web.add_argument(
        "--keep-originals",
        action="store_true",
        help="keep the downloaded files in the library, not only features and thumbnails",
    )
    for name, kind, metavar, help_ in (
        ("--connections", positive, "N", "pictures asked for at a time, altogether"),
        ("--per-host", positive, "N", "the same of one host"),
        ("--gap", duration, "MS", "milliseconds at the least between two requests to a host"),
        ("--timeout", amount, "SECONDS", "for a connection and each wait; six times for a picture"),
        ("--retries", count, "N", "attempts after one that failed"),
    ):
        default = getattr(usual, _FETCHING[name])
        web.add_argument(
            name,
            type=kind,
            default=default,
            metavar=metavar,
            help=f"{help_} (default: {default:g})",
        )


_FETCHING = {
    "--connections": "connections",
    "--per-host": "per_host",
    "--gap": "gap_ms",
    "--timeout": "timeout_seconds",
    "--retries": "retries",
}
"""Options and the fields of ``Fetching`` that they set."""


_WAITING_SHARE = 16
"""What of a memory limit may wait to be read: one in so many."""


def fetching_of(options: argparse.Namespace) -> Fetching:
    """What the options say of how servers are asked."""
    limit = getattr(options, "memory_limit", None) or math.inf
    return Fetching(
        options.connections,
        options.per_host,
        options.gap,
        options.timeout,
        options.retries,
        min(Fetching().waiting_megabytes, limit / _WAITING_SHARE / 1e6),
    )


def run(options: argparse.Namespace) -> int:
    """Index, and print what became of the files."""
    _check_source(options)
    check_cluster_options(options)
    return _into_parts(options) if options.parts else _into_library(options)


def _index_options(options: argparse.Namespace) -> IndexOptions:
    return IndexOptions(
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
        fetching=fetching_of(options),
    )


def _into_parts(options: argparse.Namespace) -> int:
    how = _index_options(options)
    source = _source(Library.open(create=True), options, how)  # of which nothing is made
    report = index_parts(options, how, source, Bar())
    print(summary(report))
    tell_rows(source)
    _tell_rate(report)
    talk(f"{report.total(State.INDEXED)} records written to parts in {options.parts}")
    return 0


def _tell_rate(report: IndexReport) -> None:
    if report.images_read and sys.stderr.isatty():
        seconds = max(report.seconds.get("read", 0.0), 1e-3)
        rate = report.images_read / seconds
        talk(f"{report.images_read} files read in {seconds:.0f} s, {rate:.0f} a second")


def _into_library(options: argparse.Namespace) -> int:
    library = Library.open(options.library, create=True)
    index_options = _index_options(options)
    with library:
        source = _source(library, options, index_options)
        with working(options) as work:
            report = library.add_from(source, index_options, Bar(), work)
        print(summary(report))
        tell_rows(source)
        _tell_rate(report)
        for one in report.filled:
            _tell_filled(one, f"space {one.space.name}: {one.added} records got a vector")
        if report.tiled is not None:
            _tell_filled(report.tiled, f"parts of {report.tiled.added} records were looked at")
        talk(f"{len(library)} records in {library.name}")
        tell_left(report, options.library)
    return 0


def tell_left(report: IndexReport, library: str | None) -> None:
    """How many files could not be read, and where it says why."""
    refused = report.total(State.UNREADABLE)
    if refused:
        talk(
            f"{refused} files could not be read; why: lookalike ledger --state unreadable"
            + (f" --library {shown(library)}" if library else "")
        )


def _check_source(options: argparse.Namespace) -> None:
    """Raise InputError for options that do not go together."""
    if not options.paths and not options.tables:
        raise InputError(
            "nothing to index; give folders, files or tar shards, or a table of URLs with --from;"
            " see: lookalike index --help"
        )
    if options.paths and options.tables:
        raise InputError("--from: index folders and tables of URLs one after the other")
    if options.tables and not options.url_column:
        from lookalike.rows import open_table

        names = ", ".join(open_table(options.tables).names)
        raise InputError(f"--from: which column has the URLs? add --url-column; there are: {names}")
    for name in ("url_column", "url_suffix", "keep_originals"):
        if getattr(options, name) and not options.tables:
            raise InputError(f"--{name.replace('_', '-')}: goes with a table of URLs, --from TABLE")
    if options.id_column and not options.tables and not any(map(is_archive, options.paths)):
        raise InputError("--id-column: goes with a table of URLs, --from TABLE, or with tar shards")


def _source(library: Library, options: argparse.Namespace, how: IndexOptions) -> Source:
    """What the options name: a table of URLs, or folders and shards."""
    if options.tables:
        from lookalike.sources.urls import UrlTableSource

        return UrlTableSource(
            options.tables,
            options.url_column,
            options.id_column,
            suffix=options.url_suffix,
            fetching=how.fetching,
            limits=how.limits,
            keep=library.originals.keep if options.keep_originals else None,
        )
    return library.source(options.paths, how, id_field=options.id_column)


def tell_rows(source: Source) -> None:
    """What was odd about the rows of a table of URLs, if the source is one."""
    counts = getattr(source, "counts", None)
    if counts is not None and counts.told():
        talk(f"of {counts.rows} rows: {'; '.join(counts.told())}")


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


_STAGES = {
    "scan": "looking for pictures",
    "index": "bringing the search index up to date",
    "compare": "asking what is there already",
    "verify": "comparing both sides",
}


class Bar:
    """Progress with rate and time left on stderr, if that is a terminal; ``what`` is counted."""

    def __init__(self, what: str = "pictures to read", unit: str = "img") -> None:
        self._what, self._unit = what, unit
        self._bar: tqdm[Any] | None = None

    def stage(self, name: str) -> None:
        if sys.stderr.isatty() and name in _STAGES:
            talk(_STAGES[name])

    def start(self, total: int) -> None:
        if sys.stderr.isatty():
            talk(f"{total} {self._what}")
            self._bar = tqdm(total=total, unit=self._unit, smoothing=0.1, dynamic_ncols=True)

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


def count(text: str) -> int:
    """A whole number of at least 0, for argparse."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text}: a whole number of at least 0 is needed")
    return int(text)


def duration(text: str) -> float:
    """A finite number of at least zero, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: a number of at least zero is needed")
    return value


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
