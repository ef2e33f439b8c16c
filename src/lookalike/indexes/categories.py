"""What every record shows: the shares of its highest classes, and of any category above them.

Where parts of pictures were looked at, what they surely show counts, too.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lookalike.categories import (
    CONFIDENT,
    Category,
    best_label,
    categories_of,
    category_tree,
    class_shares,
)
from lookalike.categories.labels import worth_saying
from lookalike.categories.tree import CLASSES
from lookalike.indexes.derived import (
    DAMAGED,
    DerivedFolder,
    Standing,
    array_writer,
    digest,
    table_digest,
)
from lookalike.stores.base import IdentifiedRows, LogitTable, PartTable, VectorTable
from lookalike.types import FloatArray, Label

_VERSION = "v1"
_LAST = "shares.npy"
_CHUNK = 4_096

SURE_PART = 0.8
"""The share from which on a part of a picture surely shows something. More than of a whole picture:
parts are many, and cut things in two."""

KEPT = 16
"""Sets of classes whose shares of all rows are kept: 2 MB each for half a million rows."""


class CategorySource(Protocol):
    """Where the classes of a space's records come from: the catalogue. ``tail``: the encoder's."""

    tail: float

    def logits(self) -> LogitTable:
        """The highest class logits of all records that have them."""

    def parts_seen(self) -> int:
        """A number that changes whenever further parts were looked at; 0 for none."""

    def parts(self) -> PartTable:
        """The highest class logits of all parts that were looked at."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of pictures that surely show something; those of a row lie together.

    ``rows`` int32 (n,), ascending; ``crops`` float32 (n, 4); ``classes`` uint16 (n, m), ``shares``
    float16 (n, m), as of whole pictures.
    """

    rows: NDArray[np.int32]
    crops: FloatArray
    classes: NDArray[np.uint16]
    shares: NDArray[np.float16]

    def share_of(self, numbers: Sequence[int]) -> FloatArray:
        """How surely each part shows one of several classes, float32 (n,)."""
        return _share(self.classes, self.shares, numbers)

    def of_row(self, row: int) -> range:
        """The numbers of a row's parts."""
        first, end = np.searchsorted(self.rows, [row, row + 1]).tolist()
        return range(first, end)


NO_PARTS = Parts(
    np.empty(0, np.int32),
    np.empty((0, 4), np.float32),
    np.empty((0, 0), np.uint16),
    np.empty((0, 0), np.float16),
)


