"""Running the app on this machine: loopback only, a free port, ends on Ctrl-C."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import webbrowser
from collections.abc import Callable, Sequence

from lookalike.errors import InputError, MissingExtraError
from lookalike.library import Library
from lookalike.maps import MapOptions, PictureMap

HOST = "127.0.0.1"


def serve(
    folder: str | os.PathLike[str] | None = None,
    maps: Sequence[MapOptions] = (),
    port: int = 0,
    *,
    make: Callable[[Library, MapOptions], PictureMap] | None = None,
    open_browser: bool = False,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve a library's maps until the process is interrupted.

    ``port`` 0 takes a free one; ``make`` as ``create_app`` has it. ``ready`` is called with the
    address once requests are accepted; then the browser is opened, if asked for. Raises InputError
    for a port that cannot be had, MissingExtraError without the extra ``web``.
    """
    check_parts()
    import uvicorn

    from lookalike.web.app import create_app

    taken = _listening(port)
    address = f"http://{HOST}:{taken.getsockname()[1]}/map"
    options = uvicorn.Config(
        create_app(folder, maps, make=make),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready(address)
            if open_browser:
                webbrowser.open(address)

    with taken, contextlib.suppress(KeyboardInterrupt):  # the way in which a user ends it
        Server(options).run(sockets=[taken])


def check_parts() -> None:
    """Raise MissingExtraError without the extra ``web``."""
    for part in ("starlette", "uvicorn"):
        if importlib.util.find_spec(part) is None:
            raise MissingExtraError("the page of the map", "web")


def check_port(port: int) -> None:
    """Raise InputError for what is no port."""
    if not 0 <= port < 65_536:
        raise InputError(f"port {port}: from 0 (any free one) to 65535")


def _listening(port: int) -> socket.socket:
    """A socket at a port of the loopback."""
    check_port(port)
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((HOST, port))
    except OSError as error:
        taken.close()
        raise InputError(f"port {port}: {error.strerror}; choose another, or 0 for any") from error
    return taken
