"""``lookalike why``: which parts and colours make two pictures alike."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from lookalike.cli.output import (
    add_library_option,
    check_place,
    page_path,
    print_json,
    talk,
    write_file,
)
from lookalike.cli.search import files_of, sheet_file
from lookalike.library import Library
from lookalike.present.table import columns
from lookalike.query import parse_term
from lookalike.types import Why, WhySide, printable


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "why",
        help="which parts and colours make two pictures alike",
        description="Which parts and colours make two pictures alike. Both are files, record ids or"
        " crops, as in search. Parts of each are hidden in turn to see how far the score falls.",
    )
    parser.add_argument("query", metavar="QUERY", help="a file, record id, or crop")
    parser.add_argument("hit", metavar="HIT", help="another")
    add_library_option(parser)
    parser.add_argument("--space", metavar="NAME", help="which encoder's vectors (see: spaces)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="half the time: ask the encoder what it saw where, if it tells, and hide no part",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one JSON object, with both maps")
    output.add_argument(
        "--sheet", type=Path, metavar="FILE", help="a picture of the answer, .png or .html"
    )
    output.add_argument("--open", action="store_true", help="open that picture")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Explain a pair, and print or draw the answer."""
    sheet_file(options.sheet)
    with Library.open(options.library) as library:
        query, hit = parse_term(options.query), parse_term(options.hit)
        check_place(library, options.sheet, "the sheet", files_of([query, hit]))
        why = library.why(query, hit, space=options.space, quick=options.quick)
    for side in (why.query, why.hit):
        if side.from_thumbnail:
            talk(f"{side.name}: {side.from_thumbnail}; its thumbnail is shown instead")
    if options.json:
        print_json(why.to_dict())
    else:
        _print(why)
    if options.sheet or options.open:
        _draw(why, options.sheet, options.open)
    return 0


def _print(why: Why) -> None:
    likeness = f" ({why.likeness})" if why.likeness else ""
    print(f"cosine {why.score:.4f}{likeness} in {why.space}: {why.verdict}")
    rows = [_row(role, side, n) for role, side in _sides(why) for n in range(len(side.boxes))]
    if rows and not why.same:
        head = ["", "left", "top", "width", "height", "without all, score falls by", "path"]
        print(columns(head, rows, "lrrrrr"))
    print(f"colours: overlap {why.overlap:.3f}")
    for one in why.colours:
        red, green, blue = one.rgb
        print(f"  #{red:02x}{green:02x}{blue:02x}  {one.in_query:4.0%} and {one.in_hit:4.0%}")


def _sides(why: Why) -> tuple[tuple[str, WhySide], ...]:
    return ("query", why.query), ("hit", why.hit)


def _row(role: str, side: WhySide, number: int) -> list[str]:
    """One marked piece; what is said of the whole picture stands with the first."""
    box = [f"{value:.2f}" for value in side.boxes[number]]
    told = [f"{side.fall:.3f}", printable(side.path or side.name)] if number == 0 else ["", ""]
    return [role if number == 0 else "", *box, *told]


def _draw(why: Why, path: Path | None, show: bool) -> None:
    # Imported here: an answer in words need not pay for it.
    from lookalike.present.why import write_why_html, write_why_png

    path = page_path(path, "why.html")
    write = write_why_png if path.suffix.lower() == ".png" else write_why_html
    write_file(path, "the sheet", partial(write, why), told="sheet", show=show)
