"""The main path of indexing: scan -> decode -> features -> store. Each image is read once."""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
from PIL import Image

from lookalike.config import IndexOptions, Limits
from lookalike.decode import UNBOUNDED, Decoded, MemoryBudget, decode
from lookalike.errors import ImageError, InputError, NothingDoneError
from lookalike.features.encoders import DEFAULT_ENCODER, Encoder, load_encoder
from lookalike.features.histogram import histogram
from lookalike.features.metadata import facts
from lookalike.features.phash import phash
from lookalike.features.thumbnail import thumbnail
from lookalike.sources import Source, Supplied
from lookalike.sources.base import Kept
from lookalike.stores import Store
from lookalike.types import (
    LOGITS_KEPT,
    ClassLogits,
    Features,
    FileEntry,
    FloatArray,
    ImageFacts,
    Outcome,
    PixelArray,
    Reason,
    Space,
    SparseHistogram,
    State,
)

T = TypeVar("T")
R = TypeVar("R")


class Progress(Protocol):
    """Told how far a run is; ``cli`` shows it, tests and silent callers ignore it."""

    def stage(self, name: str) -> None:
        """Something begins that takes its time: ``scan``, ``read``, ``index``."""

    def start(self, total: int) -> None:
        """``total`` images will be read."""

    def advance(self, count: int) -> None:
        """So many more are committed."""

    def close(self) -> None:
        """The run ended, well or not."""


class Silence:
    """A Progress that says nothing."""

    def stage(self, name: str) -> None: ...

    def start(self, total: int) -> None: ...

    def advance(self, count: int) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FillReport:
    """How many records got what they lacked in a space, and how many files could not give it."""

    space: Space
    added: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a run found and did: files by state and reason, and how many gone ones it forgot.

    ``filled``: what further spaces of the library got; ``tiled``: of how many records parts were
    looked at, None where that was not wanted. ``seconds``: how long it looked for files
    (scan), read, decoded and encoded them (read), of this waited for the store (commit), and made
    indexes (index).
    """

    counts: dict[tuple[State, Reason], int] = field(default_factory=dict)
    images_read: int = 0
    forgotten: int = 0
    filled: tuple[FillReport, ...] = ()
    tiled: FillReport | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def total(self, *states: State) -> int:
        """Files in any of these states."""
        return sum(count for (state, _), count in self.counts.items() if state in states)


def index(
    store: Store,
    encoder: Encoder,
    source: Source,
    options: IndexOptions = IndexOptions(),
    progress: Progress | None = None,
    work: Work | None = None,
) -> IndexReport:
    """Bring ``store`` up to date with the images of ``source``.

    ``work`` reads, decodes and encodes them; by default threads of this process do. Raises
    NothingDoneError if there is no image to be found or none could be read.
    """
    work = work or partial(in_threads, store=store)
    progress = progress or Silence()
    run = store.run(encoder.spec.space, source.roots)
    watch = Stopwatch(progress)
    # 1. What lies there?
    watch.stage("scan")
    images = run.note(first_images(source.found(), options.limit))
    for root in source.roots if options.limit is None and not options.allow_empty else ():
        known = run.known_under(root)
        if known and not run.seen_under(root):
            raise NothingDoneError(
                f"{root}: no images, but the library knows {known} there; is a drive not mounted?"
                " If they are really gone, add --allow-empty"
            )
    # 2. What of it is new or changed?
    to_read = run.settle(retry=options.retry)
    watch.stage("read")
    progress.start(to_read)
    # 3. Read, decode, encode and commit that.
    try:
        with closing(work(source, run.to_read(), to_read, encoder, options)) as done:
            for batch in batched_in_time(done, options.commit_batch):
                with watch.within("commit"):
                    run.put(batch)
                progress.advance(len(batch))
    finally:
        progress.close()
    # 4. What is gone?
    run.finish(source.roots, complete=options.limit is None)
    forgotten = store.delete() if options.prune else 0
    report = IndexReport(run.counts(), to_read, forgotten, seconds=watch.seconds())
    _require_something(report, source.name, images)
    return report


class Work(Protocol):
    """Reads, decodes and encodes pictures, wherever that is done."""

    def __call__(
        self,
        source: Source,
        entries: Iterable[FileEntry],
        count: int,
        encoder: Encoder,
        options: IndexOptions,
    ) -> Generator[Outcome | None, None, None]:
        """What each of ``count`` entries gave; None where what there is is to be committed.

        Once it is closed, nothing of it uses a store any more.
        """


def in_threads(
    source: Source,
    entries: Iterable[FileEntry],
    count: int,
    encoder: Encoder,
    options: IndexOptions,
    *,
    store: Store,
) -> Generator[Outcome | None, None, None]:
    """Work that threads of this process do; of what ``store`` has only the content is read."""
    return outcomes(source.supply(entries), count, store, encoder, options)


class Stopwatch:
    """How long the stages of a run take; tells a Progress of each."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._seconds: dict[str, float] = {}
        self._stage = ""
        self._since = time.perf_counter()

    def stage(self, name: str) -> None:
        """The last stage has ended and this one begins."""
        self._end()
        self._stage = name
        self._progress.stage(name)

    @contextmanager
    def within(self, name: str) -> Iterator[None]:
        """A part of the current stage, counted by itself too."""
        since = time.perf_counter()
        yield
        self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - since

    def seconds(self) -> dict[str, float]:
        """Seconds by name, the current stage's till now."""
        self._end()
        return dict(self._seconds)

    def _end(self) -> None:
        now = time.perf_counter()
        if self._stage:
            self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + now - self._since
        self._since = now


