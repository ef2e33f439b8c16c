"""The embedded store's tables of what is said of pictures: labels, and classes of their parts."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from uuid import UUID

import numpy as np

from lookalike.errors import InputError
from lookalike.stores import schema
from lookalike.stores.base import PartTable, RecordParts
from lookalike.stores.run import logits_bytes
from lookalike.types import ID_DTYPE, Label, LabelCount, Space

MOST_LABEL_CHARACTERS = 1_000

_SEEN = "parts seen in {}"
"""The setting that counts records whose parts were looked at."""


def label_name(text: str) -> str:
    """A label as it is kept, without spaces around it.

    Raises InputError if it is empty, no text, or longer than ``MOST_LABEL_CHARACTERS``.
    """
    name = text.strip()
    if not name:
        raise InputError("a label is empty; give it a name")
    if len(name) > MOST_LABEL_CHARACTERS:
        raise InputError(
            f"label {name[:40]}...: has {len(name):,} characters; at most"
            f" {MOST_LABEL_CHARACTERS:,} are allowed, shorten it"
        )
    if not name.isascii() and any("\ud800" <= one <= "\udfff" for one in name):
        raise InputError(f"label {name}: has bytes that are not UTF-8; give a name in UTF-8")
    return name


class LabelTables(ABC):
    """The part of SqliteStore that reads and writes labels and parts."""

    _connection: sqlite3.Connection

    @abstractmethod
    def _require_writing(self) -> None:
        """Raise LibraryError where the library was opened for reading."""

    @abstractmethod
    def _ensure_space(self, space: Space) -> int:
        """The key of a space of the library."""

    # -- labels ----------------------------------------------------------------------------------

    def put_labels(
        self, source: str, labels: Iterable[tuple[UUID, str, float]], *, replace: bool
    ) -> None:
        """Commit labels of records with confidences 0..1, all or none; unknown ids are left.

        With ``replace`` the source's other labels go.
        """
        self._require_writing()
        with schema.transaction(self._connection):
            if replace:
                self._connection.execute("DELETE FROM labels WHERE source = ?", (source,))
            self._connection.executemany(
                "INSERT OR REPLACE INTO labels SELECT key, ?, ?, ? FROM records WHERE id = ?",
                ((source, label, share, record.bytes) for record, label, share in labels),
            )

    def delete_labels(self, source: str, label: str | None = None) -> int:
        """Forget a source's labels, or one of them; returns how many there were."""
        self._require_writing()
        deleted = self._connection.execute(
            "DELETE FROM labels WHERE source = ?1 AND (?2 IS NULL OR label = ?2)", (source, label)
        )
        return deleted.rowcount

    def labels(self, ids: Sequence[UUID]) -> list[tuple[Label, ...]]:
        """Labels of records, in the order asked for, each record's by source and name."""
        found: dict[bytes, list[Label]] = {}
        rows = schema.of_records(
            self._connection,
            ids,
            "SELECT id, source, label, confidence FROM records"
            " JOIN labels ON labels.record = records.key WHERE id IN ({ids})"
            " ORDER BY source, label",
        )
        for id_, source, label, share in rows:
            confidence = 1.0 if share is None else share
            found.setdefault(id_, []).append(Label(label, confidence, source=source))
        return [tuple(found.get(id_.bytes, ())) for id_ in ids]

    def label_counts(self) -> list[LabelCount]:
        """Every label of records that have a file now, by source, the most frequent first."""
        rows = self._connection.execute(
            "SELECT source, label, count(*) FROM labels JOIN records ON records.key = record"
            " WHERE live_files > 0 GROUP BY source, label ORDER BY source, count(*) DESC, label"
        )
        return [LabelCount(*row) for row in rows]

    # -- parts -----------------------------------------------------------------------------------

    def put_parts(self, space: Space, parts: Sequence[RecordParts]) -> None:
        """Commit the classes of records' parts: all are durable when this returns, or none."""
        self._require_writing()
        key = self._ensure_space(space)
        with schema.transaction(self._connection):
            self._connection.executemany(
                "INSERT OR REPLACE INTO tiles SELECT key, ?, ?, ?, ?, ?, ?, ?, ? FROM records"
                " WHERE id = ?",
                (
                    (key, number, *crop, *logits_bytes(logits), one.record.bytes)
                    for one in parts
                    for number, (crop, logits) in enumerate(one.parts)
                ),
            )
            self._connection.execute(
                "INSERT INTO settings VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = value + ?2",
                (_SEEN.format(space.name), len(parts)),
            )

    def parts_seen(self, space: Space) -> int:
        """How often ``put_parts`` got a record in a space: a number that grows; 0 for never."""
        row = self._connection.execute(
            "SELECT value FROM settings WHERE name = ?", (_SEEN.format(space.name),)
        ).fetchone()
        return int(row[0]) if row else 0

    def parts(self, space: Space) -> PartTable:
        """The highest class logits of all parts that were looked at, ordered by record."""
        rows = self._connection.execute(
            "SELECT records.id, box_left, box_top, tiles.width, tiles.height, classes, logits"
            " FROM tiles"
            " JOIN spaces ON spaces.id = tiles.space JOIN records ON records.key = tiles.record"
            " WHERE spaces.name = ? AND live_files > 0 ORDER BY tiles.record, number",
            (space.name,),
        ).fetchall()
        count = len(rows)
        classes = np.frombuffer(b"".join(row[5] for row in rows), "<u2")
        logits = np.frombuffer(b"".join(row[6] for row in rows), "<f4")
        kept = len(classes) // count if count else 0
        return PartTable(
            np.frombuffer(b"".join(row[0] for row in rows), ID_DTYPE),
            np.array([row[1:5] for row in rows], np.float32).reshape(count, 4),
            classes.reshape(count, kept),
            logits.reshape(count, kept),
        )
