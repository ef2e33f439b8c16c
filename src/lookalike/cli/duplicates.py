"""``lookalike duplicates``: files that show the same, and which of them to keep."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from lookalike.cli.output import (
    add_library_option,
    check_place,
    page_path,
    print_json,
    print_path,
    talk,
    write_csv,
    write_file,
)
from lookalike.duplicates import (
    CLOSEST_FIRST,
    Copy,
    DuplicateOptions,
    DuplicateReport,
    Group,
    Relation,
)
from lookalike.errors import InputError
from lookalike.library import Library
from lookalike.present.pairs import PairTile, side_by_side, write_pairs
from lookalike.present.table import columns
from lookalike.types import as_text, printable

PAGE_GROUPS = 500
"""Groups on an HTML page at most; a picture on it takes about 10 KB."""

TOLD_RECORDS = 20_000
"""From so many records on, the steps are told."""

HEADER = (
    "group", "best", "relation", "similarity", "changes", "path", "width", "height", "bytes",
    "format", "taken_at", "modified", "id",
)  # fmt: skip


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "duplicates",
        help="files that show the same, and which of them to keep",
        description="Files that show the same: byte-identical, re-encoded or resized, edited or"
        " cropped, or shot in a burst. Every group has a best copy (the most pixels, then bytes,"
        " then the oldest). Nothing is ever deleted.",
    )
    add_library_option(parser)
    what = parser.add_argument_group("what to look for")
    what.add_argument(
        "--relation",
        metavar="NAMES",
        default=",".join(CLOSEST_FIRST),
        help="some of them, with commas between (default: %(default)s)",
    )
    what.add_argument(
        "--min",
        type=float,
        default=0.0,
        dest="least",
        metavar="0..1",
        help="similarity that pairs must have (default: what is surely the same)",
    )
    what.add_argument(
        "--seconds",
        type=int,
        default=DuplicateOptions.seconds,
        metavar="N",
        help="most between two shots of a burst (default: %(default)s)",
    )
    what.add_argument(
        "--where", metavar="CONDITION", help="only records like this, as in search --where"
    )
    output = parser.add_argument_group("output")
    form = output.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object")
    form.add_argument(
        "--extra-paths",
        action="store_true",
        help="only the paths of all but the best copies, one a line",
    )
    output.add_argument(
        "-z",
        "--null",
        action="store_true",
        help="with --extra-paths: end each with a zero byte, not a line",
    )
    output.add_argument("--csv", metavar="FILE", help="also a CSV table, one row a file")
    output.add_argument("--html", type=Path, metavar="FILE", help="also a page with the pairs")
    output.add_argument("--open", action="store_true", help="open the page")
    decided = parser.add_argument_group("decisions", "kept in the library; nothing else is done")
    decided.add_argument(
        "--not", nargs=2, metavar="ID", dest="apart", help="these two are not duplicates"
    )
    decided.add_argument("--forget", nargs=2, metavar="ID", help="take that back")
    decided.add_argument("--decisions", action="store_true", help="list what was decided")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Find duplicates and print them, or remember a decision."""
    if options.apart or options.forget or options.decisions:
        return _decide(options)
    asked = DuplicateOptions(
        _relations(options.relation), options.least, options.where, options.seconds
    )
    with Library.open(options.library) as library:
        check_place(library, options.csv or None, "the table")
        check_place(library, options.html, "the page")
        many = len(library) >= TOLD_RECORDS
        report = library.duplicates(asked, talk if many else lambda _: None)
        if report.left_out:
            talk(
                f"{report.left_out} comparisons of hashes were left out: thousands of pictures are"
                " nearly equal; some of their pairs may be missing"
            )
        _print(report, options)
        if options.csv:
            write_csv(options.csv, HEADER, _cells(report))
            if options.csv != "-":
                talk(f"table: {options.csv}")
        if options.html or options.open:
            _page(library, report, options.html, options.open)
    return 0


def _relations(names: str) -> list[Relation]:
    found = []
    for name in names.split(","):
        try:
            found.append(Relation(name.strip()))
        except ValueError:
            known = ", ".join(CLOSEST_FIRST)
            raise InputError(f"--relation {name.strip()}: unknown; there are {known}") from None
    return found


def _decide(options: argparse.Namespace) -> int:
    with Library.open(options.library) as library:
        if options.decisions:
            for first, second in library.decisions():
                print(first, second)
        elif options.apart:
            new = library.decide(*map(_id, options.apart))
            talk("remembered: not a duplicate" if new else "that was decided already")
        else:
            was = library.forget(*map(_id, options.forget))
            talk("forgotten" if was else "nothing was decided of these two")
    return 0


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InputError(f"{text}: not a record id; duplicates --json shows them") from None


# -- printing --------------------------------------------------------------------------------------


def _print(report: DuplicateReport, options: argparse.Namespace) -> None:
    if options.json:
        print_json(report.to_dict())
    elif options.extra_paths:
        for group in report.groups:
            for copy in group.others:
                print_path(copy.path, b"\0" if options.null else b"\n")
    else:
        for group in report.groups:
            rows = [_row(copy) for copy in (group.best, *group.others)]
            print(columns(rows[0], rows[1:], "lrrrl") + "\n")
        print(_summary(report))


def _row(copy: Copy) -> list[str]:
    relation = "best" if copy.relation is None else str(copy.relation)
    similarity = "" if copy.relation is None else f"{copy.similarity:.3f}"
    size = f"{copy.width} x {copy.height}"
    changes = f"  ({', '.join(copy.changes)})" if copy.changes else ""
    path = printable(copy.path) + changes
    return [relation, similarity, size, _kilobytes(copy.bytes), path]


def _kilobytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} KB"


def _summary(report: DuplicateReport) -> str:
    if not report.groups:
        return f"no duplicates among {report.compared:,} records"
    groups = "1 group" if len(report.groups) == 1 else f"{len(report.groups):,} groups"
    extra = sum(len(group.others) for group in report.groups)
    files = "1 file" if extra == 1 else f"{extra:,} files"
    told = f"{groups} among {report.compared:,} records"
    return f"{told}; all but the best copies: {files}, {_kilobytes(report.extra_bytes)}"


def _cells(report: DuplicateReport) -> Iterator[tuple[Any, ...]]:
    for number, group in enumerate(report.groups, 1):
        for copy in (group.best, *group.others):
            yield (
                number, "yes" if copy is group.best else "", copy.relation or "",
                f"{copy.similarity:.4f}", "; ".join(copy.changes), as_text(copy.path), copy.width,
                copy.height, copy.bytes, copy.format, copy.taken_at or "", copy.modified or "",
                copy.id,
            )  # fmt: skip


# -- the page --------------------------------------------------------------------------------------


def _page(library: Library, report: DuplicateReport, path: Path | None, show: bool) -> None:
    path = page_path(path, "duplicates.html")
    if len(report.groups) > PAGE_GROUPS:
        talk(f"the page shows the first {PAGE_GROUPS} of {len(report.groups)} groups")
    write = partial(write_pairs, _summary(report), _tiles(library, report.groups[:PAGE_GROUPS]))
    write_file(path, "the page", write, told="page", show=show)


def _tiles(library: Library, groups: tuple[Group, ...]) -> Iterator[list[PairTile]]:
    """The pictures of each group, the best copy first."""
    for group in groups:
        copies = [group.best, *group.others]
        jpegs = library.thumbnails([copy.id for copy in copies])
        yield [
            side_by_side(copy.to_dict(), group.best.to_dict(), jpeg)
            for copy, jpeg in zip(copies, jpegs, strict=True)
        ]
