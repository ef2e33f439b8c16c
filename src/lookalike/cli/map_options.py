"""Which map is meant: options that all commands about maps share."""

from __future__ import annotations

import argparse

from lookalike.maps import BY, CLUSTERINGS, METHODS, MapOptions


def add_map_options(parser: argparse.ArgumentParser) -> None:
    """What says which map is meant."""
    which = parser.add_argument_group("which map")
    which.add_argument(
        "--method", choices=METHODS, default=MapOptions.method, help="default: %(default)s"
    )
    which.add_argument(
        "--dims", type=int, choices=(2, 3), default=MapOptions.dims, help="default: %(default)s"
    )
    which.add_argument(
        "--by", choices=BY, default=MapOptions.by, help="what is alike (default: %(default)s)"
    )
    which.add_argument(
        "--where", metavar="CONDITION", help="only records like this, as in search --where"
    )
    which.add_argument("--space", metavar="NAME", help="default: the library's default space")
    which.add_argument(
        "--clusters",
        choices=CLUSTERINGS,
        default=MapOptions.clusters,
        help="how what belongs together is found (default: %(default)s)",
    )
    which.add_argument(
        "--count", type=int, metavar="N", help="clusters of kmeans and agglomerative"
    )
    which.add_argument(
        "--seed", type=int, default=0, metavar="N", help="the same one gives the same map"
    )


def map_options(options: argparse.Namespace) -> MapOptions:
    """Which map is meant; raises InputError for what cannot be used."""
    asked = MapOptions(
        options.method, options.dims, options.by, options.clusters, options.count, options.where,
        options.space, options.seed,
    )  # fmt: skip
    asked.check()
    return asked


def keep_earlier(parser: argparse.ArgumentParser, *names: str) -> None:
    """Let a command within another one leave what was said before it, unless it is said again."""
    for action in parser._actions:
        if action.dest in names:
            action.help = (action.help or "").replace("%(default)s", str(action.default))
            action.default = argparse.SUPPRESS


WHICH = ("library", "method", "dims", "by", "where", "space", "clusters", "count", "seed")
"""What ``add_library_option`` and ``add_map_options`` ask."""
