"""``lookalike search``: the pictures most like one or several others."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from lookalike.cli.output import (
    add_library_option,
    check_place,
    page_path,
    print_json,
    print_path,
    talk,
    write_file,
)
from lookalike.errors import InputError
from lookalike.features.pca import PCA_METHODS
from lookalike.library import Library, Source
from lookalike.present.table import hits_table
from lookalike.query import COMBINATIONS, METHODS, Method, Term, parse_expression, parse_term
from lookalike.types import COLOUR_MEASURES, Likeness, SearchResult

SHEET_HITS = 500
"""Hits drawn on a contact sheet at most; a page of so many is 100 rows high."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "search",
        help="find the pictures most like one or several others, or by words",
        description="Find the pictures most like one or several others. An input is a file, a"
        " record id, words like 'sports car', or a term like 2*cat.jpg, cat.jpg[0.1,0.2,0.5,0.4] (a"
        " crop), or, with --query, -dog.jpg (away from it).",
    )
    parser.add_argument(
        "inputs", nargs="*", metavar="IMAGE", help="a file, record id, words or a term"
    )
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
        help="for --by colour, mix and shortlist (default: %(default)s)",
    )
    how.add_argument(
        "--colour-weight",
        type=float,
        default=Method.colour_weight,
        metavar="0..1",
        help="share of colour in --by mix (default: %(default)s)",
    )
    how.add_argument(
        "--shortlist",
        type=int,
        default=Method.shortlist,
        metavar="N",
        help="how many of the nearest by meaning --by shortlist ranks by colour"
        " (default: %(default)s)",
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
    how.add_argument(
        "--category", metavar="NAME", help="only pictures that surely show this, like cat or animal"
    )
    how.add_argument(
        "--min",
        dest="least",
        choices=[word.value for word in Likeness],
        help="leave out hits that are less alike than this",
    )
    how.add_argument("--space", metavar="NAME", help="which encoder's vectors (see: spaces)")
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
    sheet_file(options.sheet)
    method = Method(
        options.by,
        options.dims,
        options.pca_method,
        options.metric,
        options.colour_weight,
        options.shortlist,
    )
    with Library.open(options.library) as library:
        inputs = _inputs(library, options)
        check_place(library, options.sheet, "the sheet", files_of(inputs))
        result = library.search(
            inputs,
            options.k,
            method,
            combine=options.combine,
            include_self=options.include_self,
            where=options.where,
            category=options.category,
            least=options.least,
            space=options.space,
            exact=options.exact,
        )
        _tell_words(result)
        if options.k > result.searched:
            talk(f"-k {options.k}: only {result.searched} records can be compared; showing all")
        _print(result, options)
        if result.nothing_alike:
            talk("nothing here is like that")
        if options.sheet or options.open:
            write_sheet(library, [result], options.sheet, options.open)
    return 0


def _tell_words(result: SearchResult) -> None:
    """Which words were understood, and as what, and which were not."""
    for item in result.inputs:
        if item.understood:
            unknown = f"; not known: {', '.join(item.unknown)}" if item.unknown else ""
            talk(f"understood: {', '.join(item.understood)}{unknown}")


def terms_of(texts: Sequence[str]) -> list[Source]:
    """Arguments as terms; words that follow each other are one text: nobody likes to quote."""
    terms = [parse_term(text) for text in texts]
    joined: list[Source] = []

    def is_words(term: Term) -> bool:
        return term.kind == "text" and term.weight == 1

    for words, some in itertools.groupby(terms, is_words):
        if words:
            text = " ".join(term.value for term in some)
            joined.append(Term(text, "text", text))
        else:
            joined.extend(some)
    return joined


def files_of(inputs: Sequence[Source]) -> list[str]:
    """The paths among inputs."""
    return [one.value for one in inputs if isinstance(one, Term) and one.kind == "file"]


def _inputs(library: Library, options: argparse.Namespace) -> list[Source]:
    inputs = terms_of(options.inputs)
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


def sheet_file(path: Path | None) -> None:
    """Raise InputError for a contact sheet that is neither PNG nor HTML."""
    if path and path.suffix.lower() not in (".png", ".html"):
        raise InputError(f"--sheet {path}: name a file ending in .png or .html")


def write_sheet(
    library: Library, results: Sequence[SearchResult], path: Path | None, show: bool
) -> None:
    """A contact sheet of one search, or of several one below the other."""
    # Imported here: a search without a sheet need not pay for them.
    from lookalike.present.page import write_html
    from lookalike.present.sheet import write_png

    path = page_path(path, "sheet.html")
    write = write_png if path.suffix.lower() == ".png" else write_html
    sheets = []
    for result in results:
        if len(result.hits) > SHEET_HITS:
            talk(f"the contact sheet shows the first {SHEET_HITS} of {len(result.hits)} hits")
        sheets.append(library.sheet(replace(result, hits=result.hits[:SHEET_HITS])))
    write_file(path, "the sheet", partial(write, sheets), told="contact sheet", show=show)
