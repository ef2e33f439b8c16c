"""``lookalike compare``: the same search in several spaces, side by side."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from lookalike.cli.output import add_library_option, check_place, print_json, talk
from lookalike.cli.search import files_of, sheet_file, terms_of, write_sheet
from lookalike.library import Library
from lookalike.present.table import columns
from lookalike.types import SearchResult, printable


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "compare",
        help="the same search in several spaces, side by side",
        description="Search by meaning in several spaces of the library, and show their hits side"
        " by side: how do its encoders differ on your pictures?",
    )
    parser.add_argument("inputs", nargs="+", metavar="IMAGE", help="as for search")
    add_library_option(parser)
    parser.add_argument(
        "--spaces", metavar="NAME,NAME", help="which, in this order (default: all of the library)"
    )
    parser.add_argument("-k", type=int, default=5, metavar="N", help="hits (default: %(default)s)")
    parser.add_argument("--where", metavar="CONDITION", help="as for search")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="a contact sheet, .png or .html")
    parser.add_argument("--open", action="store_true", help="open the contact sheet")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Search in each space, and print or draw the hits of all."""
    sheet_file(options.sheet)
    with Library.open(options.library) as library:
        named = options.spaces.split(",") if options.spaces else None
        spaces = named or [space.name for space in library.spaces()]
        inputs = terms_of(options.inputs)
        check_place(library, options.sheet, "the sheet", files_of(inputs))
        results = library.compare(inputs, spaces, options.k, where=options.where)
        if options.json:
            print_json({"spaces": [result.to_dict() for result in results]})
        else:
            print(table(results))
        if options.sheet or options.open:
            write_sheet(library, results, options.sheet, options.open)
        first, *others = ({hit.id for hit in result.hits} for result in results)
        for result, ids in zip(results[1:], others, strict=True):
            shared = len(first & ids)
            talk(f"{results[0].space} and {result.space} share {shared} of {options.k} hits")
    return 0


def table(results: list[SearchResult]) -> str:
    """Hits by rank, a column for each space: score and path."""
    rows = []
    for hits in itertools.zip_longest(*(result.hits for result in results)):
        rank = str(next(hit.rank for hit in hits if hit))
        cells = [
            f"{hit.score:.3f} {printable(hit.paths[0] if hit.paths else str(hit.id))}"
            if hit
            else ""
            for hit in hits
        ]
        rows.append([rank, *cells])
    return columns(["rank", *(str(result.space) for result in results)], rows, "r")
