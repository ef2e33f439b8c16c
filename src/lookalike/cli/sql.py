"""``lookalike sql``: pictures, labels, tables of one's own and searches in one statement."""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
from pathlib import Path
from typing import Any

from lookalike.cli.output import (
    add_library_option,
    check_place,
    page_path,
    talk,
    write_csv,
    write_file,
)
from lookalike.errors import InputError
from lookalike.library import Library
from lookalike.present.table import aligned, columns
from lookalike.types import Cell, SqlResult, printable


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
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="a bar chart of the rows, .png or .html: of the last column of numbers, with the"
        " pictures that ids, foreign ids or paths in another column name",
    )
    parser.add_argument("--open", action="store_true", help="open the chart")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the statement, and print its rows as they come."""
    if (options.statement is None) is not options.schema:
        raise InputError("sql: give one statement, in quotes, or --schema")
    if options.plot and options.plot.suffix.lower() not in (".png", ".html"):
        raise InputError(f"--plot {options.plot}: name a file ending in .png or .html")
    with Library.open(options.library) as library:
        if options.schema:
            _print_schema(library)
        elif options.write:
            changed = library.change_by_sql(_statement(options))
            talk(f"rows changed: {changed:,}")
        elif options.plot or options.open:
            check_place(library, options.plot, "the chart")
            _plot(library, options)
        else:
            _print(library.sql(_statement(options)), options)
    return 0


def _plot(library: Library, options: argparse.Namespace) -> None:
    """Print the rows as otherwise, and draw the first of them."""
    from lookalike.present.bars import write_chart
    from lookalike.present.grouped import MOST_BARS, bar_chart

    result = library.sql(_statement(options))
    rows = list(itertools.islice(result.rows, MOST_BARS))
    more = next(result.rows, None)
    if more is not None:
        talk(f"the chart shows the first {MOST_BARS} rows; write LIMIT or GROUP BY for fewer")
    chart = bar_chart(result.columns, rows, library.records_named, library.thumbnails)
    if chart is None:
        result.close()
        raise InputError("--plot: no column has numbers alone; give one, like count(*) AS count")
    others = itertools.chain(rows, [] if more is None else [more], result.rows)
    _print(SqlResult(result.columns, (row for row in others)), options)
    path = page_path(options.plot, "chart.html")
    write_file(
        path,
        "the chart",
        lambda place: write_chart(chart, place),
        told="chart",
        show=options.open,
    )


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
    lines = -1  # the header is none of the rows
    for lines, line in enumerate(aligned(result.columns, result.rows)):  # noqa: B007
        print(line)
    talk(f"rows: {lines:,}")


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
