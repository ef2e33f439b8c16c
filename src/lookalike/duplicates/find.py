"""The main path: candidates, a coarse and a fine comparison, relations, groups."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.duplicates import relations as rel
from lookalike.duplicates.align import Alignments
from lookalike.duplicates.candidates import (
    BURST_COSINE,
    NEIGHBOURS,
    cosines_of,
    near_by_vectors,
    near_in_time,
    same_moment,
)
from lookalike.duplicates.compare import Candidates, CoarseComparer, compare_finely, joined
from lookalike.duplicates.groups import Star, lying_otherwise, missing_pairs, stars
from lookalike.duplicates.hashes import near_pairs, sign_hashes
from lookalike.duplicates.rasters import COARSE, grey_rasters
from lookalike.duplicates.relations import Pairs, changes_of, joined_pairs, judged
from lookalike.duplicates.report import (
    CLOSEST_FIRST,
    Copy,
    DuplicateOptions,
    DuplicateReport,
    Group,
    Relation,
)
from lookalike.indexes.graph import NeighbourGraph
from lookalike.stores.base import UNKNOWN, FactsTable, Store, VectorTable
from lookalike.types import FileEntry, IdArray, PixelArray, Record, id_array, uuids

Rows = NDArray[np.int64]
Stage = Callable[[str], None]
T = TypeVar("T")

HASH_BITS = 10
"""Bits by which hashes of candidates differ at most."""

FLAT = 3.0
"""Grey levels; pictures that vary less have nothing to compare."""

_AT_ONCE = 2_000


class Finder:
    """Finds the duplicates of one commit of a library.

    ``allowed``: ids of the records to look at, all if None; ``graph`` gives the neighbour graph.
    """

    def __init__(
        self,
        store: Store,
        vectors: VectorTable,
        graph: Callable[[int], NeighbourGraph],
        allowed: IdArray | None,
        stage: Stage,
    ) -> None:
        self._store, self._vectors, self._graph = store, vectors, graph
        self._facts = _chosen(store.facts(), allowed)
        self._stage, self._seconds = stage, dict[str, float]()
        self._left_out = 0

    @property
    def ids(self) -> IdArray:
        """The records that are looked at, V16 (n,); pairs speak of these rows."""
        return self._facts.ids

    def find(self, options: DuplicateOptions) -> DuplicateReport:
        """All groups of duplicates."""
        pairs, decided = self.pairs(options)
        identical = Relation.IDENTICAL in options.relations
        groups = self._timed("groups", self._groups, pairs, identical)
        counts = dict.fromkeys(CLOSEST_FIRST[1:], 0)
        for number, count in zip(*np.unique(pairs.relation, return_counts=True), strict=True):
            counts[CLOSEST_FIRST[int(number)]] = int(count)
        compared = len(self._facts.ids)
        return DuplicateReport(groups, compared, counts, self._left_out, decided, self._seconds)

    def pairs(self, options: DuplicateOptions) -> tuple[Pairs, int]:
        """All pairs of different records, and how many more were found but decided against."""
        wanted = set(options.relations)
        pairs, coarse = joined_pairs([]), None
        if wanted & {Relation.RE_ENCODED, Relation.EDITED}:
            # First, as making it takes more memory than all that follows.
            graph = self._timed("neighbour graph", self._graph, NEIGHBOURS)
            rasters = self._timed("reading thumbnails", self._rasters)
            coarse = CoarseComparer(rasters)
            pairs = self._same(rasters, coarse, graph)
        if Relation.BURST in wanted:
            pairs = self._timed("bursts", self._with_bursts, pairs, options.seconds)
        kept = self._kept(pairs, options)
        pairs = self._undecided(kept)
        decided = len(kept) - len(pairs)
        if coarse is not None and len(pairs):
            more = self._timed("completing groups", self._missing, pairs, coarse, options)
            pairs = joined_pairs([pairs, self._undecided(more)])
        return pairs, decided

    def _timed(self, name: str, step: Callable[..., T], *values: Any) -> T:
        self._stage(name)
        started = time.perf_counter()
        result = step(*values)
        took = time.perf_counter() - started
        self._seconds[name] = round(self._seconds.get(name, 0) + took, 3)
        return result

    # -- pairs -----------------------------------------------------------------------------------

    def _rasters(self) -> PixelArray:
        out = np.zeros((len(self._facts.ids), COARSE, COARSE), np.uint8)
        self._pictured = np.zeros(len(out), bool)
        thumbnails = self._store.each_thumbnail()
        while batch := list(islice(thumbnails, _AT_ONCE)):
            rows = self._facts.rows_of(np.frombuffer(b"".join(id_ for id_, _ in batch), "V16"))
            wanted = np.flatnonzero(rows >= 0)
            self._pictured[rows[wanted]] = True
            out[rows[wanted]] = grey_rasters([batch[place][1] for place in wanted])
        return out

    def _keys(self, first: Rows, second: Rows) -> Rows:
        return first * len(self._facts.ids) + second

    def _same(self, rasters: PixelArray, coarse: CoarseComparer, graph: NeighbourGraph) -> Pairs:
        """Pairs that show the same picture."""
        by_hash = self._timed("hashes", self._near_by_hash, rasters)
        by_hash = self._timed("comparing hashed", coarse.alike, by_hash)
        keys = self._timed("cosines", near_by_vectors, graph, self._facts, self._vectors)
        keys = np.setdiff1d(keys, self._keys(by_hash.first, by_hash.second), assume_unique=True)
        count = len(self._facts.ids)
        keys = keys[self._pictured[keys // count] & self._pictured[keys % count]]
        placed = self._timed("placing", coarse.placed, keys // count, keys % count)
        placed = self._timed("comparing placed", coarse.alike, placed)
        return self._timed("comparing finely", self._judged, joined([by_hash, placed]))

    def _near_by_hash(self, rasters: PixelArray) -> Candidates:
        """Pairs of pictures that are not flat; those have no hash to speak of."""
        rows = np.concatenate(
            [np.empty(0, np.int64)]
            + [
                at + np.flatnonzero(rasters[at : at + _AT_ONCE].std((1, 2)) >= FLAT)
                for at in range(0, len(rasters), _AT_ONCE)
            ]
        )
        near, left_out = near_pairs(sign_hashes(rasters)[rows], HASH_BITS)
        self._left_out += left_out
        start = Alignments.of_symmetries(near.symmetry)
        return Candidates(rows[near.first], rows[near.second], start)

    def _judged(self, pairs: Candidates) -> Pairs:
        return joined_pairs([judged(part) for part in compare_finely(pairs, self._thumbnails)])

    def _thumbnails(self, rows: Rows) -> Sequence[bytes | None]:
        return self._store.thumbnails(self._ids(rows))

    def _ids(self, rows: Rows) -> list[UUID]:
        return uuids(self._facts.ids[rows])

    def _with_bursts(self, pairs: Pairs, seconds: int) -> Pairs:
        """Shots near in time and look; a copy has its original's time, another shot may not."""
        facts, count = self._facts, len(self._facts.ids)
        moment = same_moment(facts, pairs.first, pairs.second, seconds)
        moment &= facts.taken[pairs.first] != facts.taken[pairs.second]
        number = np.where(moment, np.int8(rel.BURST), pairs.relation)
        pairs = replace(pairs, relation=number, changes=np.where(moment, 0, pairs.changes))
        keys = np.setdiff1d(near_in_time(facts, seconds), self._keys(pairs.first, pairs.second))
        first, second = keys // count, keys % count
        cosines = cosines_of(first, second, facts, self._vectors)
        near = np.flatnonzero(cosines >= BURST_COSINE)
        shots = Pairs(
            first[near],
            second[near],
            np.full(len(near), rel.BURST, np.int8),
            np.clip(cosines[near], 0, 1).astype(np.float32),
            np.zeros(len(near), np.int32),
        )
        return joined_pairs([pairs, shots])

    def _kept(self, pairs: Pairs, options: DuplicateOptions) -> Pairs:
        numbers = [CLOSEST_FIRST.index(relation) for relation in options.relations]
        wanted = np.isin(pairs.relation, numbers) & (pairs.similarity >= options.least)
        return pairs.take(np.flatnonzero(wanted))

    def _undecided(self, found: Pairs) -> Pairs:
        """Pairs of which the user has not said that they are no duplicates."""
        pairs = self._store.decisions()
        rows = [self._facts.rows_of(id_array(pair[side] for pair in pairs)) for side in (0, 1)]
        low, high = np.minimum(*rows), np.maximum(*rows)
        decided = self._keys(low, high)[low >= 0]
        open_ = ~np.isin(self._keys(found.first, found.second), decided)
        return found.take(np.flatnonzero(open_))

    def _missing(self, pairs: Pairs, coarse: CoarseComparer, options: DuplicateOptions) -> Pairs:
        """Pairs of a best copy and others that are only connected with it so far."""
        first, second = missing_pairs(pairs, self._rank(pairs)[0])
        found = self._judged(coarse.alike(coarse.placed(first, second)))
        if Relation.BURST in options.relations:
            moment = same_moment(self._facts, found.first, found.second, options.seconds)
            moment &= self._facts.taken[found.first] != self._facts.taken[found.second]
            found = replace(found, relation=np.where(moment, np.int8(rel.BURST), found.relation))
        return self._kept(found, options)

    # -- groups ----------------------------------------------------------------------------------

    def _rank(self, pairs: Pairs, more: Rows | None = None) -> tuple[Rows, dict[int, Files]]:
        """Rows by how well they are kept, 0 the best, and the files of those in pairs.

        The most pixels first, then those that lie as most they are connected with, then the
        oldest, then the most bytes.
        """
        facts = self._facts
        extra = np.empty(0, np.int64) if more is None else more
        rows = np.unique(np.concatenate([pairs.first, pairs.second, extra]))
        files = dict(zip(rows.tolist(), self._store.files(self._ids(rows)), strict=True))
        age = facts.taken.copy()
        for row, own in files.items():
            if age[row] == UNKNOWN and own:
                age[row] = (own[0].mtime_ns or 0) // 10**9
        otherwise = lying_otherwise(pairs, len(age))
        order = np.lexsort((np.arange(len(age)), -facts.bytes, age, otherwise, -facts.pixels))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        return rank, files

    def _groups(self, pairs: Pairs, identical: bool) -> tuple[Group, ...]:
        several = np.flatnonzero(self._facts.files > 1) if identical else np.empty(0, np.int64)
        rank, files = self._rank(pairs, several)
        found = stars(pairs, rank)
        grouped = {row for star in found for row in (star.best, *star.others.tolist())}
        none = np.empty(0, np.int64)
        found += [Star(row, none, none) for row in several.tolist() if row not in grouped]
        rows = sorted({row for star in found for row in (star.best, *star.others.tolist())})
        records = dict(zip(rows, self._store.get(self._ids(np.array(rows, np.int64))), strict=True))
        copies = Copies(records, files, identical)
        groups = [group for star in found if (group := copies.group(star, pairs))]
        return tuple(sorted(groups, key=lambda group: -group.extra_bytes))