class CategoryIndex(IdentifiedRows):
    """The classes of a table's rows, and what follows from them.

    ``ids`` V16 (n,) and ``live`` as the vector table has them; ``classes`` uint16 (n, m), the
    highest of each row, and ``shares`` float16 (n, m), their probabilities: zeros for a row that
    has none. ``parts``: of some rows, what parts of their pictures show.
    """

    def __init__(
        self,
        table: VectorTable,
        classes: NDArray[np.uint16],
        shares: NDArray[np.float16],
        parts: Parts = NO_PARTS,
    ) -> None:
        self.ids, self.live = table.ids, table.live
        self.classes = classes
        self.shares = shares
        self.parts = parts
        self._of_all: dict[tuple[int, ...], FloatArray] = {}

    @property
    def empty(self) -> bool:
        """Whether no row has classes, because the space's encoder has none."""
        return not self.classes.shape[1]

    def confidence(self, category: Category) -> FloatArray:
        """How surely each row shows a category, float32 (n,), 0..1."""
        return self.share_of_all(category.classes)

    def share_of_all(self, numbers: tuple[int, ...]) -> FloatArray:
        """How surely each row shows one of several classes, float32 (n,); kept for the next.

        As a whole or, from ``SURE_PART`` on, in a part.
        """
        if numbers not in self._of_all:
            while len(self._of_all) >= KEPT:
                del self._of_all[next(iter(self._of_all))]
            shares = self.share_of_whole(numbers)
            of_parts = self.parts.share_of(numbers)
            sure = of_parts >= SURE_PART
            np.maximum.at(shares, self.parts.rows[sure], of_parts[sure])
            self._of_all[numbers] = shares
        return self._of_all[numbers]

    def share_of_whole(self, numbers: Sequence[int]) -> FloatArray:
        """How surely each row as a whole shows one of several classes, float32 (n,)."""
        return _share(self.classes, self.shares, numbers)

    def label(self, row: int, least: float = CONFIDENT) -> Label | None:
        """The narrowest category that a row shows with this confidence, or None."""
        if self.empty:
            return None
        return best_label(self.classes[row], self.shares[row].astype(np.float32), least)

    def shown(self, row: int, least: float) -> list[tuple[Category, float]]:
        """All categories worth saying that a row shows with this confidence, the widest first."""
        if self.empty:
            return []
        return categories_of(self.classes[row], self.shares[row].astype(np.float32), least)

    def part_labels(self, row: int) -> list[Label]:
        """What parts of a row's picture surely show, each once, where it is shown the surest."""
        found: dict[str, Label] = {}
        for number in self.parts.of_row(row):
            shares = self.parts.shares[number].astype(np.float32)
            label = best_label(self.parts.classes[number], shares, SURE_PART)
            if label is None:
                continue
            left, top, width, height = np.round(self.parts.crops[number].astype(float), 4)
            known = found.get(label.name)
            if known is None or label.confidence > known.confidence:
                found[label.name] = replace(
                    label, part=(float(left), float(top), float(width), float(height))
                )
        return sorted(found.values(), key=lambda one: (-one.confidence, one.name))

    def counts(self, least: float = CONFIDENT) -> tuple[dict[str, int], int]:
        """How many live rows show each category with this confidence, by id, if any does.

        And how many show one that is worth saying, so that they have a label.
        """
        order = [one.id for one in category_tree()]
        said = np.array([worth_saying(one) for one in category_tree()])
        totals, labelled = np.zeros(len(order), np.int64), 0
        for start in range(0, 0 if self.empty else len(self.ids), _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(self.ids)))
            shown = _shown(self.classes[rows], self.shares[rows], least)
            first, end = np.searchsorted(self.parts.rows, [start, start + _CHUNK]).tolist()
            if first < end:
                some = slice(first, end)
                in_parts = _shown(self.parts.classes[some], self.parts.shares[some], SURE_PART)
                np.logical_or.at(shown, self.parts.rows[some] - start, in_parts)
            shown = shown[self.live[rows]]
            totals += shown.sum(axis=0)
            labelled += int(np.count_nonzero(shown[:, said].any(axis=1)))
        return {
            id_: int(count) for id_, count in zip(order, totals, strict=True) if count
        }, labelled


def _share(
    classes: NDArray[np.uint16], shares: NDArray[np.float16], numbers: Sequence[int]
) -> FloatArray:
    """The shares of some classes together, float32 (n,)."""
    members = np.zeros(CLASSES, dtype=bool)
    members[list(numbers)] = True
    out = np.zeros(len(classes), np.float32)
    if classes.size:
        for start in range(0, len(classes), _CHUNK):
            some = slice(start, start + _CHUNK)
            out[some] = (shares[some].astype(np.float32) * members[classes[some]]).sum(axis=1)
    return out


def _shown(
    classes: NDArray[np.uint16], shares: NDArray[np.float16], least: float
) -> NDArray[np.bool_]:
    """Which categories rows show with this confidence, bool (n, categories), as the tree has them.

    ``classes`` and ``shares`` (n, m).
    """
    above = _above()
    count = sum(1 for _ in category_tree())
    flat = classes.ravel()
    lengths = np.array([len(above[number]) for number in flat], np.int64)
    owner = np.repeat(np.arange(len(classes)), classes.shape[1])
    keys = np.repeat(owner, lengths) * count + np.concatenate([above[number] for number in flat])
    weights = np.repeat(shares.ravel().astype(np.float64), lengths)
    sums = np.bincount(keys, weights, len(classes) * count).reshape(len(classes), count)
    shown: NDArray[np.bool_] = sums >= least
    return shown


