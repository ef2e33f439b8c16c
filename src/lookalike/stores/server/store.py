"""A store on a database server, over an engine. The contract is that of every store."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import LibraryError, LibraryNewerError
from lookalike.stores.base import (
    RecordParts,
    SpaceFeatures,
    ascending,
    missing,
    named_space,
    require_space,
)
from lookalike.stores.server.engine import Engine, Row
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
from lookalike.stores.server.numbers import PARTS_SEEN, ServerNumbers
from lookalike.stores.server.records import ServerRecords
from lookalike.stores.server.side import ServerSideTables
from lookalike.types import ClassLogits, FloatArray, Outcome, Space

FORMAT_VERSION = 1
"""Of the tables' layout; a library with a higher one is refused."""

LEAST_INDEXED = 20_000
"""Fewer records than these are compared one by one; an index would save nothing."""

Shares = Callable[[Space, FloatArray], FloatArray]
"""Of a space and its records' highest logits, float32 (n, m), the shares of probability, alike."""


class ServerStore(ServerRecords, ServerNumbers, ServerSideTables):
    """A Store on a server: reads, or with ``write`` is the one that writes.

    Raises LibraryMissingError if there is nothing to read, LibraryLockedError if somebody else
    writes, LibraryError for what the server says.
    """

    def __init__(self, engine: Engine, shares: Shares, *, write: bool = False) -> None:
        super().__init__(engine)
        self._shares = shares
        self._write = write
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

    def _set(self, name: str, value: str) -> None:
        self.engine.put(SETTINGS, [(name, value)])

    def committed(self) -> None:
        """Something was written: readers see another version."""
        version = str(self.version() + 1)
        self.engine.put(SETTINGS, [(name, version) for name in ("version", *self.marks)])

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
            self._set(PARTS_SEEN.format(space.name), str(self.parts_seen(space) + len(parts)))
            self.committed()

    def delete(self) -> int:
        """Forget files that are gone, and records without files; returns the files forgotten."""
        self._require_writing()
        with self.engine.transaction():
            gone = self.engine.rows("SELECT path FROM _files WHERE state = 'gone'")
            self.engine.remove(FILES, gone)
            orphans = self.engine.rows(
                "SELECT r.id FROM _records AS r LEFT JOIN _files AS f ON f.record = r.id"
                " WHERE f.record IS NULL"
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

    def refresh(self, space: Space) -> bool:
        """Make the index over a space's vectors if that pays; returns whether it was made."""
        self._require_writing()
        table = vectors_of(space).name
        if self.engine.index_state(table).usable or self.count() < LEAST_INDEXED:
            return False
        self.engine.build_index(table)
        return True

    # -- reading numbers -------------------------------------------------------------------------


def _half(vector: FloatArray) -> NDArray[np.float16]:
    """A vector as it is stored everywhere: rounded to halves."""
    return vector.astype(np.float16)
