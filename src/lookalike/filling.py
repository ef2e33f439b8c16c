"""What records of a library lack is made from their files, which are read once more.

Vectors in a further space, and what parts of pictures show.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from PIL import Image

from lookalike.config import IndexOptions, Limits
from lookalike.decode import MemoryBudget, decode
from lookalike.errors import ImageError
from lookalike.features.encoders import Encoder
from lookalike.features.parts import PARTS, cut
from lookalike.pipeline import (
    AHEAD,
    FillReport,
    Progress,
    Silence,
    batch_size,
    batched_in_time,
    encode_ready,
    memory_budget,
    ordered_map,
)
from lookalike.sources import Supplied
from lookalike.sources.base import Kept
from lookalike.sources.reading import supply_again
from lookalike.stores import Store
from lookalike.stores.base import Lacking, RecordParts, SpaceFeatures
from lookalike.types import FileEntry, PixelArray, Space

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
        store,
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
        store,
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


@dataclass(frozen=True, slots=True)
class _Made(Generic[R]):
    """What a record's file gave, or None if that is not what it was."""

    value: R | None


def _filled(
    store: Store,
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
        with closing(_read_again(lacking(), store, size, prepare, encode, options)) as made:
            for batch in batched_in_time(made, options.commit_batch):
                done = [one.value for one in batch if one.value is not None]
                put(done)
                added, left = added + len(done), left + len(batch) - len(done)
                progress.advance(len(batch))
    finally:
        progress.close()
    return FillReport(space, added, left)


def _read_again(
    lacking: Iterable[Lacking],
    store: Store,
    size: int,
    prepare: Callable[[Image.Image], T],
    encode: Callable[[Sequence[Lacking], Sequence[T | None]], list[R | None]],
    options: IndexOptions,
) -> Generator[_Made[R] | None, None, None]:
    """What ``encode`` makes of known records' pictures, ``size`` at a time in each thread.

    It gets what ``prepare`` makes of each; None for one that is no longer what it was. None comes
    of it where a source says so (see ``Source.supply``).
    """
    budget = memory_budget(options.memory_limit)

    def work(some: Sequence[tuple[Lacking, Supplied]]) -> list[_Made[R]]:
        ready = [_prepared(*one, prepare, options.limits, budget) for one in some]
        return [_Made(value) for value in encode([one for one, _ in some], ready)]

    with ThreadPoolExecutor(options.threads, "fill") as pool:
        pictures = batched_in_time(_supplied(lacking, store, options), size, least=0)
        for batch in ordered_map(pool, work, pictures, max(2, AHEAD // size)):
            yield from batch
            if len(batch) < size:
                yield None


def _supplied(
    lacking: Iterable[Lacking], store: Store, options: IndexOptions
) -> Iterator[tuple[Lacking, Supplied] | None]:
    """Records with their pictures, wherever these lie, in any order."""
    asked: dict[str, Lacking] = {}

    def entries() -> Iterator[FileEntry]:
        for one in lacking:
            asked[one.entry.path] = one
            yield one.entry

    def kept(entry: FileEntry) -> str | None:
        return store.original(asked[entry.path].content_hash)

    for picture in supply_again(entries(), options.limits, kept, options.fetching):
        yield None if picture is None else (asked.pop(picture.entry.path), picture)


def _prepared(
    one: Lacking,
    picture: Supplied,
    prepare: Callable[[Image.Image], T],
    limits: Limits,
    budget: MemoryBudget,
) -> T | None:
    """What a record's picture gives, or None if that is not what it was."""
    try:
        file = picture.read()
        if file.content_hash != one.content_hash:
            return None
        return prepare(decode(file.data, limits, budget).image)
    except (ImageError, Kept, MemoryError):
        return None
