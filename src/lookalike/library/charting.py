"""The facade: maps of a library."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from lookalike.conditions import parse_condition
from lookalike.errors import InputError
from lookalike.homes import AnyStore
from lookalike.library.opened import OpenedLibrary
from lookalike.query.tables import Tables, has_classes
from lookalike.types import (
    FloatArray,
    IdArray,
)

if TYPE_CHECKING:
    from lookalike.indexes.categories import CategoryIndex
    from lookalike.maps import MapOptions, PictureMap
    from lookalike.maps.colourings import Colouring
    from lookalike.maps.exports.source import ExportSource
    from lookalike.maps.kept import MapState
    from lookalike.maps.making import Cutter, Gather, MapMaker
    from lookalike.stores.base import IdentifiedRows


class Charting(OpenedLibrary):
    """Where records lie when alike ones lie beside each other."""

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


class _Known:
    """What is known of the records of a library, as colourings ask for it."""

    def __init__(self, store: AnyStore, tables: Tables) -> None:
        self.facts, self.folders = store.facts, store.folders
        self._tables = tables

    def categories(self) -> CategoryIndex:
        return self._tables.labelled_by.categories
