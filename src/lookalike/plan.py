"""What indexing would take, told before it begins: images, time, disk and memory, from a sample.

The folders are listed completely; a few pictures drawn evenly from what is new go through the very
code that indexes, and their means are multiplied. Nothing is written.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any, cast
from uuid import UUID

import numpy as np

from lookalike.config import IndexOptions, library_folder
from lookalike.decode import BYTES_A_PIXEL, WORKING_SIDE
from lookalike.errors import InputError, NothingDoneError
from lookalike.features.encoders import Encoder
from lookalike.pipeline import (
    batch_size,
    batched,
    batched_in_time,
    encoder_of,
    first_images,
    outcomes,
    resident_bytes,
)
from lookalike.places import is_archive
from lookalike.scan import Found, absolute_roots, scan
from lookalike.sources.folders import on_disk
from lookalike.stores import SqliteStore, Store
from lookalike.stores.run import FINAL_REASONS
from lookalike.stores.schema import is_library, readable_errors
from lookalike.types import FileEntry, ImageFacts, LedgerRow, Outcome, Reason, State

SAMPLE = 192
"""Pictures that are read for a plan."""

BATCH = 8
"""Pictures that a thread takes at a time for a plan: fewer than for indexing, to stop in time."""

WARM_UP = 8
"""Pictures that are read before the clock starts: the encoder's first batch is slow."""

INDEX_BYTES_PER_RECORD = 276
"""Files that searches derive from the vectors (140) and the histograms (136)."""

# Measured on a library of 1,200 photos (pages of SQLite, with its indexes).
_EMPTY_CATALOGUE_BYTES = 65_536
_RECORD_ROW_BYTES = 300
_FILE_ROW_BYTES = 80
_PATH_COPIES = 3.2
"""A path is in its row twice, as bytes and as text, and in one index; pages are not quite full."""
_THUMBNAIL_PAGES = 1.07
"""Bytes of pages per byte of thumbnail."""
_COMMIT_SECONDS = 0.0004
"""Entering one file in the catalogue, which the sample does not do."""

_RUN_BYTES = 40_000_000
"""Memory for a batch to be committed and the catalogue's cache, which the sample does without."""

