"""Labels chosen from a list of names: by the classes they name, or by an encoder's text tower."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.categories import CONFIDENT, understand
from lookalike.errors import InputError
from lookalike.indexes.categories import SURE_PART, CategoryIndex
from lookalike.stores.base import IdentifiedRows, VectorTable
from lookalike.stores.labels import label_name
from lookalike.types import FloatArray

EncodeWords = Callable[[Sequence[str]], FloatArray]
"""A text tower: texts to unit vectors, float32 (n, dim)."""

MOST_NAMES = 2_000
"""Names to choose from at most."""

WORD_SCALE = 100.0
"""What cosines of texts and pictures are multiplied with before they become shares: CLIP learned
this value. Encoders with another have it as ``word_scale``."""

NEUTRAL = ("a photo", "a picture of something", "ein Bild")
"""What a picture is compared with beside the names, so that it need not be any of them."""

_CHUNK = 4_096


@dataclass(frozen=True, slots=True)
class Chosen:
    """For each picture or part of one the name that fits it, and how surely.

    ``rows`` int64 (n,): the row of ``table`` it belongs to; ``numbers`` int64 (n,): of the name, -1
    where none is sure; ``shares`` float32 (n,), 0..1; ``unknown``: names that say nothing.
    """

    table: IdentifiedRows
    names: tuple[str, ...]
    rows: NDArray[np.int64]
    numbers: NDArray[np.int64]
    shares: FloatArray
    unknown: tuple[str, ...] = ()

    def labels(self) -> list[tuple[UUID, str, float]]:
        """Live records with their names, each once, and the highest share of it."""
        found: dict[tuple[int, int], float] = {}
        for at in np.flatnonzero((self.numbers >= 0) & self.table.live[self.rows]).tolist():
            key = int(self.rows[at]), int(self.numbers[at])
            found[key] = max(found.get(key, 0.0), min(1.0, float(self.shares[at])))
        return [
            (UUID(bytes=self.table.ids[row].tobytes()), self.names[number], share)
            for (row, number), share in found.items()
        ]


@dataclass(frozen=True, slots=True)
class LabelReport:
    """What labelling did: records by label, the most frequent first; records that have none now.

    ``unknown``: names that say nothing to the encoder, or paths that are no picture of the library.
    """

    source: str
    counts: Mapping[str, int]
    records: int
    unlabelled: int
    unknown: tuple[str, ...] = ()


def read_names(path: str) -> list[str]:
    """The names in a UTF-8 file, one a line; empty lines and what follows ``#`` are left out.

    Raises InputError for a file that cannot be read as such, and one without names.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [" ".join(line.partition("#")[0].split()) for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as a list of names ({error}); give a text file in UTF-8, a"
            " name a line"
        ) from error
    names = [line for line in lines if line]
    if not names:
        raise InputError(f"{path}: no names in it; write at least one, a name a line")
    return names


def checked(names: Sequence[str], least: float) -> tuple[str, ...]:
    """The names, each once; raises InputError for none, too many, a bad one, or a bad share."""
    distinct = tuple(dict.fromkeys(map(label_name, names)))
    if not distinct:
        raise InputError("no names to choose from; give at least one")
    if len(distinct) > MOST_NAMES:
        raise InputError(f"{len(distinct):,} names: at most {MOST_NAMES:,} can be chosen from")
    if not 0.0 < least <= 1.0:
        raise InputError(f"least {least}: must lie above 0 and be at most 1")
    return distinct


def choose_by_classes(
    index: CategoryIndex, names: Sequence[str], least: float = CONFIDENT
) -> Chosen:
    """For each row the narrowest name whose classes it surely shows; of equals the surest.

    And so for each part of a picture, from ``SURE_PART`` on, so that a picture of three things has
    three names. A name with several things ("dog and ball") is as sure as the least sure of them.
    Raises InputError if no name is understood.
    """
    meant: list[tuple[int, list[tuple[int, ...]]]] = []
    unknown = []
    for number, name in enumerate(names):
        said = understand(name)
        if said.unknown or not said.phrases:
            unknown.append(name)
        else:
            meant.append((number, [phrase.classes for phrase in said.phrases]))
    if not meant:
        raise InputError(
            f"{names[0]}: none of the names is known to this space; name things that can be seen,"
            " in English or German, or a --space whose encoder reads texts"
        )
    parts = index.parts
    whole = _narrowest(meant, index.share_of_whole, len(index.ids), least)
    of_parts = _narrowest(meant, parts.share_of, len(parts.rows), max(least, SURE_PART))
    return Chosen(
        index,
        tuple(names),
        np.concatenate([np.arange(len(index.ids)), parts.rows]),
        np.concatenate([whole[0], of_parts[0]]),
        np.concatenate([whole[1], of_parts[1]]),
        tuple(unknown),
    )


def _narrowest(
    meant: Sequence[tuple[int, list[tuple[int, ...]]]],
    share_of: Callable[[Sequence[int]], FloatArray],
    count: int,
    least: float,
) -> tuple[NDArray[np.int64], FloatArray]:
    """The number of the narrowest name that each of ``count`` pictures surely shows; its share."""
    best = np.full(count, -1, np.int64)
    shares = np.zeros(count, np.float32)
    width = np.full(count, np.inf)
    for number, phrases in meant:
        share = np.min([share_of(classes) for classes in phrases], axis=0)
        classes = max(map(len, phrases))
        better = (share >= least) & (
            (classes < width) | ((classes == width) & (share > shares))
        )  # fmt: skip
        best[better], shares[better], width[better] = number, share[better], classes
    return best, shares


def choose_by_words(
    table: VectorTable,
    names: Sequence[str],
    encode: EncodeWords,
    least: float = CONFIDENT,
    scale: float = WORD_SCALE,
) -> Chosen:
    """For each row the name whose text is nearest, if its share of all is at least ``least``.

    Shares are a softmax over the names and ``NEUTRAL`` of ``scale`` times the cosine, as CLIP is
    used to classify without examples (Radford et al. 2021, section 3.1).
    """
    texts = np.concatenate([_directions(names, encode), encode(NEUTRAL)])
    best = np.full(len(table.ids), -1, np.int64)
    shares = np.zeros(len(table.ids), np.float32)
    for start in range(0, len(table.ids), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(table.ids)))
        logits = scale * (table.vectors(rows) @ texts.T.astype(np.float32))
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        each = weights[:, : len(names)] / weights.sum(axis=1, keepdims=True)
        nearest = each.argmax(axis=1)
        shares[rows] = each[np.arange(len(rows)), nearest]
        best[rows] = np.where(shares[rows] >= least, nearest, -1)
    return Chosen(table, tuple(names), np.arange(len(best)), best, shares)


def _directions(names: Sequence[str], encode: EncodeWords) -> FloatArray:
    """The mean of a name by itself and in a sentence, of unit length, float32 (n, dim)."""
    both = encode(list(names)) + encode([f"a photo of a {name}" for name in names])
    directions: FloatArray = both / np.linalg.norm(both, axis=1, keepdims=True)
    return directions
