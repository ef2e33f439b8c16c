"""Names, pictures and colours for clusters: from numbers to what a person reads on a map.

    evidence = Evidence.gather(ids, store=store, categories=index, histograms=table)
    clustering = describe("hdbscan", grouping, points, positions, evidence)

Evidence is gathered once; describing other clusters of the same records takes about a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lookalike.categories import category_tree
from lookalike.maps import colours
from lookalike.maps.base import Cluster, Clustering, Level
from lookalike.maps.candidates import Candidate, Tally, merged, tallies
from lookalike.maps.clusters.grouping import Grouping, Numbers, Stage
from lookalike.maps.evidence import Evidence
from lookalike.maps.exemplars import exemplars, members, middle
from lookalike.types import DoubleArray, FloatArray, uuids

MOST_WORDS = 6
"""Further candidates told beside the name."""

SECOND_SHARE = 0.3
"""How much of a cluster a second word must be true of."""

Colours = list[tuple[tuple[int, int, int], float]]


def describe(
    method: str,
    grouping: Grouping,
    points: FloatArray,
    positions: FloatArray,
    evidence: Evidence,
    stage: Stage = lambda text: None,
) -> Clustering:
    """The clusters of all levels with names, exemplars, colours and places.

    ``points`` float32 (n, d), ``positions`` float32 (n, 2|3), ``evidence`` of the same n records.
    Names are unique within a level and never empty: the best candidate (``candidates``), a second
    word where two clusters have the same; where nothing fits what the two largest parts of a wider
    cluster are called, else a main colour; a number at last.
    """
    stage("names of clusters")
    count = grouping.count
    facts = _Facts(tallies(evidence, grouping.of, count), _histograms(grouping.of, count, evidence))
    best = facts.best(
        np.bincount(np.where(grouping.of < 0, count, grouping.of), minlength=count + 1)
    )
    levels = []
    for of, parent in zip(grouping.levels(), (*grouping.coarser, None), strict=True):
        own = facts if parent is None else facts.wider(parent)
        instead = [None] * count if parent is None else _of_parts(best, parent)
        levels.append(_level(of, own, instead, points, positions, evidence))
    return Clustering(method, grouping.parameters, tuple(levels), grouping.tree)


def _of_parts(best: Sequence[Candidate | None], parent: Numbers) -> list[Candidate | None]:
    """For each wider cluster what its two largest clusters with a name are called."""
    found: list[Candidate | None] = []
    for wide in range(int(parent.max()) + 1):
        own = (best[narrow] for narrow in np.flatnonzero(parent == wide).tolist())
        texts = list(dict.fromkeys(one.text for one in own if one is not None))[:2]
        found.append(Candidate(", ".join(texts), 0.0, 0.0) if texts else None)
    return found


def _level(
    of: Numbers,
    facts: _Facts,
    instead: Sequence[Candidate | None],
    points: FloatArray,
    positions: FloatArray,
    evidence: Evidence,
) -> Level:
    count = int(of.max(initial=-1)) + 1
    all_colours = facts.colours(count)
    names = _names(of, facts, instead, all_colours)
    found = []
    for cluster, rows in enumerate(members(of, count)):
        shown = uuids(evidence.ids[exemplars(points, rows)])
        name, words = names[cluster]
        painted = [(colours.as_hex(rgb), share) for rgb, share in all_colours[cluster]]
        found.append(
            Cluster(len(rows), name, words, shown[0], tuple(shown), tuple(painted),
                    middle(positions, rows))
        )  # fmt: skip
    return Level(of, tuple(found))


def _histograms(of: Numbers, count: int, evidence: Evidence) -> DoubleArray | None:
    """The mean histogram of every cluster, float64 (count, 4096), and how many rows it has."""
    if evidence.histograms is None:
        return None
    return np.stack([
        len(rows) * colours.mean_histogram(evidence.histograms, evidence.histogram_rows[rows])
        for rows in members(of, count)
    ])  # fmt: skip


@dataclass(frozen=True)
class _Facts:
    """What is known of the clusters of one level, in the order of their numbers.

    ``tallies`` have one cluster more, of the rows in none; ``histograms`` (clusters, 4096): sums of
    shares over rows.
    """

    tallies: Sequence[Tally]
    histograms: DoubleArray | None

    def wider(self, parent: Numbers) -> _Facts:
        from scipy.sparse import csr_array

        wide, narrow = int(parent.max()) + 1, len(parent)
        rows, columns = np.append(parent, wide), np.arange(narrow + 1)
        above = csr_array((np.ones(narrow + 1), (rows, columns)), shape=(wide + 1, narrow + 1))
        sums = None if self.histograms is None else above[:wide, :narrow] @ self.histograms
        return _Facts([one.wider(above) for one in self.tallies], sums)

    def colours(self, count: int) -> list[Colours]:
        """The main colours of each of ``count`` clusters."""
        if self.histograms is None:
            return [[] for _ in range(count)]
        totals = self.histograms.sum(axis=1, keepdims=True)
        return colours.dominant(self.histograms / np.maximum(totals, 1e-12))

    def ranked(
        self, cluster: int, sizes: NDArray[np.int64], rest: NDArray[np.int64] | None = None
    ) -> list[Candidate]:
        return merged(one.ranked(cluster, sizes, rest) for one in self.tallies)

    def best(self, sizes: NDArray[np.int64]) -> list[Candidate | None]:
        """The best candidate of every cluster, if it has any; the last of ``sizes`` is in none."""
        ranked = (self.ranked(one, sizes) for one in range(len(sizes) - 1))
        return [found[0] if found else None for found in ranked]


# -- names -----------------------------------------------------------------------------------------


def _names(
    of: Numbers,
    facts: _Facts,
    instead: Sequence[Candidate | None],
    all_colours: Sequence[Colours],
) -> list[tuple[str, tuple[str, ...]]]:
    """Every cluster's name and further words; ``instead`` serves where no candidate fits."""
    count = len(all_colours)
    sizes = np.bincount(np.where(of < 0, count, of), minlength=count + 1)
    ranked = [facts.ranked(one, sizes) for one in range(count)]
    first = [found[0] if found else other for found, other in zip(ranked, instead, strict=True)]
    names: dict[int, str] = {}
    taken: set[str] = set()
    for cluster in range(count):
        alike = np.array([
            other for other in range(count) if _same(first[other], first[cluster])
        ])  # fmt: skip
        painted = [colours.name_of(rgb) for rgb, _ in all_colours[cluster]]
        second = facts.ranked(cluster, sizes, alike[alike != cluster]) if len(alike) > 1 else []
        for name in _tried(cluster, first[cluster], second, painted, alone=len(alike) < 2):
            if name.casefold() not in taken:
                break
        names[cluster] = name
        taken.add(name.casefold())
    return [(names[one], _further(ranked[one], names[one])) for one in range(count)]


