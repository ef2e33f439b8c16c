"""``lookalike status``: what a library holds, how its indexes are, and whether its parts fit."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from lookalike.cli.output import add_library_option, print_json
from lookalike.library import Library
from lookalike.present.table import columns
from lookalike.status import Status


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "status",
        help="what a library holds, how its indexes are, and whether its parts fit each other",
        description="Count what a library holds, in a folder or on a server: records, files by"
        " state, vectors by space, histograms, thumbnails, labels, side tables. Name the state of"
        " each index: none, building, built, stale. Check that the counts fit each other; what does"
        " not is a line with its cure, and the exit status is 1.",
    )
    add_library_option(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the status; returns 1 if something does not fit."""
    with Library.open(options.library) as library:
        status = library.status()
    if options.json:
        print_json(asdict(status))
    else:
        print("\n\n".join(_told(status)))
    return 1 if status.checks else 0


def _told(status: Status) -> list[str]:
    counts = [
        ["records", status.records],
        ["histograms", status.histograms],
        ["thumbnails", status.thumbnails],
        ["labels", status.labels],
        *([f"files {state}", count] for state, count in status.files.items()),
        *([f"table {name}", rows] for name, rows in status.side_tables.items()),
    ]
    spaces = [
        [
            one.name,
            "yes" if one.default else "",
            str(one.dim),
            f"{one.vectors:,}",
            f"{one.lacking:,}",
        ]
        for one in status.spaces
    ]
    indexes = [[one.name, one.kind, one.state, one.detail] for one in status.indexes]
    return [
        f"{status.name} ({status.engine}), last indexed {status.last_indexed or 'never'}",
        columns(["what", "count"], [[str(name), f"{n:,}"] for name, n in counts], "lr"),
        columns(["space", "default", "dim", "vectors", "lacking"], spaces, "llrrr"),
        columns(["index", "kind", "state", "detail"], indexes),
        "\n".join(status.checks) if status.checks else "all counts fit each other",
    ]
