"""Which words fit a cluster, and how well.

Every candidate, whether a category, a word, a label or a keyword, has two shares: how much of the
cluster it is true of (p), and of the rest of the map (q). Its worth is p ln(p / q): what it tells
of a record, in nats, times how often it tells it; the cluster's part of the divergence between
inside and outside (S. Kullback, R. Leibler, "On Information and Sufficiency", 1951). "Animal" is
true of all cats and of half the rest, "tabby" of a third of the cats and of nothing else, "cat" of
all cats and of nothing else: that is their name.

Words of file and folder names are first ranked by class-based TF-IDF, share * ln(1 + A / f), with A
the mean number of words in a cluster and f how often the word is there at all (M. Grootendorst,
"BERTopic: Neural Topic Modeling with a Class-Based TF-IDF Procedure", 2022); the best of them are
candidates.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.categories import category_tree
from lookalike.categories.tree import CLASSES
from lookalike.maps.clusters.grouping import Numbers
from lookalike.maps.evidence import Evidence, Said
from lookalike.maps.plain import plain_categories
from lookalike.types import DoubleArray

MOST = 12
"""Candidates of each kind for a cluster."""

LEAST_SHARE = {"label": 0.25, "keyword": 0.25, "word": 0.3, "category": 0.12}
"""How much of a cluster a name must be true of. Of categories less is asked: where none of the
thousand classes fits a picture, many have a little of it."""

WEIGHTS = {"label": 1.5, "keyword": 1.2, "word": 1.0, "category": 1.0}
"""What a person said of the pictures counts more than where they were filed."""

LEAST_LIFT = 1.5
"""How many times more often a name is true inside than outside at the least."""

COVERS = 0.75
"""A narrower category is the better name if it covers this share of what a wider one covers."""

_SMOOTHING = 5.0
"""Rows of an imagined rest of the map, of which names are true as often as anywhere, so that a
small map has some contrast, and one with a single cluster, too."""

_WORD_PRIOR = 0.02


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible name, true of ``share`` of its cluster; ``category`` is an id of the tree."""

    text: str
    share: float
    worth: float
    category: str | None = None


@dataclass(frozen=True)
class Tally:
    """Of one kind of evidence, how often each name is true of each cluster's rows.

    ``sums`` (clusters, names) as a SciPy CSR array; ``prior`` float64 (names,): how often a name is
    true of any picture at all.
    """

    kind: str
    names: tuple[str, ...]
    categories: tuple[str, ...]
    sums: Any
    prior: DoubleArray

    def wider(self, above: Any) -> Tally:
        """The same for a wider level; ``above`` (wide, narrow) has 1 where one lies in another."""
        return replace(self, sums=(above @ self.sums).tocsr())

    def ranked(
        self, cluster: int, sizes: NDArray[np.int64], rest: NDArray[np.int64] | None = None
    ) -> list[Candidate]:
        """The candidates of a cluster against the clusters ``rest`` or all others, the best first.

        ``sizes`` int64 (clusters,).
        """
        row = self.sums[[cluster]]
        terms, inside = row.indices, row.data / sizes[cluster]
        if rest is None:
            others = sizes.sum() - sizes[cluster]
            outside = np.maximum(self._frequency[terms] - row.data, 0)
        else:
            others = sizes[rest].sum()
            outside = np.asarray(self.sums[rest][:, terms].sum(axis=0)).ravel()
        outside = (outside + _SMOOTHING * self.prior[terms]) / (others + _SMOOTHING)
        fits = (inside >= LEAST_SHARE[self.kind]) & (inside >= LEAST_LIFT * outside)
        terms, inside, outside = terms[fits], inside[fits], outside[fits]
        worth = WEIGHTS[self.kind] * inside * np.log(inside / outside)
        if self.categories and len(terms):
            first = self._narrowed(terms, inside, worth)
            worth[first] = np.nextafter(worth.max(), np.inf)  # the first of its kind, no more
        order = np.lexsort((terms, -worth))
        if self.kind == "word":
            order = order[np.argsort(-self._tf_idf(terms, inside)[order], kind="stable")]
        best = order[:MOST]
        best = best[np.lexsort((terms[best], -worth[best]))]
        return [
            Candidate(self.names[terms[at]], float(inside[at]), float(worth[at]),
                      self.categories[terms[at]] if self.categories else None)
            for at in best
        ]  # fmt: skip

    def _narrowed(self, terms: NDArray[np.int64], inside: DoubleArray, worth: DoubleArray) -> int:
        """The narrowest category below the best one that covers nearly as much of the cluster."""
        best = int(np.argmax(worth))
        while True:
            below = [
                at
                for at in range(len(terms))
                if inside[at] >= COVERS * inside[best]
                and self.categories[terms[best]] in _above(self.categories[terms[at]])
            ]
            if not below:
                return best
            best = max(below, key=lambda at: (worth[at], -at))

    def _tf_idf(self, terms: NDArray[np.int64], share: DoubleArray) -> DoubleArray:
        mean = self._frequency.sum() / self.sums.shape[0]
        found: DoubleArray = share * np.log1p(mean / self._frequency[terms])
        return found

    @functools.cached_property
    def _frequency(self) -> DoubleArray:
        counts = np.asarray(self.sums.sum(axis=0), np.float64).ravel()
        found: DoubleArray = np.maximum(counts, 1e-9)
        return found


