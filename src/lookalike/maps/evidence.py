"""What is known of a map's records that can give clusters a name and a colour.

Gathered once, in one pass over the catalogue; then any clustering of the same records is described
from these arrays, so that a slider of the number of clusters need not wait.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.indexes.categories import CategoryIndex
from lookalike.maps.words import phrases_of, words_of
from lookalike.stores.base import HistogramTable, IdentifiedRows, Store
from lookalike.types import ID_DTYPE, FloatArray, IdArray, id_array, uuids

LABELS_AT_ONCE = 5_000

LEAST_ROWS = 2
"""Words of fewer records name nothing."""

MOST_TERMS = 50_000
"""Words kept, the most frequent first."""


@dataclass(frozen=True)
class Said:
    """What is said of rows in words: ``rows`` and ``terms``, places in ``names``, int32 (m,).

    ``shares`` float32 (m,): how sure it is. Each pair of row and term is there once.
    """

    names: tuple[str, ...]
    rows: NDArray[np.int32]
    terms: NDArray[np.int32]
    shares: FloatArray

    @classmethod
    def of(cls, said: Iterable[tuple[int, Iterable[tuple[str, float]]]]) -> Said:
        """From rows and the words said of each, with how sure that is."""
        number: dict[str, int] = {}
        rows, terms, shares = array("i"), array("i"), array("f")
        for row, words in said:
            for word, share in words:
                rows.append(row)
                terms.append(number.setdefault(word, len(number)))
                shares.append(share)
        made = cls(tuple(number), np.frombuffer(rows, np.int32), np.frombuffer(terms, np.int32),
                   np.frombuffer(shares, np.float32))  # fmt: skip
        return made._pruned()

    def _pruned(self) -> Said:
        """Without words of a single row, once each for a row, the names in alphabetical order."""
        count = len(self.names)
        keys = self.rows.astype(np.int64) * max(1, count) + self.terms
        order = np.lexsort((-self.shares, keys))
        first = order[np.append(True, np.diff(keys[order]) > 0)] if len(keys) else order
        used = np.bincount(self.terms[first], minlength=count)
        by_use = sorted(np.flatnonzero(used >= LEAST_ROWS).tolist(),
                        key=lambda one: (-used[one], self.names[one]))  # fmt: skip
        kept = sorted(by_use[:MOST_TERMS], key=lambda one: self.names[one])
        place = np.full(count, -1, np.int32)
        place[kept] = np.arange(len(kept), dtype=np.int32)
        some = first[place[self.terms[first]] >= 0]
        return Said(tuple(self.names[one] for one in kept), self.rows[some],
                    place[self.terms[some]], self.shares[some])  # fmt: skip


NOTHING_SAID = Said((), np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))


@dataclass(frozen=True)
class Evidence:
    """What may name the clusters of ``ids`` V16 (n,), the rows of a map.

    ``classes`` uint16 (n, m) and ``shares`` float16 (n, m) as ``CategoryIndex`` has them, m 0 where
    no class is known; ``words``: of file and folder names; ``labels``: given to the records;
    ``keywords``: of side tables. ``histograms`` with ``histogram_rows`` int64 (n,), -1 for none.
    """

    ids: IdArray
    classes: NDArray[np.uint16]
    shares: NDArray[np.float16]
    words: Said = NOTHING_SAID
    labels: Said = NOTHING_SAID
    keywords: Said = NOTHING_SAID
    histograms: HistogramTable | None = None
    histogram_rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @classmethod
    def gather(
        cls,
        ids: IdArray,
        *,
        store: Store | None = None,
        categories: CategoryIndex | None = None,
        histograms: HistogramTable | None = None,
        keywords: Mapping[UUID, Sequence[str]] | None = None,
    ) -> Evidence:
        """Of records ``ids`` V16 (n,); what is None is left out.

        ``store``: whose paths and labels are read; ``keywords``: words for some of the records.
        """
        place = _Places(ids)
        found: dict[str, Any] = {}
        if store is not None:
            found["words"] = Said.of(_words(store, place))
            if store.label_counts():
                found["labels"] = Said.of(_labels(store, ids))
        if keywords:
            found["keywords"] = Said.of(_keywords(keywords, place))
        if histograms is not None:
            found |= {"histograms": histograms, "histogram_rows": histograms.rows_of(ids)}
        return cls(ids, *_classes(ids, categories), **found)


class _Places(IdentifiedRows):
    """The rows of a map by record."""

    def __init__(self, ids: IdArray) -> None:
        self.ids, self.live = ids, np.ones(len(ids), bool)


def _classes(
    ids: IdArray, categories: CategoryIndex | None
) -> tuple[NDArray[np.uint16], NDArray[np.float16]]:
    if categories is None or categories.empty:
        return np.empty((len(ids), 0), np.uint16), np.empty((len(ids), 0), np.float16)
    rows = categories.rows_of(ids)
    shares = np.array(categories.shares[rows])
    shares[rows < 0] = 0
    return np.array(categories.classes[rows]), shares


def _words(store: Store, place: _Places) -> Iterable[tuple[int, Iterable[tuple[str, float]]]]:
    """The words of every path, a few thousand records at a time."""
    waiting: list[tuple[bytes, str]] = []

    def rows() -> Iterable[tuple[int, Iterable[tuple[str, float]]]]:
        ids = np.frombuffer(b"".join(id_ for id_, _ in waiting), ID_DTYPE)
        for row, (_, path) in zip(place.rows_of(ids).tolist(), waiting, strict=True):
            if row >= 0:
                yield row, ((word, 1.0) for word in words_of(path))

    for one in store.each_path():
        waiting.append(one)
        if len(waiting) == LABELS_AT_ONCE:
            yield from rows()
            waiting.clear()
    yield from rows()


def _labels(store: Store, ids: IdArray) -> Iterable[tuple[int, Iterable[tuple[str, float]]]]:
    for start in range(0, len(ids), LABELS_AT_ONCE):
        some = uuids(ids[start : start + LABELS_AT_ONCE])
        for row, labels in enumerate(store.labels(some), start):
            for label in labels:
                yield row, ((name, label.confidence) for name in phrases_of([label.name]))


def _keywords(
    keywords: Mapping[UUID, Sequence[str]], place: _Places
) -> Iterable[tuple[int, Iterable[tuple[str, float]]]]:
    ids = id_array(keywords)
    for row, words in zip(place.rows_of(ids).tolist(), keywords.values(), strict=True):
        if row >= 0:
            yield row, ((word, 1.0) for word in sorted(phrases_of(words)))
