"""The facade: open a library, add pictures, search. Everything else is reached from here."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np

from lookalike import config
from lookalike.conditions import Condition, parse_condition
from lookalike.errors import InputError, LibraryMissingError
from lookalike.features.encoders import Encoder
from lookalike.pipeline import IndexReport, Progress, Silence, Stopwatch, encoder_of, index
from lookalike.present.captions import contact_sheet
from lookalike.query.answer import Answerer, Request
from lookalike.query.inputs import InputReader
from lookalike.query.search import Method
from lookalike.query.tables import Tables
from lookalike.query.terms import Term, parse_term
from lookalike.scan import absolute_roots
from lookalike.stores import SqliteStore
from lookalike.stores.schema import is_library, readable_errors
from lookalike.types import (
    LedgerRow,
    Record,
    SearchResult,
    Sheet,
    Space,
    State,
)

if TYPE_CHECKING:
    from lookalike.duplicates import DuplicateOptions, DuplicateReport
    from lookalike.evaluate.doctor import Checkup
    from lookalike.evaluate.pca_study import PcaStudy
    from lookalike.indexes.graph import NeighbourGraph

_SEARCHES_BEFORE_INDEXING = 2
"""Searches without an index, in one process, after which it is made; a single one need not wait."""

Source = str | Path | UUID | Term
"""What a search takes as an input: a path, a record id, or a term of the query grammar."""


class Library:
    """Pictures that were indexed, in one folder on disk, and the searches over them.

    >>> with Library.open("pictures.library", create=True) as library:   # doctest: +SKIP
    ...     library.add(["~/Pictures"])
    ...     for hit in library.search(["cat.jpg"]).hits:
    ...         print(hit.rank, hit.score, hit.paths[0])

    Several processes may read one library while one writes to it. An object of this class belongs
    to one thread.
    """

    def __init__(self, folder: Path, encoder: Encoder | None) -> None:
        """Use ``Library.open``."""
        self.folder = folder
        self._given_encoder = self._encoder = encoder
        self._store: SqliteStore | None = None
        self._tables: Tables | None = None
        self._version: int | None = None
        self._unindexed = 0

    @classmethod
    def open(
        cls,
        folder: str | os.PathLike[str] | None = None,
        *,
        create: bool = False,
        encoder: Encoder | None = None,
    ) -> Library:
        """Open the library in ``folder`` (the user's default one if None).

        With ``create`` it need not exist yet; ``add`` makes it. ``encoder`` replaces the default
        one and any that options name. Raises LibraryMissingError, LibraryCorruptError,
        LibraryNewerError.
        """
        library = cls(config.library_folder(folder), encoder)
        if not create:
            library._reader()
        return library

    def close(self) -> None:
        """Release the library's files. Closing twice is harmless."""
        if self._store is not None:
            self._store.close()
            self._store = self._tables = None

    def __enter__(self) -> Library:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """Records that have at least one file now."""
        if self._store is None and not is_library(self.folder):
            return 0
        with readable_errors(self.folder):
            return self._reader().count()

    # -- filling ---------------------------------------------------------------------------------

    def add(
        self,
        paths: Iterable[str | os.PathLike[str]],
        options: config.IndexOptions = config.IndexOptions(),
        progress: Progress | None = None,
    ) -> IndexReport:
        """Index files and folders; only what is new or changed is read.

        Everything committed stays, however the run ends; running it again continues. Raises
        InputError for a missing path, NothingDoneError if there is no image or none could be read,
        LibraryLockedError if another process writes, StorageError if the disk is full.
        """
        expanded = [os.path.expanduser(os.fspath(path)) for path in paths]
        if not expanded:
            raise InputError("nothing to index; give at least one file or folder")
        absolute_roots(expanded)  # before a library is made for paths that do not exist
        fresh = not is_library(self.folder)
        with readable_errors(self.folder):
            store = SqliteStore(self.folder, write=True)
            try:
                encoder = self._given_encoder or encoder_of(store, options.threads, options.encoder)
                report = index(store, encoder, expanded, options, progress)
                return self._refreshed(store, report, progress)
            finally:
                if fresh and next(store.ledger(), None) is None:
                    store.discard()
                store.close()

    def ledger(self, state: State | None = None) -> Iterator[LedgerRow]:
        """Every path ever seen with its state and reason, ordered by path."""
        with readable_errors(self.folder):
            yield from self._reader().ledger(state)

    # -- searching -------------------------------------------------------------------------------

    def search(
        self,
        inputs: Source | Sequence[Source],
        k: int = 5,
        method: Method = Method(),
        *,
        combine: str = "mean",
        include_self: bool = False,
        where: str | Condition | None = None,
        exact: bool = False,
    ) -> SearchResult:
        """The k records most like one or several inputs, best first.

        ``inputs``: paths of pictures, record ids, or terms (see ``query.terms``); k at least 1,
        more than there are gives all. ``combine``: "mean" compares with the mean of the inputs,
        "all" wants some likeness to every one. Inputs that are records of the library are left out
        unless ``include_self``. ``where`` keeps to records for which a condition holds (see
        ``conditions``); if it holds for k, k come back. ``exact`` compares with every such record,
        where otherwise an index may look at fewer; the result says which it was. Raises InputError
        for values that cannot be used, and for an input picture that cannot be read.
        """
        sources = [inputs] if isinstance(inputs, str | Path | UUID | Term) else list(inputs)
        request = _request(k, method, combine, include_self, where, exact)
        terms = _terms(sources, method, combine)
        with readable_errors(self.folder):
            result = self._answerer(request).answer(terms)
            self._index_soon(request)
            return result

    def search_many(
        self,
        inputs: Sequence[Source],
        k: int = 5,
        method: Method = Method(),
        *,
        include_self: bool = False,
        where: str | Condition | None = None,
        exact: bool = False,
    ) -> list[SearchResult]:
        """``search`` for each input by itself, in one pass where the method allows it.

        By meaning and PCA a batch of 256 takes a fraction of the time of 256 searches.
        """
        request = _request(k, method, "mean", include_self, where, exact)
        terms = _terms(inputs, method, "mean")
        with readable_errors(self.folder):
            results = self._answerer(request).answer_each(terms)
            self._index_soon(request)
            return results

    def _answerer(self, request: Request) -> Answerer:
        tables, store = self._current(), self._reader()
        reader = InputReader(store, tables, lambda: self._encoder_of(store), request.method)
        return Answerer(tables, store, reader, request)

    def random_record(self, seed: int | None = None) -> UUID:
        """The id of a record drawn evenly; the same seed and library give the same one."""
        with readable_errors(self.folder):
            table = self._current().histograms
            ids = np.sort(table.ids[table.live])
        if not len(ids):
            raise InputError(f"{self.folder}: the library is empty; index a folder first")
        chosen = random.Random(seed).choice(ids)  # noqa: S311 (nothing secret)
        return UUID(bytes=chosen.tobytes())

    def get(self, ids: Sequence[UUID]) -> list[Record | None]:
        """Records by id, in the order asked for; None where there is none."""
        with readable_errors(self.folder):
            return self._reader().get(ids)

    def thumbnails(self, ids: Sequence[UUID]) -> list[bytes | None]:
        """Thumbnails as JPEG, longest side at most 256 pixels, in the order asked for."""
        with readable_errors(self.folder):
            return self._reader().thumbnails(ids)

    def sheet(self, result: SearchResult) -> Sheet:
        """A contact sheet of a search: inputs beside hits, made from thumbnails."""
        hits = self.thumbnails([hit.id for hit in result.hits])
        inputs = [
            item.thumbnail or (self.thumbnails([item.record])[0] if item.record else None)
            for item in result.inputs
        ]
        return contact_sheet(result, inputs, hits)

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

        with readable_errors(self.folder):
            return study(self._current().vectors, dims, methods, queries=queries, target=target)

    def checkup(self, queries: int = 100, *, every: bool = False) -> Checkup:
        """Is all well? What the library holds, what runs, how exact and quick searches are.

        ``queries``: records to search with, evenly drawn; ``every`` also tries PCA where no search
        has made a model yet. Takes seconds to minutes. Raises InputError for less than one query.
        """
        from lookalike.evaluate.doctor import examine

        with readable_errors(self.folder):
            tables, store = self._current(), self._reader()
            encoder = partial(self._encoder_of, store)
            return examine(self.folder, store, tables, encoder, queries, every=every)

    def neighbours(self, k: int = 30) -> NeighbourGraph:
        """The k nearest other records of every record, as maps and duplicates need them.

        Made at the first call, which takes a minute or more at half a million records, then kept
        beside the library and brought up to date; a graph with more neighbours serves for fewer.
        Raises InputError for k below 1.
        """
        if k < 1:
            raise InputError(f"k {k}: at least 1 neighbour must be asked for")
        with readable_errors(self.folder):
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
        with readable_errors(self.folder):
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
        with readable_errors(self.folder):
            return self._reader().decisions()

    def _decision(self, first: UUID, second: UUID, *, forget: bool) -> bool:
        with readable_errors(self.folder):
            known = self._reader().get([first, second])
            for id_, record in zip((first, second), known, strict=True):
                if record is None and not forget:
                    raise InputError(f"{id_}: no record of {self.folder} has this id")
            if first == second:
                raise InputError(f"{first}: given twice; two different records are needed")
            store = SqliteStore(self.folder, write=True)
            try:
                return (store.forget if forget else store.decide)(first, second)
            finally:
                store.close()

    # -- inside ----------------------------------------------------------------------------------

    @property
    def space(self) -> Space:
        """The space that searches use: the library's first."""
        spaces = self._reader().spaces()
        if not spaces:
            raise LibraryMissingError(f"{self.folder}: nothing is indexed yet; index a folder")
        return spaces[0]

    def _reader(self) -> SqliteStore:
        if self._store is None:
            self._store = SqliteStore(self.folder)
        return self._store

    def _current(self) -> Tables:
        """The tables of the last commit; new ones if another process or ``add`` has committed."""
        version = self._reader().version()
        if self._tables is None or version != self._version:
            derived = self.folder / "derived"
            self._tables, self._version = Tables(self._reader(), self.space, derived), version
        return self._tables

    # -- indexes ---------------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Make or extend the indexes, if that pays; ``add`` does it at its end.

        Takes seconds at half a million records; searches go on meanwhile. Returns whether anything
        was made.
        """
        with readable_errors(self.folder):
            tables = self._current()
            made = tables.derived.refresh(tables)
            if made:
                self._tables = None
            return made

    def _index_soon(self, request: Request) -> None:
        """Make an index that searches go without, beside them, once a second search wants it."""
        tables = self._tables
        if tables is None or request.exact or not tables.wants_index(request.method.by):
            return
        self._unindexed += 1
        if self._unindexed == _SEARCHES_BEFORE_INDEXING:
            thread = threading.Thread(target=self._make_index, args=(tables,), daemon=True)
            thread.start()

    def _make_index(self, tables: Tables) -> None:
        if tables.derived.refresh(tables) and self._tables is tables:
            self._tables = None  # the next search opens what was made

    def _refreshed(
        self, store: SqliteStore, report: IndexReport, progress: Progress | None
    ) -> IndexReport:
        """The report of a run, once the indexes have been made that pay."""
        watch = Stopwatch(progress or Silence())
        watch.stage("index")
        tables = Tables(store, store.spaces()[0], self.folder / "derived")
        tables.derived.refresh(tables)
        return replace(report, seconds={**report.seconds, **watch.seconds()})

    def _encoder_of(self, store: SqliteStore) -> Encoder:
        if self._encoder is None:
            self._encoder = encoder_of(store)
        return self._encoder


def _as_term(source: Source) -> Term:
    if isinstance(source, Term):
        return source
    if isinstance(source, UUID):
        return Term(str(source), "id", str(source))
    if isinstance(source, Path):
        return Term(str(source), "file", str(source))
    return parse_term(source)


def _terms(sources: Sequence[Source], method: Method, combine: str) -> list[Term]:
    if not sources:
        raise InputError("no input; give at least one picture or record id")
    terms = [_as_term(source) for source in sources]
    _check_weights(terms, method, combine)
    return terms


def _request(
    k: int,
    method: Method,
    combine: str,
    include_self: bool,
    where: str | Condition | None,
    exact: bool,
) -> Request:
    if k < 1:
        raise InputError(f"k {k}: at least 1 hit must be asked for")
    condition = None if where is None else parse_condition(str(where))  # checks trees, too
    return Request(k, method, combine, include_self, condition, exact)


def _check_weights(terms: Sequence[Term], method: Method, combine: str) -> None:
    weights = [term.weight for term in terms]
    if min(weights) < 0 and method.by in ("colour", "mix"):
        raise InputError(
            f"--by {method.by}: colours cannot be subtracted; leave the minus out or"
            " compare by meaning"
        )
    if combine == "all" and (len(set(weights)) > 1 or weights[0] < 0):
        raise InputError("--combine all: every input counts alike; leave weights and signs out")
