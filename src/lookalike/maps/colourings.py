"""By what a map can be coloured: categories, dates, folders; further ones are registered.

A maker takes what is known of the records and the ids of a map's rows, and gives a legend and each
row's place in it. ``COLOURINGS`` lists the makers by name.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lookalike.categories import CONFIDENT, Category, category_tree
from lookalike.categories.labels import worth_saying
from lookalike.indexes.categories import CategoryIndex
from lookalike.stores.base import UNKNOWN, FactsTable
from lookalike.types import IdArray

GROUPS = 20
"""Groups that have a colour of their own; what is left is one more, "other"."""
STEPS = 12
"""Steps of a scale at most."""
SPLIT = 0.1
"""A category that more than this share of the rows shows is told by what is below it."""


class Known(Protocol):
    """What is known of records."""

    def facts(self) -> FactsTable:
        """Sizes and times of all records that have a file."""

    def folders(self) -> Mapping[bytes, str]:
        """The folder of a file of every record that has one, by the bytes of its id."""

    def categories(self) -> CategoryIndex:
        """What records show."""


@dataclass(frozen=True)
class Colouring:
    """Groups of a map's rows: ``kind`` "groups" or "ordered" (a scale); ``of`` int32 (n,).

    ``legend``: a name and a number of rows for each group; -1 in ``of``: in none.
    """

    kind: str
    legend: tuple[tuple[str, int], ...]
    of: NDArray[np.int32]

    def entries(self) -> list[dict[str, str | int]]:
        """The legend as JSON has it."""
        return [{"label": label, "count": count} for label, count in self.legend]


Maker = Callable[[Known, IdArray], Colouring]


def by_folder(known: Known, ids: IdArray) -> Colouring:
    """Rows by the folder they lie in, below the folder that all have in common, or that itself."""
    folders = known.folders()
    own = [folders.get(id_.tobytes()) for id_ in ids]
    places = {folder for folder in own if folder is not None}
    common = os.path.commonpath(places) if places else ""

    def short(folder: str) -> str:
        below = os.path.relpath(folder, common).split(os.sep)[0]
        return below if below != os.curdir else os.path.basename(common) or common

    names = {folder: short(folder) for folder in places}
    return grouped([None if folder is None else names[folder] for folder in own])


def by_date(known: Known, ids: IdArray) -> Colouring:
    """Rows by when they were taken: years, months or days, as fine as a dozen steps allow."""
    facts = known.facts()
    rows = facts.rows_of(ids)
    taken = np.full(len(ids), UNKNOWN, np.int64)
    taken[rows >= 0] = facts.taken[rows[rows >= 0]]
    some = taken != UNKNOWN
    times = taken[some].astype("datetime64[s]")
    labels, steps = _steps(times)
    of = np.full(len(ids), -1, np.int32)
    of[some] = steps
    counts = np.bincount(steps, minlength=len(labels))
    return Colouring("ordered", tuple(zip(labels, counts.tolist(), strict=True)), of)


def _steps(times: NDArray[np.datetime64]) -> tuple[list[str], NDArray[np.int32]]:
    """Names of steps in time, and the step of every time."""
    for unit in ("D", "M", "Y"):
        found, steps = np.unique(times.astype(f"datetime64[{unit}]"), return_inverse=True)
        if len(found) <= STEPS:
            return [str(one) for one in found], steps.astype(np.int32)
    years = times.astype("datetime64[Y]").astype(int) + 1970
    span = -(-(int(years.max()) - int(years.min()) + 1) // STEPS)
    blocks = (years - years.min()) // span
    starts = [int(years.min()) + span * step for step in range(int(blocks.max()) + 1)]
    return [f"{start}–{start + span - 1}" for start in starts], blocks.astype(np.int32)


def by_category(known: Known, ids: IdArray) -> Colouring:
    """Rows by what they surely show, as wide categories of which none is most of the map."""
    index = known.categories()
    rows = index.rows_of(ids)
    best = np.full(len(ids), CONFIDENT, np.float32)
    of = np.full(len(ids), -1, np.int32)
    chosen = wide_categories(index)
    for number, category in enumerate(chosen):
        share = np.where(rows >= 0, index.share_of_whole(category.classes)[rows], 0)
        higher = share > best
        best[higher], of[higher] = share[higher], number
    names = [None if one < 0 else chosen[one].name for one in of.tolist()]
    return grouped(names)


def wide_categories(index: CategoryIndex) -> list[Category]:
    """Categories that part what the rows show: none below another, the most frequent split up."""
    tree, (counts, labelled) = category_tree(), index.counts(CONFIDENT)
    said = {one.id for one in tree if worth_saying(one) and counts.get(one.id)}
    groups = [tree[id_] for id_ in said if not said & {up.id for up in tree.ancestors(tree[id_])}]
    while len(groups) < 2 * GROUPS:
        wide = [one for one in groups if counts[one.id] > SPLIT * labelled]
        split = max(wide, key=lambda one: (counts[one.id], one.id), default=None)
        below = [] if split is None else [c for c in tree.children(split) if c.id in said]
        if not below:
            break
        groups = [one for one in groups if one is not split] + below
    return sorted({one.id: one for one in groups}.values(), key=lambda one: one.id)


def grouped(names: Sequence[str | None], most: int = GROUPS) -> Colouring:
    """Rows by a name; the most frequent ``most`` have a group each, the rest is "other"."""
    counts = Counter(name for name in names if name is not None)
    order = sorted(counts, key=lambda name: (-counts[name], name))
    place = {name: min(number, most) for number, name in enumerate(order)}
    of = np.array([-1 if name is None else place[name] for name in names], np.int32)
    legend = [(name, counts[name]) for name in order[:most]]
    if len(order) > most:
        legend.append(("other", sum(counts[name] for name in order[most:])))
    return Colouring("groups", tuple(legend), of)


COLOURINGS: dict[str, tuple[str, Maker]] = {
    "category": ("Category", by_category),
    "date": ("Date taken", by_date),
    "folder": ("Folder", by_folder),
}
"""Titles and makers by name. A side table adds its columns here."""
