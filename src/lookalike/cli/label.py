"""``lookalike label``: names for pictures, from folders, a table, a list of names, or by hand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lookalike.categories import CONFIDENT
from lookalike.cli.output import add_library_option, print_json, record_of, talk
from lookalike.errors import InputError
from lookalike.labelling import LabelReport, read_names
from lookalike.library import Library
from lookalike.present.table import columns
from lookalike.types import LABEL_SOURCES, printable

SHOWN = 20
"""Labels printed after labelling at most; without arguments all are."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "label",
        help="name pictures: by folders, a table, a list of names, or by hand",
        description="Give pictures labels, which search --where \"label = 'NAME'\" finds. Without"
        " options: list the labels that were given.",
    )
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="with --as: files or record ids")
    add_library_option(parser)
    source = parser.add_argument_group("where labels come from").add_mutually_exclusive_group()
    source.add_argument("--folders", action="store_true", help="the name of each picture's folder")
    source.add_argument("--csv", metavar="FILE", help="a table with the columns path and label")
    source.add_argument(
        "--names",
        metavar="FILE",
        help="a name a line: each picture gets the one that it surely shows, if any",
    )
    source.add_argument("--as", dest="own", metavar="NAME", help="this one, for the given IMAGEs")
    source.add_argument(
        "--forget", metavar="SOURCE", choices=LABEL_SOURCES,
        help=f"take labels back: {', '.join(LABEL_SOURCES)}",
    )  # fmt: skip
    parser.add_argument("--where", metavar="CONDITION", help="with --as: all for which this holds")
    parser.add_argument("--space", metavar="NAME", help="with --names: the space that looks")
    parser.add_argument(
        "--least", type=float, metavar="SHARE",
        help=f"with --names: how sure a name must be, 0 to 1 (default: {CONFIDENT})",
    )  # fmt: skip
    parser.add_argument("--only", metavar="NAME", help="with --forget: this label alone")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Label, take back, or list."""
    _check(options)
    with Library.open(options.library) as library:
        if options.own is not None:
            _by_hand(library, options)
        elif options.forget is not None:
            talk(f"labels forgotten: {library.unlabel(options.forget, options.only):,}")
        elif options.names is not None:
            names = read_names(options.names)
            least = CONFIDENT if options.least is None else options.least
            report = library.label_names(names, space=options.space, least=least)
            _tell(report, options.names, options.json)
        elif options.folders or options.csv is not None:
            _tell(library.label_from(options.csv or "folders"), options.csv, options.json)
        else:
            _list(library, as_json=options.json)
    return 0


def _check(options: argparse.Namespace) -> None:
    """Raise InputError for options that would do nothing: the user meant something else."""
    if (options.images or options.where is not None) and options.own is None:
        raise InputError("IMAGE and --where: only --as takes them; name the label: --as NAME")
    if options.only is not None and options.forget is None:
        raise InputError("--only: only --forget takes it; name the source: --forget SOURCE")
    if (options.space is not None or options.least is not None) and options.names is None:
        raise InputError("--space and --least: only --names takes them; name a list: --names FILE")


def _by_hand(library: Library, options: argparse.Namespace) -> None:
    records = [record_of(library, text) for text in options.images]
    if options.where is not None:
        records += library.matching(options.where)
    if not records:
        what = "no picture is named" if options.where is None else "the condition holds for none"
        raise InputError(f"--as {options.own}: {what}; give IMAGEs or another --where")
    library.label(options.own, records)
    talk(f"labelled {options.own!r}: {len(set(records)):,}")


def _tell(report: LabelReport, file: str | None, as_json: bool) -> None:
    if as_json:
        print_json({
            "source": report.source,
            "labels": [{"label": name, "records": n} for name, n in report.counts.items()],
            "records": report.records,
            "unlabelled": report.unlabelled,
            "unknown": list(report.unknown),
        })  # fmt: skip
        return
    for name, count in list(report.counts.items())[:SHOWN]:
        print(f"{count:>9,}  {printable(name)}")
    if len(report.counts) > SHOWN:
        talk(f"and {len(report.counts) - SHOWN:,} more labels; lookalike label lists them")
    without = "unsure" if report.source == "names" else "without a label"
    talk(f"{report.unlabelled:,} of {report.records:,} pictures are {without}")
    if report.unknown:
        what = "names not known" if report.source == "names" else "paths not in the library"
        talk(f"{file}: {len(report.unknown):,} {what}: {_some(report.unknown)}")


def _some(names: Sequence[str], shown: int = 5) -> str:
    more = f", and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _list(library: Library, *, as_json: bool) -> None:
    counts = library.label_counts()
    if as_json:
        found = [{"source": c.source, "label": c.label, "records": c.records} for c in counts]
        print_json({"labels": found})
    elif counts:
        rows = [[f"{c.records:,}", c.source, printable(c.label)] for c in counts]
        print(columns(["records", "source", "label"], rows, "r"))
    else:
        talk("no labels were given yet; see: lookalike label --help")