_LEAST_MARGIN = 0.1
_BLIND_MARGIN = 0.5
"""Margins of the time, as shares of it: the least, and the one of a sample without any spread."""


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes that the library would grow by, and ``free`` bytes at its place now."""

    vectors: int
    histograms: int
    thumbnails: int
    catalogue: int
    index: int
    free: int

    @property
    def total(self) -> int:
        """Bytes needed altogether."""
        return self.vectors + self.histograms + self.thumbnails + self.catalogue + self.index

    @property
    def suffices(self) -> bool:
        """Whether that fits into what is free."""
        return self.total <= self.free


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``lookalike index`` would find and take.

    ``new`` images are new or changed and would be read, ``bytes`` and ``new_bytes`` are sizes of
    files; shares (0..1) are of the sample: files that cannot be read, and files whose content the
    library has already, as moved ones. Seconds are wall time, for ``workers`` decoding threads.
    """

    images: int
    bytes: int
    new: int
    new_bytes: int
    passed_over: Mapping[Reason, int]
    sampled: int
    sample_seconds: float
    unreadable_share: float
    known_share: float
    seconds: float
    seconds_low: float
    seconds_high: float
    workers: int
    disk: Disk
    memory_bytes: int
    """Expected peak of the process; a picture larger than all of the sample takes more."""

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values for JSON; ``disk`` has its sum and whether it fits."""
        passed = {str(reason): count for reason, count in self.passed_over.items()}
        disk = {**asdict(self.disk), "total": self.disk.total, "suffices": self.disk.suffices}
        return {**asdict(self), "passed_over": passed, "disk": disk}


def plan_paths(
    library: str | os.PathLike[str] | None,
    paths: Iterable[str | os.PathLike[str]],
    options: IndexOptions = IndexOptions(),
    sample: int = SAMPLE,
    encoder: Encoder | None = None,
) -> Plan:
    """``plan`` for the library in a folder (the user's default one if None), which need not exist.

    ``encoder`` replaces the library's. Raises what ``plan`` raises, and LibraryErrors.
    """
    place = library_folder(library)
    expanded = [os.path.expanduser(os.fspath(path)) for path in paths]
    for path in filter(is_archive, expanded):
        if not os.path.isdir(path):
            raise InputError(f"{path}: a plan is of folders and files; index shards without one")
    absolute_roots(expanded)  # before an encoder is loaded for paths that do not exist
    with readable_errors(place):
        store = SqliteStore(place) if is_library(place) else None
        try:
            encoder = encoder or encoder_of(store, options.threads, options.encoder)
            if store:
                _require_known(store, encoder)
            return plan(expanded, encoder, options, place, store, sample)
        finally:
            if store:
                store.close()


def _require_known(store: SqliteStore, encoder: Encoder) -> None:
    """Raise InputError for the encoder of a space that the library has no vectors in."""
    known = [space.name for space in store.spaces()]
    if known and encoder.spec.name not in known:
        raise InputError(
            f"--encoder {encoder.spec.name}: this library has {', '.join(known)}; what a further"
            " space takes is not told beforehand; index with it, or plan for a new --library"
        )
    store.require_space(encoder.spec.space)


def plan(
    paths: Iterable[str],
    encoder: Encoder,
    options: IndexOptions,
    library_folder: Path,
    store: Store | None,
    sample: int = SAMPLE,
    budget_seconds: float = 10.0,
) -> Plan:
    """What indexing ``paths`` into ``library_folder`` would take; nothing is written.

    ``store`` is the library if there is one. ``sample`` pictures (at least 1) are read, or as many
    as begin within ``budget_seconds``. Raises InputError for a path that does not exist (before
    anything is done), and NothingDoneError if there is no image.
    """
    roots = absolute_roots(paths)
    if not roots:
        raise InputError("nothing to plan; give at least one file or folder")
    if sample < 1:
        raise InputError(f"sample {sample}: at least 1 picture must be read")
    # 1. What lies there, and 2. what of it is new or changed?
    survey = Survey(KnownFiles(store, retry=options.retry), sample + WARM_UP)
    found = scan(roots, hidden=options.hidden, is_library=is_library)
    survey.note(first_images(found, options.limit))
    _require_images(survey, roots)
    # 3. How long do a few of them take, and what do they give?
    drawn = survey.drawn()
    warm_up = drawn[sample:] or drawn[:WARM_UP]
    measure(warm_up, store, encoder, options, budget_seconds)
    measured = measure(drawn[:sample], store, encoder, options, budget_seconds)
    # 4. And all of them?
    return estimate(survey, measured, encoder.spec.dim, options, library_folder)


# -- 1. and 2.: what lies there, what of it is new -------------------------------------------------


class KnownFiles:
    """The files that the indexer would not read or enter again, by path, size and time.

    Kept as 8 bytes a file: half a million take 4 MB.
    """

    def __init__(self, store: Store | None, *, retry: bool) -> None:
        rows = store.ledger() if store else iter(())
        keys = (_key(row) for row in rows if _is_settled(row, retry))
        self._keys = np.sort(np.fromiter(keys, dtype=np.int64))

    def holds(self, page: Sequence[Found]) -> list[bool]:
        """Per file of the scan: whether it is known as it lies there now."""
        keys = np.array([_key(item) for item in page], dtype=np.int64)
        left, right = (np.searchsorted(self._keys, keys, side) for side in ("left", "right"))
        known: list[bool] = (left < right).tolist()
        return known


def _key(item: Found | LedgerRow) -> int:
    size, time = getattr(item, "bytes", None), getattr(item, "mtime_ns", None)
    return hash((item.path, size, time))


def _is_settled(row: LedgerRow, retry: bool) -> bool:
    if row.state == State.UNREADABLE and row.bytes is not None:  # it was opened, not passed over
        return row.reason in FINAL_REASONS and not retry
    return row.state != State.GONE


_PAGE = 2_000


@dataclass
class Survey:
    """Counts over everything that a scan found, and ``keep`` new images drawn evenly from it."""

    known: KnownFiles
    keep: int
    images: int = 0
    bytes: int = 0
    new: int = 0
    new_bytes: int = 0
    rows: int = 0
    """Files that the catalogue has yet to enter, images and others."""
    path_bytes: int = 0
    """The lengths of their paths together."""
    passed_over: Counter[Reason] = field(default_factory=Counter)
    _drawn: list[FileEntry] = field(default_factory=list)
    _random: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311

    def note(self, found: Iterable[Found]) -> None:
        """Count what a scan yields, a page at a time; memory does not grow with it."""
        for page in batched(found, _PAGE):
            for item, known in zip(page, self.known.holds(page), strict=True):
                self._note(item, known)

    def _note(self, item: Found, known: bool) -> None:
        if not known:
            self.rows += 1
            self.path_bytes += len(os.fsencode(item.path))
        if not isinstance(item, FileEntry):
            self.passed_over[item.reason] += 1
            return
        self.images += 1
        self.bytes += item.bytes
        if not known:
            self.new += 1
            self.new_bytes += item.bytes
            self._draw(item)

    def _draw(self, entry: FileEntry) -> None:
        """Reservoir sampling (Vitter's algorithm R): every new image is kept equally likely."""
        if len(self._drawn) < self.keep:
            self._drawn.append(entry)
        elif (place := self._random.randrange(self.new)) < self.keep:
            self._drawn[place] = entry

    def drawn(self) -> list[FileEntry]:
        """The drawn images in random order, so that the first of them are a sample too."""
        return random.Random(0).sample(self._drawn, len(self._drawn))  # noqa: S311


def _require_images(survey: Survey, roots: Sequence[str]) -> None:
    if survey.images:
        return
    others = ", ".join(f"{count} {reason}" for reason, count in survey.passed_over.most_common())
    raise NothingDoneError(
        f"{', '.join(roots)}: no images found (passed over: {others or 'nothing'}); name a folder"
        " with JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC files"
    )


# -- 3.: the sample --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    """What a few files gave: how many, how long, and the sums over those that became records."""

    files: int = 0
    records: int = 0
    unreadable: int = 0
    seconds: float = 0.0
    laps: tuple[float, ...] = ()
    """Seconds a file in each batch."""
    cells: int = 0
    """Occupied bins of the histograms."""
    thumbnail_bytes: int = 0
    decoding_bytes: int = 0
    """What the largest picture takes while it is decoded."""


class _NoStore:
    """Stands for the store of a library that does not exist yet: it knows no content."""

    def find_content(self, _content_hash: bytes) -> UUID | None:
        return None


def measure(
    entries: Sequence[FileEntry],
    store: Store | None,
    encoder: Encoder,
    options: IndexOptions,
    budget_seconds: float,
) -> Sample:
    """Read, decode and encode files as the indexer does, in smaller batches.

    None is handed to a thread after the budget; each thread then has two of BATCH at most. The
    first batch is always read.
    """
    options = replace(options, encode_batch=min(BATCH, options.encode_batch))
    size = batch_size(len(entries), options)
    start = last = perf_counter()
    in_time = itertools.takewhile(
        lambda _entry: perf_counter() - start < budget_seconds, entries[size:]
    )
    done: list[Outcome] = []
    laps: list[float] = []
    begun = (on_disk(one, options.limits) for one in itertools.chain(entries[:size], in_time))
    given = outcomes(
        begun, len(entries), store or cast("Store", _NoStore()), encoder, options, ahead=0
    )
    for batch in batched_in_time(given, size):
        now = perf_counter()
        laps.append((now - last) / len(batch))
        last = now
        done.extend(batch)
    return _summed(done, last - start, laps)


def _summed(done: Sequence[Outcome], seconds: float, laps: Sequence[float]) -> Sample:
    read = [(outcome.entry, outcome.features) for outcome in done if outcome.features]
    return Sample(
        files=len(done),
        records=len(read),
        unreadable=sum(outcome.content_hash is None for outcome in done),
        seconds=seconds,
        laps=tuple(laps),
        cells=sum(len(own.histogram.bins) for _, own in read if own.histogram is not None),
        thumbnail_bytes=sum(len(own.thumbnail or b"") for _, own in read),
        decoding_bytes=max((_decoding_bytes(e.bytes, f.facts) for e, f in read), default=0),
    )


def _decoding_bytes(file_bytes: int, facts: ImageFacts) -> int:
    """What one thread holds while it decodes a picture; JPEGs are decoded at a reduced scale."""
    side = min(facts.width, facts.height)
    scales = (8, 4, 2) if facts.format == "JPEG" else ()
    scale = next((scale for scale in scales if side // scale >= WORKING_SIDE), 1)
    return file_bytes + BYTES_A_PIXEL * facts.width * facts.height // scale**2


# -- 4.: from the sample to all --------------------------------------------------------------------


def estimate(
    survey: Survey, sample: Sample, dim: int, options: IndexOptions, library_folder: Path
) -> Plan:
    """The sample's means times what is new; equal files among it are counted as records each."""
    share = 1 / sample.files if sample.files else 0.0
    seconds = survey.new * (sample.seconds * share + _COMMIT_SECONDS)
    margin = seconds * _margin(sample.laps)
    return Plan(
        images=survey.images,
        bytes=survey.bytes,
        new=survey.new,
        new_bytes=survey.new_bytes,
        passed_over=dict(survey.passed_over.most_common()),
        sampled=sample.files,
        sample_seconds=sample.seconds,
        unreadable_share=sample.unreadable * share,
        known_share=(sample.files - sample.records - sample.unreadable) * share,
        seconds=seconds,
        seconds_low=seconds - margin,
        seconds_high=seconds + margin,
        workers=options.threads,
        disk=_disk(survey, sample, dim, library_folder),
        memory_bytes=_memory(sample, options),
    )


def _margin(laps: Sequence[float]) -> float:
    """Two standard errors of the time a file takes, as a share of it, from batch to batch."""
    if len(laps) < 2:
        return _BLIND_MARGIN
    mean = statistics.fmean(laps)
    error = statistics.stdev(laps) / len(laps) ** 0.5
    return min(1.0, max(_LEAST_MARGIN, 2 * error / mean if mean else 0.0))


def _disk(survey: Survey, sample: Sample, dim: int, library_folder: Path) -> Disk:
    per_sampled = survey.new / sample.files if sample.files else 0.0
    records = sample.records * per_sampled
    rows = survey.rows * _FILE_ROW_BYTES + survey.path_bytes * _PATH_COPIES
    empty = 0 if is_library(library_folder) else _EMPTY_CATALOGUE_BYTES
    return Disk(
        vectors=round(records * (2 * dim + 16)),
        histograms=round(sample.cells * per_sampled * 4 + records * 24),
        thumbnails=round(sample.thumbnail_bytes * per_sampled * _THUMBNAIL_PAGES),
        catalogue=round(records * _RECORD_ROW_BYTES + rows + empty),
        index=round(records * INDEX_BYTES_PER_RECORD),
        free=shutil.disk_usage(_existing(library_folder)).free,
    )


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def _memory(sample: Sample, options: IndexOptions) -> int:
    resident = resident_bytes()
    peak = resident + _RUN_BYTES + options.threads * sample.decoding_bytes
    limit = options.memory_limit
    return peak if limit is None else max(resident, min(peak, limit))
