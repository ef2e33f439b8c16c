"""``lookalike unsplash``: the photos of an unpacked Unsplash archive, and what became of them."""

from __future__ import annotations

import argparse
import shlex

from lookalike.cli.index import (
    Bar,
    add_fetching_options,
    fetching_of,
    positive,
    summary,
    tell_left,
    tell_rows,
)
from lookalike.cli.output import add_library_option, talk
from lookalike.cli.steps import Steps
from lookalike.config import IndexOptions
from lookalike.library import Library
from lookalike.places import shown
from lookalike.unsplash import DOWNLOADS, KEYWORDS, PHOTOS, SUFFIX, open_archive


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "unsplash",
        help="index the photos of an unpacked Unsplash archive by URL, with its tables",
        description="Download and index the first photos of an unpacked archive of"
        " github.com/unsplash/datasets, small ones, and keep its conversions, keywords,"
        " collections and colors as tables beside them. Photos that cannot be had are left out."
        " Run again, nothing is downloaded anew; killed, the same command continues.",
    )
    parser.add_argument("folder", metavar="DIR", help="what the archive was unpacked into")
    add_library_option(parser)
    parser.add_argument(
        "--limit",
        type=positive,
        default=PHOTOS,
        metavar="N",
        help="the first N photos (default: %(default)s)",
    )
    parser.add_argument("--all", action="store_true", help="all photos")
    parser.add_argument(
        "--url-suffix",
        default=SUFFIX,
        metavar="TEXT",
        help=f"which size of the photos to fetch (default: {SUFFIX.replace('%', '%%')})",
    )
    parser.add_argument("--encoder", metavar="NAME", help="as lookalike index has it")
    add_fetching_options(parser.add_argument_group("downloads"))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Index the photos, keep the tables, and name what can be asked then."""
    archive = open_archive(options.folder)
    for name, columns in archive.lacking.items():
        talk(f"{name}: without the documented {', '.join(columns)}")
    how = IndexOptions(
        limit=None if options.all else options.limit,
        encoder=options.encoder,
        fetching=fetching_of(options),
    )
    with Library.open(options.library, create=True) as library:
        keep = library.originals.keep if options.keep_originals else None
        source = archive.photos(options.url_suffix, fetching=how.fetching, keep=keep)
        report = library.add_from(source, how, Bar())
        print(summary(report))
        tell_rows(source)
        tell_left(report, options.library)
        with Steps() as steps:
            tables = archive.add_tables(library, steps)
        for one in tables:
            talk(f"{one.table.name}: {one.table.rows:,} rows, {one.matched:,} of these photos")
        talk(f"{len(library)} photos in {library.name}; for example")
        for line in examples(library, options.library):
            talk(f"  {line}")
    return 0


def examples(library: Library, named: str | None) -> list[str]:
    """The commands that ask what the photo that was downloaded most often is like, and why."""
    chosen = library.sql(
        "SELECT photo_id FROM conversions JOIN files ON files.foreign_id = photo_id"
        " GROUP BY photo_id ORDER BY count(*) DESC, photo_id LIMIT 1"
    )
    photo = next((str(row[0]).replace("'", "''") for row in chosen), None)
    if photo is None:
        return [f"lookalike search WORDS{_library(named)}"]
    statements = (DOWNLOADS.format(photo=photo), KEYWORDS.format(photo=photo))
    return [
        f"lookalike search {shlex.quote(f'id:{photo}')} -k 10{_library(named)}",
        *(f"lookalike sql {_quoted(one)}{_library(named)}" for one in statements),
    ]


def _quoted(statement: str) -> str:
    """A statement on one line for a shell, in double quotes if that may be: it has single ones."""
    text = " ".join(statement.split())
    return shlex.quote(text) if set('"$`\\!') & set(text) else f'"{text}"'


def _library(named: str | None) -> str:
    return f" --library {shlex.quote(shown(named))}" if named else ""
