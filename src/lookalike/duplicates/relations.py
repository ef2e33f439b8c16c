"""From figures to words: whether two pictures are the same, and what differs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike.duplicates.compare import Compared
from lookalike.duplicates.report import CLOSEST_FIRST, Relation
from lookalike.types import FloatArray

# Chosen on one half of the classes of Caltech-101 (500 photos, 13 changes each), and made stricter
# after a look at Motorbikes and airplanes, which stand alike before white and before the sky.
LEAST_AGREEING, LEAST_OVERALL, LEAST_COMMON = 0.9, 0.95, 0.3
LEAST_WHOLE, LEAST_STRUCTURED = 0.8, 0.65
"""Of detail where nothing is left out, and of what varies."""
WRITTEN_DETAIL, WRITTEN_STRUCTURED, WRITTEN_MOVED, WRITTEN_COLOUR = 0.8, 0.7, 0.03, 5.0
"""The same of pictures that lie alike while a part of one differs."""
MOST_COLOUR = 10.0
"""Levels by which the chroma of the same picture may differ, unless one of them is grey."""
GREY = 1.5
MOST_GAIN = 2.5

# What saving again and resizing do at most.
SAME_DETAIL, SAME_MOVED, SAME_GAIN, SAME_OFFSET, SAME_BLOCK, SAME_COLOUR = (
    0.9, 0.025, 0.09, 5.0, 24.0, 4.5,
)  # fmt: skip

_TURNS = (
    "", "mirrored", "mirrored top to bottom", "turned by 180 degrees",
    "mirrored and turned by 90 degrees", "turned by 90 degrees", "turned by 90 degrees",
    "mirrored and turned by 90 degrees",
)  # fmt: skip

RE_ENCODED, EDITED, BURST = (CLOSEST_FIRST.index(r) for r in list(Relation)[1:])


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows that are alike; ``first`` < ``second`` int64 (m,).

    ``relation`` int8 (m,), a place in ``CLOSEST_FIRST``; ``similarity`` float32 (m,), 0..1;
    ``changes``: bits as ``changes_of`` reads them, int32 (m,).
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    relation: NDArray[np.int8]
    similarity: FloatArray
    changes: NDArray[np.int32]

    def take(self, chosen: NDArray[np.generic]) -> Pairs:
        """Some of them."""
        return Pairs(
            self.first[chosen],
            self.second[chosen],
            self.relation[chosen],
            self.similarity[chosen],
            self.changes[chosen],
        )

    def __len__(self) -> int:
        return len(self.first)


def joined_pairs(parts: list[Pairs]) -> Pairs:
    """All pairs of several parts."""
    rows = np.empty(0, np.int64)
    none = Pairs(rows, rows, np.empty(0, np.int8), np.empty(0, np.float32), np.empty(0, np.int32))
    names = ("first", "second", "relation", "similarity", "changes")
    return Pairs(*(np.concatenate([getattr(p, name) for p in (none, *parts)]) for name in names))


def judged(compared: Compared) -> Pairs:
    """The pairs that show the same picture, and how they relate."""
    seen = compared.seen
    coloured = (compared.colour <= MOST_COLOUR * np.maximum(seen.gain, 1)) | (
        compared.greyer <= GREY
    )
    as_a_whole = (seen.whole_detail >= LEAST_WHOLE) & (seen.structured >= LEAST_STRUCTURED)
    but_a_part = (
        (seen.detail >= WRITTEN_DETAIL)
        & (seen.structured >= WRITTEN_STRUCTURED)
        & (compared.moved <= WRITTEN_MOVED)
        & (compared.colour <= WRITTEN_COLOUR)
    )
    same = (
        (as_a_whole | but_a_part)
        & (seen.agreeing >= LEAST_AGREEING)
        & (seen.overall >= LEAST_OVERALL)
        & (seen.common >= LEAST_COMMON)
        & (seen.gain <= MOST_GAIN)
        & (seen.gain >= 1 / MOST_GAIN)
        & coloured
    )
    changes = _changes(compared)
    whole = (changes == 0) & (seen.detail >= SAME_DETAIL)
    relation = np.where(whole, RE_ENCODED, EDITED).astype(np.int8)
    similarity = np.clip(seen.detail, 0, 1)
    pairs = compared.pairs
    return Pairs(pairs.first, pairs.second, relation, similarity, changes).take(
        np.flatnonzero(same)
    )


_WORDS = ("cropped or moved", "other brightness or contrast", "other colours", "a part differs")


def _changes(compared: Compared) -> NDArray[np.int32]:
    """What differs: bits 0 to 2 the symmetry, then a bit for each of ``_WORDS``."""
    seen = compared.seen
    flags = (
        compared.moved > SAME_MOVED,
        (np.abs(seen.gain - 1) > SAME_GAIN) | (np.abs(seen.offset) > SAME_OFFSET),
        compared.colour > SAME_COLOUR,
        seen.largest > SAME_BLOCK,
    )
    bits = compared.symmetry.astype(np.int32)
    for place, flag in enumerate(flags, start=3):
        bits = bits | (flag.astype(np.int32) << place)
    return bits


def changes_of(bits: int) -> tuple[str, ...]:
    """What differs, in words."""
    turn = _TURNS[bits & 7]
    words = [word for place, word in enumerate(_WORDS, start=3) if bits >> place & 1]
    return tuple([turn] if turn else []) + tuple(words)
