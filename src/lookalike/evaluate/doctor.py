"""Is all well with a library? What it holds, what searches run on, how exact and quick they are.

Nothing of the library is changed; caches that searches keep anyway may be made.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike import kernels
from lookalike.errors import InputError, LookalikeError
from lookalike.evaluate.recall import NEIGHBOURS, Query, Trial, every_row, nearest, try_out
from lookalike.features.encoders import Encoder
from lookalike.indexes import CompactIndex, compact
from lookalike.indexes.base import Mask
from lookalike.indexes.pca import PcaCache
from lookalike.maps import MapOptions
from lookalike.maps.kept import MapState, states
from lookalike.query.search import Method, Point, compare_by
from lookalike.query.tables import Tables
from lookalike.stores import Store
from lookalike.stores.base import IdentifiedRows
from lookalike.stores.schema import CATALOG
from lookalike.stores.segments import HISTOGRAMS
from lookalike.types import COLOUR_MEASURES, LIVE_STATES, IdArray, Space, State

SHARES = (0.5, 0.05, 0.005, 0.0001)
"""Shares of the records for which the conditions hold that are tried."""

PCA_DIMS = Method.dims

LEAST_RECALL = 0.99
MOST_DEAD = 0.3

_COMPARED_BY_COLOUR = 5
"""Queries for which all histograms are scored: that takes a third of a second at 444,668."""

_SEED = 0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes on disk. ``thumbnails`` are a part of the ``catalogue``, told from a sample."""

    vectors: int
    histograms: int
    catalogue: int
    thumbnails: int
    derived: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a library has: records with a file, live files, unreadable files.

    Of ``rows`` of vectors, ``dead_rows`` belong to no record that has a file. ``index`` is "none"
    where full comparisons are quick enough, "missing", or "ready"; then ``uncoded_rows`` were
    added since and are compared one by one.
    """

    folder: str
    records: int
    files: int
    unreadable: int
    bytes: Sizes
    rows: int
    dead_rows: int
    index: str
    uncoded_rows: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What runs: the kernels' instructions, the encoder's runtime, processors to use."""

    kernels: str
    encoder: str
    cores: int


@dataclass(frozen=True, slots=True)
class Checkup:
    """All that was found; ``advice`` has a line for each thing that is off, none if all is well."""

    library: Holdings
    machine: Machine
    searches: tuple[Trial, ...]
    filters: tuple[Trial, ...]
    maps: tuple[MapState, ...]
    advice: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The check-up as plain values for JSON; the folder's undecodable bytes as surrogates."""
        return asdict(self)


def examine(
    folder: Path,
    store: Store,
    tables: Tables,
    encoder: Callable[[], Encoder],
    queries: int = 100,
    *,
    every: bool = False,
) -> Checkup:
    """Examine the library in ``folder``, searching with ``queries`` of its records.

    They are drawn evenly, always the same ones. PCA is tried if a model is there already, or with
    ``every`` if one can be had. A library of fewer than two records is not searched. Raises
    InputError for less than one query.
    """
    if queries < 1:
        raise InputError(f"queries {queries}: at least 1 is needed")
    drawn = _drawn(tables, queries)
    library = _holdings(folder, store, tables, drawn)
    machine, complaints = _machine(encoder, tables.space)
    searches, filters = _searches(tables, drawn, every=every), _filters(tables, drawn)
    maps = _maps(tables)
    advice = [
        *complaints, *_about_kernels(machine), *_about_rows(library), *_about_maps(maps),
        *(line for trial in (*searches, *filters) for line in _about_recall(trial, library)),
    ]  # fmt: skip
    return Checkup(library, machine, tuple(searches), tuple(filters), tuple(maps), tuple(advice))


# -- maps ------------------------------------------------------------------------------------------


def _maps(tables: Tables) -> list[MapState]:
    """The kept maps of the space that is examined, and those by colour."""

    def source(options: MapOptions) -> IdentifiedRows | None:
        if options.by == "colour":
            return tables.histograms
        return tables.vectors if options.space == tables.space.name else None

    return states(tables.derived.maps, source)


