"""``lookalike pca study``: how many principal components are enough?"""

from __future__ import annotations

import argparse

from lookalike.cli.output import add_library_option, print_json
from lookalike.errors import InputError
from lookalike.evaluate.pca_study import PcaStudy, PcaTrial
from lookalike.library import Library
from lookalike.present.table import columns


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    group = commands.add_parser(
        "pca", help="fewer dimensions: how many are enough", description="Principal components."
    )
    parser = group.add_subparsers(dest="pca_command", metavar="COMMAND", required=True).add_parser(
        "study",
        help="try several sizes on this library and recommend one",
        description="Try several sizes on this library's own vectors: variance explained, overlap"
        " with the full vectors' ten nearest, time and size; and recommend one.",
    )
    add_library_option(parser)
    parser.add_argument(
        "--dims",
        metavar="N,N,...",
        help="sizes (default: 50,75,100,200 as far as possible)",
    )
    parser.add_argument(
        "--methods",
        default="linear",
        metavar="NAME,...",
        help="linear, incremental, kernel (default: %(default)s)",
    )
    parser.add_argument(
        "--queries",
        type=int,
        default=200,
        metavar="N",
        help="records to search with (default: %(default)s)",
    )
    parser.add_argument(
        "--target",
        type=float,
        default=0.8,
        metavar="0..1",
        help="overlap that is good enough (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Study, and print the table and the recommendation."""
    dims = None if options.dims is None else [_size(text) for text in options.dims.split(",")]
    if options.queries < 1:
        raise InputError(f"--queries {options.queries}: at least 1 is needed")
    with Library.open(options.library) as library:
        study = library.pca_study(dims, options.methods.split(","), options.queries, options.target)
    if options.json:
        print_json(study.to_dict())
    else:
        print(table(study))
    return 0


def table(study: PcaStudy) -> str:
    """The study as text."""
    header = ["method", "dims", "variance", "overlap@10", "ms/search", "bytes", "fit s"]
    rows = [
        [
            trial.method,
            str(trial.dims or "all"),
            f"{trial.variance:.3f}",
            f"{trial.overlap:.3f}",
            f"{trial.milliseconds:.2f}",
            f"{trial.bytes:,}",
            f"{trial.fit_seconds:.1f}",
        ]
        for trial in study.trials
    ]
    return (
        f"{study.records} records, {study.queries} queries\n"
        f"{columns(header, rows, 'lrrrrrr')}\n"
        f"recommended: {_name(study.recommended)}: {study.why}"
    )


def _name(trial: PcaTrial) -> str:
    return (
        f"--by pca --dims {trial.dims} --pca-method {trial.method}"
        if trial.dims
        else ("--by meaning (the full vectors)")
    )


def _size(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InputError(f"--dims {text!r}: whole numbers parted by commas, like 50,100") from error
