"""The facade: open a library, add pictures, search. Everything else is reached from here."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from lookalike import config
from lookalike.categories import Category
from lookalike.categories.lexicon import categories_named
from lookalike.conditions import Condition, parse_condition
from lookalike.errors import ImageError, InputError, LibraryMissingError
from lookalike.features.encoders import Encoder, load_encoder
from lookalike.filling import fill, look_at_parts
from lookalike.homes import AnyStore, FolderHome, Home, home_of
from lookalike.pipeline import (
    FillReport,
    IndexReport,
    Progress,
    Silence,
    Stopwatch,
    Work,
    encoder_of,
    index,
)
from lookalike.places import absolute, is_remote
from lookalike.present.captions import contact_sheet
from lookalike.query.answer import Answerer, Request
from lookalike.query.categories import CategoryCounts, count_categories
from lookalike.query.inputs import InputReader, Numbers
from lookalike.query.search import WITH_COLOUR, Method
from lookalike.query.tables import Tables, has_classes
from lookalike.query.terms import Term, parse_term, record_id_of
from lookalike.scan import absolute_roots
from lookalike.sources import Source as PictureSource
from lookalike.sources import source_of
from lookalike.sources.reading import read_again
from lookalike.stores.labels import label_name
from lookalike.stores.originals import FOLDER as ORIGINALS
from lookalike.stores.originals import Originals
from lookalike.stores.schema import is_library
from lookalike.stores.server.store import ServerStore
from lookalike.types import (
    LABEL_SOURCES,
    Column,
    FileEntry,
    FloatArray,
    IdArray,
    Label,
    LabelCount,
    LedgerRow,
    Likeness,
    Record,
    SearchResult,
    Sheet,
    SideTable,
    Space,
    SqlResult,
    State,
    Why,
    uuids,
)

if TYPE_CHECKING:
    from lookalike.duplicates import DuplicateOptions, DuplicateReport
    from lookalike.evaluate.doctor import Checkup
    from lookalike.evaluate.evaluation import Candidates, Evaluation
    from lookalike.evaluate.pca_study import PcaStudy
    from lookalike.exchange.bring import ImportReport
    from lookalike.exchange.export import ExportReport
    from lookalike.exchange.incoming import ImportOptions
    from lookalike.exchange.selection import ExportOptions
    from lookalike.indexes.categories import CategoryIndex
    from lookalike.indexes.graph import NeighbourGraph
    from lookalike.labelling import Chosen, LabelReport
    from lookalike.maps import MapOptions, PictureMap
    from lookalike.maps.colourings import Colouring
    from lookalike.maps.exports.source import ExportSource
    from lookalike.maps.kept import MapState
    from lookalike.maps.making import Cutter, Gather, MapMaker
    from lookalike.push import PushOptions, PushReport
    from lookalike.query.remote import RemoteAnswerer, ServerTables
    from lookalike.side_tables import TableOptions, TableReport
    from lookalike.status import Status
    from lookalike.stores.base import IdentifiedRows

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

    def __init__(self, home: Home, encoder: Encoder | None) -> None:
        """Use ``Library.open``."""
        self._home = home
        self.name = home.name
        self._given_encoder = encoder
        self._encoders: dict[str, Encoder] = {}
        self._store: AnyStore | None = None
        self._tables: dict[str, Tables] = {}
        self._version: int | None = None
        self._unindexed = 0
        self._remote: tuple[tuple[int, Space], ServerTables] | None = None

    @classmethod
    def open(
        cls,
        place: str | os.PathLike[str] | None = None,
        *,
        create: bool = False,
        encoder: Encoder | None = None,
    ) -> Library:
        """Open the library in a folder or at a server's address (the user's default one if None).

        With ``create`` it need not exist yet; ``add`` makes it. ``encoder`` replaces the default
        one and any that options name. Raises LibraryMissingError, LibraryCorruptError,
        LibraryNewerError.
        """
        library = cls(home_of(place), encoder)
        if not create:
            library._reader()
        return library

    @property
    def on_server(self) -> bool:
        """Whether the library lies on a server, and in no folder."""
        return not isinstance(self._home, FolderHome)

    @property
    def folder(self) -> Path:
        """The folder in which the library lies. Raises InputError for one on a server."""
        if isinstance(self._home, FolderHome):
            return self._home.folder
        raise InputError(f"{self.name}: is on a server; this needs a library in a folder")

    @property
    def own_folder(self) -> Path:
        """The folder here into which only the library writes; of one on a server, its caches'."""
        return self._home.own

    def close(self) -> None:
        """Release the library's files. Closing twice is harmless."""
        if self._store is not None:
            self._store.close()
            self._store, self._tables = None, {}

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
        if self._store is None and not self._home.exists():
            return 0
        with self._home.errors():
            return self._reader().count()

    # -- filling ---------------------------------------------------------------------------------

    def add(
        self,
        paths: Iterable[str | os.PathLike[str]],
        options: config.IndexOptions = config.IndexOptions(),
        progress: Progress | None = None,
    ) -> IndexReport:
        """Index files, folders and tar shards; only what is new or changed is read.

        Everything committed stays, however the run ends; running it again continues. Raises
        InputError for a missing path, NothingDoneError if there is no image or none could be read,
        LibraryLockedError if another process writes, StorageError if the disk is full.
        """
        return self.add_from(self.source(paths, options), options, progress)

    def source(
        self,
        paths: Iterable[str | os.PathLike[str]],
        options: config.IndexOptions = config.IndexOptions(),
        *,
        id_field: str | None = None,
    ) -> PictureSource:
        """What ``add`` makes of paths; ``id_field``: of shards, see ``ShardSource``."""
        expanded = [os.path.expanduser(os.fspath(path)) for path in paths]
        if not expanded:
            raise InputError("nothing to index; give at least one file or folder")
        return source_of(
            expanded,
            hidden=options.hidden,
            is_library=is_library,
            limits=options.limits,
            id_field=id_field,
        )

    def add_from(
        self,
        source: PictureSource,
        options: config.IndexOptions = config.IndexOptions(),
        progress: Progress | None = None,
        work: Work | None = None,
    ) -> IndexReport:
        """Index what a source has (see ``sources``): folders, shards, tables of URLs.

        As ``add``, which makes a source of its paths. What lies at the source's places gets vectors
        of the library's other spaces too. ``work``: see ``pipeline.index``; it may be elsewhere.
        """
        with self._home.errors(), self._filling() as store:
            encoder = self._given_encoder or self._own_encoder(store, options)
            further = self._further_encoders(store, options)  # before hours of work
            labelling = _labelling((encoder, *further), options)
            report = index(store, encoder, source, options, progress, work)
            filled = [fill(store, one, source.places, options, progress) for one in further]
            report = replace(report, filled=tuple(filled))
            if labelling and (options.tiles or store.parts_seen(labelling.spec.space)):
                tiled = look_at_parts(store, labelling, source.places, options, progress)
                report = replace(report, tiled=tiled)
            return self._refreshed(store, report, progress)

    @property
    def originals(self) -> Originals:
        """Where pictures from the web are kept, if they are (``UrlTableSource(keep=...)``).

        Raises InputError for a library on a server.
        """
        if not isinstance(self._home, FolderHome):
            raise InputError(
                f"{self._home.name}: originals are kept beside a library in a folder only; leave"
                " --keep-originals out"
            )
        return Originals(self._home.folder / ORIGINALS)

    def add_space(
        self,
        encoder: str | Encoder,
        paths: Iterable[str | os.PathLike[str]] | None = None,
        options: config.IndexOptions = config.IndexOptions(),
        progress: Progress | None = None,
    ) -> FillReport:
        """Give records vectors of a further encoder, by name or itself; the others stay.

        ``paths``: only of files at or under these, by default all. Searches go on meanwhile in the
        library's default space. Killed, the same call continues. Raises InputError for an unknown
        encoder, and what ``add`` raises.
        """
        roots = None if paths is None else _roots([os.fspath(path) for path in paths])
        with self._home.errors(), self._writing() as store:
            made = load_encoder(encoder, options.threads) if isinstance(encoder, str) else encoder
            self._encoders[made.spec.name] = made
            report = fill(store, made, roots, options, progress)
            self._refresh_space(store, report.space)
        return report

    def choose_space(self, name: str) -> None:
        """Make a space the one that searches use by default. Raises InputError if there is none."""
        with self._home.errors(), self._writing() as store:
            store.choose_space(name)

    def spaces(self) -> list[Space]:
        """The spaces in which records have vectors, the default first."""
        with self._home.errors():
            return self._reader().spaces()

    def spaces_held(self) -> list[tuple[Space, int]]:
        """The spaces, the default first, and how many live records have a vector in each."""
        with self._home.errors():
            store = self._reader()
            return [(space, int(store.vectors(space).live.sum())) for space in store.spaces()]

    def ledger(self, state: State | None = None) -> Iterator[LedgerRow]:
        """Every path ever seen with its state and reason, ordered by path."""
        with self._home.errors():
            yield from self._reader().ledger(state)

    def status(self) -> Status:
        """What the library holds, the state of each index, and what does not fit, if anything."""
        from lookalike.status import status_of

        with self._home.errors():
            return status_of(self._reader(), self._home.derived)

    def push(
        self,
        address: str,
        options: PushOptions | None = None,
        progress: Progress | None = None,
    ) -> PushReport:
        """Send all of it, or what has changed since, to a server; see ``docs/servers.md``.

        Killed, the same call continues. Raises LibraryError for another library's records there,
        and where both do not hold the same afterwards.
        """
        from lookalike.push import PushOptions, push

        with self._home.errors():
            return push(self._home, home_of(address), options or PushOptions(), progress)

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
        category: str | None = None,
        least: str | Likeness | None = None,
        space: str | None = None,
        exact: bool = False,
    ) -> SearchResult:
        """The k records most like one or several inputs, best first.

        ``inputs``: paths of pictures, record ids, or terms (see ``query.terms``); k at least 1,
        more than there are gives all. ``combine``: "mean" compares with the mean of the inputs,
        "all" wants some likeness to every one. Inputs that are records of the library are left out
        unless ``include_self``. ``where`` keeps to records for which a condition holds (see
        ``conditions``); if it holds for k, k come back. ``category``: only records that surely show
        this, a name like "cat" or "animal". ``least``: leave out hits that are less alike, "likely"
        or "maybe". ``space``: by name, the library's default one if None. ``exact`` compares with
        every such record, where otherwise an index may look at fewer; the result says which it was.
        Raises InputError for values that cannot be used, and for an input picture that cannot be
        read.
        """
        sources = [inputs] if isinstance(inputs, str | Path | UUID | Term) else list(inputs)
        request = _request(k, method, combine, include_self, where, exact, category, least)
        terms = _terms(sources, method, combine)
        with self._home.errors():
            result = self._answerer(request, space).answer(terms)
            self._index_soon(request, result)
            return result

    def compare(
        self,
        inputs: Source | Sequence[Source],
        spaces: Sequence[str],
        k: int = 5,
        **options: Any,
    ) -> list[SearchResult]:
        """The same search in several spaces, in their order; ``options`` as ``search`` has them."""
        if len(spaces) < 2:
            raise InputError(f"spaces {', '.join(spaces)}: name two or more to compare")
        return [self.search(inputs, k, space=space, **options) for space in spaces]

    def search_many(
        self,
        inputs: Sequence[Source],
        k: int = 5,
        method: Method = Method(),
        *,
        include_self: bool = False,
        where: str | Condition | None = None,
        category: str | None = None,
        least: str | Likeness | None = None,
        space: str | None = None,
        exact: bool = False,
    ) -> list[SearchResult]:
        """``search`` for each input by itself, in one pass where the method allows it.

        By meaning and PCA a batch of 256 takes a fraction of the time of 256 searches.
        """
        request = _request(k, method, "mean", include_self, where, exact, category, least)
        terms = _terms(inputs, method, "mean")
        with self._home.errors():
            results = self._answerer(request, space).answer_each(terms)
            self._index_soon(request, results[0])
            return results

    def _answerer(self, request: Request, space: str | None = None) -> Answerer | RemoteAnswerer:
        store = self._reader()
        own = self._space(space)
        remote = self._server_tables(store, own) if isinstance(store, ServerStore) else None
        if remote is not None and request.method.by != "pca":
            from lookalike.query.remote import RemoteAnswerer

            return RemoteAnswerer(
                remote, remote.store, self._input_reader(remote, request), request
            )
        # By PCA a server's vectors are fetched and reduced here, once.
        tables = self._current(space)
        return Answerer(tables, store, self._input_reader(remote or tables, request), request)

    def _input_reader(self, numbers: Numbers, request: Request) -> InputReader:
        encoder = partial(self._encoder_of, numbers.space)
        return InputReader(self._reader(), numbers, encoder, request.method)

    def _server_tables(self, store: ServerStore, space: Space) -> ServerTables:
        from lookalike.query.remote import ServerTables

        version = store.version()
        if self._remote is None or self._remote[0] != (version, space):
            self._remote = (version, space), ServerTables(store, space)
        return self._remote[1]

    def why(
        self, query: Source, hit: Source, *, space: str | None = None, quick: bool = False
    ) -> Why:
        """What makes two pictures alike: parts of both, and the colours that they share.

        ``query``, ``hit``: as inputs of a search, but no words; ``space``: as in ``search``;
        ``quick``: only ask an encoder that tells what it saw where, instead of also hiding every
        part in turn, a hundred passes. Where a record's file is gone its thumbnail is used.
        Raises InputError for values that cannot be used or read.
        """
        from lookalike.query.why import Explainer  # no search needs it

        terms = _as_term(query), _as_term(hit)
        with self._home.errors():
            tables = self._current(space)
            encoder = partial(self._encoder_of, tables.space)
            return Explainer(tables, self._reader(), encoder).explain(*terms, quick=quick)

    def categories(self, name: str | None = None) -> CategoryCounts:
        """What the records show, as trees with counts; only at or below a category if named.

        A record counts for a category that it shows with a confidence of at least 0.5, and for all
        above that. Raises InputError for a name that is not known, and where no space has classes.
        """
        top = _category(name)
        with self._home.errors():
            index = self._current().labelled_by.categories
            if index.empty:
                raise InputError(
                    f"{self.name}: no space of this library has classes; index with"
                    " efficientnet-lite0, too"
                )
            return count_categories(index, top)

    def shown_by(self, record: UUID, least: float = 0.1) -> list[Label]:
        """What a record shows with a confidence of at least ``least``: classes and all above them.

        The widest first, then the labels of its parts and those that were given to it. Raises
        InputError for an id that is not in the library.
        """
        with self._home.errors():
            if self._reader().get([record]) == [None]:
                raise InputError(f"{record}: no record of {self.name} has this id")
            index = self._current().labelled_by.categories
            row = index.row_of(record)
            labels = [] if row is None else [
                Label(one.name, share, one.id) for one, share in index.shown(row, least)
            ]  # fmt: skip
            parts = [] if row is None else index.part_labels(row)
            return [*labels, *parts, *self._reader().labels([record])[0]]

    def random_record(self, seed: int | None = None) -> UUID:
        """The id of a record drawn evenly; the same seed and library give the same one."""
        with self._home.errors():
            store = self._reader()
            count = store.count()
            if not count:
                raise InputError(f"{self.name}: the library is empty; index a folder first")
            place = random.Random(seed).randrange(count)  # noqa: S311 (nothing secret)
            return store.id_at(place)

    def get(self, ids: Sequence[UUID]) -> list[Record | None]:
        """Records by id, in the order asked for; None where there is none."""
        with self._home.errors():
            return self._reader().get(ids)

    def record_at(self, path: str | os.PathLike[str]) -> UUID | None:
        """The record that lies at a path, or has the content of a file there; None if none has.

        A URL that the library does not know is not asked for.
        """
        where = absolute(os.fspath(path))
        with self._home.errors():
            known = self._reader().find_path(where)
            if known is not None or is_remote(where):
                return known[0] if known else None
            try:
                file = read_again(FileEntry(where, 0, 0))
                return self._reader().find_content(file.content_hash)
            except ImageError as error:
                raise InputError(f"{path}: cannot be read: {error.reason}") from error

    def record_called(self, name: str) -> UUID | None:
        """The record that an id stands for, its own or another table's; None if none is so called.

        One that is written as ours is, is taken for ours, whether it is here or not.
        """
        with self._home.errors():
            return record_id_of(name) or self._reader().find_foreign(name)

    def is_original(self, path: str | os.PathLike[str]) -> bool:
        """Whether a path, or what it links to, is one from which the library reads a picture."""
        where = os.path.abspath(os.fspath(path))
        with self._home.errors():
            return any(map(self._reader().reads_path, {where, os.path.realpath(where)}))

    def matching(self, where: str | Condition) -> list[UUID]:
        """Ids of the records for which a condition holds, ascending."""
        condition = parse_condition(str(where))
        with self._home.errors():
            return uuids(self._reader().matching(condition))

    def thumbnails(self, ids: Sequence[UUID]) -> list[bytes | None]:
        """Thumbnails as JPEG, longest side at most 256 pixels, in the order asked for."""
        with self._home.errors():
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

    def map(
        self,
        options: MapOptions | None = None,
        stage: Callable[[str], None] = lambda name: None,
        *,
        refit: bool = False,
    ) -> PictureMap:
        """Where records lie when alike ones lie beside each other, in clusters with names.

        The kept map with these options, if there is one, with records added since placed by their
        neighbours; else, and with ``refit``, a new one, which takes minutes at half a million
        records. ``stage`` is called with the name of each step. Raises InputError for options that
        cannot be used and where there is no record, MissingExtraError without what makes maps.
        """
        from lookalike.maps import MapOptions

        options = options or MapOptions()
        options.check()
        with self._home.errors():
            return self._map_maker(options, stage).map(options, refit=refit)

    def maps(self) -> list[MapState]:
        """The kept maps, and how they stand to what the library has now."""
        from lookalike.maps.kept import states

        def source(options: MapOptions) -> IdentifiedRows | None:
            if options.by == "colour":
                return self._current().histograms
            known = {space.name for space in self._reader().spaces()}
            return self._current(options.space).vectors if options.space in known else None

        with self._home.errors():
            return states(self._current().derived.maps, source)

    def map_points(self, chart: PictureMap) -> FloatArray:
        """What a map was made from: float32 (n, d), d at most 64, by its rows."""
        with self._home.errors():
            return self._map_maker(chart.options, lambda name: None).points(chart)

    def map_source(self, chart: PictureMap) -> ExportSource:
        """What a map's exports and studies are made from: what is known of its records, read late.

        Belongs to the thread that the library belongs to.
        """
        from lookalike.maps.exports.facts import CatalogueFacts
        from lookalike.maps.exports.source import ExportSource

        with self._home.errors():
            store, tables = self._reader(), self._current(chart.options.space)
            facts = CatalogueFacts(store, tables.labelled_by.categories)
        return ExportSource(chart, partial(self.map_points, chart), facts, store.thumbnails)

    def map_cutter(self, chart: PictureMap) -> Cutter:
        """What cuts a map's tree into other numbers of clusters, for a slider."""
        from lookalike.maps.making import Cutter

        with self._home.errors():
            evidence = self._evidence(self._current(chart.options.space))(chart.ids)
        return Cutter(chart, self.map_points(chart), evidence)

    def _evidence(self, tables: Tables) -> Gather:
        """What clusters are named by: classes, words of paths, labels, keywords, colours."""
        from lookalike.maps.evidence import Evidence
        from lookalike.maps.side import keywords

        store = self._reader()
        return lambda ids: Evidence.gather(
            ids,
            store=store,
            categories=tables.labelled_by.categories,
            histograms=tables.histograms,
            keywords=keywords(store),
        )

    def _map_maker(self, options: MapOptions, stage: Callable[[str], None]) -> MapMaker:
        from lookalike.maps.ground import Colour, Meaning
        from lookalike.maps.making import MapMaker

        tables = self._current(options.space)
        colour = options.by == "colour"
        source = (
            Colour(tables.histograms) if colour else Meaning(tables.vectors, tables.graph_by_rows)
        )
        wanted = source.table.live
        if options.where is not None:
            condition = parse_condition(options.where)
            wanted = wanted & tables.matching(self._reader(), condition, colour=colour)
        return MapMaker(
            tables.derived.maps, source, wanted, tables.space.name, self._evidence(tables), stage
        )

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

    # -- colouring a map -------------------------------------------------------------------------

    def colourings(self) -> list[str]:
        """By what the rows of a map can be coloured here: ``maps.colourings``, ``table.column``."""
        from lookalike.maps.colourings import COLOURINGS
        from lookalike.maps.side import column_names

        with self._home.errors():
            lacking = set()
            if not self._reader().has_times():
                lacking.add("date")
            if not has_classes(self._current().labelled_by.space):
                lacking.add("category")
            side = column_names(self._reader())
        return [*(name for name in COLOURINGS if name not in lacking), *side]

    def colouring(self, name: str, ids: IdArray) -> Colouring:
        """Groups of records (V16 (n,)) by a name of ``colourings``.

        Raises InputError for a name that is not known.
        """
        from lookalike.maps.colourings import COLOURINGS
        from lookalike.maps.side import by_column

        if "." in name:
            with self._home.errors():
                return by_column(self._reader(), name, ids)
        if name not in COLOURINGS:
            raise InputError(f"colouring {name!r}: not known; use one of: {', '.join(COLOURINGS)}")
        with self._home.errors():
            known = _Known(self._reader(), self._current())
            return COLOURINGS[name][1](known, ids)

    # -- exchange --------------------------------------------------------------------------------

    def export(
        self,
        form: str,
        out: str | os.PathLike[str],
        options: ExportOptions | None = None,
        *,
        space: str | None = None,
        where: str | Condition | None = None,
    ) -> ExportReport:
        """Write records for other programs: "parquet", "npy", "csv", "photos", "clip-retrieval".

        ``out``: a file, or a folder for Parquet in parts and whatever is several files; it is
        written whole or not at all. ``where`` keeps to records for which a condition holds. Raises
        InputError for a place that is not free and where nothing is to be exported,
        MissingExtraError without PyArrow, StorageError where it cannot be written.
        """
        from lookalike.exchange import export

        condition = None if where is None else parse_condition(str(where))
        with self._home.errors():
            store, own = self._reader(), self._space(space)
            place = self._home.folder if isinstance(self._home, FolderHome) else None
            return export.from_store(store, place, own, condition, form, Path(out), options)

    def import_(
        self,
        paths: Iterable[str | os.PathLike[str]],
        options: ImportOptions | None = None,
        progress: Progress | None = None,
    ) -> ImportReport:
        """Take in what ``export`` wrote, and vectors that other programs made.

        Parquet of our own and photos.parquet, clip-retrieval's folder, rclip's database. All of it
        is checked before any of it is put; killed, the same call continues. Raises InputError for
        what is not sound or not known, and what ``add`` raises.
        """
        from lookalike.exchange import bring

        progress = progress or Silence()
        with self._home.errors():
            coming = bring.coming([Path(path) for path in paths], options, progress)
            with self._made() as store:
                report = bring.bring(coming, store, progress)
                for space in store.spaces():
                    self._refresh_space(store, space)
        return report

    # -- labels ----------------------------------------------------------------------------------

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

    # -- side tables and SQL -----------------------------------------------------------------------

    def add_table(
        self,
        name: str,
        files: Sequence[str | os.PathLike[str]],
        options: TableOptions,
        stage: Callable[[str], None] = lambda name: None,
    ) -> TableReport:
        """Keep a table of the user's beside the pictures: ``files`` are paths or patterns of them.

        All rows or none are kept. ``stage`` is called with the name of each step. Raises InputError
        for files that are no table, and for a name that is none or taken.
        """
        from lookalike.side_tables import add_table

        with self._home.errors(), self._writing() as store:
            return add_table(store, name, files, options, stage)

    def drop_table(self, name: str) -> None:
        """Forget a side table. Raises InputError if there is none of that name."""
        from lookalike.side_tables import known_table

        with self._home.errors(), self._writing() as store:
            store.drop_table(known_table(store.side_tables(), name).name)

    def side_tables(self) -> list[SideTable]:
        """The side tables, by name."""
        with self._home.errors():
            return self._reader().side_tables()

    def rows_matched(self, table: SideTable) -> int:
        """How many rows of a side table belong to a picture of the library."""
        with self._home.errors():
            return self._reader().rows_matched(table)

    def sql(self, statement: str) -> SqlResult:
        """What a statement gives that reads ``sql_tables`` and ``similar('cat.jpg', 10)``.

        Rows are read as they are asked for. Raises InputError for a statement that cannot be run.
        """
        from lookalike.query.similar import run_sql

        with self._home.errors():
            return run_sql(self._reader(), self.search, statement)

    def change_by_sql(self, statement: str) -> int:
        """Let INSERT, UPDATE or DELETE change a side table; returns how many rows it changed."""
        from lookalike.query.similar import change_by_sql

        with self._home.errors(), self._writing() as store:
            return change_by_sql(store, self.search, statement)

    def records_named(self, texts: Sequence[str]) -> list[UUID | None]:
        """The records that texts name (ids, foreign ids, paths); None where one names none."""
        from lookalike.side_tables import records_named

        with self._home.errors():
            return records_named(self._reader(), texts)

    def sql_tables(self) -> dict[str, tuple[Column, ...]]:
        """The tables that statements read, with their columns."""
        with self._home.errors():
            return self._reader().sql_tables()

    # -- inside ----------------------------------------------------------------------------------

    @property
    def space(self) -> Space:
        """The space that searches use unless they name another."""
        return self._space(None)

    def _space(self, name: str | None) -> Space:
        spaces = self._reader().spaces()
        if not spaces:
            raise LibraryMissingError(f"{self.name}: nothing is indexed yet; index a folder")
        found = next((space for space in spaces if name in (None, space.name)), None)
        if found is None:
            known = ", ".join(space.name for space in spaces)
            raise InputError(f"space {name!r}: this library has: {known}")
        return found

    @contextmanager
    def _filling(self) -> Iterator[AnyStore]:
        """The library for writing, made if there is none, unless nothing comes of it."""
        fresh = not self._home.exists()
        store = self._home.open(write=True)
        try:
            yield store
        finally:
            if fresh and next(store.ledger(), None) is None:
                store.discard()
            store.close()

    @contextmanager
    def _writing(self) -> Iterator[AnyStore]:
        """The library that is there, for writing; readers see it afterwards."""
        self._reader()  # raises if there is none
        store = self._home.open(write=True)
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def _made(self) -> Iterator[AnyStore]:
        """The library for writing, made if there is none, and gone again if nothing came in."""
        fresh = not self._home.exists()
        store = self._home.open(write=True)
        try:
            yield store
        finally:
            if fresh and next(store.ledger(), None) is None:
                store.discard()
            store.close()

    def _own_encoder(self, store: AnyStore, options: config.IndexOptions) -> Encoder:
        """What makes the vectors of the default space, or the one that options name if new."""
        named = None if store.spaces() else options.encoder
        return encoder_of(store, options.threads, named)

    def _further_encoders(self, store: AnyStore, options: config.IndexOptions) -> list[Encoder]:
        """What makes vectors of the library's other spaces, and of one that options add."""
        if self._given_encoder is not None:
            return []
        names = [space.name for space in store.spaces()]
        added = [options.encoder] if names and options.encoder else []  # else the library's first
        further = dict.fromkeys([*names[1:], *added])
        return [load_encoder(name, options.threads) for name in further if name != names[0]]

    def _reader(self) -> AnyStore:
        if self._store is None:
            self._store = self._home.open()
        return self._store

    def _current(self, space: str | None = None) -> Tables:
        """The tables of the last commit; new ones if another process or ``add`` has committed."""
        version = self._reader().version()
        if version != self._version:
            self._tables, self._version = {}, version
        own = self._space(space)
        if own.name not in self._tables:
            self._tables[own.name] = Tables(self._reader(), own, self._home.derived)
            for other in self._reader().spaces() if not has_classes(own) else ():
                if has_classes(other):
                    self._tables[own.name].labelled_by = self._current(other.name)
                    break
        return self._tables[own.name]

    # -- indexes ---------------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Make or extend the indexes, if that pays; ``add`` does it at its end.

        Takes seconds at half a million records; searches go on meanwhile. Returns whether anything
        was made.
        """
        with self._home.errors():
            spaces = self._reader().spaces()
            if isinstance(self._reader(), ServerStore):
                with self._writing() as store:
                    made = [self._refresh_space(store, space) for space in spaces]
                    return any(made)
            made = [self._current(space.name).refresh() for space in spaces]
            if any(made):
                self._tables = {}
            return any(made)

    def _refresh_space(self, store: AnyStore, space: Space) -> bool:
        if isinstance(store, ServerStore):
            return store.refresh(space)
        return Tables(store, space, self._home.derived).refresh()

    def _index_soon(self, request: Request, result: SearchResult) -> None:
        """Make an index that searches go without, beside them, once a second search wants it."""
        tables = self._tables.get(result.space or "")
        if tables is None or request.exact or not isinstance(self._home, FolderHome):
            return
        if not tables.wants_index(request.method.by):
            return
        self._unindexed += 1
        if self._unindexed == _SEARCHES_BEFORE_INDEXING:
            thread = threading.Thread(target=self._make_index, args=(tables,), daemon=True)
            thread.start()

    def _make_index(self, tables: Tables) -> None:
        """In a thread of its own, which needs a connection of its own."""
        with contextlib.closing(self._home.open()) as store:
            made = Tables(store, tables.space, self._home.derived).refresh()
        if made and self._tables.get(tables.space.name) is tables:
            del self._tables[tables.space.name]  # the next search opens what was made

    def _refreshed(
        self, store: AnyStore, report: IndexReport, progress: Progress | None
    ) -> IndexReport:
        """The report of a run, once the indexes have been made that pay."""
        watch = Stopwatch(progress or Silence())
        watch.stage("index")
        for space in store.spaces():
            self._refresh_space(store, space)
        return replace(report, seconds={**report.seconds, **watch.seconds()})

    def _encoder_of(self, space: Space) -> Encoder:
        """What makes vectors of a space: the given encoder, or the one of that name."""
        if space.name not in self._encoders:
            self._encoders[space.name] = self._given_encoder or load_encoder(space.encoder)
        return self._encoders[space.name]


class _Known:
    """What is known of the records of a library, as colourings ask for it."""

    def __init__(self, store: AnyStore, tables: Tables) -> None:
        self.facts, self.folders = store.facts, store.folders
        self._tables = tables

    def categories(self) -> CategoryIndex:
        return self._tables.labelled_by.categories


def _labelling(encoders: Sequence[Encoder], options: config.IndexOptions) -> Encoder | None:
    """The encoder that tells what parts of pictures show; InputError if none can and one should."""
    found = next((one for one in encoders if has_classes(one.spec.space)), None)
    if found is None and options.tiles:
        raise InputError(
            "tiles: no encoder of this library has classes to see in parts of pictures"
        )
    return found


def _roots(paths: Sequence[str]) -> list[str]:
    """Absolute paths of what lies on disk, which must exist, and beginnings of remote paths."""
    urls = [path for path in paths if is_remote(path)]
    return [*urls, *absolute_roots(path for path in paths if not is_remote(path))]


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
    category: str | None = None,
    least: str | Likeness | None = None,
) -> Request:
    if k < 1:
        raise InputError(f"k {k}: at least 1 hit must be asked for")
    condition = None if where is None else parse_condition(str(where))  # checks trees, too
    shown, alike = _category(category), _least(least)
    return Request(k, method, combine, include_self, condition, exact, shown, alike)


def _category(name: str | None) -> Category | None:
    if name is None:
        return None
    found = categories_named(name.strip().casefold())
    if len(found) != 1:
        known = ", ".join(one.name for one in found)
        unclear = f"stands for several, name one of: {known}"
        unknown = "not known; lookalike categories lists those of a library"
        raise InputError(f"category {name!r}: {unclear if found else unknown}")
    return found[0]


def _least(word: str | Likeness | None) -> Likeness | None:
    if word is None:
        return None
    try:
        return Likeness(word)
    except ValueError as error:
        known = ", ".join(one.value for one in Likeness)
        raise InputError(f"least {word!r}: not known; use one of: {known}") from error


def _check_weights(terms: Sequence[Term], method: Method, combine: str) -> None:
    weights = [term.weight for term in terms]
    if min(weights) < 0 and method.by in WITH_COLOUR:
        raise InputError(
            f"--by {method.by}: colours cannot be subtracted; leave the minus out or"
            " compare by meaning"
        )
    if combine == "all" and method.by == "shortlist":
        raise InputError(
            "--combine all: a shortlist is near the mean of the inputs; leave it out, or --by mix"
        )
    if combine == "all" and (len(set(weights)) > 1 or weights[0] < 0):
        raise InputError("--combine all: every input counts alike; leave weights and signs out")
