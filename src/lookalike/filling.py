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
from lookalike.types import PixelArray, Space

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
    store.add_space(encoder.spec.space)

    def encode(
        some: Sequence[Lacking], squares: Sequence[PixelArray | None]
    ) -> list[SpaceFeatures | None]:
        encoded = encode_ready(squares, encoder)
        return [
            None if own is None else SpaceFeatures(one.record, *own)
            for one, own in zip(some, encoded, strict=True)
        ]

    return _filled(
        partial(store.lacking, encoder.spec.space, roots),
        encoder.prepare,
        encode,
        partial(store.put_vectors, encoder.spec.space),
        encoder.spec.space,
        options,
        progress,
    )


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
    return _filled(
        partial(store.lacking_parts, encoder.spec.space, roots),
        lambda image: [encoder.prepare(one) for one in cut(image, PARTS)],
        partial(_see_parts, encoder=encoder),
        partial(store.put_parts, encoder.spec.space),
        encoder.spec.space,
        options,
        progress,
        squares=len(PARTS),
    )


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


# -- what both have in common ----------------------------------------------------------------------


def _filled(
    lacking: Callable[[], Iterator[Lacking]],
    prepare: Callable[[Image.Image], T],
    encode: Callable[[Sequence[Lacking], Sequence[T | None]], list[R | None]],
    put: Callable[[Sequence[R]], None],
    space: Space,
    options: IndexOptions,
    progress: Progress | None,
    squares: int = 1,
) -> FillReport:
    """Commit what the files of ``lacking`` records give, batch by batch.

    ``encode`` has None for a file that is no longer what it was; ``squares``: how many inputs of
    the encoder ``prepare`` makes of a picture.
    """
    progress = progress or Silence()
    count = sum(1 for _ in lacking())
    progress.start(count)
    added = left = 0
    size = max(1, batch_size(count, options) // squares)
    try:
        for batch in batched(
            _read_again(lacking(), size, prepare, encode, options), options.commit_batch
        ):
            done = [one for one in batch if one is not None]
            put(done)
            added, left = added + len(done), left + len(batch) - len(done)
            progress.advance(len(batch))
    finally:
        progress.close()
    return FillReport(space, added, left)


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
