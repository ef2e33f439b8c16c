"""A store on a database server, over an engine. The contract is that of every store."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.conditions import Condition
from lookalike.errors import LibraryError, LibraryNewerError
from lookalike.places import is_archive
from lookalike.stores.base import (
    FactsTable,
    HistogramPart,
    HistogramTable,
    Lacking,
    LogitTable,
    PartTable,
    RecordParts,
    SpaceFeatures,
    VectorTable,
    ascending,
    facts_table,
    missing,
    named_space,
    require_space,
)
from lookalike.stores.clauses import Sql
from lookalike.stores.run import Place, inside
from lookalike.stores.server.conditions import matching_ids
from lookalike.stores.server.engine import Engine, Row
from lookalike.stores.server.fetched import Fetched, histograms_in_order, vectors_on_disk
from lookalike.stores.server.layout import (
    CLASSES,
    DECISIONS,
    FILES,
    HISTOGRAMS,
    LABELS,
    PARTS,
    RECORDS,
    SETTINGS,
    SPACES,
    TABLES,
    THUMBNAILS,
    vectors_of,
)
from lookalike.stores.server.mirror import ServerRun
from lookalike.stores.server.side import ServerSideTables
from lookalike.types import (
    ID_DTYPE,
    ClassLogits,
    FileEntry,
    FloatArray,
    IdArray,
    ImageFacts,
    Label,
    LabelCount,
    LedgerRow,
    Outcome,
    Record,
    Space,
    State,
)

FORMAT_VERSION = 1
"""Of the tables' layout; a library with a higher one is refused."""

LEAST_INDEXED = 20_000
"""Fewer records than these are compared one by one; an index would save nothing."""

BATCH = 1_000
"""Ids in one statement."""

_PARTS_SEEN = "parts seen in {}"

Shares = Callable[[Space, FloatArray], FloatArray]
"""Of a space and its records' highest logits, float32 (n, m), the shares of probability, alike."""


