"""The app factory: one library, its maps, and the built page. Nothing is global.

Further pages and interfaces are lists of routes beside ``MapApi``'s, given as ``routes``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from http import HTTPStatus
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from lookalike import config
from lookalike.errors import (
    InputError,
    LibraryLockedError,
    LibraryMissingError,
    LookalikeError,
    MissingExtraError,
)
from lookalike.library import Library
from lookalike.maps import MapOptions, PictureMap
from lookalike.stores.server.address import is_address
from lookalike.web.charts import Charts, Open
from lookalike.web.cuts import Cutter, TreeCutter
from lookalike.web.desk import Desk
from lookalike.web.guard import Guard
from lookalike.web.map_api import MapApi, problem

STATIC = Path(__file__).parent / "static"
"""The built page; ``frontend/`` is its source."""

STATUSES = (
    (InputError, HTTPStatus.BAD_REQUEST),
    (LibraryMissingError, HTTPStatus.NOT_FOUND),
    (LibraryLockedError, HTTPStatus.CONFLICT),
    (MissingExtraError, HTTPStatus.NOT_IMPLEMENTED),
)
"""What errors are to a browser; others are the server's own."""


def create_app(
    folder: str | os.PathLike[str] | None = None,
    maps: Sequence[MapOptions] = (),
    *,
    make: Open | None = None,
    cutter: Cutter | None = None,
    hosts: Iterable[str] = (),
    routes: Sequence[BaseRoute] = (),
) -> Starlette:
    """The app over the library in ``folder``, or at an address (the user's default one if None).

    ``maps`` are those that it shows, the usual one if none is named; ``make`` opens them, by
    default ``Library.map``; ``cutter`` cuts the tree of those that have one anew. ``hosts``: names
    beside those of the loopback under which it may be asked; ``routes``: further ones. Needs the
    extra ``web``.
    """
    named = config.default_library() if folder is None else os.fspath(folder)
    place = named if is_address(named) else config.library_folder(named)
    searches, pictures = Desk(place), Desk(place)
    charts = Charts(maps or [MapOptions()], make or _map)
    api = MapApi(charts, searches, pictures, cutter or TreeCutter())

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(api.warm())
        yield
        warming.cancel()
        searches.close()
        pictures.close()

    return Starlette(
        routes=[
            Route("/", _to_map),
            Route("/map", _page),
            *api.routes(),
            *routes,
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Guard, hosts=tuple(hosts))],
        exception_handlers={
            LookalikeError: _failed,
            HTTPException: _refused,
            ClientDisconnect: _left,
            OSError: _unread,
            MemoryError: _full,
        },
        lifespan=lifespan,
    )


def _map(library: Library, options: MapOptions) -> PictureMap:
    return library.map(options)


async def _to_map(request: Request) -> Response:
    return RedirectResponse("/map")


async def _page(request: Request) -> Response:
    return FileResponse(STATIC / "map.html", headers={"Cache-Control": "no-cache"})


async def _failed(request: Request, error: Exception) -> Response:
    own = HTTPStatus.INTERNAL_SERVER_ERROR
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), own)
    return problem(str(error), status)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(f"{request.url.path}: {error.detail}", error.status_code)


async def _left(request: Request, error: Exception) -> Response:
    """Who asked has gone before the question was complete; nobody reads this."""
    return problem(f"{request.url.path}: the request broke off", HTTPStatus.BAD_REQUEST)


async def _unread(request: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    line = f"{error.filename or request.url.path}: {error.strerror or error}; check the disk"
    return problem(line, HTTPStatus.INTERNAL_SERVER_ERROR)


async def _full(request: Request, error: Exception) -> Response:
    line = f"{request.url.path}: not enough memory; ask for less"
    return problem(line, HTTPStatus.INTERNAL_SERVER_ERROR)
