"""The category tree: the thousand classes of ImageNet-1k and what WordNet 3.0 has above them.

Made by ``tools/make_categories.py``. ImageNet's class ids are WordNet's own, so "tabby" lies below
"cat", "feline", "mammal" and "animal". A category may have several parents.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from lookalike.types import DoubleArray, FloatArray

CLASSES = 1_000

ROOT = "n00001740"
"""WordNet's "entity", above everything."""


@dataclass(frozen=True, slots=True)
class Category:
    """One category. ``id`` is that of WordNet 3.0's noun, n and its offset.

    ``names``: WordNet's, the commonest first. ``parents``: ids, the first one the usual one.
    ``number``: of the class that it is itself, or None. ``classes``: numbers of all classes at or
    below it, ascending.
    """

    id: str
    names: tuple[str, ...]
    parents: tuple[str, ...]
    number: int | None
    classes: tuple[int, ...]

    @property
    def name(self) -> str:
        """The name it is shown by."""
        return self.names[0]


class CategoryTree:
    """All categories, by id, by name, and by the number of a class."""

    def __init__(self, categories: Mapping[str, Category]) -> None:
        self._categories = categories
        self._of_class = {one.number: one for one in categories.values() if one.number is not None}
        self._above: dict[str, tuple[Category, ...]] = {}
        self._children: dict[str, list[Category]] = {}
        self._named: dict[str, list[Category]] = {}
        for one in categories.values():
            for parent in one.parents:
                self._children.setdefault(parent, []).append(one)
            for name in one.names:
                self._named.setdefault(name.casefold(), []).append(one)

    def __iter__(self) -> Iterator[Category]:
        return iter(self._categories.values())

    def __getitem__(self, id_: str) -> Category:
        return self._categories[id_]

    def get(self, id_: str) -> Category | None:
        """The category with this id, or None."""
        return self._categories.get(id_)

    def of_class(self, number: int) -> Category:
        """The category that is this class."""
        return self._of_class[number]

    def named(self, name: str) -> list[Category]:
        """Categories that have this name, in any case, ordered by id."""
        return self._named.get(name.casefold(), [])

    def children(self, category: Category) -> list[Category]:
        """What lies right below, ordered by id."""
        return self._children.get(category.id, [])

    def ancestors(self, category: Category) -> tuple[Category, ...]:
        """What lies above, the nearest first, each once."""
        if category.id not in self._above:  # every label asks
            self._above[category.id] = self._looked_up(category)
        return self._above[category.id]

    def _looked_up(self, category: Category) -> tuple[Category, ...]:
        found: dict[str, Category] = {}
        layer = [category]
        while layer:
            above = [self[parent] for one in layer for parent in one.parents]
            layer = [one for one in above if one.id not in found]
            found.update((one.id, one) for one in layer)
        return tuple(found.values())


@functools.cache
def category_tree() -> CategoryTree:
    """The tree that ships with the package."""
    rows = [line.split("\t") for line in data_lines("tree.tsv")]
    parents = {id_: tuple(above.split()) for id_, above, _, _ in rows}
    below: dict[str, set[int]] = {id_: set() for id_ in parents}
    for id_, _, _, number in rows:
        layer = {id_} if number else set()
        while layer:
            for one in layer:
                below[one].add(int(number))
            layer = {above for one in layer for above in parents[one]}
    return CategoryTree({
        id_: Category(
            id_,
            tuple(names.split("|")),
            parents[id_],
            int(number) if number else None,
            tuple(sorted(below[id_])),
        )
        for id_, _, names, number in rows
    })  # fmt: skip


@functools.cache
def class_directions() -> FloatArray:
    """What the default encoder's last layer looks for by class, less what all have in common.

    float32 (1000, 1280): a picture's vector has a high product with the rows of its classes.
    """
    data = files(__package__).joinpath("data", "classes.npy").read_bytes()
    directions: FloatArray = np.load(io.BytesIO(data), allow_pickle=False).astype(np.float32)
    return directions


def direction_of(classes: tuple[int, ...]) -> DoubleArray:
    """The mean direction of some classes, float64 (1280,) of unit length."""
    mean = class_directions()[list(classes)].mean(axis=0, dtype=np.float64)
    unit: DoubleArray = mean / np.linalg.norm(mean)
    return unit


def data_lines(name: str) -> list[str]:
    """The lines of a data file of this package."""
    return files(__package__).joinpath("data", name).read_text("utf-8").splitlines()
