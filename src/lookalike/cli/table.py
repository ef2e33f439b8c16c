"""``lookalike table``: a user's own tables beside the pictures."""

from __future__ import annotations

import argparse

from lookalike.cli.output import add_library_option, print_json, talk
from lookalike.cli.steps import Steps
from lookalike.library import Library
from lookalike.present.table import cells, columns
from lookalike.side_tables import TableOptions, TableReport, known_table
from lookalike.types import SIDE_MATCHES, SideTable, printable

FIRST_ROWS = 5


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "table",
        help="keep tables of your own beside the pictures, for sql and --where",
        description="Keep tables of your own beside the pictures: lookalike sql joins them with"
        " searches, and --where takes conditions over them.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_parser(actions)

    listing = actions.add_parser("list", help="the tables, and what their keys match")
    add_library_option(listing)
    listing.add_argument("--json", action="store_true", help="one JSON object")
    listing.set_defaults(run=run_list)

    show = actions.add_parser("show", help="columns, kinds, first rows of a table")
    show.add_argument("name", metavar="NAME")
    add_library_option(show)
    show.add_argument("--json", action="store_true", help="one JSON object")
    show.set_defaults(run=run_show)

    drop = actions.add_parser("drop", help="forget a table; its files stay")
    drop.add_argument("name", metavar="NAME")
    add_library_option(drop)
    drop.set_defaults(run=run_drop)


def _add_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    add = actions.add_parser(
        "add",
        help="keep the rows of files: TSV, CSV, JSON lines, Parquet",
        description="Keep the rows of files as a table. FILES are paths, or patterns in quotes;"
        " formats: .tsv, .csv (tabs, commas or semicolons), .jsonl, .parquet, also in parts"
        " (conversions.tsv000) and, but for Parquet, compressed (.gz, .bz2, .xz). All rows are kept"
        " or none.",
    )
    add.add_argument("name", metavar="NAME", help="what the table is called in sql and --where")
    add.add_argument("files", nargs="+", metavar="FILES")
    add_library_option(add)
    add.add_argument(
        "--key", required=True, metavar="COLUMN", help="says to which picture a row belongs"
    )
    add.add_argument(
        "--matches",
        choices=SIDE_MATCHES,
        help="what of a picture the key is (default: what the first rows fit)",
    )
    add.add_argument("--columns", metavar="NAMES", help="only these, with commas between")
    add.add_argument(
        "--text",
        action="append",
        default=[],
        metavar="COLUMN",
        help="this one is text, whatever it looks like",
    )
    add.add_argument("--replace", action="store_true", help="in place of the table so called")
    add.add_argument("--json", action="store_true", help="one JSON object")
    add.set_defaults(run=run_add)


def run_add(options: argparse.Namespace) -> int:
    """Read the files and keep their rows."""
    names = None if options.columns is None else options.columns.split(",")
    how = TableOptions(options.key, options.matches, names, options.text, options.replace)
    with Library.open(options.library) as library, Steps() as steps:
        report = library.add_table(options.name, options.files, how, steps)
    if options.json:
        print_json(_described(report.table, report.matched))
    else:
        print(_kinds(report.table))
    talk(_summary(report))
    return 0


def _summary(report: TableReport) -> str:
    table, matched = report.table, report.matched
    told = f"{table.name}: {table.rows:,} rows, by {table.matches}; {matched:,} belong to a picture"
    if not matched and table.rows:
        others = ", ".join(one for one in SIDE_MATCHES if one != table.matches)
        told += f"; if the key is something else: --replace --matches, one of {others}"
    return told


def run_list(options: argparse.Namespace) -> int:
    """Print the tables."""
    with Library.open(options.library) as library:
        tables = library.side_tables()
    if options.json:
        print_json({"tables": [_described(table) for table in tables]})
    elif tables:
        rows = [
            [one.name, f"{one.rows:,}", one.key, one.matches, printable(one.source), one.added]
            for one in tables
        ]
        print(columns(["table", "rows", "key", "matches", "from", "added"], rows, "lr"))
    else:
        talk("no tables yet; see: lookalike table add --help")
    return 0


def run_show(options: argparse.Namespace) -> int:
    """Print what a table has."""
    with Library.open(options.library) as library:
        table = known_table(library.side_tables(), options.name)
        matched = library.rows_matched(table)
        first = library.sql(f"SELECT * FROM {table.name} LIMIT {FIRST_ROWS}")  # noqa: S608
        rows = list(first)
    if options.json:
        print_json({**_described(table, matched), "first": [list(row) for row in rows]})
    else:
        print(_kinds(table))
        print()
        print(columns(first.columns, [cells(row) for row in rows]))
        talk(_summary(TableReport(table, matched)))
    return 0


def run_drop(options: argparse.Namespace) -> int:
    """Forget a table."""
    with Library.open(options.library) as library:
        library.drop_table(options.name)
    talk(f"table forgotten: {options.name.lower()}")
    return 0


def _kinds(table: SideTable) -> str:
    rows = [
        [printable(one.name), one.kind.value, "key" if one.name == table.key else ""]
        for one in table.columns
    ]
    return columns(["column", "kind", ""], rows)


def _described(table: SideTable, matched: int | None = None) -> dict[str, object]:
    return {
        "name": table.name,
        "rows": table.rows,
        **({} if matched is None else {"matched": matched}),
        "key": table.key,
        "matches": table.matches,
        "columns": [{"name": one.name, "kind": one.kind.value} for one in table.columns],
        "source": table.source,
        "added": table.added,
    }
