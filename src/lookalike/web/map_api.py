"""What the map page asks for, under ``/api/map``; rows are numbers of records on a map.

Rows are sent as ``int32``, little-endian, in the body of a POST. Facts are JSON, numbers packets
(``frontend/README.md``). Mistakes are one line in ``{"error": ...}`` with a status from 400 on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lookalike.errors import InputError, LookalikeError
from lookalike.library import Library
from lookalike.maps import sheets
from lookalike.places import is_remote
from lookalike.query.search import Method
from lookalike.query.terms import Term, parse_expression
from lookalike.types import SearchResult, label_dict
from lookalike.web import cuts, selections
from lookalike.web.charts import Chart, Charts
from lookalike.web.desk import Desk

MOST_HITS = 1_000
"""Hits that a search from the map gives at most."""
FOREVER = "private, max-age=31536000, immutable"
LONGEST_LINE = 400
"""Characters of what is said of a mistake."""
CHECKED = "private, no-cache"
"""Kept, but asked for anew whether it still holds; that costs no transfer."""

Answered = tuple[Any, str]


class MapApi:
    """The routes. ``searches`` answers questions that take long, ``pictures`` thumbnails.

    ``cutter``: what cuts the tree of a map that has one.
    """

    def __init__(
        self, charts: Charts, searches: Desk, pictures: Desk, cutter: cuts.Cutter | None = None
    ) -> None:
        self._charts = charts
        self._cutter = cutter
        self._searches = searches
        self._pictures = pictures

    async def warm(self) -> None:
        """Open the first map before anybody asks for it; what fails then fails again when asked."""
        name = self._charts.names[0]
        with contextlib.suppress(LookalikeError):
            chart = await self._searches.ask(lambda library: self._charts.get(name, library))
            await self._searches.ask(lambda library: chart.points())

    def routes(self) -> list[BaseRoute]:
        """All routes of the maps; paths are relative to the app."""
        chart = "/api/map/{name}"
        return [
            Route("/api/map", self.maps),
            Route(chart, self.facts),
            Route(f"{chart}/points", self.points),
            Route(f"{chart}/colourings/{{colouring}}", self.colouring),
            Route(f"{chart}/sheet", self.sheet, methods=["POST"]),
            Route(f"{chart}/pictures/{{row}}", self.picture),
            Route(f"{chart}/pictures/{{row}}/alike", self.alike),
            Route(f"{chart}/search", self.search),
            Route(f"{chart}/selection", self.selection, methods=["POST"]),
            Route(f"{chart}/export", self.export, methods=["POST"]),
            Route(f"{chart}/label", self.label, methods=["POST"]),
            Route(f"{chart}/cut", self.cut),
            Route("/thumb/{id}", self.thumbnail),
        ]

    # -- maps ------------------------------------------------------------------------------------

    async def maps(self, request: Request) -> Response:
        """The maps there are, by name."""
        return as_json([{"name": name} for name in self._charts.names])

    async def facts(self, request: Request) -> Response:
        """How a map was made, its clusters, and by what it can be coloured."""
        able = self._cutter is not None
        return as_json(await self._of_chart(request, lambda c, lib: c.facts(lib, cuttable=able)))

    async def points(self, request: Request) -> Response:
        """All points, as a packet; not sent again while they are the same."""
        return await self._tagged(request, lambda chart, library: chart.points())

    async def colouring(self, request: Request) -> Response:
        """A colouring, as a packet."""
        name = request.path_params["colouring"]
        return await self._tagged(request, lambda chart, library: chart.colouring(name, library))

    async def cut(self, request: Request) -> Response:
        """The tree of clusters cut into so many: facts of the clusters, and the colouring."""
        count = number(request, "count", None, 2, 100_000)
        cutter = self._cutter
        return packet(
            await self._of_chart(request, lambda c, lib: cuts.cut(c.chart, lib, count, cutter))
        )

    # -- pictures --------------------------------------------------------------------------------

    async def sheet(self, request: Request) -> Response:
        """Thumbnails of rows in one picture, as a packet."""
        tile = number(request, "tile", 64, sheets.TILES.start, sheets.TILES.stop - 1)
        chart = await self._chart(request)
        rows = await sent_rows(request, chart, sheets.MAX_ROWS)
        ids = chart.ids_of(rows)
        found = await self._pictures.ask(
            lambda library: sheets.sheet_packet(rows.tolist(), library.thumbnails(ids), tile)
        )
        return packet(found)

    async def picture(self, request: Request) -> Response:
        """What is known of the picture of a row."""
        row = row_of(request)
        return as_json(await self._of_pictures(request, lambda c, lib: facts_of(c, lib, row)))

    async def thumbnail(self, request: Request) -> Response:
        """The thumbnail of a record; its id is its content, so it never changes."""
        id_ = record_id(request.path_params["id"])
        (jpeg,) = await self._pictures.ask(lambda library: library.thumbnails([id_]))
        if jpeg is None:
            return problem(f"{id_}: no record of this library has this id", 404)
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": FOREVER})

    # -- searches --------------------------------------------------------------------------------

    async def alike(self, request: Request) -> Response:
        """The records most like that of a row, with their rows."""
        row, k = row_of(request), number(request, "k", 24, 1, MOST_HITS)

        def ask(chart: Chart, library: Library) -> dict[str, Any]:
            options = chart.chart.options
            method = Method(by=options.by)  # what is near on the map, is alike beside it
            return answer(chart, library.search(chart.id_of(row), k, method, space=options.space))

        return as_json(await self._of_chart(request, ask))

    async def search(self, request: Request) -> Response:
        """What a query finds (the grammar of terms), with rows."""
        query, k = request.query_params.get("q", ""), number(request, "k", 200, 1, MOST_HITS)
        where = request.query_params.get("where") or None
        terms = parse_expression(query)
        for term in terms:
            check_term(term)

        def ask(chart: Chart, library: Library) -> dict[str, Any]:
            space = chart.chart.options.space
            return answer(chart, library.search(terms, k, where=where, space=space))

        return as_json(await self._of_chart(request, ask))

    # -- selections ------------------------------------------------------------------------------

    async def selection(self, request: Request) -> Response:
        """Rows as a condition and as SQL."""
        return as_json(await self._of_rows(request, selections.described))

    async def export(self, request: Request) -> Response:
        """Rows as a file: CSV, paths, JSON."""
        form = request.query_params.get("form", "csv")

        def ask(library: Library, ids: list[UUID]) -> str:
            return selections.exported(library, ids, form)

        text = await self._of_rows(request, ask)
        name = f"selection.{'txt' if form == 'paths' else form}"
        return Response(
            os.fsencode(text),
            media_type=selections.FORMS[form],
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    async def label(self, request: Request) -> Response:
        """Write a label to rows; the guard lets only this server's pages do so."""
        name = request.query_params.get("name", "")

        def ask(library: Library, ids: list[UUID]) -> dict[str, Any]:
            return selections.labelled(library, ids, name)

        return as_json(await self._of_rows(request, ask))

    # -- inside ----------------------------------------------------------------------------------

    async def _chart(self, request: Request) -> Chart:
        name = request.path_params["name"]
        known = self._charts.opened(name)
        if known is not None:
            return known
        return await self._searches.ask(lambda library: self._charts.get(name, library))

    async def _of_chart(self, request: Request, ask: Callable[[Chart, Library], Any]) -> Any:
        chart = await self._chart(request)
        return await self._searches.ask(lambda library: ask(chart, library))

    async def _of_pictures(self, request: Request, ask: Callable[[Chart, Library], Any]) -> Any:
        chart = await self._chart(request)
        return await self._pictures.ask(lambda library: ask(chart, library))

    async def _of_rows(self, request: Request, ask: Callable[[Library, list[UUID]], Any]) -> Any:
        chart = await self._chart(request)
        rows = await sent_rows(request, chart, len(chart.ids))
        return await self._searches.ask(lambda library: ask(library, chart.ids_of(rows)))

    async def _tagged(self, request: Request, make: Callable[[Chart, Library], bytes]) -> Response:
        chart = await self._chart(request)
        found = await self._searches.ask(lambda library: make(chart, library))
        tag = f'"{hashlib.sha256(found).hexdigest()[:24]}"'
        headers = {"ETag": tag, "Cache-Control": CHECKED}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return packet(found, headers)


