"""``lookalike map``: all pictures at once, alike ones beside each other."""

from __future__ import annotations

import argparse
import time

from lookalike.cli import map_export, map_study
from lookalike.cli.map_options import add_map_options, map_options
from lookalike.cli.output import add_library_option, print_json, talk
from lookalike.cli.steps import Steps
from lookalike.library import Library
from lookalike.maps import MapOptions, PictureMap
from lookalike.present.table import columns
from lookalike.types import printable
from lookalike.web.serve import check_parts, check_port, serve

TOLD_CLUSTERS = 20
"""Clusters that are listed."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "map",
        help="all pictures at once, alike ones beside each other",
        description="Lay all pictures out so that alike ones lie beside each other, find what"
        " belongs together, and name it. A map is kept: made once, it is opened at once, and"
        " pictures that were indexed since are placed by their neighbours.",
    )
    add_library_option(parser)
    add_map_options(parser)
    parser.add_argument("--refit", action="store_true", help="make it anew")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    page = parser.add_argument_group("the page", "served on this machine alone, until Ctrl-C")
    page.add_argument("--open", action="store_true", help="show the map in the browser")
    page.add_argument("--serve", action="store_true", help="the same, but open no browser")
    page.add_argument(
        "--port", type=int, default=0, metavar="N", help="where to serve it (default: any free one)"
    )
    parser.set_defaults(run=run)
    further = parser.add_subparsers(metavar="COMMAND", title="with the map")
    map_export.add_commands(further)
    map_study.add_commands(further)


def run(options: argparse.Namespace) -> int:
    """Make or open a map and say what is on it."""
    asked = map_options(options)
    check_port(options.port)  # before minutes of work
    if options.open or options.serve:
        check_parts()
    started = time.perf_counter()
    with Library.open(options.library) as library, Steps() as step:
        chart = library.map(asked, step, refit=options.refit)
    if options.json:
        print_json(_facts(chart))
    else:
        _print(chart, time.perf_counter() - started)
    if options.open or options.serve:
        _serve(options, asked, chart)
    return 0


def _serve(options: argparse.Namespace, asked: MapOptions, chart: PictureMap) -> None:
    def ready(address: str) -> None:
        talk(f"the map: {address} (Ctrl-C ends it)")

    serve(
        options.library,
        [asked],
        options.port,
        make=lambda library, asked: chart,
        open_browser=options.open,
        ready=ready,
    )


def _facts(chart: PictureMap) -> dict[str, object]:
    clustering = chart.clustering
    return {
        "records": len(chart),
        "placed": int(chart.placed.sum()),
        "layout": dict(chart.parameters),
        "clusters": {
            "method": clustering.method,
            "parameters": dict(clustering.parameters),
            "levels": [[one.to_dict() for one in level.clusters] for level in clustering.levels],
        },
    }


def _print(chart: PictureMap, seconds: float) -> None:
    finest = chart.clustering.finest
    largest = sorted(finest.clusters, key=lambda one: -one.size)[:TOLD_CLUSTERS]
    rows = [
        [f"{one.size:,}", printable(one.name), printable(", ".join(one.words))] for one in largest
    ]
    if rows:
        print(columns(["records", "cluster", "also"], rows, "rll") + "\n")
    alone = int((finest.of < 0).sum())
    levels = ", ".join(f"{len(level.clusters)}" for level in chart.clustering.levels)
    print(f"{len(chart):,} records, clusters by level: {levels}; in none: {alone:,}")
    for what, how in (("layout", chart.parameters), ("clusters", chart.clustering.parameters)):
        print(f"{what}: " + ", ".join(f"{name} {value}" for name, value in how.items()))
    placed = int(chart.placed.sum())
    if placed:
        print(f"placed by their neighbours: {placed:,}")
    talk(f"{seconds:.1f} s")
