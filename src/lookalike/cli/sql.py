"""``lookalike sql``: pictures, labels, tables of one's own and searches in one statement."""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from lookalike.cli.output import add_library_option, talk, write_csv
from lookalike.errors import InputError
from lookalike.library import Library
from lookalike.present.table import cells, columns
from lookalike.types import Cell, SqlResult, printable

AT_ONCE = 1_000
"""Rows that are aligned with each other: no more are kept in memory."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "sql",
        help="ask pictures, tables of your own and searches in one statement",
        description="Run one statement over the tables images, files, labels and those that"
        " lookalike table added. similar('cat.jpg', 10) in it is a table of the hits of a search:"
        " rank, id, score, distance, likeness, path. Only reads, unless --write is given.",
    )
    parser.add_argument("statement", nargs="?", metavar="STATEMENT", help="- reads it from stdin")
    add_library_option(parser)
    parser.add_argument("--schema", action="store_true", help="the tables and their columns")
    parser.add_argument(
        "--write",
        action="store_true",
        help="let INSERT, UPDATE or DELETE change a table of your own",
    )
    form = parser.add_argument_group("output").add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="CSV")
    form.add_argument("--json", action="store_true", help="one JSON object: columns and rows")
    form.add_argument("--jsonl", action="store_true", help="a JSON object a line")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the statement, and print its rows as they come."""
    if (options.statement is None) is not options.schema:
        raise InputError("sql: give one statement, in quotes, or --schema")
    with Library.open(options.library) as library:
        if options.schema:
            _print_schema(library)
        elif options.write:
            changed = library.change_by_sql(_statement(options))
            talk(f"rows changed: {changed:,}")
        else:
            _print(library.sql(_statement(options)), options)
    return 0


def _statement(options: argparse.Namespace) -> str:
    if options.statement != "-":
        return str(options.statement)
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise InputError("stdin: is not UTF-8; save the statement as UTF-8") from error


def _print_schema(library: Library) -> None:
    rows = [
        [name if number == 0 else "", printable(column.name), column.kind.value]
        for name, own in library.sql_tables().items()
        for number, column in enumerate(own)
    ]
    print(columns(["table", "column", "kind"], rows))


def _print(result: SqlResult, options: argparse.Namespace) -> None:
    try:
        if options.csv:
            write_csv("-", result.columns, result)
        elif options.json:
            _print_json(result)
        elif options.jsonl:
            _print_lines(result)
        else:
            _print_aligned(result)
    finally:
        result.close()


def _print_aligned(result: SqlResult) -> None:
    header: Sequence[str] = [printable(name) for name in result.columns]
    shown = 0
    for some in iter(lambda: list(itertools.islice(result.rows, AT_ONCE)), []):
        right = "".join("r" if _is_number(values) else "l" for values in zip(*some, strict=True))
        lines = columns(header, [cells(row) for row in some], right).split("\n")
        print("\n".join(lines if not shown else lines[1:]))
        shown += len(some)
    if not shown:
        print(columns(header, []))
    talk(f"rows: {shown:,}")


def _is_number(values: Iterable[Cell]) -> bool:
    return all(value is None or isinstance(value, int | float) for value in values)


def _print_json(result: SqlResult) -> None:
    print(f'{{\n  "columns": {json.dumps(result.columns)},\n  "rows": [', end="")
    for number, row in enumerate(result):
        print(
            "," if number else "", json.dumps([_plain(cell) for cell in row]), sep="\n    ", end=""
        )
    print("\n  ]\n}")


def _print_lines(result: SqlResult) -> None:
    if len(set(result.columns)) < len(result.columns):
        raise InputError("--jsonl: two columns have one name; name them apart with AS")
    for row in result:
        print(json.dumps(dict(zip(result.columns, map(_plain, row), strict=True))))


def _plain(cell: Cell) -> Any:
    """A value that JSON has: infinity is none."""
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell
