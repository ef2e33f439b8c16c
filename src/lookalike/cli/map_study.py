"""``lookalike map study``: which layout with which clustering? Pictures, scores, a choice."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from lookalike.cli.map_options import keep_earlier
from lookalike.cli.output import (
    add_library_option,
    check_contents,
    check_folder,
    print_json,
    talk,
    write_file,
)
from lookalike.evaluate.labels import labels_of
from lookalike.library import Library
from lookalike.maps import BY, CLUSTERINGS, METHODS, MapOptions
from lookalike.maps.exports.source import ExportSource
from lookalike.maps.study import Studio, Study, StudyOptions, Trial, check_study_folder
from lookalike.present.table import columns

Labelling = Callable[[ExportSource], list[str]]


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of ``lookalike map``."""
    usual = StudyOptions()
    parser = commands.add_parser(
        "study",
        help="every layout with every clustering as a picture with its scores, and a choice",
        description="Make every layout with every clustering, draw each with its scores beside it"
        " (trustworthiness, neighbours kept, silhouette; label purity and mutual information where"
        " records have labels), and say which one to take and why.",
    )
    add_library_option(parser)
    tried = parser.add_argument_group("what to try (lists are parted by commas)")
    lists = (("methods", METHODS), ("clusters", CLUSTERINGS), ("by", BY))
    for name, known in lists:
        tried.add_argument(
            f"--{name}",
            dest=f"tried_{name}",
            metavar="NAME,...",
            default=",".join(getattr(usual, name)),
            help=f"of {', '.join(known)} (default: %(default)s)",
        )
    which = parser.add_argument_group("of which maps")
    which.add_argument("--dims", type=int, choices=(2, 3), help="default: 2")
    which.add_argument("--where", metavar="CONDITION", help="only records like this")
    which.add_argument("--space", metavar="NAME", help="default: the library's default space")
    which.add_argument("--count", type=int, metavar="N", help="of kmeans and agglomerative")
    which.add_argument("--seed", type=int, metavar="N", help="the same one gives the same study")
    parser.add_argument(
        "--labels",
        metavar="folders|FILE.csv",
        help="score by these labels (default: the library's, of the source that labels the most)",
    )
    parser.add_argument("--json", action="store_true", help="print all figures as one JSON object")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where it goes")
    keep_earlier(parser, "library", "dims", "where", "space", "count", "seed")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make the study, and print its table and the choice."""
    asked = MapOptions(
        dims=options.dims, where=options.where, space=options.space, seed=options.seed
    )
    asked.check()
    study_options = StudyOptions(
        _list(options.tried_methods), _list(options.tried_clusters), _list(options.tried_by),
        replace(asked, count=options.count),
    )  # fmt: skip
    study_options.check()
    with Library.open(options.library) as library:
        check_folder(options.out, "the study")
        check_study_folder(options.out)
        check_contents(library, options.out, "the study")
        label = _labelling(library, options.labels)
        studio = Studio(library.map, library.map_source, label, talk)
        found: list[Study] = []
        write_file(
            options.out,
            "the study",
            lambda folder: found.append(studio.write(folder, study_options)),
            told="pictures, scores and the choice",
        )
    if options.json:
        print_json(found[0].to_dict())
    else:
        print(table(found[0]))
    return 0


def table(study: Study) -> str:
    """The study as text."""
    header = ["map", "trust", "kept", "purity", "clusters", "alone", "silh.", "in space", "NMI"]
    rows = [_row(one) for one in study.trials]
    return (
        f"{study.records:,} records, {study.labelled:,} with a label\n"
        f"{columns(header, rows, 'lrrrrrrrr')}\n"
        f"take {study.chosen.name}: {study.why}"
    )


def _row(trial: Trial) -> list[str]:
    layout, clusters = trial.layout, trial.clustering
    values = (
        layout.trustworthiness, layout.neighbours_kept, layout.purity, None, clusters.alone,
        clusters.silhouette, clusters.silhouette_of_space, clusters.nmi,
    )  # fmt: skip
    cells = ["-" if value is None else f"{value:.3f}" for value in values]
    cells[3] = f"{clusters.clusters:,}"
    return [trial.name, *cells]


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _labelling(library: Library, given: str | None) -> Labelling:
    """What tells one label of every row: of a source that is named, or the library's own."""
    if given is not None:
        of = labels_of(given, library.ledger()).of

        def named(source: ExportSource) -> list[str]:
            return [min(of.get(id_, ("",))) for id_ in source.ids(np.arange(len(source)))]

        return named
    counts: Counter[str] = Counter()
    for one in library.label_counts():
        counts[one.source] += one.records
    most = max(counts, key=lambda source: (counts[source], source), default="")
    names = {one.label for one in library.label_counts() if one.source == most}

    def own(source: ExportSource) -> list[str]:
        if not names:
            return [""] * len(source)
        rows = np.arange(len(source))
        return [
            next((label for label in fact.labels if label in names), "")
            for _, facts in source.described(rows)
            for fact in facts
        ]

    return own
