"""``lookalike doctor``: is all well with a library, and are its searches exact and quick?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lookalike.cli.index import positive
from lookalike.cli.output import add_library_option, print_json, talk
from lookalike.cli.plan import size
from lookalike.evaluate.doctor import Checkup, Holdings
from lookalike.evaluate.recall import NEIGHBOURS, Trial
from lookalike.library import Library
from lookalike.maps.kept import MapState
from lookalike.present.table import columns
from lookalike.types import printable


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "doctor",
        help="is all well: what there is, what runs, how exact and quick searches are",
        description="Search with some of the library's own records, through its indexes and by"
        " comparing with all, and print recall and milliseconds; and what the library holds and"
        " what runs. What is off is said on stderr, with what mends it. Nothing is"
        " written but caches that searches keep, too.",
    )
    add_library_option(parser)
    parser.add_argument(
        "--queries",
        type=positive,
        default=100,
        metavar="N",
        help="records to search with (default: %(default)s)",
    )
    parser.add_argument(
        "--all", action="store_true", help="PCA too, if no search has fitted a model yet"
    )
    parser.add_argument(
        "--check", action="store_true", help="end with exit status 1 if anything is off"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Examine, and print what was found and what is off."""
    with Library.open(options.library) as library:
        checkup = library.checkup(options.queries, every=options.all)
    if options.json:
        print_json(checkup.to_dict())
    else:
        print(text(checkup))
    for line in checkup.advice:
        talk(line)
    return 1 if options.check and checkup.advice else 0


def text(checkup: Checkup) -> str:
    """The check-up as short lines, each a word and what it is about, and a table of searches."""
    library, machine = checkup.library, checkup.machine
    lines = [
        ("library", printable(library.folder)),
        ("holds", _held(library)),
        ("disk", _disk(library)),
        ("rows", _rows(library)),
        ("kernels", f"{machine.kernels}; {machine.cores} cores to use"),
        ("encoder", machine.encoder),
        *(("map", _map(one)) for one in checkup.maps),
    ]
    found = "\n".join(f"{word:<9}{line}" for word, line in lines)
    trials = (*checkup.searches, *checkup.filters)
    return f"{found}\n\n{_table(trials)}" if trials else found


def _map(one: MapState) -> str:
    waiting = f", {one.waiting:,} to be placed" if one.waiting else ""
    return f"{one.name}: {one.records:,} records, {one.placed:,} placed{waiting}"


def _held(library: Holdings) -> str:
    refused = f"; {library.unreadable:,} unreadable" if library.unreadable else ""
    return f"{library.records:,} records, {library.files:,} files{refused}"


def _disk(library: Holdings) -> str:
    own = library.bytes
    return (
        f"vectors {size(own.vectors)}, histograms {size(own.histograms)}, catalogue"
        f" {size(own.catalogue)} (thumbnails about {size(own.thumbnails)}), derived"
        f" {size(own.derived)}"
    )


def _rows(library: Holdings) -> str:
    share = library.dead_rows / library.rows if library.rows else 0.0
    index = {
        "none": "so few need no index",
        "missing": "no index",
        "ready": f"{library.uncoded_rows:,} not in the index",
    }
    return f"{library.rows:,}, {share:.1%} of them dead; {index[library.index]}"


def _table(trials: Sequence[Trial]) -> str:
    recall = [f"recall@{NEIGHBOURS}", "95 %", "compared"]
    header = ["search by", "queries", "p50 ms", "p99 ms", "full ms", *recall, "exact"]
    rows = [
        [
            trial.name,
            str(trial.queries),
            f"{trial.p50_ms:.2f}",
            f"{trial.p99_ms:.2f}",
            f"{trial.full_ms:.2f}",
            f"{trial.recall:.3f}",
            f"{trial.recall_low:.3f}-{trial.recall_high:.3f}",
            str(trial.compared),
            "yes" if trial.exact else "no",
        ]
        for trial in trials
    ]
    return columns(header, rows, "lrrrrrrrl")
