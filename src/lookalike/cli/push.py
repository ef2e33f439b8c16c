"""``lookalike push``: a library in a folder to a server, and later what has changed."""

from __future__ import annotations

import argparse

from lookalike.cli.index import Bar
from lookalike.cli.output import add_library_option, print_json, talk
from lookalike.library import Library
from lookalike.present.table import columns
from lookalike.push import PushOptions, PushReport

_ADDRESSES = "postgresql://host/database, clickhouse://host/database, chdb:///folder"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "push",
        help="send a library to a database server, and later what has changed",
        description="Send a library in a folder to a server: records, thumbnails, histograms,"
        " vectors, labels, decisions, the ledger, side tables. What is there already is not sent"
        " again, so the same command continues a push that broke off, and later brings what has"
        " changed. Afterwards every table is counted on both sides, and checksums are compared.",
    )
    parser.add_argument("address", metavar="ADDRESS", help=f"of the server: {_ADDRESSES}")
    add_library_option(parser)
    parser.add_argument(
        "--space",
        action="append",
        default=[],
        metavar="NAME",
        help="only vectors of this space; may be given several times (default: of all)",
    )
    parser.add_argument(
        "--no-verify",
        action="store_true",
        help="only count the rows of both sides, and compare no checksums",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="remove the library that lies there first, whoever put it there",
    )
    parser.add_argument(
        "--photos-tables",
        nargs="?",
        const="default",
        metavar="DATABASE",
        help="on ClickHouse: also make myscale_photos and myscale_conversions, of files that have"
        " an id of their own and of the side table conversions (database: default)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Push, and say what was sent."""
    asked = PushOptions(
        tuple(options.space), not options.no_verify, options.replace, options.photos_tables
    )
    with Library.open(options.library) as library:
        report = library.push(options.address, asked, Bar("rows", "row"))
    if options.json:
        print_json(_plain(report))
        return 0
    header = ["table", "rows", "sent", "removed", "checksum"]
    print(columns(header, [_row(report, name) for name in report.tables], "lrrr"))
    same = "counts and checksums" if report.verified else "counts"
    for name, rows in report.photos.items():
        talk(f"{options.photos_tables}.{name}: {rows:,} rows")
    talk(f"{report.name}: holds the same as this library, by {same}")
    return 0


def _row(report: PushReport, name: str) -> list[str]:
    own = report.tables[name]
    sent, removed = report.sent.get(name, 0), report.removed.get(name, 0)
    checksum = f"{own.checksum:016x}" if report.verified else ""
    return [name, f"{own.rows:,}", f"{sent:,}", f"{removed:,}", checksum]


def _plain(report: PushReport) -> dict[str, object]:
    return {
        "name": report.name,
        "verified": report.verified,
        "tables": {
            name: {
                "rows": own.rows,
                "sent": report.sent.get(name, 0),
                "removed": report.removed.get(name, 0),
                "checksum": f"{own.checksum:016x}" if report.verified else None,
            }
            for name, own in report.tables.items()
        },
        "photos": report.photos,
        "seconds": report.seconds,
    }
