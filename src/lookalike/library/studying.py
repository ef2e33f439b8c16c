"""The facade: neighbours, duplicates, studies and check-ups of a library."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from lookalike.conditions import parse_condition
from lookalike.errors import InputError
from lookalike.library.opened import OpenedLibrary
from lookalike.query.search import Method

if TYPE_CHECKING:
    from lookalike.duplicates import DuplicateOptions, DuplicateReport
    from lookalike.evaluate.doctor import Checkup
    from lookalike.evaluate.evaluation import Candidates, Evaluation
    from lookalike.evaluate.pca_study import PcaStudy
    from lookalike.indexes.graph import NeighbourGraph
    from lookalike.status import Status


class Studying(OpenedLibrary):
    """What is in it, and is all well?"""

    def neighbours(self, k: int = 30) -> NeighbourGraph:
        """The k nearest other records of every record, as maps and duplicates need them.

        Made at the first call, which takes a minute or more at half a million records, then kept
        beside the library and brought up to date; a graph with more neighbours serves for fewer.
        Raises InputError for k below 1.
        """
        if k < 1:
            raise InputError(f"k {k}: at least 1 neighbour must be asked for")
        with self._home.errors():
            return self._current().neighbours(k)

    def duplicates(
        self,
        options: DuplicateOptions | None = None,
        stage: Callable[[str], None] = lambda name: None,
    ) -> DuplicateReport:
        """Groups of files that show the same: equal, saved again, resized, edited, shot in a burst.

        Every group has a best copy, and only what is alike to that very copy. ``stage`` is called
        with the name of each step. Nothing is changed or deleted. Half a million records take
        minutes. Raises InputError for options that cannot be used.
        """
        from lookalike.duplicates import DuplicateOptions
        from lookalike.duplicates.find import Finder

        options = options or DuplicateOptions()
        options.check()
        with self._home.errors():
            store, tables = self._reader(), self._current()
            condition = None if options.where is None else parse_condition(options.where)
            allowed = None if condition is None else store.matching(condition)
            return Finder(store, tables.vectors, tables.neighbours, allowed, stage).find(options)

    def decide(self, first: UUID, second: UUID) -> bool:
        """Remember that two records are not duplicates; returns whether that is new.

        Raises InputError for an id that is not in the library or one given twice,
        LibraryLockedError while another process writes.
        """
        return self._decision(first, second, forget=False)

    def forget(self, first: UUID, second: UUID) -> bool:
        """Take such a decision back; returns whether there was one. Raises as ``decide`` does."""
        return self._decision(first, second, forget=True)

    def decisions(self) -> list[tuple[UUID, UUID]]:
        """Pairs of records that were decided not to be duplicates."""
        with self._home.errors():
            return self._reader().decisions()

    def pca_study(
        self,
        dims: Sequence[int] | None = None,
        methods: Sequence[str] = ("linear",),
        queries: int = 200,
        target: float = 0.8,
    ) -> PcaStudy:
        """How much smaller vectors could be: variance kept, overlap with the full top ten, time.

        ``dims``: sizes to try, by default 50, 75, 100 and 200 as far as the library allows;
        ``methods``: linear, incremental, kernel; ``queries``: records to search with, evenly
        spread; ``target``: the overlap, 0..1, that is good enough. Raises InputError for unknown
        methods and sizes that cannot be had, MissingExtraError without scikit-learn.
        """
        from lookalike.evaluate.pca_study import study

        with self._home.errors():
            return study(self._current().vectors, dims, methods, queries=queries, target=target)

    def evaluate(
        self,
        labels: str | os.PathLike[str] = "folders",
        methods: Sequence[Method] | Candidates | None = None,
        *,
        k: int = 5,
        queries: int = 300,
        spaces: Sequence[str] | None = None,
        stage: Callable[[str], None] = lambda name: None,
    ) -> Evaluation:
        """Which way of comparing finds what belongs together, on records with labels?

        ``labels``: "folders" (a picture's label is the name of its folder) or a CSV file with the
        columns path and label. ``methods``: the usual ones if None. ``queries``: labelled records
        to search with, at most; ``spaces``: by name, all if None; ``stage`` is called with the name
        of each method. Takes minutes. Raises InputError for labels and values that cannot be used,
        MissingExtraError without scikit-learn.
        """
        from lookalike.evaluate.evaluation import Candidates, evaluate
        from lookalike.evaluate.labels import labels_of

        with self._home.errors():
            given = labels_of(labels, self._reader().ledger())
            names = [space.name for space in self._reader().spaces()] if spaces is None else spaces
            tables = [self._current(name) for name in names]
            tried = Candidates() if methods is None else methods
            return evaluate(tables, given, tried, k=k, queries=queries, stage=stage)

    def checkup(self, queries: int = 100, *, every: bool = False) -> Checkup:
        """Is all well? What the library holds, what runs, how exact and quick searches are.

        ``queries``: records to search with, evenly drawn; ``every`` also tries PCA where no search
        has made a model yet. Takes seconds to minutes. Raises InputError for less than one query.
        """
        from lookalike.evaluate.doctor import examine

        with self._home.errors():
            tables, store = self._current(), self._reader()
            encoder = partial(self._encoder_of, tables.space)
            return examine(self.folder, store, tables, encoder, queries, every=every)

    def status(self) -> Status:
        """What the library holds, the state of each index, and what does not fit, if anything."""
        from lookalike.status import status_of

        with self._home.errors():
            return status_of(self._reader(), self._home.derived)

    def _decision(self, first: UUID, second: UUID, *, forget: bool) -> bool:
        with self._home.errors():
            known = self._reader().get([first, second])
            for id_, record in zip((first, second), known, strict=True):
                if record is None and not forget:
                    raise InputError(f"{id_}: no record of {self.name} has this id")
            if first == second:
                raise InputError(f"{first}: given twice; two different records are needed")
            with self._writing() as store:
                return (store.forget if forget else store.decide)(first, second)
