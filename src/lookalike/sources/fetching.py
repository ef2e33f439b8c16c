"""One picture from its server: status, redirects, limits, and whether it is a picture at all."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import socket
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib import metadata
from typing import Any
from urllib.parse import urljoin, urlsplit

from lookalike.config import Fetching, Limits
from lookalike.errors import ImageError, InputError, MissingExtraError, one_line
from lookalike.sources.base import Kept
from lookalike.types import Reason

REDIRECTS = 5
"""Redirects that are followed from a URL."""

WHOLE = 6
"""Time-outs after which a picture must be there whole, and longer only while it comes fast."""

SLOWEST_BYTES = 100_000
"""Bytes a second that give a large picture more time."""

LARGE_BYTES = 16_000_000
"""Of the pictures that are larger, one at a time is taken in, so that memory stays bounded."""

_LATER = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_TEXT = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<svg", b"{", b"[")


class NotNow(Exception):  # noqa: N818 (what may succeed when it is tried again)
    """A server gives a picture now not, perhaps later; ``wait``: the seconds that it asks for."""

    def __init__(self, detail: str, wait: float | None = None) -> None:
        super().__init__(detail)
        self.detail, self.wait = detail, wait


@dataclass(frozen=True, slots=True)
class Validator:
    """By what the picture of a URL is known again: what its server said, and how it was asked.

    ``suffix``: what was appended to the URL; ``kept``: whether its bytes are kept on disk.
    """

    suffix: str = ""
    etag: str | None = None
    last_modified: str | None = None
    kept: bool = False

    @property
    def text(self) -> str:
        """As the catalogue has it: JSON without what is not known."""
        return json.dumps({name: value for name, value in asdict(self).items() if value} or {})

    @classmethod
    def of(cls, text: str | None) -> Validator | None:
        """From the catalogue's text; None for none, or one that means nothing."""
        try:
            said = json.loads(text or "")
            return cls(
                str(said.get("suffix", "")),
                _header(said.get("etag")),
                _header(said.get("last_modified")),
                said.get("kept") is True,
            )
        except (ValueError, AttributeError):
            return None

    def headers(self) -> dict[str, str]:
        """What asks for the picture only if it is another one by now."""
        asked = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in asked.items() if value}


@dataclass(frozen=True, slots=True)
class Answer:
    """A picture as its server gave it; ``modified_ns``: when it says that it was changed, or 0."""

    data: bytes
    etag: str | None
    last_modified: str | None

    @property
    def modified_ns(self) -> int:
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            at = parsedate_to_datetime(self.last_modified or "").timestamp()
            return max(0, int(at) * 10**9) if at < 2**33 else 0
        return 0


def _header(value: object) -> str | None:
    """What can be sent back as a header's value, or None."""
    fits = isinstance(value, str) and value.isascii() and value.isprintable()
    return str(value) if fits and value else None


def load_httpx() -> Any:
    """The HTTP client; raises MissingExtraError without it."""
    try:
        import httpx2
    except ImportError as error:
        raise MissingExtraError("downloading pictures", "urls") from error
    return httpx2


def user_agent() -> str:
    """What servers are told that we are."""
    try:
        return f"lookalike/{metadata.version('lookalike')}"
    except metadata.PackageNotFoundError:
        return "lookalike"