def _about_maps(maps: Sequence[MapState]) -> Iterator[str]:
    for one in maps:
        if one.refit:
            later = one.placed + one.waiting
            yield (
                f"map {one.name}: {later:,} of {one.records + one.waiting:,} records came after it"
                f" was made, {one.far:,} of them far from all others; a refit pays: lookalike map"
                f" {_asked(one.options)} --refit"
            )


def _asked(options: MapOptions) -> str:
    """The options of the command line that mean this layout."""
    words = ["--method", options.method, "--dims", str(options.dims), "--by", options.by]
    for name in ("where", "space", "seed"):
        if value := getattr(options, name):
            words += [f"--{name}", str(value)]
    return shlex.join(words)


# -- what there is ---------------------------------------------------------------------------------


def _drawn(tables: Tables, queries: int) -> NDArray[np.int64]:
    """Rows of live vectors, evenly drawn, ascending; none if there is nothing else to find."""
    live = np.flatnonzero(tables.vectors.live)
    count = min(len(live), queries) if len(live) > 1 else 0
    return np.sort(np.random.default_rng(_SEED).choice(live, count, replace=False))


def _holdings(folder: Path, store: Store, tables: Tables, drawn: NDArray[np.int64]) -> Holdings:
    states = Counter(row.state for row in store.ledger())
    table, index = tables.vectors, tables.meaning(exact=False)
    records = int(table.live.sum())
    coded = index.coded_rows if isinstance(index, CompactIndex) else None
    without = "missing" if tables.wants_index("meaning") else "none"
    return Holdings(
        folder=str(folder),
        records=records,
        files=sum(states[state] for state in LIVE_STATES),
        unreadable=states[State.UNREADABLE],
        bytes=Sizes(
            vectors=_bytes_below(folder / "vectors"),
            histograms=_bytes_below(folder / HISTOGRAMS),
            catalogue=sum(_size(path) for path in folder.glob(f"{CATALOG}*")),
            thumbnails=_thumbnail_bytes(store, table.ids[drawn], records),
            derived=_bytes_below(folder / "derived"),
        ),
        rows=len(table.ids),
        dead_rows=len(table.ids) - records,
        index=without if coded is None else "ready",
        uncoded_rows=0 if coded is None else len(table.ids) - coded,
    )


def _bytes_below(folder: Path) -> int:
    return sum(_size(path) for path in folder.rglob("*"))


