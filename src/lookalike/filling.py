"""What records of a library lack is made from their files, which are read once more.

Vectors in a further space, and what parts of pictures show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from PIL import Image

from lookalike.config import IndexOptions, Limits
from lookalike.decode import MemoryBudget, decode, read
from lookalike.errors import ImageError
from lookalike.features.encoders import Encoder
from lookalike.features.parts import PARTS, cut
from lookalike.pipeline import (
    AHEAD,
    FillReport,
    Progress,
    Silence,
    batch_size,
    batched,
    encode_ready,
    memory_budget,
    ordered_map,
)
from lookalike.stores import Store
from lookalike.stores.base import Lacking, RecordParts, SpaceFeatures
from lookalike.types import PixelArray

T = TypeVar("T")
R = TypeVar("R")


def fill(
    store: Store,
    encoder: Encoder,
    roots: Sequence[str] | None = None,
    options: IndexOptions = IndexOptions(),
    progress: Progress | None = None,
) -> FillReport:
    """Give the records under ``roots`` (all if None) vectors in the encoder's space that lack them.

    Their files are read once more; what has changed since it was indexed is left. Everything
    committed stays, however the run ends, and running it again continues.
    """
    progress = progress or Silence()
    space = encoder.spec.space
    store.add_space(space)
    count = sum(1 for _ in store.lacking(space, roots))
    progress.start(count)
    added = left = 0
    try:
        made = _filled(store.lacking(space, roots), count, encoder, options)
        for batch in batched(made, options.commit_batch):
            done = [one for one in batch if one is not None]
            store.put_vectors(space, done)
            added, left = added + len(done), left + len(batch) - len(done)
            progress.advance(len(batch))
    finally:
        progress.close()
    return FillReport(space, added, left)


def _filled(
    lacking: Iterable[Lacking], count: int, encoder: Encoder, options: IndexOptions
) -> Iterator[SpaceFeatures | None]:
    """What each record's file gives, in their order; None where it is no longer what it was."""

    def encode(
        some: Sequence[Lacking], squares: Sequence[PixelArray | None]
    ) -> list[SpaceFeatures | None]:
        encoded = encode_ready(squares, encoder)
        return [
            None if own is None else SpaceFeatures(one.record, *own)
            for one, own in zip(some, encoded, strict=True)
        ]

    return _read_again(lacking, batch_size(count, options), encoder.prepare, encode, options)


def _read_again(
    lacking: Iterable[Lacking],
    size: int,
    prepare: Callable[[Image.Image], T],
    encode: Callable[[Sequence[Lacking], Sequence[T | None]], list[R]],
    options: IndexOptions,
) -> Iterator[R]:
    """What ``encode`` makes of known records' files, ``size`` at a time in each thread, in order.

    It gets what ``prepare`` makes of each picture; None for a file that is no longer what it was.
    """
    budget = memory_budget(options.memory_limit)

    def work(some: Sequence[Lacking]) -> list[R]:
        return encode(some, [_prepared(one, prepare, options.limits, budget) for one in some])

    with ThreadPoolExecutor(options.threads, "fill") as pool:
        for batch in ordered_map(pool, work, batched(lacking, size), max(2, AHEAD // size)):
            yield from batch


def _prepared(
    one: Lacking, prepare: Callable[[Image.Image], T], limits: Limits, budget: MemoryBudget
) -> T | None:
    """What a record's file gives, or None if that is not what it was."""
    try:
        file = read(one.entry.path, limits)
        if file.content_hash != one.content_hash:
            return None
        return prepare(decode(file.data, limits, budget).image)
    except (ImageError, MemoryError):
        return None


def look_at_parts(
    store: Store,
    encoder: Encoder,
    roots: Sequence[str] | None = None,
    options: IndexOptions = IndexOptions(),
    progress: Progress | None = None,
) -> FillReport:
    """See what parts of the records under ``roots`` (all if None) show, where that is not known.

    Their files are read once more, and ``PARTS`` of each picture are encoded: as many passes more.
    Everything committed stays, however the run ends, and running it again continues.
    """
    progress = progress or Silence()
    space = encoder.spec.space
    count = sum(1 for _ in store.lacking_parts(space, roots))
    progress.start(count)
    added = left = 0
    size = max(1, batch_size(count, options) // len(PARTS))
    try:
        made = _read_again(
            store.lacking_parts(space, roots),
            size,
            lambda image: [encoder.prepare(one) for one in cut(image, PARTS)],
            partial(_see_parts, encoder=encoder),
            options,
        )
        for batch in batched(made, options.commit_batch):
            done = [one for one in batch if one is not None]
            store.put_parts(space, done)
            added, left = added + len(done), left + len(batch) - len(done)
            progress.advance(len(batch))
    finally:
        progress.close()
    return FillReport(space, added, left)


def _see_parts(
    some: Sequence[Lacking], squares: Sequence[list[PixelArray] | None], encoder: Encoder
) -> list[RecordParts | None]:
    ready = [square for own in squares if own is not None for square in own]
    seen = iter(encode_ready(ready, encoder))
    made: list[RecordParts | None] = []
    for one, own in zip(some, squares, strict=True):
        if own is None:
            made.append(None)
            continue
        encoded = [next(seen) for _ in own]
        logits = [each[1] for each in encoded if each is not None and each[1] is not None]
        made.append(RecordParts(one.record, list(zip(PARTS, logits, strict=True))))
    return made
