"""``lookalike ledger``: what became of every file ever seen."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TextIO

from lookalike.cli.output import add_library_option, talk
from lookalike.errors import StorageError
from lookalike.library import Library
from lookalike.present.table import printable
from lookalike.types import LedgerRow, State

_CSV: Any = {"encoding": "utf-8", "errors": "backslashreplace"}
"""CSV is UTF-8 whatever the terminal is; bytes of names that are not are escaped."""

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
        rows = library.ledger(state)
        if options.csv is None:
            for row in rows:
                reason = f"{row.reason}: {row.detail}" if row.detail else row.reason
                print(f"{row.state:<10}  {printable(row.path)}  ({printable(reason)})")
        elif options.csv == "-":
            sys.stdout.flush()
            with open(sys.stdout.fileno(), "w", newline="", closefd=False, **_CSV) as file:
                _write_csv(rows, file)
        else:
            _write_file(rows, options.csv)
    return 0


def _write_file(rows: Iterable[LedgerRow], path: str) -> None:
    try:
        with open(path, "w", newline="", **_CSV) as file:
            count = _write_csv(rows, file)
    except OSError as error:
        raise StorageError(
            f"{path}: the table cannot be written ({error.strerror}); name another place"
        ) from error
    talk(f"{count} files: {path}")


def _time(nanoseconds: int) -> str:
    """ISO 8601 in UTC, or the seconds since 1970 where the calendar ends."""
    try:
        return datetime.fromtimestamp(nanoseconds // 10**9, UTC).isoformat("T", "seconds")
    except (OverflowError, ValueError, OSError):
        return str(nanoseconds // 10**9)


def _write_csv(rows: Iterable[LedgerRow], file: TextIO) -> int:
    writer = csv.writer(file)
    writer.writerow(HEADER)
    count = 0
    for row in rows:
        count += 1
        modified = ""
        if row.mtime_ns is not None:
            modified = _time(row.mtime_ns)
        record = "" if row.record is None else str(row.record)
        size = "" if row.bytes is None else row.bytes
        path = row.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        writer.writerow((path, row.state, row.reason, row.detail, size, modified, record))
    return count
