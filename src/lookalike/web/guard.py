"""Who may ask the server: this machine's browser, on a page of this server, and nobody else.

A page of another site must not reach it, not even under a name that it makes point here (DNS
rebinding); so the Host must be a name of the loopback, and what is sent must come from this
server's own pages. Nothing is loaded from elsewhere: the policy for content allows this server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Refuses foreign hosts and foreign pages; says in every answer what a page may load."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem = self._problem(scope["method"], Headers(scope=scope))

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        if problem is None:
            await self._answered(scope, receive, send_guarded)
        else:
            await JSONResponse({"error": problem}, 403)(scope, receive, send_guarded)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The app's answer; who is still sending when the server ends, is told so."""
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:
            if not begun:
                await JSONResponse({"error": "the server ends"}, 503)(scope, receive, send)

    def _problem(self, method: str, headers: Headers) -> str | None:
        """Why a request is refused, or None."""
        host = headers.get("host", "")
        if _name(host) not in self._hosts:
            return f"host {host!r}: this server answers on this machine alone; open 127.0.0.1"
        site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
        if site == "cross-site" and mode != "navigate":
            return "cross-site: only pages of this server may ask it; links to it may be followed"
        if method in ("GET", "HEAD"):
            return None
        origin = headers.get("origin")
        if origin is None:
            return "no Origin: only pages of this server may send it something"
        if origin not in (f"http://{host}", f"https://{host}"):
            return f"origin {origin!r}: only pages of this server may send it something"
        return None


def _name(host: str) -> str:
    """A host without its port."""
    end = host.rfind(":")
    return (host[:end] if end > host.rfind("]") else host).lower()
