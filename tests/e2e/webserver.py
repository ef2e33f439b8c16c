"""A server of pictures on the loopback that also does all that servers should not do.

What it does is told by the first part of a path: ``/ok/3.png``, ``/stall/3.png``. It counts what it
was asked and what it sent.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.conftest import encoded, picture

CHANGED_AT = 1_600_000_000
GIGABYTES_10 = 10 * 10**9
HTML = b"<!DOCTYPE html>\n<html><title>Sign in</title><p>Please sign in.</p></html>"


@dataclass
class Asked:
    """One request as it came."""

    path: str
    at: float
    headers: dict[str, str]


@dataclass
class Site:
    """A running server: where it is, what it was asked, and what it has sent."""

    port: int = 0
    requests: list[Asked] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    at_once: int = 0
    most_at_once: int = 0
    hold_seconds: float = 0.0
    """How long each answer takes."""
    pictures: dict[str, bytes] = field(default_factory=dict)
    """Bodies that differ from those that names stand for."""
    ended: threading.Event = field(default_factory=threading.Event)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{path}"

    def asked(self, path: str) -> list[Asked]:
        """Requests for a path, without its query."""
        return [one for one in self.requests if urlsplit(one.path).path == f"/{path}"]

    def forget(self) -> None:
        self.requests.clear()
        self.sent.clear()
        self.most_at_once = 0

    def body(self, name: str) -> bytes:
        """The picture that a name stands for: the number in it is its seed."""
        if name in self.pictures:
            return self.pictures[name]
        return encoded(picture(int(name.partition(".")[0] or 0)), "PNG")

    @property
    def gaps(self) -> list[float]:
        """Seconds between the arrivals of requests."""
        times = sorted(one.at for one in self.requests)
        return [later - earlier for earlier, later in itertools.pairwise(times)]


@contextlib.contextmanager
def served() -> Iterator[Site]:
    """A site, until the end of the block."""
    site = Site()
    server = _Server(("127.0.0.1", 0), _handler(site))
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what is tested."""


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.site = site
    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, *args: Any) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        site = self.site
        with site.guard:
            site.requests.append(Asked(self.path, time.monotonic(), dict(self.headers.items())))
            site.at_once += 1
            site.most_at_once = max(site.most_at_once, site.at_once)
        try:
            if site.hold_seconds:
                time.sleep(site.hold_seconds)
            kind, *rest = urlsplit(self.path).path.strip("/").split("/")
            self.name = rest[-1] if rest else ""
            self.key = f"{kind}/{self.name}"
            way: Callable[[], None] = getattr(self, f"give_{kind}", self.give_404)
            way()
        finally:
            with site.guard:
                site.at_once -= 1

    # -- answers ---------------------------------------------------------------------------------

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(body)))
        for name, value in headers.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.send(body)

    def send(self, body: bytes) -> None:
        self.wfile.write(body)
        self.site.sent[self.key] += len(body)

    def times(self) -> int:
        """How often this path was asked for, this time included."""
        return len(self.site.asked(urlsplit(self.path).path.strip("/")))

    def give_ok(self) -> None:
        """A picture with an ETag, by which it need not be sent again."""
        body = self.site.body(self.name)
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if self.headers.get("If-None-Match") == tag:
            self.answer(304, ETag=tag)
        else:
            self.answer(200, body, Content_Type="image/png", ETag=tag)

    def give_modified(self) -> None:
        """A picture with the time of its last change only."""
        changed = formatdate(CHANGED_AT, usegmt=True)
        if self.headers.get("If-Modified-Since") == changed:
            self.answer(304)
        else:
            self.answer(200, self.site.body(self.name), Last_Modified=changed)

    def give_plain(self) -> None:
        """A picture, and nothing by which to know it again."""
        self.answer(200, self.site.body(self.name))

    def give_liar(self) -> None:
        """A picture that is called a text."""
        self.answer(200, self.site.body(self.name), Content_Type="text/html", ETag='"liar"')

    def give_oddtag(self) -> None:
        """A picture whose ETag is not ASCII, and too long."""
        self.answer(200, self.site.body(self.name), ETag='"\xe4' + "x" * 5_000 + '"')

    def give_cookie(self) -> None:
        self.answer(200, self.site.body(self.name), Set_Cookie="who=you; Path=/")

    def give_gzip(self) -> None:
        """A picture that is packed although nobody asked for it."""
        self.answer(200, gzip.compress(self.site.body(self.name)), Content_Encoding="gzip")

    def give_brotli(self) -> None:
        self.answer(200, b"\x0b\x02\x80hello\x03", Content_Encoding="br")

    def give_html(self) -> None:
        self.answer(200, HTML, Content_Type="text/html; charset=utf-8")

    def give_htmlaspng(self) -> None:
        self.answer(200, HTML, Content_Type="image/png")

    def give_empty(self) -> None:
        self.answer(200)

    def give_damaged(self) -> None:
        self.answer(200, self.site.body(self.name)[:-60], ETag='"damaged"')

    # -- refusals --------------------------------------------------------------------------------

    def give_404(self) -> None:
        self.answer(404, b"not here")

    def give_status(self) -> None:
        """``/status/410/3.png``."""
        code = int(urlsplit(self.path).path.split("/")[2])
        self.answer(
            code,
            b"" if code in (204, 304) else b"no",
            Content_Length="" if code in (204, 304) else "2",
        )

    def give_twice(self) -> None:
        """500 twice, then the picture."""
        if self.times() <= 2:
            self.answer(500, b"oops")
        else:
            self.give_ok()

    def give_busy(self) -> None:
        """Too many requests: come again in a second."""
        if self.times() == 1:
            self.answer(429, Retry_After="1")
        else:
            self.give_ok()

    def give_busydate(self) -> None:
        """The same, with a date about two seconds ahead."""
        if self.times() == 1:
            self.answer(429, Retry_After=formatdate(time.time() + 2, usegmt=True))
        else:
            self.give_ok()

    def give_tomorrow(self) -> None:
        self.answer(503, Retry_After="86400")

    # -- connections -----------------------------------------------------------------------------

    def give_stall(self) -> None:
        """Nothing, ever."""
        self.site.ended.wait(60)
        self.close_connection = True

    def give_half(self) -> None:
        """Half of the picture, then nothing."""
        body = self.site.body(self.name)
        self.answer(200, body[: len(body) // 2], Content_Length=str(len(body)))
        self.wfile.flush()
        self.give_stall()

    def give_drip(self) -> None:
        """A byte now and then: no wait is long, and the whole never comes."""
        self.answer(200, b"", Content_Length="100000")
        while not self.site.ended.wait(0.2):
            self.send(b"\x89")

    def give_trickle(self) -> None:
        """The picture in parts, over three seconds."""
        body = self.site.body(self.name)
        self.answer(200, b"", Content_Length=str(len(body)))
        step = -(-len(body) // 30)
        for start in range(0, len(body), step):
            self.send(body[start : start + step])
            time.sleep(0.1)

    def give_cut(self) -> None:
        """Half of the picture, then the connection ends."""
        body = self.site.body(self.name)
        self.answer(200, body[: len(body) // 2], Content_Length=str(len(body)))
        self.close_connection = True

    def give_cutonce(self) -> None:
        if self.times() == 1:
            self.give_cut()
        else:
            self.give_ok()

    def give_drop(self) -> None:
        """The connection ends without an answer."""
        self.close_connection = True

    def give_short(self) -> None:
        """More than was said: the length is half of what comes."""
        body = self.site.body(self.name)
        self.answer(200, body, Content_Length=str(len(body) // 2))
        self.close_connection = True

    # -- sizes -----------------------------------------------------------------------------------

    def give_zeros(self) -> None:
        """Ten gigabytes of zeros, of which nothing is said before."""
        self.answer(200, b"", Content_Length="")
        self.close_connection = True
        part = bytes(1 << 18)
        for _ in range(GIGABYTES_10 // len(part)):
            self.send(part)

    def give_huge(self) -> None:
        """The same, and it says so."""
        self.answer(200, b"", Content_Length=str(GIGABYTES_10))
        self.close_connection = True
        part = bytes(1 << 18)
        for _ in range(GIGABYTES_10 // len(part)):
            self.send(part)

    def give_bomb(self) -> None:
        """A hundred megabytes of zeros, packed to a tenth of one."""
        self.answer(200, gzip.compress(bytes(10**8)), Content_Encoding="gzip")

    # -- redirects -------------------------------------------------------------------------------

    def give_redirect(self) -> None:
        self.answer(302, Location=f"/ok/{self.name}")

    def give_loop(self) -> None:
        self.answer(302, Location=f"/loop/{self.name}")

    def give_tofile(self) -> None:
        self.answer(302, Location="file:///etc/passwd")

    def give_toodd(self) -> None:
        self.answer(302, Location="http://[/")