class ServerStore(ServerSideTables):
    """A Store on a server: reads, or with ``write`` is the one that writes.

    Raises LibraryMissingError if there is nothing to read, LibraryLockedError if somebody else
    writes, LibraryError for what the server says.
    """

    def __init__(self, engine: Engine, shares: Shares, *, write: bool = False) -> None:
        self.engine, self.name = engine, engine.name
        self._shares = shares
        self._write = write
        self._asked: dict[str, Any] | None = None
        self.marks: Sequence[str] = ()
        """Settings that get the version's number with it."""
        try:
            self._open(write)
        except BaseException:
            engine.close()
            raise

    def _open(self, write: bool) -> None:
        if write:
            self.engine.lock()
            self.engine.create(TABLES)
            if "format" not in self.settings():
                self._set("format", str(FORMAT_VERSION))
        elif not self.engine.exists():
            raise missing(self.name)
        version = int(self.settings().get("format", FORMAT_VERSION))
        if version > FORMAT_VERSION:
            raise LibraryNewerError(
                f"{self.name}: format {version}, this version reads up to {FORMAT_VERSION};"
                " upgrade lookalike"
            )

    def close(self) -> None:
        """Release connections and locks. Closing twice is harmless."""
        self.engine.close()

    def discard(self) -> None:
        """Remove a library that was made for nothing, and close."""
        for table in self.side_tables():
            self.engine.unload(table.name)
        spaces = [vectors_of(space) for space in self.spaces()]
        self.engine.discard([*TABLES, *spaces])
        self.engine.close()

    @contextlib.contextmanager
    def moment(self) -> Iterator[None]:
        """Within, what holds for the whole library is asked once: one search wants it often."""
        self._asked = {} if self._asked is None else self._asked
        try:
            yield
        finally:
            self._asked = None

    def _once(self, name: str, ask: Callable[[], Any]) -> Any:
        if self._asked is None:
            return ask()
        if name not in self._asked:
            self._asked[name] = ask()
        return self._asked[name]

    def settings(self) -> dict[str, str]:
        """What is set, by name."""
        query = "SELECT name, value FROM _settings"
        settings: dict[str, str] = self._once("settings", lambda: dict(self.engine.rows(query)))
        return settings

    def _set(self, name: str, value: str) -> None:
        self.engine.put(SETTINGS, [(name, value)])

    def committed(self) -> None:
        """Something was written: readers see another version."""
        version = str(self.version() + 1)
        self.engine.put(SETTINGS, [(name, version) for name in ("version", *self.marks)])

    def version(self) -> int:
        """A number that changes whenever something was committed."""
        return int(self.settings().get("version", 0))

    # -- writing ---------------------------------------------------------------------------------

    def _require_writing(self) -> None:
        if not self._write:
            raise LibraryError(f"{self.name}: opened for reading; open it for writing")

    def run(self, space: Space, roots: Sequence[str] = ()) -> ServerRun:
        """Begin an indexing run over ``roots`` that writes vectors into ``space``."""
        self._require_writing()
        self._ensure_space(space)
        return ServerRun(self, space, roots)

    def _ensure_space(self, space: Space) -> int:
        self.require_space(space)
        if not self.spaces():
            self.add_space(space)
        return self.space_number(space)

    def space_number(self, space: Space) -> int:
        """The number under which a space's classes and parts are kept."""
        return next(number for number, one in self._spaces() if one.name == space.name)

    def require_space(self, space: Space) -> None:
        """Raise LibraryError if the library has vectors, and none in this very space."""
        require_space(self.name, self.spaces(), space)

    def add_space(self, space: Space) -> None:
        """Let a library have vectors in a further space; nothing if it has it already."""
        self._require_writing()
        if any(stored.name == space.name for stored in self.spaces()):
            self.require_space(space)
            return
        self.engine.create([vectors_of(space)])
        (last,) = self.engine.rows("SELECT max(number) FROM _spaces")[0]
        row = (
            (last or 0) + 1, space.name, space.encoder, space.weights_digest, space.preprocessing,
            space.dim,
        )  # fmt: skip
        self.engine.put(SPACES, [row])
        self.committed()

    def choose_space(self, name: str) -> None:
        """Make a space of the library its default; raises InputError if it has none so called."""
        self._require_writing()
        named_space(self.spaces(), name)
        self._set("space", name)
        self.committed()

    def put_features(
        self, space: Space, records: Sequence[Row], outcomes: Sequence[Outcome]
    ) -> None:
        """Insert records that are new with all their features: numbers first, records last."""
        if not records:
            return
        (last,) = self.engine.rows("SELECT max(number) FROM _records")[0]
        numbers = itertools.count((last or 0) + 1)
        ids = [row[0] for row in records]
        made = [one.features for one in outcomes if one.features is not None]
        features = list(zip(ids, made, strict=True))
        self.engine.put(vectors_of(space), [(id_, _half(one.vector)) for id_, one in features])
        seen = [(id_, one.histogram) for id_, one in features if one.histogram is not None]
        self.engine.put(HISTOGRAMS, seen)
        shown = [(id_, one.thumbnail) for id_, one in features if one.thumbnail is not None]
        self.engine.put(THUMBNAILS, shown)
        self._put_classes(space, [(id_, one.logits) for id_, one in features if one.logits])
        rows = ((row[0], next(numbers), *row[1:]) for row in records)
        self.engine.put(RECORDS, list(rows))

    def _put_classes(self, space: Space, logits: Sequence[tuple[UUID, ClassLogits]]) -> None:
        if not logits:
            return
        number = self.space_number(space)
        shares = self._shares(space, np.stack([one.logits for _, one in logits]))
        self.engine.put(
            CLASSES,
            [
                (id_, number, one.classes.tolist(), one.logits.tolist(), own.tolist())
                for (id_, one), own in zip(logits, shares, strict=True)
            ],
        )

    def put_vectors(self, space: Space, features: Sequence[SpaceFeatures]) -> None:
        """Commit vectors of records that lack them: all are durable when this returns, or none."""
        self._require_writing()
        if not features:
            return
        self._ensure_space(space)
        with self.engine.transaction():
            rows = [(one.record, _half(one.vector)) for one in features]
            self._put_classes(space, [(one.record, one.logits) for one in features if one.logits])
            self.engine.put(vectors_of(space), rows)
            self.committed()

    def put_parts(self, space: Space, parts: Sequence[RecordParts]) -> None:
        """Commit the classes of records' parts: all are durable when this returns, or none."""
        self._require_writing()
        self._ensure_space(space)
        number = self.space_number(space)
        rows: list[Row] = []
        for one in parts:
            if not one.parts:
                continue
            shares = self._shares(space, np.stack([logits.logits for _, logits in one.parts]))
            rows += [
                (
                    one.record, number, place, *crop, logits.classes.tolist(),
                    logits.logits.tolist(), own.tolist(),
                )
                for place, ((crop, logits), own) in enumerate(zip(one.parts, shares, strict=True))
            ]  # fmt: skip
        with self.engine.transaction():
            self.engine.put(PARTS, rows)
            self._set(_PARTS_SEEN.format(space.name), str(self.parts_seen(space) + len(parts)))
            self.committed()

    def delete(self) -> int:
        """Forget files that are gone, and records without files; returns the files forgotten."""
        self._require_writing()
        with self.engine.transaction():
            gone = self.engine.rows("SELECT path FROM _files WHERE state = 'gone'")
            self.engine.remove(FILES, gone)
            orphans = self.engine.rows(
                "SELECT id FROM _records WHERE id NOT IN"
                " (SELECT record FROM _files WHERE record IS NOT NULL)"
            )
            self.engine.remove(RECORDS, orphans)
            spaces = [vectors_of(space) for space in self.spaces()]
            for table in (*spaces, HISTOGRAMS, THUMBNAILS, CLASSES, PARTS, LABELS):
                self.engine.remove(table, orphans)
            if gone:
                self.committed()
        return len(gone)

    def put_labels(
        self, source: str, labels: Iterable[tuple[UUID, str, float]], *, replace: bool
    ) -> None:
        """Commit labels of records with confidences 0..1, all or none; unknown ids are left.

        With ``replace`` the source's other labels go.
        """
        self._require_writing()
        rows = [(record, source, label, float(share)) for record, label, share in labels]
        known = self._known([row[0] for row in rows])
        with self.engine.transaction():
            if replace:
                keys = self.engine.rows(
                    "SELECT record, source, label FROM _labels WHERE source = ?", (source,)
                )
                self.engine.remove(LABELS, keys)
            kept = {row[:3]: row for row in rows if row[0] in known}
            self.engine.put(LABELS, list(kept.values()))
            self.committed()

    def _known(self, ids: Sequence[UUID]) -> set[UUID]:
        return {row[0] for row in self._of(ids, "SELECT id FROM _records WHERE id IN {ids}")}

    def delete_labels(self, source: str, label: str | None = None) -> int:
        """Forget a source's labels, or one of them; returns how many there were."""
        self._require_writing()
        query = "SELECT record, source, label FROM _labels WHERE source = ?"
        keys = (
            self.engine.rows(query, (source,))
            if label is None
            else self.engine.rows(f"{query} AND label = ?", (source, label))
        )
        with self.engine.transaction():
            self.engine.remove(LABELS, keys)
            self.committed()
        return len(keys)

    def decide(self, first: UUID, second: UUID) -> bool:
        """Remember that two records are not duplicates; returns whether that is new."""
        self._require_writing()
        pair = ascending(first, second)
        if pair in self.decisions():
            return False
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.engine.put(DECISIONS, [(*pair, "not a duplicate", now)])
        self.committed()
        return True

    def forget(self, first: UUID, second: UUID) -> bool:
        """Take a decision back; returns whether there was one."""
        self._require_writing()
        pair = ascending(first, second)
        if pair not in self.decisions():
            return False
        self.engine.remove(DECISIONS, [pair])
        self.committed()
        return True

    # -- reading records -------------------------------------------------------------------------

    def _of(self, ids: Sequence[UUID], query: str) -> Iterator[Row]:
        """The rows of a query for any number of records, whose ids stand in place of ``{ids}``."""
        distinct = list(dict.fromkeys(ids))
        for start in range(0, len(distinct), BATCH):
            own = self.engine.words.ids([id_.bytes for id_ in distinct[start : start + BATCH]])
            yield from self.engine.rows(query.format(ids=own))

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
        rows = self.engine.rows(*self.matching_query(condition))
        return np.sort(_ids(rows).view("S16")).view(ID_DTYPE)

    def matching_query(self, condition: Condition) -> Sql:
        """A query for the same ids, in no order."""
        return matching_ids(condition, self.engine.words, self.side_tables())

    def count(self) -> int:
        """Records that have at least one file now."""
        return int(self.engine.rows("SELECT count(DISTINCT record) FROM _files WHERE live")[0][0])

    def id_at(self, place: int) -> UUID:
        """The id of a record with a file, ``place`` counting from 0 in the order of their ids."""
        order = self.engine.words.by_id("id")
        rows = self.engine.rows(
            f"SELECT id FROM _records WHERE id IN (SELECT record FROM _files WHERE live)"
            f" ORDER BY {order} LIMIT 1 OFFSET {int(place)}"
        )
        found: UUID = rows[0][0]
        return found

    def refresh(self, space: Space) -> bool:
        """Make the index over a space's vectors if that pays; returns whether it was made."""
        self._require_writing()
        table = vectors_of(space).name
        if self.engine.index_state(table).usable or self.count() < LEAST_INDEXED:
            return False
        self.engine.build_index(table)
        return True

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

    # -- reading numbers -------------------------------------------------------------------------

    def spaces(self) -> list[Space]:
        """The spaces of the library, its default first."""
        chosen = self.settings().get("space")
        return sorted((one for _, one in self._spaces()), key=lambda one: one.name != chosen)

    def _spaces(self) -> list[tuple[int, Space]]:
        """The spaces in the order in which they came, with their numbers."""
        query = (
            "SELECT number, encoder, weights_digest, preprocessing, dim FROM _spaces"
            " ORDER BY number"
        )
        rows = self._once("spaces", lambda: self.engine.rows(query))
        return [(number, Space(*row)) for number, *row in rows]

    def tables(self, space: Space) -> tuple[VectorTable, HistogramTable]:
        """Vectors and histograms of all records, which are fetched when they are looked at."""
        return self.vectors(space), self.histograms()

    def vectors(self, space: Space, ids: Sequence[UUID] | None = None) -> VectorTable:
        """The vectors of a space: of all records, in the order of indexing, or of some live ones.

        Those of all are fetched when they are first looked at. Who names records knows that they
        have a file now.
        """
        table = vectors_of(space).name
        select = f"SELECT t.id, t.embedding FROM {table} AS t"
        if ids is None:
            own = _ids(self._numbers(f"SELECT t.id FROM {table} AS t", "t.id"))
            fetch = partial(self._all_vectors, select, own, space.dim)
            return VectorTable(own, Fetched(len(own), fetch), self._live(own), space.dim)
        rows = list(self._of(ids, f"{select} WHERE t.id IN {{ids}}"))
        parts = [np.stack([np.asarray(row[1], np.float16) for row in rows])] if rows else []
        return VectorTable(_ids(rows), parts, np.ones(len(rows), bool), space.dim)

    def _all_vectors(self, select: str, ids: IdArray, dim: int) -> NDArray[np.float16]:
        rows = self._numbers(select, "t.id")
        found = ((row, np.asarray(vector)) for row, (_, vector) in self._in_order(ids, rows))
        return vectors_on_disk(len(ids), dim, found)

    def histograms(self, ids: Sequence[UUID] | None = None) -> HistogramTable:
        """The histograms of all records, or of some, as ``vectors`` has it."""
        columns = self.engine.words.histogram_columns("t.")
        select = f"SELECT t.record, {columns} FROM _histograms AS t"
        if ids is None:
            own = _ids(self._numbers("SELECT t.record FROM _histograms AS t", "t.record"))
            fetch = partial(self._all_histograms, select, own)
            return HistogramTable(own, Fetched(len(own), fetch), self._live(own))
        rows = list(self._of(ids, f"{select} WHERE t.record IN {{ids}}"))
        found = [self.engine.words.histogram(row[1:]) for row in rows]
        parts = [histograms_in_order(found)] if found else []
        return HistogramTable(_ids(rows), parts, np.ones(len(rows), bool))

    def _all_histograms(self, select: str, ids: IdArray) -> HistogramPart:
        rows = self._in_order(ids, self._numbers(select, "t.record"))
        return histograms_in_order([self.engine.words.histogram(row[1:]) for _, row in rows])

    def _in_order(self, ids: IdArray, rows: Iterable[Row]) -> Iterator[tuple[int, Row]]:
        """Rows with their numbers, which are those of ``ids`` as long as nobody has deleted any."""
        count = 0
        for number, row in enumerate(itertools.islice(rows, len(ids))):
            if row[0].bytes != ids[number].tobytes():
                break
            yield number, row
            count += 1
        if count < len(ids):
            raise LibraryError(f"{self.name}: records were deleted meanwhile; try again")

    def logits(self, space: Space, ids: Sequence[UUID] | None = None) -> LogitTable:
        """The highest class logits of a space; no rows if its encoder has no classes."""
        select = "SELECT t.record, t.classes, t.logits FROM _classes AS t"
        where = f"t.space = {self.space_number(space)}"
        if ids is None:
            rows = list(self._numbers(select, "t.record", where))
            live = self._live(_ids(rows))
        else:
            rows = list(self._of(ids, f"{select} WHERE {where} AND t.record IN {{ids}}"))
            live = np.ones(len(rows), bool)
        return LogitTable(_ids(rows), *_class_arrays([row[1:] for row in rows]), live)

    def _numbers(self, select: str, id_: str, where: str = "1 = 1") -> Iterator[Row]:
        """Rows of a table of numbers of all records, in the order of indexing."""
        return self.engine.stream(
            f"{select} JOIN _records ON _records.id = {id_} WHERE {where} ORDER BY _records.number"
        )

    def _live(self, ids: IdArray) -> NDArray[np.bool_]:
        """Which of these records have a file now, bool (n,)."""
        if len(ids) <= BATCH:
            query = "SELECT DISTINCT record FROM _files WHERE live AND record IN {ids}"
            rows = list(self._of([UUID(bytes=one.tobytes()) for one in ids], query))
        else:
            rows = list(self.engine.stream("SELECT DISTINCT record FROM _files WHERE live"))
        every = VectorTable(ids, (), np.ones(len(ids), bool), 0)
        return every.rows_with(_ids(rows))

    def parts_seen(self, space: Space) -> int:
        """How often ``put_parts`` got a record in a space: a number that grows; 0 for never."""
        return int(self.settings().get(_PARTS_SEEN.format(space.name), 0))

    def parts(self, space: Space, ids: Sequence[UUID] | None = None) -> PartTable:
        """The highest class logits of all parts that were looked at, in the order of indexing."""
        select = (
            "SELECT t.record, t.box_left, t.box_top, t.width, t.height, t.classes, t.logits"
            " FROM _parts AS t JOIN _records ON _records.id = t.record"
            f" WHERE t.space = {self.space_number(space)}"
            " AND t.record IN (SELECT record FROM _files WHERE live)"
        )
        order = " ORDER BY _records.number, t.number"
        rows = list(
            self.engine.stream(select + order)
            if ids is None
            else self._of(ids, f"{select} AND t.record IN {{ids}}{order}")
        )
        classes, logits = _class_arrays([row[5:] for row in rows])
        crops = np.array([row[1:5] for row in rows], np.float32).reshape(len(rows), 4)
        return PartTable(_ids(rows), crops, classes, logits)

    def facts(self) -> FactsTable:
        """Facts of all records that have a file now, in the order of indexing."""
        rows = self.engine.stream(
            "SELECT id, width * height, bytes, taken_at, camera, own.files FROM _records"
            " JOIN (SELECT record, count(*) AS files FROM _files WHERE live GROUP BY record)"
            " AS own ON own.record = _records.id ORDER BY number"
        )
        return facts_table(
            [
                (id_.bytes, pixels, size, _seconds(taken), camera, files)
                for id_, pixels, size, taken, camera, files in rows
            ]
        )


