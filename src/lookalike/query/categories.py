"""Counting what the records of a library show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lookalike.categories import CONFIDENT, Category, category_tree
from lookalike.categories.labels import worth_saying
from lookalike.indexes.categories import CategoryIndex


@dataclass(frozen=True, slots=True)
class CategoryCount:
    """A category, how many records surely show it, and what is below it, the fullest first."""

    category: Category
    count: int
    below: tuple[CategoryCount, ...]


@dataclass(frozen=True, slots=True)
class CategoryCounts:
    """The trees of what a library's records show. ``unsure``: records that surely show nothing."""

    records: int
    unsure: int
    tree: tuple[CategoryCount, ...]


def count_categories(index: CategoryIndex, top: Category | None) -> CategoryCounts:
    """All that is shown, or what is at or below ``top``."""
    counts, labelled = index.counts(CONFIDENT)
    records = int(index.live.sum())
    tree = category_tree()
    roots: tuple[CategoryCount, ...]
    if top is not None:
        count = counts.get(top.id, 0)
        roots = (CategoryCount(top, count, _below(top, counts)),) if count else ()
    else:
        said = {one.id for one in tree if worth_saying(one)}
        tops = [tree[id_] for id_ in said if not said & {*tree[id_].parents}]
        roots = tuple(root for one in tops for root in _trees(one, counts))
    return CategoryCounts(records, records - labelled, _fullest_first(roots))


def _trees(category: Category, counts: Mapping[str, int]) -> tuple[CategoryCount, ...]:
    """A category's tree if any record shows it."""
    count = counts.get(category.id, 0)
    if not count:
        return ()
    below = _below(category, counts)
    if len(below) == 1 and below[0].count == count and category.number is None:
        return below  # nothing but one narrower category: that says more
    return (CategoryCount(category, count, below),)


def _below(category: Category, counts: Mapping[str, int]) -> tuple[CategoryCount, ...]:
    """The trees right below; a category with several parents is below the first only."""
    children = category_tree().children(category)
    own = (child for child in children if child.parents[0] == category.id)
    return _fullest_first(tuple(one for child in own for one in _trees(child, counts)))


def _fullest_first(trees: tuple[CategoryCount, ...]) -> tuple[CategoryCount, ...]:
    return tuple(sorted(trees, key=lambda one: (-one.count, one.category.id)))
