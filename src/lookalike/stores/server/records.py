"""Records on a server: files, thumbnails, labels, the ledger."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from uuid import UUID

import numpy as np

from lookalike.conditions import Condition
from lookalike.places import is_archive
from lookalike.stores.base import Lacking
from lookalike.stores.clauses import Sql
from lookalike.stores.run import Place, inside
from lookalike.stores.server.asking import ServerAsking, ids_of
from lookalike.stores.server.conditions import matching
from lookalike.stores.server.engine import Row
from lookalike.stores.server.layout import RECORDS, vectors_of
from lookalike.types import (
    ID_DTYPE,
    FileEntry,
    IdArray,
    ImageFacts,
    Label,
    LabelCount,
    LedgerRow,
    Record,
    Space,
    State,
)


class ServerRecords(ServerAsking):
    """Reads what is known of records."""

    def get(self, ids: Sequence[UUID]) -> list[Record | None]:
        """Records by id, in the order asked for; None where there is none."""
        columns = ", ".join(name for name in RECORDS.names if name != "number")
        rows = list(self._of(ids, f"SELECT {columns} FROM _records WHERE id IN {{ids}}"))
        paths = dict(zip(ids, self.paths(ids), strict=True))
        found: dict[UUID, Record] = {}
        for id_, content_hash, size, *facts, signed_hash in rows:
            found[id_] = Record(
                id_, bytes(content_hash), size, ImageFacts(*facts), signed_hash % 2**64, paths[id_]
            )
        return [found.get(id_) for id_ in ids]

    def paths(self, ids: Sequence[UUID]) -> list[tuple[str, ...]]:
        """Where records lie now, in the order asked for; nowhere for one that is not there."""
        found: dict[UUID, list[str]] = {}
        query = "SELECT record, path FROM _files WHERE record IN {ids} AND live ORDER BY path"
        for id_, path in self._of(ids, query):
            found.setdefault(id_, []).append(os.fsdecode(path))
        return [tuple(found.get(id_, ())) for id_ in ids]

    def files(self, ids: Sequence[UUID]) -> list[tuple[FileEntry, ...]]:
        """Where records lie now, the oldest file first, ties by path."""
        found: dict[UUID, list[FileEntry]] = {}
        query = (
            "SELECT record, path, bytes, mtime_ns, foreign_id, validator FROM _files"
            " WHERE record IN {ids} AND live ORDER BY mtime_ns, path"
        )
        for id_, path, *rest in self._of(ids, query):
            found.setdefault(id_, []).append(FileEntry(os.fsdecode(path), *rest))
        return [tuple(found.get(id_, ())) for id_ in ids]

    def thumbnails(self, ids: Sequence[UUID]) -> list[bytes | None]:
        """Thumbnails as JPEG, in the order asked for; None where there is none."""
        query = "SELECT record, jpeg FROM _thumbnails WHERE record IN {ids}"
        found = {id_: bytes(jpeg) for id_, jpeg in self._of(ids, query)}
        return [found.get(id_) for id_ in ids]

    def labels(self, ids: Sequence[UUID]) -> list[tuple[Label, ...]]:
        """Labels of records, in the order asked for, each record's by source and name."""
        found: dict[UUID, list[Label]] = {}
        query = (
            "SELECT record, source, label, confidence FROM _labels WHERE record IN {ids}"
            " ORDER BY source, label"
        )
        for id_, source, label, share in self._of(ids, query):
            found.setdefault(id_, []).append(Label(label, share, source=source))
        return [tuple(found.get(id_, ())) for id_ in ids]

    def label_counts(self) -> list[LabelCount]:
        """Every label of records that have a file now, by source, the most frequent first."""
        rows = self.engine.rows(
            "SELECT source, label, count(*) AS records FROM _labels WHERE record IN"
            " (SELECT record FROM _files WHERE live)"
            " GROUP BY source, label ORDER BY source, records DESC, label"
        )
        return [LabelCount(*row) for row in rows]

    def decisions(self) -> list[tuple[UUID, UUID]]:
        """Pairs of records that were decided not to be duplicates, each ascending, in order."""
        rows = self.engine.rows("SELECT first, second FROM _decisions")
        return sorted((first, second) for first, second in rows)

    def find_content(self, content_hash: bytes) -> UUID | None:
        """The record with this content, or None. May be called from any thread."""
        query = "SELECT id FROM _records WHERE content_hash = ?"
        return _one_id(self.engine.rows(query, (content_hash,)))

    def original(self, content_hash: bytes) -> str | None:
        """None: pictures from the web are kept beside local libraries only."""
        return None

    def find_foreign(self, foreign_id: str) -> UUID | None:
        """The record of the first live file, by path, that another table calls this, or None."""
        query = "SELECT record FROM _files WHERE foreign_id = ? AND live ORDER BY path LIMIT 1"
        return _one_id(self.engine.rows(query, (foreign_id,)))

    def has_foreign(self) -> bool:
        """Whether any live file has an id in another table."""
        return bool(
            self.engine.rows("SELECT 1 FROM _files WHERE foreign_id IS NOT NULL AND live LIMIT 1")
        )

    def find_path(self, path: str) -> tuple[UUID, bytes] | None:
        """Record and content hash of a live file at this absolute path, if it did not change."""
        rows = self.engine.rows(
            "SELECT id, content_hash, _files.bytes, mtime_ns FROM _files"
            " JOIN _records ON _records.id = _files.record WHERE path = ? AND live",
            (os.fsencode(path),),
        )
        if not rows:
            return None
        id_, content_hash, size, mtime_ns = rows[0]
        if not Place(os.fsencode(path), size, mtime_ns).holds():
            return None
        return id_, bytes(content_hash)

    def reads_path(self, path: str) -> bool:
        """Whether a file at this absolute path, or in it, is or was to be a record."""
        own = os.fsencode(path)
        first, last = inside(own) if is_archive(path) else (own, own)
        query = (
            "SELECT 1 FROM _files WHERE (path = ? OR path > ? AND path < ?) AND state <> ? LIMIT 1"
        )
        return bool(self.engine.rows(query, (own, first, last, State.SKIPPED.value)))

    def ledger(self, state: State | None = None) -> Iterator[LedgerRow]:
        """Every path ever seen, ordered by path."""
        where, values = ("WHERE state = ?", (state.value,)) if state else ("", ())
        rows = self.engine.stream(
            "SELECT path, state, reason, detail, bytes, mtime_ns, record FROM _files"
            f" {where} ORDER BY path",
            values,
        )
        for path, name, reason, detail, size, mtime, id_ in rows:
            yield LedgerRow(os.fsdecode(path), State(name), reason, detail, size, mtime, id_)

    def matching(self, condition: Condition) -> IdArray:
        """Ids of the records that have a live file for which the condition holds, ascending."""
        source = self.matching_source(condition)
        rows = self.engine.rows(f"SELECT DISTINCT r.id FROM {source.text}", source.values)
        return np.sort(ids_of(rows).view("S16")).view(ID_DTYPE)

    def matching_source(self, condition: Condition) -> Sql:
        """The same records ``r``, as what follows FROM; some several times."""
        return matching(condition, self.engine.words, self.side_tables())

    def id_at(self, place: int) -> UUID:
        """The id of a record with a file, ``place`` counting from 0 in the order of their ids."""
        order = self.engine.words.by_id("id")
        rows = self.engine.rows(
            f"SELECT id FROM _records WHERE id IN (SELECT record FROM _files WHERE live)"
            f" ORDER BY {order} LIMIT 1 OFFSET {int(place)}"
        )
        found: UUID = rows[0][0]
        return found

    def each_thumbnail(self) -> Iterator[tuple[bytes, bytes]]:
        """Ids and thumbnails of the records that have a file now, in the order of indexing."""
        rows = self.engine.stream(
            "SELECT record, jpeg FROM _thumbnails JOIN _records ON _records.id = record"
            " WHERE record IN (SELECT record FROM _files WHERE live) ORDER BY _records.number"
        )
        for id_, jpeg in rows:
            yield id_.bytes, bytes(jpeg)

    def each_path(self) -> Iterator[tuple[bytes, str]]:
        """Ids of records and the paths at which they lie now, a record's together, by path."""
        rows = self.engine.stream(
            "SELECT record, path FROM _files JOIN _records ON _records.id = record WHERE live"
            " ORDER BY number, path"
        )
        for id_, path in rows:
            yield id_.bytes, os.fsdecode(path)

    def folders(self) -> dict[bytes, str]:
        """The folder of every record that has a file now, by its id; of several files the first."""
        rows = self.engine.stream("SELECT record, folder FROM _files WHERE live ORDER BY path DESC")
        shared: dict[str, str] = {}
        return {id_.bytes: shared.setdefault(folder, folder) for id_, folder in rows}

    def has_times(self) -> bool:
        """Whether it is known of any record when it was taken."""
        rows = self.engine.rows(
            "SELECT 1 FROM _records WHERE taken_at IS NOT NULL AND id IN"
            " (SELECT record FROM _files WHERE live) LIMIT 1"
        )
        return bool(rows)

    def lacking(self, space: Space, roots: Sequence[str] | None = None) -> Iterator[Lacking]:
        """Live records without a vector in a space, each once, by path; under ``roots`` or all."""
        have: set[bytes] = set()
        if any(stored.name == space.name for stored in self.spaces()):
            rows = self.engine.stream(f"SELECT id FROM {vectors_of(space).name}")
            have = {id_.bytes for (id_,) in rows}
        return self._live_without(have, roots)

    def lacking_parts(self, space: Space, roots: Sequence[str] | None = None) -> Iterator[Lacking]:
        """Live records of which no part was looked at in a space; otherwise as ``lacking``."""
        rows = self.engine.rows(
            "SELECT DISTINCT record FROM _parts JOIN _spaces ON _spaces.number = space"
            " WHERE _spaces.name = ?",
            (space.name,),
        )
        return self._live_without({id_.bytes for (id_,) in rows}, roots)

    def _live_without(self, have: set[bytes], roots: Sequence[str] | None) -> Iterator[Lacking]:
        """Live records whose ids are not in ``have``, by path; grows ``have``."""
        wanted = None if roots is None else [os.fsencode(root) for root in roots]
        rows = self.engine.stream(
            "SELECT id, content_hash, path, _files.bytes, mtime_ns, foreign_id, validator"
            " FROM _files JOIN _records ON _records.id = record WHERE live ORDER BY path"
        )
        for id_, content_hash, path, *rest in rows:
            if id_.bytes in have or not _is_under(path, wanted):
                continue
            have.add(id_.bytes)
            entry = FileEntry(os.fsdecode(path), *rest)
            yield Lacking(id_, bytes(content_hash), entry)


def _one_id(rows: Sequence[Row]) -> UUID | None:
    return rows[0][0] if rows else None


def _is_under(path: bytes, roots: Sequence[bytes] | None) -> bool:
    if roots is None:
        return True
    return any(path == root or path.startswith(inside(root)[0]) for root in roots)