def encoder_of(store: Store | None, parallel: int = 0, name: str | None = None) -> Encoder:
    """The encoder called ``name``, as ``load_encoder`` has it.

    By default that of the library's space; for a new library the default one.
    """
    spaces = store.spaces() if store else []
    return load_encoder(name or (spaces[0].encoder if spaces else DEFAULT_ENCODER), parallel)


def first_images(found: Iterable[T], limit: int | None) -> Iterator[T]:
    """What a scan found, up to so many images; all of it if None."""
    images = 0
    for item in found:
        if limit is not None and images >= limit and isinstance(item, FileEntry):
            return
        images += isinstance(item, FileEntry)
        yield item


def _require_something(report: IndexReport, where: str, images: int) -> None:
    if report.total(State.INDEXED, State.UNCHANGED, State.MOVED, State.GONE):
        return
    refused = {
        reason: n for (state, reason), n in report.counts.items() if state == State.UNREADABLE
    }
    if images or refused:
        why = ", ".join(f"{n} {reason}" for reason, n in sorted(refused.items()))
        raise NothingDoneError(
            f"{where}: none of the images could be read ({why});"
            " see: lookalike ledger --state unreadable"
        )
    skipped = report.total(State.SKIPPED)
    raise NothingDoneError(
        f"{where}: no images found ({skipped} other files passed over); name a folder with JPEG,"
        " PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC files"
    )


# -- step 3 in detail ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Analysed:
    """A decoded image with all features but those that the encoder makes in batches."""

    entry: FileEntry
    content_hash: bytes
    facts: ImageFacts
    histogram: SparseHistogram
    phash: int
    thumbnail: bytes
    pixels: PixelArray


AHEAD = 1_024
"""Pictures that may wait while the store commits: two commits' worth, so that no thread waits for
the disk. What is kept of them is small."""

TURNS = 4
"""Batches that each thread gets at the least: none is idle while another has a large one."""

RESERVE_BYTES = 220 * 10**6
"""What a run takes beside decoding: batches that wait, the catalogue's cache, threads."""