# -- requests and answers --------------------------------------------------------------------------


def number(request: Request, name: str, default: int | None, lowest: int, highest: int) -> int:
    """A whole number of the query; raises InputError for what is none, or lies outside."""
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    value = int(text) if text is not None and text.isdecimal() and len(text) < 10 else None
    if value is None or not lowest <= value <= highest:
        raise InputError(f"{name} {text!r}: a whole number from {lowest} to {highest} is needed")
    return value


def row_of(request: Request) -> int:
    """The row in an address; raises InputError for what is none."""
    text = str(request.path_params["row"])
    if not (text.isdecimal() and len(text) < 10):
        raise InputError(f"row {text!r}: a number from 0 on is needed")
    return int(text)


def check_term(term: Term) -> None:
    """Raise InputError for a pipe or a device, which a server might wait for until it ends.

    And for a URL, which any page that knows this server could let it fetch.
    """
    if term.kind == "file" and is_remote(term.value):
        raise InputError(
            f"{term.value}: this page fetches nothing from the web; give a record's id"
        )
    if term.kind == "file" and os.path.exists(term.value) and not os.path.isfile(term.value):
        raise InputError(f"{term.value}: not a file; give a picture")


def record_id(text: str) -> UUID:
    """An id of a record; raises InputError for what is none."""
    try:
        return UUID(text)
    except ValueError as error:
        raise InputError(f"{text}: not a record id") from error


