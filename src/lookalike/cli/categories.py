"""``lookalike categories``: what the library's pictures show, as a tree with counts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from lookalike.cli.index import positive
from lookalike.cli.output import add_library_option, print_json, record_of, talk
from lookalike.library import Library
from lookalike.present.table import columns
from lookalike.query.categories import CategoryCount
from lookalike.types import label_dict, printable


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "categories",
        help="what the pictures show, as a tree with counts",
        description="What the library's pictures show, as far as that is likelier than not: a tree"
        " of categories with the number of pictures in each. search --category NAME keeps to one.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="only what is below this, like dog")
    add_library_option(parser)
    parser.add_argument(
        "--least",
        type=positive,
        default=1,
        metavar="N",
        help="leave out categories with fewer pictures (default: %(default)s)",
    )
    parser.add_argument(
        "--of", metavar="IMAGE", help="what one picture of the library shows: a file or a record id"
    )
    parser.add_argument("--depth", type=positive, metavar="N", help="so many levels at most")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Count, and print the tree."""
    with Library.open(options.library) as library:
        if options.of is not None:
            return _print_one(library, options.of, as_json=options.json)
        counted = library.categories(options.name)
    if options.json:
        print_json({
            "records": counted.records,
            "unsure": counted.unsure,
            "categories": [_as_dict(one, options.least) for one in counted.tree],
        })  # fmt: skip
        return 0
    for one in counted.tree:
        for line in _lines(one, 0, options.least, options.depth):
            print(line)
    talk(f"{counted.unsure:,} of {counted.records:,} pictures are unsure")
    return 0


def _print_one(library: Library, image: str, *, as_json: bool) -> int:
    """What one picture shows: confidence, name, and of whom it is or in which part."""
    labels = library.shown_by(record_of(library, image))
    if as_json:
        print_json({"shows": [label_dict(label) for label in labels]})
        return 0
    rows = []
    for label in labels:
        part = "" if label.part is None else "part " + ", ".join(f"{n:g}" for n in label.part)
        given = "" if label.source is None else f"label ({label.source})"
        rows.append([f"{label.confidence:.2f}", printable(label.name), given or part])
    print(columns(["share", "shows", ""], rows, "r"))
    return 0


def _lines(one: CategoryCount, level: int, least: int, depth: int | None) -> Iterator[str]:
    if one.count < least or (depth is not None and level >= depth):
        return
    yield f"{one.count:>9,}  {'  ' * level}{one.category.name}"
    for below in one.below:
        yield from _lines(below, level + 1, least, depth)


def _as_dict(one: CategoryCount, least: int) -> dict[str, object]:
    return {
        "name": one.category.name,
        "id": one.category.id,
        "count": one.count,
        "below": [_as_dict(below, least) for below in one.below if below.count >= least],
    }