def _half(vector: FloatArray) -> NDArray[np.float16]:
    """A vector as it is stored everywhere: rounded to halves."""
    return vector.astype(np.float16)


def _one_id(rows: Sequence[Row]) -> UUID | None:
    return rows[0][0] if rows else None


def _ids(rows: Iterable[Row]) -> IdArray:
    """The ids that rows begin with."""
    return np.frombuffer(b"".join(row[0].bytes for row in rows), ID_DTYPE)


def _class_arrays(rows: Sequence[Row]) -> tuple[NDArray[np.uint16], FloatArray]:
    """Classes and logits of rows, (n, m) each; (0, 0) of none."""
    shape = (len(rows), -1) if rows else (0, 0)
    return (
        np.array([classes for classes, _ in rows], np.uint16).reshape(shape),
        np.array([logits for _, logits in rows], np.float32).reshape(shape),
    )


def _is_under(path: bytes, roots: Sequence[bytes] | None) -> bool:
    if roots is None:
        return True
    return any(path == root or path.startswith(inside(root)[0]) for root in roots)


def _seconds(taken: str | None) -> int | None:
    """A time of capture as seconds since 1970, as if it were UTC; None if it is not known."""
    if taken is None:
        return None
    with contextlib.suppress(ValueError):
        return int(datetime.fromisoformat(taken).replace(tzinfo=UTC).timestamp())
    return None
