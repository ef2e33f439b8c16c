"""The maps that a server shows: opened once, their packets kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from lookalike.errors import InputError
from lookalike.library import Library
from lookalike.maps import MapOptions, PictureMap, packets
from lookalike.maps.colourings import COLOURINGS
from lookalike.maps.side import title as title_of
from lookalike.stores.base import IdentifiedRows
from lookalike.types import IdArray, id_array, uuids

Open = Callable[[Library, MapOptions], PictureMap]
"""What makes or opens a map."""


@dataclass
class Chart(IdentifiedRows):
    """One map as it is shown. ``name`` is of what was asked for."""

    name: str
    chart: PictureMap
    _kept: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ids: IdArray = self.chart.ids
        self.live: NDArray[np.bool_] = np.ones(len(self.ids), bool)

    def id_of(self, row: int) -> UUID:
        """The record of a row."""
        if not 0 <= row < len(self.ids):
            raise InputError(f"row {row}: this map has rows 0 to {len(self.ids) - 1}")
        return UUID(bytes=self.ids[row].tobytes())

    def ids_of(self, rows: NDArray[np.int32]) -> list[UUID]:
        """The records of rows."""
        return uuids(self.ids[rows])

    def rows(self, ids: Sequence[UUID]) -> list[int]:
        """The rows of records, -1 for one that is not on the map."""
        wanted = id_array(ids)
        return [int(row) for row in self.rows_of(wanted)] if ids else []

    def facts(self, library: Library, *, cuttable: bool) -> dict[str, Any]:
        """What is told of the map."""
        extra = [(name, title_of(name, COLOURINGS)) for name in library.colourings()]
        if self.chart.placed.any():
            extra.append(("placed", "Placed later"))
        return packets.facts(self.chart, extra, self.name, cuttable=cuttable)

    def points(self) -> bytes:
        """The packet of its points."""
        return self._keep("points", lambda: packets.points(self.chart))

    def colouring(self, name: str, library: Library) -> bytes:
        """The packet of a colouring, by name."""
        return self._keep(f"by {name}", lambda: self._colouring(name, library))

    def _colouring(self, name: str, library: Library) -> bytes:
        for number, title in enumerate(packets.level_titles(self.chart)):
            if name == packets.level_name(number) and number < len(self.chart.clustering.levels):
                return packets.level_colouring(self.chart.clustering.levels[number], name, title)
        if name == "placed":
            placed = self.chart.placed
            legend = [
                {"label": "in the map from the start", "count": int((~placed).sum())},
                {"label": "placed later", "count": int(placed.sum())},
            ]
            return packets.colouring(name, "Placed later", "groups", legend, placed.astype(int))
        found = library.colouring(name, self.ids)
        title = title_of(name, COLOURINGS)
        return packets.colouring(name, title, found.kind, found.entries(), found.of)

    def _keep(self, key: str, make: Callable[[], bytes]) -> bytes:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


class Charts:
    """The maps of a library by name, opened when they are first asked for."""

    def __init__(self, options: Sequence[MapOptions], make: Open) -> None:
        self._options = {name_of(one): one for one in options}
        self._make = make
        self._open: dict[str, Chart] = {}

    @property
    def names(self) -> list[str]:
        return list(self._options)

    def opened(self, name: str) -> Chart | None:
        """A map that is open already."""
        return self._open.get(name)

    def get(self, name: str, library: Library) -> Chart:
        """A map by name; raises InputError for one that is not shown here."""
        if name not in self._options:
            raise InputError(f"map {name!r}: not here; maps are: {', '.join(self._options)}")
        if name not in self._open:
            self._open[name] = Chart(name, self._make(library, self._options[name]))
        return self._open[name]


def name_of(options: MapOptions) -> str:
    """A short name for a map, another one for other options."""
    digest = hashlib.sha256(repr(sorted(asdict(options).items())).encode()).hexdigest()[:8]
    return f"{options.method}-{options.dims}d-{options.by}-{options.clusters}-{digest}"
