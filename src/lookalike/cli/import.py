"""``lookalike import``: what ``export`` wrote, and vectors that other programs made."""

from __future__ import annotations

import argparse

from lookalike.cli.index import Bar
from lookalike.cli.output import add_library_option, print_json, talk
from lookalike.exchange.bring import ImportReport
from lookalike.exchange.incoming import ImportOptions
from lookalike.library import Library
from lookalike.types import Space


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "import",
        help="take in what export wrote, and vectors that other programs made",
        description="Take records into a library, which is made if there is none: Parquet files and"
        " folders that lookalike export wrote, photos.parquet, clip-retrieval's folder, rclip's"
        " db.sqlite3. All of it is checked before any of it is put.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="files or folders")
    add_library_option(parser)
    made = parser.add_argument_group("vectors that do not say who made them")
    made.add_argument("--encoder", metavar="NAME", help="their encoder, like clip-vit-b32")
    made.add_argument(
        "--weights-digest", metavar="HEX",
        help="SHA-256 of its weights (default: those that lookalike models has)",
    )  # fmt: skip
    made.add_argument("--preprocessing", metavar="NAME", help="its own (default: the encoder's)")
    made.add_argument("--normalise", action="store_true", help="make vectors unit length")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Import, and say what became of it."""
    asked = ImportOptions(
        options.encoder, options.weights_digest, options.preprocessing, options.normalise
    )
    with Library.open(options.library, create=True) as library:
        report = library.import_(options.paths, asked, Bar("rows"))
        default = library.space
    if options.json:
        print_json(_plain(report))
    else:
        _tell(report, default)
    return 0


def _plain(report: ImportReport) -> dict[str, object]:
    return {
        "rows": report.rows,
        "added": report.added,
        "known": report.known,
        "extended": report.extended,
        "left": report.left,
        "skipped": dict(report.skipped),
        "spaces": [space.name for space in report.spaces],
    }


def _tell(report: ImportReport, default: Space) -> None:
    told = [f"{report.added:,} records added", f"{report.known:,} were here already"]
    if report.extended:
        told.append(f"{report.extended:,} of them have a vector of this encoder now")
    talk("; ".join(told))
    if report.left:
        talk(f"{report.left:,} rows left: another picture of the library lies at their paths")
    for reason, count in report.skipped.most_common():
        talk(f"{count:,} rows passed over: {reason}")
    for space in report.spaces:
        if space != default:
            talk(f"vectors of {space.name} came; search them with --space {space.name}")