def _size(path: Path) -> int:
    """Bytes of a file; 0 for a folder, and for a file that another process has just replaced."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _thumbnail_bytes(store: Store, sample: IdArray, records: int) -> int:
    sizes = [len(jpeg or b"") for jpeg in store.thumbnails([_record(id_) for id_ in sample])]
    return round(records * float(np.mean(sizes))) if sizes else 0


def _record(id_: np.void) -> UUID:
    return UUID(bytes=id_.tobytes())


def _machine(encoder: Callable[[], Encoder], space: Space) -> tuple[Machine, list[str]]:
    """What runs, and what is wrong with the encoder."""
    complaints: list[str] = []
    try:
        loaded = encoder()
        runtime = str(getattr(loaded, "runtime", f"{loaded.spec.name}, a plug-in"))
        if loaded.spec.space != space:
            complaints.append(
                f"the encoder {loaded.spec.name} is not the one that made the vectors"
                f" ({space.name} {space.weights_digest[:12]}); new pictures cannot be compared with"
                " them, index into a new library"
            )
    except LookalikeError as error:
        runtime = "none"
        complaints.append(str(error))
    return Machine(kernels.instructions(), runtime, kernels.cores()), complaints


# -- searches --------------------------------------------------------------------------------------


def _searches(tables: Tables, drawn: NDArray[np.int64], *, every: bool) -> list[Trial]:
    if not len(drawn):
        return []
    trials = [_by_vector("meaning", Method(), tables, drawn)]
    dims = PCA_DIMS
    pca = Method("pca", dims)
    fits = dims <= tables.vectors.dim and dims < int(tables.vectors.live.sum())
    kept = PcaCache(tables.derived.pca, tables.vectors).keeps(pca.pca_method, dims)
    if kept or (every and fits):
        trials.append(_by_vector(f"PCA-{dims}", pca, tables, drawn))
    seen = drawn[tables.coloured[drawn]]  # not what was imported as vectors alone
    by_colour = COLOUR_MEASURES if len(seen) else ()
    return [*trials, *(_by_colour(metric, tables, seen) for metric in by_colour)]


def _by_vector(name: str, method: Method, tables: Tables, drawn: NDArray[np.int64]) -> Trial:
    index, live = compare_by(method, tables)
    exact, _ = compare_by(method, tables, exact=True)
    return try_out(name, index, nearest, _queries(tables, drawn), live, oracle=exact)


def _by_colour(metric: str, tables: Tables, drawn: NDArray[np.int64]) -> Trial:
    """Bounds rule nothing out wrongly; that is proved, and here tried with a few queries."""
    index, live = compare_by(Method("colour", metric=metric), tables)
    table = tables.histograms
    rows = table.rows_of(tables.vectors.ids[drawn])
    queries = [Query(Point(None, table.histogram(int(row)).dense()), int(row)) for row in rows]
    return try_out(
        f"colour, {metric}", index, every_row, queries, live, compared=_COMPARED_BY_COLOUR
    )


def _filters(tables: Tables, drawn: NDArray[np.int64]) -> list[Trial]:
    """Searches by meaning among some of the records, drawn as well."""
    index, live = compare_by(Method(), tables)
    exact, _ = compare_by(Method(), tables, exact=True)
    dice, rows, trials = np.random.default_rng(_SEED), np.flatnonzero(live), []
    for share in SHARES if len(drawn) else ():
        count = round(share * len(rows))
        if not count:
            continue
        allowed: Mask = np.zeros(len(live), bool)
        allowed[dice.choice(rows, count, replace=False)] = True
        name, queries = f"meaning, {share:.2%} of the records", _queries(tables, drawn)
        trials.append(try_out(name, index, nearest, queries, allowed, share, oracle=exact))
    return trials


def _queries(tables: Tables, drawn: NDArray[np.int64]) -> list[Query]:
    vectors = tables.vectors.vectors(drawn).astype(np.float64)
    return [Query(Point(own, None), int(row)) for own, row in zip(vectors, drawn, strict=True)]


# -- advice ----------------------------------------------------------------------------------------


def _about_kernels(machine: Machine) -> Iterator[str]:
    if machine.kernels != "numpy":
        return
    slow = "the inner loops run in NumPy, 20 to 100 times as slow as compiled"
    if os.environ.get(kernels.VARIABLE) == "numpy":
        yield f"{slow}, as {kernels.VARIABLE}=numpy asks for; unset it"
    else:
        yield f"{slow}; install a C compiler (gcc or clang), then lookalike again"


def _about_rows(library: Holdings) -> Iterator[str]:
    if library.dead_rows > MOST_DEAD * library.rows:
        yield (
            f"{library.dead_rows / library.rows:.0%} of the rows belong to pictures that are gone"
            " and still take disk and time; index into a new library to be rid of them"
        )
    if library.index == "missing":
        yield (
            f"no index: a search by meaning compares all {library.rows:,} rows; lookalike index"
            " PATH makes it, with any PATH that is indexed already"
        )
    if library.uncoded_rows > compact.LONGEST_TAIL:
        yield (
            f"the index is stale: {library.uncoded_rows:,} rows are not in it and are compared one"
            " by one; lookalike index PATH takes them in, with any PATH that is indexed already"
        )


def _about_recall(trial: Trial, library: Holdings) -> Iterator[str]:
    if trial.recall >= LEAST_RECALL:
        return
    found = f"{trial.name}: recall@{NEIGHBOURS} is {trial.recall:.3f}, below {LEAST_RECALL}"
    remove = f"remove {Path(library.folder) / 'derived'}, which is made anew"
    if trial.exact:
        yield f"{found}, though all answers claim to be exact; {remove}; report it if that stays so"
    else:
        yield f"{found}; {remove}, or search with --exact"
