"""``lookalike search``: the pictures most like one or several others."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from lookalike.cli.output import add_library_option, print_json, print_path, talk
from lookalike.errors import InputError, StorageError
from lookalike.features.pca import PCA_METHODS
from lookalike.library import Library, Source
from lookalike.present.table import hits_table
from lookalike.query import COMBINATIONS, METHODS, Method, parse_expression, parse_term
from lookalike.types import COLOUR_MEASURES, SearchResult

SHEET_HITS = 500
"""Hits drawn on a contact sheet at most; a page of so many is 100 rows high."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "search",
        help="find the pictures most like one or several others",
        description="Find the pictures most like one or several others. An input is a file, a"
        " record id, or a term like 2*cat.jpg, cat.jpg[0.1,0.2,0.5,0.4] (a crop), or, with"
        " --query, -dog.jpg (away from it).",
    )
    parser.add_argument("inputs", nargs="*", metavar="IMAGE", help="a file, record id or term")
    add_library_option(parser)
    parser.add_argument("-k", type=int, default=5, metavar="N", help="hits (default: %(default)s)")
    parser.add_argument("--query", metavar="STRING", help="a whole query in one string")
    parser.add_argument("--random", action="store_true", help="a random record as the input")
    parser.add_argument("--seed", type=int, metavar="N", help="makes --random repeatable")
    how = parser.add_argument_group("how to compare")
    how.add_argument("--by", choices=METHODS, default="meaning", help="default: %(default)s")
    how.add_argument(
        "--dims",
        type=int,
        default=Method.dims,
        metavar="N",
        help="dimensions for --by pca (default: %(default)s)",
    )
    how.add_argument(
        "--pca-method",
        choices=PCA_METHODS,
        default=Method.pca_method,
        help="for --by pca (default: %(default)s)",
    )
    how.add_argument(
        "--metric",
        choices=tuple(COLOUR_MEASURES),
        default=Method.metric,
        help="for --by colour and mix (default: %(default)s)",
    )
    how.add_argument(
        "--colour-weight",
        type=float,
        default=Method.colour_weight,
        metavar="0..1",
        help="share of colour in --by mix (default: %(default)s)",
    )
    how.add_argument(
        "--combine",
        choices=COMBINATIONS,
        default="mean",
        help="several inputs: like their mean, or like all of them (default: mean)",
    )
    how.add_argument(
        "--include-self", action="store_true", help="also return inputs that are in the library"
    )
    how.add_argument(
        "--where",
        metavar="CONDITION",
        help="only records like this: \"width >= 1000 and taken >= '2020' and under '~/Pictures'\"",
    )
    how.add_argument("--exact", action="store_true", help="compare with every record, no index")
    output = parser.add_argument_group("output")
    form = output.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object")
    form.add_argument("--paths", action="store_true", help="only paths, one a line")
    output.add_argument(
        "-z",
        "--null",
        action="store_true",
        help="with --paths: end each with a zero byte, not a line",
    )
    output.add_argument("--sheet", type=Path, metavar="FILE", help="a contact sheet, .png or .html")
    output.add_argument("--open", action="store_true", help="open the contact sheet")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Search, and print or draw the hits."""
    if options.sheet and options.sheet.suffix.lower() not in (".png", ".html"):
        raise InputError(f"--sheet {options.sheet}: name a file ending in .png or .html")
    method = Method(
        options.by, options.dims, options.pca_method, options.metric, options.colour_weight
    )
    with Library.open(options.library) as library:
        result = library.search(
            _inputs(library, options),
            options.k,
            method,
            combine=options.combine,
            include_self=options.include_self,
            where=options.where,
            exact=options.exact,
        )
        if options.k > result.searched:
            talk(f"-k {options.k}: only {result.searched} records can be compared; showing all")
        _print(result, options)
        if options.sheet or options.open:
            _sheet(library, result, options.sheet, options.open)
    return 0


def _inputs(library: Library, options: argparse.Namespace) -> list[Source]:
    inputs: list[Source] = [parse_term(text) for text in options.inputs]
    if options.query is not None:
        inputs += parse_expression(options.query)
    if options.random:
        inputs.append(library.random_record(options.seed))
    if not inputs:
        raise InputError("no input; give a picture, a record id, --query or --random")
    return inputs


def _print(result: SearchResult, options: argparse.Namespace) -> None:
    if options.json:
        print_json(result.to_dict())
    elif options.paths:
        for hit in result.hits:
            for path in hit.paths:
                print_path(path, b"\0" if options.null else b"\n")
    else:
        if options.random:
            talk(f"input: {result.inputs[-1].path or result.inputs[-1].record}")
        print(hits_table(result))


def _sheet(library: Library, result: SearchResult, path: Path | None, show: bool) -> None:
    # Imported here: a search without a sheet need not pay for them.
    import tempfile
    import webbrowser

    from lookalike.present.page import write_html
    from lookalike.present.sheet import write_png

    if path is None:
        path = Path(tempfile.mkdtemp(prefix="lookalike-")) / "sheet.html"
    write = write_png if path.suffix.lower() == ".png" else write_html
    if len(result.hits) > SHEET_HITS:
        talk(f"the contact sheet shows the first {SHEET_HITS} of {len(result.hits)} hits")
        result = replace(result, hits=result.hits[:SHEET_HITS])
    sheet = library.sheet(result)
    try:
        write(sheet, path)
    except OSError as error:
        raise StorageError(
            f"{path}: the sheet cannot be written ({error.strerror}); name another place"
        ) from error
    talk(f"contact sheet: {path}")
    if show and not webbrowser.open(path.absolute().as_uri()):
        talk(f"{path}: no browser was found to open it")
