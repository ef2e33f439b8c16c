"""``lookalike evaluate``: which way of comparing finds what belongs together?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from lookalike.cli.output import add_library_option, check_place, print_json, talk, write_file
from lookalike.errors import InputError
from lookalike.evaluate.evaluation import Candidates, Evaluation, Quality
from lookalike.evaluate.metrics import Estimate
from lookalike.evaluate.plot import check_plot, write_plot
from lookalike.library import Library
from lookalike.present.table import columns
from lookalike.query import METHODS

T = TypeVar("T")


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "evaluate",
        help="which way of comparing finds what belongs together, on pictures with labels",
        description="Search with labelled pictures by every method, and see how many of the hits"
        " share a label: precision, recall, mAP and nDCG with 95%% intervals, time and bytes; and"
        " recommend a method.",
    )
    add_library_option(parser)
    parser.add_argument(
        "--labels",
        required=True,
        metavar="folders|FILE.csv",
        help="a picture's folder is its label, or a table with the columns path and label",
    )
    parser.add_argument(
        "-k", type=int, default=5, metavar="N", help="hits that count (default: %(default)s)"
    )
    parser.add_argument(
        "--queries",
        type=int,
        default=300,
        metavar="N",
        help="labelled pictures to search with, at most (default: %(default)s)",
    )
    tried = parser.add_argument_group("what to try (lists are parted by commas; default: all)")
    tried.add_argument("--by", metavar="NAME,...", help=", ".join(METHODS))
    tried.add_argument("--dims", metavar="N,...", help="sizes of --by pca")
    tried.add_argument("--metrics", metavar="NAME,...", help="of --by colour")
    tried.add_argument("--weights", metavar="0..1,...", help="of colour in --by mix")
    tried.add_argument("--spaces", metavar="NAME,...", help="encoders (see: spaces)")
    output = parser.add_argument_group("output")
    output.add_argument("--json", metavar="FILE", help="all figures as JSON; - for stdout")
    output.add_argument(
        "--plot", type=Path, metavar="FILE", help="what methods find and cost, as .png or .svg"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Evaluate, and print the table and the recommendation."""
    if options.plot:
        check_plot(options.plot)  # before minutes of work
    with Library.open(options.library) as library:
        check_place(library, options.json, "the evaluation", [options.labels])
        check_place(library, options.plot, "the plot", [options.labels])
        evaluation = library.evaluate(
            options.labels,
            _candidates(options),
            k=options.k,
            queries=options.queries,
            spaces=_list(options.spaces, str, "spaces"),
            stage=lambda name: talk(f"{name} ..."),
        )
    if evaluation.unknown:
        talk(f"{options.labels}: {evaluation.unknown} paths are no picture of this library")
    if options.json == "-":
        print_json(evaluation.to_dict())
    else:
        print(table(evaluation))
    if options.json not in (None, "-"):
        text = json.dumps(evaluation.to_dict(), indent=2) + "\n"
        write = partial(Path.write_text, data=text, encoding="utf-8")
        write_file(Path(options.json), "the evaluation", write, told="figures")
    if options.plot:
        write_file(options.plot, "the plot", partial(write_plot, evaluation), told="plot")
    return 0


def table(evaluation: Evaluation) -> str:
    """The evaluation as text."""
    k = evaluation.k
    header = ["method", f"P@{k}", f"R@{k}", "mAP", f"nDCG@{k}", "ms", "99 %", "bytes/record"]
    rows = [
        [
            quality.name,
            *map(_estimate, _estimates(quality)),
            f"{quality.p50_ms:.1f}",
            f"{quality.p99_ms:.1f}",
            f"{quality.bytes_a_record:,.0f}",
        ]
        for quality in evaluation.methods
    ]
    return (
        f"{evaluation.records:,} records with {evaluation.labels:,} labels,"
        f" {evaluation.queries:,} queries\n"
        f"{columns(header, rows, 'lrrrrrrr')}\n"
        f"recommended: {evaluation.recommended.name}: {evaluation.why}"
    )


def _estimates(quality: Quality) -> tuple[Estimate, ...]:
    return quality.precision, quality.recall, quality.mean_average_precision, quality.ndcg


def _estimate(estimate: Estimate) -> str:
    return f"{estimate.mean:.3f} ({estimate.low:.3f}..{estimate.high:.3f})"


def _candidates(options: argparse.Namespace) -> Candidates:
    usual = Candidates()
    return Candidates(
        _list(options.by, str, "by") or usual.by,
        _list(options.dims, int, "dims"),
        _list(options.metrics, str, "metrics") or usual.metrics,
        _list(options.weights, float, "weights") or usual.weights,
    )


def _list(text: str | None, kind: Callable[[str], T], name: str) -> list[T] | None:
    """The values of a list parted by commas."""
    if text is None:
        return None
    try:
        return [kind(part.strip()) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--{name} {text!r}: numbers parted by commas are needed") from error