Files = tuple[FileEntry, ...]


class Copies:
    """Makes the groups of a report from rows."""

    def __init__(
        self, records: dict[int, Record | None], files: dict[int, Files], identical: bool
    ) -> None:
        self._records, self._files, self._identical = records, files, identical

    def group(self, star: Star, pairs: Pairs) -> Group | None:
        """The group; None if it has meanwhile fallen apart."""
        same = self._of(star.best)
        if not same:
            return None
        best = replace(same[0], relation=None)
        others = same[1:]
        for row, place in zip(star.others.tolist(), star.pairs.tolist(), strict=True):
            relation = CLOSEST_FIRST[int(pairs.relation[place])]
            similarity = float(pairs.similarity[place])
            changes = changes_of(int(pairs.changes[place]))
            others += [
                replace(copy, relation=relation, similarity=similarity, changes=changes)
                for copy in self._of(row)
            ]
        others.sort(key=lambda copy: (CLOSEST_FIRST.index(copy.relation), -copy.similarity))
        return Group(best, tuple(others)) if others else None

    def _of(self, row: int) -> list[Copy]:
        """The files of a record, the oldest first; only that one if identical ones do not count."""
        record, files = self._records[row], self._files[row]
        if record is None:
            return []
        return [
            Copy(
                record.id,
                file.path,
                record.facts.width,
                record.facts.height,
                record.bytes,
                record.facts.format,
                record.facts.taken_at,
                _time(file.mtime_ns),
                Relation.IDENTICAL,
            )
            for file in (files if self._identical else files[:1])
        ]


def _time(nanoseconds: int | None) -> str | None:
    """ISO 8601 in UTC; None where the calendar ends."""
    try:
        seconds = (nanoseconds or 0) // 10**9
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return None


def _chosen(facts: FactsTable, allowed: IdArray | None) -> FactsTable:
    """The facts of the records that are looked at."""
    if allowed is None:
        return facts
    rows = np.sort(facts.rows_of(allowed))
    rows = rows[rows >= 0]
    return FactsTable(
        facts.ids[rows],
        facts.pixels[rows],
        facts.bytes[rows],
        facts.taken[rows],
        facts.camera[rows],
        facts.files[rows],
        facts.live[rows],
    )
