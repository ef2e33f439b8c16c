"""What the catalogue knows of a map's records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from lookalike.indexes.categories import CategoryIndex
from lookalike.maps.exports.source import NOTHING, RowFacts
from lookalike.stores.base import Store
from lookalike.types import Record, id_array


@dataclass(frozen=True)
class CatalogueFacts:
    """Reads ``RowFacts`` of records: from a store, and an index of what they show."""

    store: Store
    shown: CategoryIndex

    def __call__(self, ids: Sequence[UUID]) -> list[RowFacts]:
        """Of records by id, in the order asked for; NOTHING for one that is not there."""
        raw = id_array(ids)
        rows = self.shown.rows_of(raw).tolist()
        labels = self.store.labels(ids)
        return [
            NOTHING if record is None else self._fact(record, row, [one.name for one in given])
            for record, row, given in zip(self.store.get(ids), rows, labels, strict=True)
        ]

    def _fact(self, record: Record, row: int, labels: list[str]) -> RowFacts:
        sure = self.shown.label(row) if row >= 0 else None
        facts = record.facts
        return RowFacts(
            record.paths[0] if record.paths else "",
            facts.width,
            facts.height,
            facts.taken_at or "",
            sure.name if sure else "",
            tuple(dict.fromkeys(labels)),
        )