async def sent_rows(request: Request, chart: Chart, most: int) -> NDArray[np.int32]:
    """The rows in a request's body; raises InputError for none, too many, or wrong ones."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > 4 * most:
            raise InputError(f"more than {most} rows; send fewer")
    if len(body) % 4 or not body:
        raise InputError(f"{len(body)} bytes: rows are int32, at least one")
    rows = np.frombuffer(bytes(body), "<i4")
    if int(rows.min()) < 0 or int(rows.max()) >= len(chart.ids):
        raise InputError(f"rows {rows.min()} to {rows.max()}: this map has {len(chart.ids)}")
    return rows


def as_json(value: Any, status: int = 200) -> Response:
    """Plain values; paths may have bytes that are no text, so all is ASCII."""
    text = json.dumps(value, separators=(",", ":"))
    headers = {"Cache-Control": "no-store"}
    return Response(text, status, media_type="application/json", headers=headers)


def packet(found: bytes, headers: dict[str, str] | None = None) -> Response:
    """A packet; what says nothing else is not kept."""
    own = headers or {"Cache-Control": "no-store"}
    return Response(found, media_type="application/octet-stream", headers=own)


def problem(line: str, status: int) -> Response:
    """What went wrong, in one line that can be read: what was asked for may be long."""
    if len(line) > LONGEST_LINE:
        line = f"{line[: LONGEST_LINE // 2]} ... {line[-LONGEST_LINE // 2 :]}"
    return as_json({"error": line}, status)


def facts_of(chart: Chart, library: Library, row: int) -> dict[str, Any]:
    """What is known of a row's picture."""
    id_ = chart.id_of(row)
    (record,) = library.get([id_])
    if record is None:
        raise InputError(f"{id_}: this record is no longer in the library; run lookalike map again")
    facts = record.facts
    return {
        "row": row,
        "id": str(id_),
        "paths": list(record.paths),
        "width": facts.width,
        "height": facts.height,
        "taken": facts.taken_at,
        "camera": facts.camera,
        "labels": [label_dict(label) for label in library.shown_by(id_, 0.5)],
        "placed": bool(chart.chart.placed[row]),
    }


def answer(chart: Chart, result: SearchResult) -> dict[str, Any]:
    """A search's hits with their rows, and what of its words was understood."""
    rows = chart.rows([hit.id for hit in result.hits])
    unknown = [word for item in result.inputs for word in item.unknown]
    notes = []
    if unknown:
        notes.append(f"not understood: {', '.join(unknown)}")
    if result.hits and result.nothing_alike:
        notes.append("nothing here is much like that")
    return {
        "hits": [
            {
                "row": row,
                "id": str(hit.id),
                "path": hit.paths[0] if hit.paths else "",
                "score": hit.score,
                "likeness": hit.likeness.value if hit.likeness else None,
                "label": hit.label.name if hit.label else None,
            }
            for row, hit in zip(rows, result.hits, strict=True)
        ],
        "understood": [word for item in result.inputs for word in item.understood],
        "note": "; ".join(notes) or None,
    }