@functools.cache
def _above() -> list[NDArray[np.int64]]:
    """For each class the numbers of its own category and all above it."""
    tree = category_tree()
    place = {one.id: number for number, one in enumerate(tree)}
    leaves = map(tree.of_class, range(CLASSES))
    return [
        np.array([place[up.id] for up in (leaf, *tree.ancestors(leaf))], np.int64)
        for leaf in leaves
    ]


class CategoryCache:
    """The shares of a space's rows, kept under ``folder``; made anew when they do not fit."""

    def __init__(self, folder: Path, table: VectorTable, source: CategorySource | None) -> None:
        self._derived = DerivedFolder(folder)
        self._parts = DerivedFolder(folder / "parts")
        self._table = table
        self._source = source

    def load(self) -> CategoryIndex:
        """The index of the whole table: mapped from disk, else read from the catalogue."""
        return self._kept() or self._made()

    def standing(self) -> Standing:
        """For how many of the table's rows shares are kept: all, or none that are of use."""
        rows = len(self._table.ids)
        return Standing(rows, rows if self._kept() else 0, self._derived.left())

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
                    return CategoryIndex(self._table, classes, shares, self._load_parts())
        return None

    def _made(self) -> CategoryIndex:
        ids, source = self._table.ids, self._source
        table = source.logits() if source else None
        kept = 0 if table is None else table.classes.shape[1]
        classes = np.zeros((len(ids), kept), np.uint16)
        shares = np.zeros((len(ids), kept), np.float16)
        if source is not None and table is not None and kept:
            found = table.rows_of(ids)
            known = np.flatnonzero(found >= 0)
            classes[known] = table.classes[found[known]]
            shares[known] = class_shares(table.logits[found[known]], source.tail)
            stem = f"{_VERSION}-{len(ids)}-{self._made_for(len(ids))}"
            files = {"classes.npy": array_writer(classes), _LAST: array_writer(shares)}
            self._derived.keep_set(stem, files)
        return CategoryIndex(self._table, classes, shares, self._load_parts())

    def _made_for(self, rows: int) -> str:
        return table_digest(self._table, rows)

    # -- parts -----------------------------------------------------------------------------------

    def _load_parts(self) -> Parts:
        """The parts that surely show something, as the catalogue has them now."""
        if self._source is None or not self._source.parts_seen():
            return NO_PARTS
        stem = f"{_VERSION}-{len(self._table.ids)}-{self._parts_made_for()}"
        with contextlib.suppress(*DAMAGED):
            names = ("rows", "crops", "classes", "shares")
            return Parts(*(self._parts.array(f"{stem}.{name}.npy") for name in names))
        parts = sure_parts(self._table, self._source.parts(), self._source.tail)
        files = {
            "rows.npy": array_writer(parts.rows),
            "crops.npy": array_writer(parts.crops),
            "classes.npy": array_writer(parts.classes),
            "shares.npy": array_writer(parts.shares),
        }
        self._parts.keep_set(stem, files)
        return parts

    def _parts_made_for(self) -> str:
        assert self._source is not None
        seen = np.array([self._source.parts_seen()])
        return digest(self._table.ids, seen, self._table.live)


def sure_parts(table: VectorTable, seen: PartTable, tail: float) -> Parts:
    """Of all parts those in which something is sure, in the order of the table's rows.

    ``tail``: the encoder's (see ``class_shares``).
    """
    if not len(seen.ids):
        return NO_PARTS
    rows = table.rows_of(seen.ids)
    shares = class_shares(seen.logits, tail)
    said = np.array([worth_saying(one) for one in category_tree()])
    sure = np.zeros(len(rows), bool)
    for start in range(0, len(rows), _CHUNK):
        some = slice(start, start + _CHUNK)
        halves = shares[some].astype(np.float16)
        sure[some] = _shown(seen.classes[some], halves, SURE_PART)[:, said].any(axis=1)
    kept = np.flatnonzero(sure & (rows >= 0))
    kept = kept[np.argsort(rows[kept], kind="stable")]
    return Parts(
        rows[kept].astype(np.int32),
        seen.crops[kept],
        seen.classes[kept],
        shares[kept].astype(np.float16),
    )