class Fetcher:
    """Asks servers for pictures, one attempt at a time each.

    Proxies and certificates are those of the environment. Raises InputError where these are not
    usable, MissingExtraError without the client.
    """

    def __init__(self, fetching: Fetching, limits: Limits) -> None:
        self._httpx = httpx = load_httpx()
        self._seconds, self._most = fetching.timeout_seconds, limits.megabytes * 1e6
        self._limit = limits.megabytes
        self._large = asyncio.Lock()
        try:
            self.client = httpx.AsyncClient(
                headers={
                    "User-Agent": user_agent(),
                    "Accept": "image/*,*/*;q=0.5",
                    "Accept-Encoding": "identity",
                },
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                timeout=httpx.Timeout(fetching.timeout_seconds, pool=None),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            )
        except Exception as error:  # of many kinds: a proxy's address, a file of certificates
            raise InputError(
                f"network settings of the environment: {one_line(error)}; check the variables"
                " HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and SSL_CERT_FILE"
            ) from error

    async def get(self, url: str, known: Validator | None = None) -> Answer:
        """The picture at a URL.

        ``known``: what its server said of it before. Raises Kept where that still holds or the
        server fails in a way that waiting does not mend, ImageError where it refuses or gives no
        picture, NotNow where another attempt may succeed.
        """
        httpx, since = self._httpx, time.monotonic()
        try:
            async with asyncio.timeout(WHOLE * self._seconds) as clock:
                return await self._follow(url, known.headers() if known else {}, clock)
        except TimeoutError as error:
            raise NotNow(f"not there whole after {time.monotonic() - since:.1f} s") from error
        except httpx.TimeoutException as error:
            raise NotNow(f"no answer within {self._seconds:g} s") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            raise ImageError(Reason.REFUSED, f"not asked: {one_line(error)}") from error
        except (httpx.TransportError, OSError) as error:
            raise NotNow(f"the connection failed: {one_line(error)}") from error
        except ValueError as error:  # names of hosts that are none, in several libraries' words
            raise ImageError(Reason.REFUSED, f"not asked: {one_line(error)}") from error

    async def _follow(self, url: str, headers: Mapping[str, str], clock: asyncio.Timeout) -> Answer:
        start = url
        for _ in range(REDIRECTS + 1):
            async with self.client.stream("GET", url, headers=headers) as response:
                if not response.has_redirect_location:
                    return await self._answer(response, bool(headers), clock)
                location = response.headers["location"]
            url = await _redirected(start, url, location)
        raise ImageError(Reason.REFUSED, f"redirected more than {REDIRECTS} times")

    async def _answer(self, response: Any, conditional: bool, clock: asyncio.Timeout) -> Answer:
        status, headers = response.status_code, response.headers
        if status == HTTPStatus.NOT_MODIFIED and conditional:
            raise Kept(Reason.NOT_MODIFIED)
        if status in _LATER:
            raise NotNow(_status(status), retry_after(headers.get("retry-after")))
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Kept(Reason.NOT_REACHED, _status(status))
        if status not in (HTTPStatus.OK, HTTPStatus.NON_AUTHORITATIVE_INFORMATION):
            raise ImageError(Reason.REFUSED, _status(status))
        data = self._plain(await self._body(response, clock), headers.get("content-encoding"))
        _require_picture(data, headers.get("content-type", ""))
        return Answer(data, _header(headers.get("etag")), _header(headers.get("last-modified")))

    async def _body(self, response: Any, clock: asyncio.Timeout) -> bytes:
        stated = response.headers.get("content-length", "")
        if stated.isdigit() and int(stated) > self._most:
            raise self._too_many(int(stated))
        parts, size, end = [], 0, clock.when() or 0.0
        async with contextlib.AsyncExitStack() as held:
            async for part in _raw(response):
                parts.append(part)
                before, size = size, size + len(part)
                if size > self._most:
                    raise self._too_many(size)
                if before <= LARGE_BYTES < size:
                    clock.reschedule(None)
                    await held.enter_async_context(self._large)
                    end = asyncio.get_running_loop().time() + WHOLE * self._seconds
                clock.reschedule(end + size / SLOWEST_BYTES)
            return b"".join(parts)

    def _plain(self, data: bytes, encoding: str | None) -> bytes:
        """What a body is that came packed although that was not asked for."""
        name = (encoding or "identity").strip().lower()
        if name in ("identity", ""):
            return data
        if name not in ("gzip", "x-gzip", "deflate"):
            raise ImageError(Reason.REFUSED, f"packed as {name[:40]}, which was not asked for")
        try:
            plain = zlib.decompressobj(47).decompress(data, int(min(self._most, 2**40)) + 1)
        except zlib.error as error:
            raise ImageError(Reason.CORRUPT, f"packed as {name}: {error}") from error
        if len(plain) > self._most:
            raise self._too_many(len(plain))
        return plain

    def _too_many(self, size: int) -> ImageError:
        return ImageError(
            Reason.TOO_MANY_BYTES,
            f"{size / 1e6:.0f} MB or more exceed {self._limit:g} MB; raise --max-megabytes",
        )


async def _raw(response: Any) -> AsyncIterator[bytes]:
    async for part in response.aiter_raw():
        yield part


async def _redirected(start: str, url: str, location: str) -> str:
    """Where a server sends us; raises ImageError if it must not.

    Off the web, from a protected connection to an open one, or from a server of the open internet
    to an address inside ours. The name is looked up once more by the connection itself; against a
    server of names that lies the second time this is no protection.
    """
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ImageError(Reason.REFUSED, "redirected to what is no URL") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ImageError(Reason.REFUSED, f"redirected to {parts.scheme or 'no'}: URL")
    if urlsplit(url).scheme == "https" and parts.scheme == "http":
        raise ImageError(Reason.REFUSED, "redirected from https to http")
    first = urlsplit(start).hostname or ""
    if host != first and await _is_inside(host) and not await _is_inside(first):
        raise ImageError(Reason.REFUSED, f"redirected to {host}, which is inside your network")
    return target


async def _is_inside(host: str) -> bool:
    """Whether a host has an address that the open internet does not reach, as loopback ones."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False  # a proxy may know it; we cannot reach it
    addresses = (ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found)
    return any(not (getattr(one, "ipv4_mapped", None) or one).is_global for one in addresses)


def _require_picture(data: bytes, kind: str) -> None:
    """Raise ImageError for text; what it claims to be does not count."""
    if not data:
        raise ImageError(Reason.ZERO_BYTES, "")
    if data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_TEXT):
        name = kind.partition(";")[0].strip()[:60]
        told = f"{name} instead of a picture" if name and not name.startswith("image/") else ""
        raise ImageError(Reason.NOT_AN_IMAGE, told or "text instead of a picture")


def retry_after(text: str | None) -> float | None:
    """Seconds that a server asks to wait, from a number or a date; None if it says nothing."""
    if not text:
        return None
    if text.strip().isdigit():
        return float(text.strip()[:9])
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    return None


def _status(code: int) -> str:
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)
