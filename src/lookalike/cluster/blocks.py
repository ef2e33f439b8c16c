"""The steps of indexing for a block of pictures, as plain functions of bytes.

A block is done whole, in one process, and again if that process is lost: the same entries give the
same pieces in the same order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from lookalike.cluster.packing import Packed, pack, unpack, unpack_entries
from lookalike.config import Limits
from lookalike.features.encoders import Encoder, EncoderSpec, load_encoder
from lookalike.features.encoders.catalogue import CATALOGUE
from lookalike.features.encoders.preparing import prepare
from lookalike.pipeline import Analysed, analyse, batched, encode_analysed
from lookalike.places import in_archive
from lookalike.sources import Source
from lookalike.types import FileEntry, Outcome, PixelArray

BLOCK = 128
"""Pictures of a block at most: prepared for the default encoder they are 20 MB."""

TURNS = 4
"""Blocks that each processor gets at the least, where there are enough pictures."""


def block_size(count: int, processors: int) -> int:
    """Pictures of a block if there are about ``count``; at least 1."""
    return max(1, min(BLOCK, -(-count // (TURNS * max(1, processors)))))


def blocks(entries: Iterable[FileEntry], size: int) -> Iterator[list[FileEntry]]:
    """Entries as blocks of ``size``; those of a packed archive, which is read whole, are one."""
    for archive, group in itertools.groupby(entries, key=_packed_archive):
        if archive is None:
            yield from batched(group, size)
        else:
            yield list(group)


def _packed_archive(entry: FileEntry) -> str | None:
    member = in_archive(entry.path)
    return member[0] if member and _is_packed(member[0]) else None


@lru_cache(1_000)
def _is_packed(path: str) -> bool:
    from lookalike.sources.shards import is_packed

    try:
        return is_packed(path)
    except OSError:
        return False  # who reads it says why


@dataclass(frozen=True)
class Recipe:
    """How workers make vectors: by an encoder that they load themselves, or by one that came.

    ``given`` is for an encoder that is in no catalogue, which goes to the workers as it is.
    """

    spec: EncoderSpec
    given: Encoder | None = None

    @classmethod
    def of(cls, encoder: Encoder, *, by_name: bool) -> Recipe:
        """The recipe of an encoder that was loaded by its name, or was given."""
        return cls(encoder.spec, None if by_name else encoder)

    def prepare(self, image: Image.Image) -> PixelArray:
        """An RGB picture as the encoder's square, uint8 (side, side, 3)."""
        if self.given is not None:
            return self.given.prepare(image)
        if self.spec.name in CATALOGUE:  # no need to load its graph
            return prepare(image, self.spec.preprocessing, self.spec.side)
        return _plugin(self.spec.name).prepare(image)

    def encoder(self, parallel: int) -> Encoder:
        """The encoder itself; ``parallel`` calls share the machine's processors."""
        return self.given or load_encoder(self.spec.name, parallel)


@lru_cache(1)
def _plugin(name: str) -> Encoder:
    return load_encoder(name)


def analysed(
    block: Packed, source: Source, recipe: Recipe, limits: Limits, size: int = BLOCK
) -> Iterator[Packed]:
    """Read and decode a block of entries, a piece of at most ``size`` pictures at a time.

    A piece is in the order of its entries, whatever the order in which they came.
    """
    entries = unpack_entries(block)
    place = {entry.path: number for number, entry in enumerate(entries)}
    supplied = (one for one in source.supply(entries) if one is not None)
    read = (analyse(one, _is_new, recipe.prepare, limits) for one in supplied)
    for piece in batched(read, size):
        yield pack(sorted(piece, key=lambda item: place[item.entry.path]))


def _is_new(_content_hash: bytes) -> bool:
    """No worker knows what the library has; the library finds out when it is entered."""
    return False


def encoded(piece: Packed, encoder: Encoder, batch: int) -> Packed:
    """The same pictures with vectors, ``batch`` of them encoded together."""
    made = (encode_analysed(some, encoder) for some in batched(unpack(piece), batch))
    return pack(itertools.chain.from_iterable(made))


def outcomes_of(piece: Packed) -> list[Outcome]:
    """What the pictures of an encoded piece gave."""
    outcomes: list[Outcome] = []
    for item in unpack(piece):
        assert not isinstance(item, Analysed)  # it went through ``encoded``
        outcomes.append(item)
    return outcomes
