"""The facade: labels that are given to records."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from lookalike.errors import InputError
from lookalike.library.opened import OpenedLibrary
from lookalike.query.tables import has_classes
from lookalike.stores.labels import label_name
from lookalike.types import (
    LABEL_SOURCES,
    Label,
    LabelCount,
)

if TYPE_CHECKING:
    from lookalike.labelling import Chosen, LabelReport


class Labelling(OpenedLibrary):
    """What is said of pictures."""

    def label(self, name: str, records: Sequence[UUID]) -> None:
        """Give records a label of the user's own.

        Raises InputError for an id that is not there, and a name that is none (``label_name``).
        """
        name = label_name(name)
        with self._home.errors():
            for id_, record in zip(records, self._reader().get(records), strict=True):
                if record is None:
                    raise InputError(f"{id_}: no record of {self.name} has this id")
            own = ((id_, name, 1.0) for id_ in records)
            with self._writing() as store:
                store.put_labels("own", own, replace=False)

    def label_from(self, source: str | os.PathLike[str]) -> LabelReport:
        """Label records by the folders they lie in ("folders"), or by a CSV file of path and label.

        Replaces what the same kind of source had said before. Raises InputError for a file that
        cannot be read as such, and where no record gets a label.
        """
        from lookalike.evaluate.labels import FOLDERS, labels_of
        from lookalike.labelling import LabelReport

        with self._home.errors():
            found = labels_of(source, self._reader().ledger())
            rows = ((id_, name, 1.0) for id_, names in found.of.items() for name in sorted(names))
            kind = FOLDERS if found.source == FOLDERS else "table"
            with self._writing() as store:
                store.put_labels(kind, rows, replace=True)
            records = len(self)
        return LabelReport(kind, found.counts, records, records - len(found.of), found.unknown)

    def label_names(
        self, names: Sequence[str], *, space: str | None = None, least: float = 0.5
    ) -> LabelReport:
        """Label each record with the one of ``names`` that it shows, if that is sure enough.

        And with those that parts of it show, where these were looked at (``IndexOptions.tiles``).
        By the text tower of the space's encoder if it has one, else by the classes that the names
        stand for. ``least``: the share, 0..1, from which on a name is sure. Replaces what a list of
        names had said before. Raises InputError where no name is understood.
        """
        from lookalike.labelling import LabelReport, checked

        names = checked(names, least)
        with self._home.errors():
            chosen = self._chosen(names, space, least)
            labels = chosen.labels()
            with self._writing() as store:
                store.put_labels("names", labels, replace=True)
        counts = Counter(name for _, name, _ in labels)
        records = int(chosen.table.live.sum())
        most = dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
        unlabelled = records - len({record for record, _, _ in labels})
        return LabelReport("names", most, records, unlabelled, chosen.unknown)

    def labels_of(self, ids: Sequence[UUID]) -> list[tuple[Label, ...]]:
        """The labels that were given to records, in the order asked for."""
        with self._home.errors():
            return self._reader().labels(ids)

    def unlabel(self, source: str, label: str | None = None) -> int:
        """Forget the labels of a source, or one of them; returns how many records had it."""
        if source not in LABEL_SOURCES:
            known = ", ".join(LABEL_SOURCES)
            raise InputError(f"source {source!r}: not known; use one of: {known}")
        label = None if label is None else label_name(label)
        with self._home.errors(), self._writing() as store:
            return store.delete_labels(source, label)

    def label_counts(self) -> list[LabelCount]:
        """Every label that was given, by source, the most frequent first."""
        with self._home.errors():
            return self._reader().label_counts()

    def _chosen(self, names: tuple[str, ...], space: str | None, least: float) -> Chosen:
        from lookalike.labelling import WORD_SCALE, choose_by_classes, choose_by_words

        tables = self._current(space)
        if has_classes(tables.space):
            return choose_by_classes(tables.categories, names, least)
        encoder = self._encoder_of(tables.space)
        encode = getattr(encoder, "encode_words", None)
        if encode is None:
            raise InputError(
                f"space {tables.space.name}: its encoder has neither classes nor texts; name"
                " another space"
            )
        scale = getattr(encoder, "word_scale", WORD_SCALE)
        return choose_by_words(tables.vectors, names, encode, least, scale)