def outcomes(
    pictures: Iterable[Supplied | None],
    count: int,
    store: Store,
    encoder: Encoder,
    options: IndexOptions,
    ahead: int = AHEAD,
) -> Generator[Outcome | None, None, None]:
    """What each of about ``count`` pictures gave, in their order; ``ahead`` may be begun early.

    None after what there was when a source said so (see ``Source.supply``).

    Each thread takes a few files through reading, decoding and encoding before it takes others, so
    that no thread waits for another and no picture is handed on.
    """
    work = partial(
        read_and_encode,
        known=lambda digest: store.find_content(digest) is not None,
        encoder=encoder,
        limits=options.limits,
        budget=memory_budget(options.memory_limit),
    )
    with ThreadPoolExecutor(options.threads, "index") as pool:
        size = batch_size(count, options)
        batches = batched_in_time(pictures, size, least=0)
        for batch in ordered_map(pool, work, batches, max(2 * options.threads, ahead // size)):
            yield from batch
            if len(batch) < size:
                yield None


def batch_size(count: int, options: IndexOptions) -> int:
    """Pictures that a thread takes at a time if there are ``count``; at least 1."""
    return max(1, min(options.encode_batch, -(-count // (TURNS * options.threads))))


def memory_budget(limit: int | None) -> MemoryBudget:
    """What decoding may take so that the process stays below ``limit`` bytes."""
    if limit is None:
        return UNBOUNDED
    left = limit - resident_bytes() - RESERVE_BYTES
    if left < MEGABYTE:
        least = (limit - left) / MEGABYTE + 100
        raise InputError(
            f"memory limit {limit / MEGABYTE:.0f} MB: indexing takes about {least:.0f} MB with"
            " small pictures; raise it"
        )
    return MemoryBudget(left)


MEGABYTE = 10**6


def resident_bytes() -> int:
    """Memory that this process takes now; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def read_and_encode(
    pictures: Sequence[Supplied],
    known: Callable[[bytes], bool],
    encoder: Encoder,
    limits: Limits,
    budget: MemoryBudget,
) -> list[Outcome]:
    """What a few pictures gave; they are encoded together."""
    return encode_analysed(
        [analyse(picture, known, encoder.prepare, limits, budget) for picture in pictures], encoder
    )


def analyse(
    picture: Supplied,
    known: Callable[[bytes], bool],
    prepare: Callable[[Image.Image], PixelArray],
    limits: Limits,
    budget: MemoryBudget = UNBOUNDED,
) -> Analysed | Outcome:
    """Read and decode a picture; an Outcome at once if its content is known or it is unreadable."""
    entry = picture.entry
    try:
        file = picture.read()
        if known(file.content_hash):
            return Outcome(file.entry, file.content_hash)
        decoded = decode(file.data, limits, budget)
        return describe(file.entry, file.content_hash, decoded, prepare)
    except Kept as kept:
        return Outcome(entry, reason=kept.reason, detail=kept.detail, kept=True)
    except ImageError as error:
        return Outcome(entry, reason=error.reason, detail=error.detail)
    except MemoryError:
        return Outcome(entry, reason=Reason.READ_ERROR, detail="not enough memory; try again")


def describe(
    entry: FileEntry,
    content_hash: bytes,
    decoded: Decoded,
    prepare: Callable[[Image.Image], PixelArray],
) -> Analysed:
    """The features of a decoded image that need no encoder, and the encoder's input."""
    image = decoded.image
    return Analysed(
        entry,
        content_hash,
        facts(decoded),
        histogram(image),
        phash(image),
        thumbnail(image),
        prepare(image),
    )


def encode_analysed(batch: Sequence[Analysed | Outcome], encoder: Encoder) -> list[Outcome]:
    """What decoded images give, all encoded together, in their order."""
    squares = [item.pixels if isinstance(item, Analysed) else None for item in batch]
    done: list[Outcome] = []
    for item, own in zip(batch, encode_ready(squares, encoder), strict=True):
        if isinstance(item, Outcome):
            done.append(item)
            continue
        assert own is not None
        features = Features(item.facts, item.histogram, item.phash, item.thumbnail, *own)
        done.append(Outcome(item.entry, item.content_hash, features))
    return done


def encode_ready(
    squares: Sequence[PixelArray | None], encoder: Encoder
) -> list[tuple[FloatArray, ClassLogits | None] | None]:
    """Vector and highest logits of each square, all encoded together; None where there is none."""
    ready = [square for square in squares if square is not None]
    if not ready:
        return [None] * len(squares)
    encoded = encoder.encode(np.stack(ready))
    logits: Iterable[FloatArray | None] = (
        itertools.repeat(None) if encoded.logits is None else encoded.logits
    )
    made = (
        (vector, None if own is None else highest_logits(own))
        for vector, own in zip(encoded.vectors, logits)  # noqa: B905 (one may be endless)
    )
    return [None if square is None else next(made) for square in squares]


def highest_logits(logits: FloatArray, keep: int = LOGITS_KEPT) -> ClassLogits:
    """The ``keep`` highest of float32 (classes,), descending, ties by class."""
    least = np.partition(logits, -keep)[-keep] if keep < len(logits) else -np.inf
    near = np.flatnonzero(logits >= least)  # with all that are equal to the last
    order = near[np.argsort(-logits[near], kind="stable")[:keep]]
    return ClassLogits(order.astype(np.uint16), logits[order])


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items; the last may be shorter."""
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def batched_in_time(items: Iterable[T | None], size: int, least: int = 1) -> Iterator[list[T]]:
    """The same, and a shorter list where a None says that others take their time.

    With ``least`` 0 also an empty one, for those that have something else to do then.
    """
    batch: list[T] = []
    for item in items:
        if item is not None:
            batch.append(item)
        if len(batch) == size or (item is None and len(batch) >= least):
            yield batch
            batch = []
    if batch:
        yield batch


def ordered_map(
    pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T], ahead: int
) -> Iterator[R]:
    """``map`` over a pool that keeps the order and starts at most ``ahead`` items early."""
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            while pending and (len(pending) >= ahead or pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
