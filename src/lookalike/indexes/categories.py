"""What every record shows: the shares of its highest classes, and of any category above them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookalike.categories import CONFIDENT, Category, best_label, category_tree, class_shares
from lookalike.categories.labels import worth_saying
from lookalike.categories.tree import CLASSES
from lookalike.indexes.derived import DAMAGED, DerivedFolder, array_writer, table_digest
from lookalike.stores.base import IdentifiedRows, LogitTable, VectorTable
from lookalike.types import FloatArray, Label

_VERSION = "v1"
_LAST = "shares.npy"
_CHUNK = 4_096

KEPT = 16
"""Sets of classes whose shares of all rows are kept: 2 MB each for half a million rows."""


class CategoryIndex(IdentifiedRows):
    """The classes of a table's rows, and what follows from them.

    ``ids`` V16 (n,) and ``live`` as the vector table has them; ``classes`` uint16 (n, m), the
    highest of each row, and ``shares`` float16 (n, m), their probabilities: zeros for a row that
    has none.
    """

    def __init__(
        self, table: VectorTable, classes: NDArray[np.uint16], shares: NDArray[np.float16]
    ) -> None:
        self.ids, self.live = table.ids, table.live
        self.classes = classes
        self.shares = shares
        self._of_all: dict[tuple[int, ...], FloatArray] = {}

    @property
    def empty(self) -> bool:
        """Whether no row has classes, because the space's encoder has none."""
        return not self.classes.shape[1]

    def confidence(self, category: Category) -> FloatArray:
        """How surely each row shows a category, float32 (n,), 0..1."""
        return self.share_of_all(category.classes)

    def share_of_all(self, numbers: tuple[int, ...]) -> FloatArray:
        """How surely each row shows one of several classes, float32 (n,); kept for the next."""
        if numbers not in self._of_all:
            while len(self._of_all) >= KEPT:
                del self._of_all[next(iter(self._of_all))]
            self._of_all[numbers] = self.share_of(numbers, np.arange(len(self.ids)))
        return self._of_all[numbers]

    def share_of(self, numbers: Sequence[int], rows: NDArray[np.int64]) -> FloatArray:
        """How surely some rows show one of several classes, float32 (m,); 0 for row -1."""
        members = np.zeros(CLASSES, dtype=bool)
        members[list(numbers)] = True
        if self.empty or not len(self.ids):
            return np.zeros(len(rows), np.float32)
        out = np.zeros(len(rows), np.float32)
        for start in range(0, len(rows), _CHUNK):
            some = rows[start : start + _CHUNK]
            shares = self.shares[some].astype(np.float32) * members[self.classes[some]]
            out[start : start + _CHUNK] = np.where(some >= 0, shares.sum(axis=1), np.float32(0))
        return out

    def label(self, row: int, least: float = CONFIDENT) -> Label | None:
        """The narrowest category that a row shows with this confidence, or None."""
        if self.empty:
            return None
        return best_label(self.classes[row], self.shares[row].astype(np.float32), least)

    def counts(self, least: float = CONFIDENT) -> tuple[dict[str, int], int]:
        """How many live rows show each category with this confidence, by id, if any does.

        And how many show one that is worth saying, so that they have a label.
        """
        tree = category_tree()
        order = [one.id for one in tree]
        place = {id_: number for number, id_ in enumerate(order)}
        above = [  # a class's own category and all above it
            np.array([place[up.id] for up in (leaf, *tree.ancestors(leaf))])
            for leaf in map(tree.of_class, range(CLASSES))
        ]
        said = np.array([worth_saying(one) for one in tree])
        totals, labelled = np.zeros(len(order), np.int64), 0
        for part in self._chunks():
            rows = np.flatnonzero(self.live[part]) + part.start
            classes, shares = self.classes[rows].ravel(), self.shares[rows].ravel()
            lengths = np.array([len(above[number]) for number in classes], np.int64)
            if not len(classes):
                continue
            owner = np.repeat(np.arange(len(rows)), self.classes.shape[1])
            keys = np.repeat(owner, lengths) * len(order) + np.concatenate(
                [above[number] for number in classes]
            )
            sums = np.bincount(
                keys, np.repeat(shares.astype(np.float64), lengths), len(rows) * len(order)
            )
            shown = sums.reshape(len(rows), -1) >= least
            totals += shown.sum(axis=0)
            labelled += int(np.count_nonzero(shown[:, said].any(axis=1)))
        return {
            id_: int(count) for id_, count in zip(order, totals, strict=True) if count
        }, labelled

    def _chunks(self) -> Iterator[slice]:
        if not self.empty:
            for start in range(0, len(self.ids), _CHUNK):
                yield slice(start, min(start + _CHUNK, len(self.ids)))


class CategoryCache:
    """The shares of a space's rows, kept under ``folder``; made anew when they do not fit.

    ``logits`` gives the table of a space's highest logits and the encoder's tail, if it has both.
    """

    def __init__(
        self,
        folder: Path,
        table: VectorTable,
        logits: Callable[[], tuple[LogitTable, float] | None],
    ) -> None:
        self._derived = DerivedFolder(folder)
        self._table = table
        self._logits = logits

    def load(self) -> CategoryIndex:
        """The index of the whole table: mapped from disk, else read from the catalogue."""
        return self._kept() or self._made()

    def refresh(self) -> bool:
        """Keep the shares of all rows; returns whether there was anything to keep."""
        if self._kept() is not None:
            return False
        return not self._made().empty

    def _kept(self) -> CategoryIndex | None:
        ids = self._table.ids
        for stem, rows in self._derived.sets(_VERSION, _LAST, len(ids), self._made_for):
            if rows != len(ids):
                continue
            with contextlib.suppress(*DAMAGED):
                classes = self._derived.array(f"{stem}.classes.npy")
                shares = self._derived.array(f"{stem}.{_LAST}")
                if classes.shape == shares.shape and len(classes) == rows:
                    return CategoryIndex(self._table, classes, shares)
        return None

    def _made(self) -> CategoryIndex:
        ids = self._table.ids
        table, tail = self._logits() or (None, 0.0)
        kept = 0 if table is None else table.classes.shape[1]
        classes = np.zeros((len(ids), kept), np.uint16)
        shares = np.zeros((len(ids), kept), np.float16)
        if table is not None and kept:
            found = table.rows_of(ids)
            known = np.flatnonzero(found >= 0)
            classes[known] = table.classes[found[known]]
            shares[known] = class_shares(table.logits[found[known]], tail)
            stem = f"{_VERSION}-{len(ids)}-{self._made_for(len(ids))}"
            files = {"classes.npy": array_writer(classes), _LAST: array_writer(shares)}
            self._derived.keep_set(stem, files)
        return CategoryIndex(self._table, classes, shares)

    def _made_for(self, rows: int) -> str:
        return table_digest(self._table, rows)
