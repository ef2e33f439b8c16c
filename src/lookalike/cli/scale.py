"""Options of ``index`` for work beyond this process: ``--ray`` and ``--parts``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lookalike.config import IndexOptions
from lookalike.errors import InputError
from lookalike.features.encoders import DEFAULT_ENCODER, load_encoder
from lookalike.pipeline import IndexReport, Progress, Work
from lookalike.sources import Source

if TYPE_CHECKING:
    from lookalike.cluster.workers import Cluster

LOCAL = "local"


def add_cluster_options(
    parser: argparse.ArgumentParser, positive: Callable[[str], int], share: Callable[[str], float]
) -> None:
    """``--ray`` and what goes with it."""
    group = parser.add_argument_group(
        "beyond one machine", "see docs/scale-out.md; needs the extra ray"
    )
    group.add_argument(
        "--ray",
        nargs="?",
        const=LOCAL,
        metavar="ADDRESS",
        help="have workers of a Ray cluster read, decode and encode: HOST:PORT, or auto for the one"
        " this machine belongs to; without an address, processes of this machine",
    )
    group.add_argument(
        "--parts",
        metavar="DIR",
        help="have the workers write Parquet parts here instead of a library; a folder that all of"
        " them see, or s3://BUCKET/FOLDER; lookalike import takes them in",
    )
    group.add_argument(
        "--ray-actors",
        type=positive,
        metavar="N",
        help="processes that hold the encoder (default: two for three processors)",
    )
    group.add_argument(
        "--ray-gpus",
        type=share,
        default=0.0,
        metavar="N",
        help="GPUs for each of these, like 1 or 0.5 (default: none)",
    )


def check_cluster_options(options: argparse.Namespace) -> None:
    """Raise InputError for options that do not go together."""
    for name in ("parts", "ray_actors", "ray_gpus"):
        if getattr(options, name) and options.ray is None:
            raise InputError(f"--{name.replace('_', '-')}: goes with --ray")
    if options.ray is None:
        return
    for name, instead in (
        ("workers", "threads of this process; with --ray say --ray-actors"),
        ("memory_limit", "is for this process; with --ray give the workers memory"),
        ("keep_originals", "workers have no library to keep them in; leave --ray out"),
        ("tiles", "parts are looked at by this process; index with --ray first, then without"),
    ):
        if getattr(options, name):
            raise InputError(f"--{name.replace('_', '-')}: {instead}")
    if options.parts and options.library:
        raise InputError("--parts: goes instead of --library; import the parts afterwards")
    if options.parts and options.prune:
        raise InputError("--prune: goes with a library, not with --parts")


@contextmanager
def working(options: argparse.Namespace) -> Iterator[Work | None]:
    """Who reads and encodes: a cluster where one is asked for, else nobody but this process."""
    if options.ray is None:
        yield None
        return
    with _cluster(options) as cluster:
        yield cluster.outcomes


def _cluster(options: argparse.Namespace) -> Cluster:
    from lookalike.cluster.workers import Cluster, ClusterOptions

    address = None if options.ray == LOCAL else options.ray
    return Cluster(ClusterOptions(address, options.ray_actors, options.ray_gpus))


def index_parts(
    options: argparse.Namespace, how: IndexOptions, source: Source, progress: Progress
) -> IndexReport:
    """Index into ``--parts``."""
    from lookalike.cluster.indexing import index_into_parts
    from lookalike.cluster.parts import PartsFolder

    with _cluster(options) as cluster:
        encoder = load_encoder(how.encoder or DEFAULT_ENCODER, 1)
        folder = PartsFolder(options.parts)
        return index_into_parts(folder, cluster, encoder, source, how, progress)