def _same(one: Candidate | None, other: Candidate | None) -> bool:
    return one is not None and other is not None and one.text == other.text


def _tried(
    cluster: int,
    first: Candidate | None,
    second: Sequence[Candidate],
    painted: Sequence[str],
    *,
    alone: bool,
) -> Iterator[str]:
    """Names for a cluster, the best first; they never end.

    ``alone``: no other cluster's best candidate says the same; ``second`` tells it from those whose
    does, ``painted`` its main colours.
    """
    stem = _capital(first.text if first else painted[0] if painted else "Cluster")
    if first is None or alone:
        further = [colour for colour in painted if colour.casefold() != stem.casefold()]
        yield from [stem] if first or painted else []
    else:
        further = list(painted)
        for one in second:
            if one.share >= SECOND_SHARE and not _says_the_same(one, first):
                yield f"{stem}, {one.text}"
    yield from (f"{stem}, {colour}" for colour in dict.fromkeys(further))
    number = 2 if first or painted else cluster + 1
    while True:
        yield f"{stem} {number}"
        number += 1


def _says_the_same(second: Candidate, first: Candidate) -> bool:
    """Whether a second word adds nothing: parts of the first, or a category above it."""
    own, other = set(first.text.split()), set(second.text.split())
    if own & other:
        return True
    if first.category is None or second.category is None:
        return False
    tree = category_tree()
    above = tree.ancestors(tree[first.category])
    return any(one.id == second.category for one in above)


def _further(ranked: Sequence[Candidate], name: str) -> tuple[str, ...]:
    said = {part.strip() for part in name.casefold().split(",")}
    return tuple(one.text for one in ranked if one.text.casefold() not in said)[:MOST_WORDS]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
