"""``lookalike export``: records for other programs, and for other libraries."""

from __future__ import annotations

import argparse
from pathlib import Path

from lookalike.cli.output import add_library_option, print_json, talk
from lookalike.errors import InputError
from lookalike.exchange.export import FORMS, ExportReport, is_file
from lookalike.exchange.selection import BY, ExportOptions
from lookalike.library import Library

_TAKEN_BY = {
    "paths": ("parquet", "csv"),
    "thumbnails": ("parquet",),
    "histograms": ("parquet",),
    "whole": ("parquet",),
    "half": ("parquet", "npy"),
    "rows_per_file": ("parquet", "clip-retrieval"),
    "by": ("parquet", "npy", "csv"),
    "spreadsheet": ("csv",),
    "licence": ("parquet",),
    "push_to_hub": ("parquet",),
    "private": ("parquet",),
}
"""Which forms an option is for."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "export",
        help="records for other programs: Parquet, NumPy arrays, CSV",
        description="Write records for other programs, and for lookalike import. Written whole or"
        " not at all. parquet: one file if OUT ends in .parquet, else a folder that is a data set"
        " for Hugging Face's datasets; npy: a folder with vectors.npy, ids.npy, space.json; csv: a"
        " file of facts without vectors; photos: a folder with photos.parquet, and"
        " conversions.parquet if there is a table of that name; clip-retrieval: the folder that it"
        " takes.",
    )
    parser.add_argument("form", choices=FORMS, metavar="FORM", help=", ".join(FORMS))
    parser.add_argument("out", type=Path, metavar="OUT", help="the file or folder to write")
    add_library_option(parser)
    parser.add_argument("--space", metavar="NAME", help="whose vectors (default: the library's)")
    parser.add_argument("--where", metavar="CONDITION", help="only records for which this holds")
    parser.add_argument(
        "--by", choices=BY, help="a row per record or per file (default: files if any has an id of"
        " another table, else records)",
    )  # fmt: skip
    what = parser.add_argument_group("what is in it")
    what.add_argument("--paths", action="store_true", help="where files lie (names your folders)")
    what.add_argument("--thumbnails", action="store_true", help="pictures (JPEG, 256 pixels)")
    what.add_argument("--histograms", action="store_true", help="colour histograms")
    what.add_argument(
        "--whole", action="store_true", help="all three: what another library takes in"
    )
    what.add_argument("--half", action="store_true", help="vectors as float16, as they are kept")
    what.add_argument(
        "--rows-per-file", type=int, metavar="N",
        help=f"of parts of a folder (default: {ExportOptions().rows_per_file:,})",
    )  # fmt: skip
    what.add_argument(
        "--spreadsheet", action="store_true",
        help="CSV that Excel reads: text that begins like a formula gets an apostrophe",
    )  # fmt: skip
    hub = parser.add_argument_group("the Hugging Face Hub")
    hub.add_argument("--licence", metavar="NAME", help="what the card says, like cc-by-4.0")
    hub.add_argument(
        "--push-to-hub", metavar="NAMESPACE/NAME", help="upload the folder as a data set there"
    )
    hub.add_argument("--private", action="store_true", help="for you alone")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Export, and upload if that is wanted."""
    _check(options)
    with Library.open(options.library) as library:
        report = library.export(
            options.form, options.out, _asked(options), space=options.space, where=options.where
        )
    _tell(report, as_json=options.json)
    if options.push_to_hub:
        from lookalike.exchange.hub import push

        push(options.out, options.push_to_hub, private=options.private)
        talk(f"uploaded: {options.push_to_hub}")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Raise InputError for options that would do nothing: the user meant something else."""
    for name, forms in _TAKEN_BY.items():
        if getattr(options, name) not in (None, False) and options.form not in forms:
            raise InputError(
                f"--{name.replace('_', '-')}: is not for {options.form}, but for"
                f" {', '.join(forms)}; leave it out"
            )
    alone = is_file(options.form, options.out)
    for name in ("licence", "push_to_hub", "rows_per_file"):
        if alone and getattr(options, name) is not None:
            raise InputError(
                f"--{name.replace('_', '-')}: is for a folder, and {options.out} is one file; name"
                " a folder"
            )
    if options.private and not options.push_to_hub:
        raise InputError("--private: goes with --push-to-hub; name the data set")
    if options.push_to_hub:
        from lookalike.exchange.hub import check_name

        check_name(options.push_to_hub)


def _asked(options: argparse.Namespace) -> ExportOptions:
    usual = ExportOptions()
    rows = usual.rows_per_file if options.rows_per_file is None else options.rows_per_file
    asked = ExportOptions(
        options.by,
        options.paths,
        options.thumbnails,
        options.histograms,
        options.half,
        rows,
        options.spreadsheet,
        options.licence,
    )
    return asked.whole if options.whole else asked


def _tell(report: ExportReport, *, as_json: bool) -> None:
    if as_json:
        size = {"rows": report.rows, "by": report.by, "bytes": report.bytes}
        print_json({"path": str(report.path), **size})
    what = report.by if report.rows != 1 else report.by.removesuffix("s")
    talk(f"{report.rows:,} {what}, {report.bytes / 1e6:,.1f} MB: {report.path}")