def tallies(evidence: Evidence, of: Numbers, count: int) -> list[Tally]:
    """What the evidence says of ``count`` clusters, ``of`` int32 (n,), -1 in none.

    Rows in no cluster are one more cluster, the last: they are of the rest of the map.
    """
    of = np.where(of < 0, count, of)
    made = [
        _said(kind, said, of, count + 1)
        for kind, said in (
            ("label", evidence.labels),
            ("keyword", evidence.keywords),
            ("word", evidence.words),
        )
        if said.names
    ]
    if evidence.classes.shape[1]:
        made.append(_categories(evidence, of, count + 1))
    return made


def _said(kind: str, said: Said, of: Numbers, count: int) -> Tally:
    from scipy.sparse import coo_array

    shape = (count, len(said.names))
    sums = coo_array((said.shares.astype(np.float64), (of[said.rows], said.terms)), shape=shape)
    return Tally(kind, said.names, (), sums.tocsr(), np.full(shape[1], _WORD_PRIOR))


def _categories(evidence: Evidence, of: Numbers, count: int) -> Tally:
    from scipy.sparse import csr_array

    width = evidence.classes.shape[1]
    keys = np.repeat(of.astype(np.int64) * CLASSES, width) + evidence.classes.ravel()
    classes = np.bincount(keys, evidence.shares.ravel(), count * CLASSES).reshape(count, CLASSES)
    said = plain_categories()
    sums = csr_array(classes @ _members())
    prior = np.array([len(one.classes) / CLASSES for one in said])
    return Tally(
        "category", tuple(one.name for one in said), tuple(one.id for one in said), sums, prior
    )


@functools.cache
def _members() -> DoubleArray:
    """Which classes lie at or below which category, float64 (1000, categories)."""
    said = plain_categories()
    members = np.zeros((CLASSES, len(said)))
    for column, one in enumerate(said):
        members[list(one.classes), column] = 1
    return members


@functools.cache
def _above(category: str) -> frozenset[str]:
    """The ids of the categories above one."""
    tree = category_tree()
    return frozenset(one.id for one in tree.ancestors(tree[category]))


def merged(rankings: Iterable[list[Candidate]]) -> list[Candidate]:
    """Candidates of several kinds, the best first, each text once."""
    every = sorted((one for ranking in rankings for one in ranking), key=lambda one: -one.worth)
    found: dict[str, Candidate] = {}
    for one in every:
        found.setdefault(one.text, one)
    return list(found.values())
