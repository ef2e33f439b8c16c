"""``lookalike ledger``: what became of every file ever seen."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from lookalike.cli.output import add_library_option, check_place, talk, write_csv
from lookalike.library import Library
from lookalike.types import LedgerRow, State, as_text, printable

HEADER = ("path", "state", "reason", "detail", "bytes", "modified", "record")


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "ledger",
        help="what became of every file ever seen, and why",
        description="What became of every file ever seen, and why.",
    )
    add_library_option(parser)
    parser.add_argument("--state", choices=[state.value for state in State], help="only these")
    parser.add_argument("--csv", metavar="FILE", help="write a CSV table; - for stdout")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the ledger, or write it as CSV."""
    state = State(options.state) if options.state else None
    with Library.open(options.library) as library:
        check_place(library, options.csv, "the table")
        rows = library.ledger(state)
        if options.csv is None:
            for row in rows:
                reason = f"{row.reason}: {row.detail}" if row.detail else row.reason
                print(f"{row.state:<10}  {printable(row.path)}  ({printable(reason)})")
        else:
            count = write_csv(options.csv, HEADER, map(_cells, rows))
            if options.csv != "-":
                talk(f"{count} files: {options.csv}")
    return 0


def _time(nanoseconds: int) -> str:
    """ISO 8601 in UTC, or the seconds since 1970 where the calendar ends."""
    try:
        return datetime.fromtimestamp(nanoseconds // 10**9, UTC).isoformat("T", "seconds")
    except (OverflowError, ValueError, OSError):
        return str(nanoseconds // 10**9)


def _cells(row: LedgerRow) -> tuple[Any, ...]:
    modified = "" if row.mtime_ns is None else _time(row.mtime_ns)
    record = "" if row.record is None else str(row.record)
    size = "" if row.bytes is None else row.bytes
    path = as_text(row.path)
    return (path, row.state, row.reason, row.detail, size, modified, record)
