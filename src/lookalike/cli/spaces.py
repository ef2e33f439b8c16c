"""``lookalike spaces``: in which spaces records have vectors, and which one searches use."""

from __future__ import annotations

import argparse

from lookalike.cli.output import add_library_option, print_json, talk
from lookalike.library import Library
from lookalike.present.table import columns


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "spaces",
        help="which encoders' vectors the library has, and which one searches use",
        description="List the spaces of a library: by which encoders its records have vectors, how"
        " many have one, and which space searches use by default. lookalike index --encoder NAME"
        " adds one.",
    )
    add_library_option(parser)
    parser.add_argument("--use", metavar="NAME", help="make this one the default")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Choose a space if asked to, and list all."""
    with Library.open(options.library) as library:
        if options.use is not None:
            library.choose_space(options.use)
            talk(f"searches use {options.use}")
        records, held = len(library), library.spaces_held()
    rows = [
        {
            "name": space.name,
            "default": number == 0,
            "dim": space.dim,
            "records": count,
            "lacking": records - count,
            "weights_digest": space.weights_digest,
            "preprocessing": space.preprocessing,
        }
        for number, (space, count) in enumerate(held)
    ]
    if options.json:
        print_json({"spaces": rows})
        return 0
    header = ["space", "default", "dim", "records", "lacking", "weights"]
    table = [
        [
            str(row["name"]),
            "yes" if row["default"] else "",
            str(row["dim"]),
            f"{row['records']:,}",
            f"{row['lacking']:,}",
            str(row["weights_digest"])[:12],
        ]
        for row in rows
    ]
    print(columns(header, table, "llrrrl"))
    return 0
