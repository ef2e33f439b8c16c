"""Pictures a second by URL: how many connections pay, and what a second run asks.

    python benchmarks/downloads.py [--photos N] [--name NAME]

A server on the loopback in a process of its own, on the same cores, gives small JPEGs after 0 or
100 ms. First downloads alone, then ``lookalike index --from`` as a whole with the default encoder,
then the same again, which sends conditional requests only. No gap between requests: how many fit.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from common import add_short, deliver, provenance, small_photos

from lookalike import Library
from lookalike.config import Fetching
from lookalike.sources.downloads import Downloads, Job
from lookalike.sources.urls import UrlTableSource
from lookalike.types import FileEntry

PHOTOS = 1_000
LATENCIES_MS = (0, 100)
CONNECTIONS = (1, 4, 16, 64)
MOST_SECONDS = 30


def main() -> None:
    """Measure and deliver."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=PHOTOS)
    parser.add_argument("--name", default="downloads")
    add_short(parser)
    options = parser.parse_args()
    photos = 24 if options.short else options.photos
    connections = (4,) if options.short else CONNECTIONS
    with tempfile.TemporaryDirectory() as scratch:
        small_photos(Path(scratch) / "photos", photos, 20, seed=3)
        result = measured(Path(scratch), photos, connections)
    deliver(options.name, result, short=options.short)


def measured(scratch: Path, photos: int, connections: tuple[int, ...]) -> dict[str, Any]:
    files = sorted((scratch / "photos").rglob("*.jpg"))
    result: dict[str, Any] = {
        "provenance": provenance(),
        "photos": photos,
        "mean_bytes": sum(file.stat().st_size for file in files) / photos,
        "downloads": [],
    }
    for latency in LATENCIES_MS:
        with serving(files, latency) as server:
            for count in connections:
                result["downloads"].append(
                    {"latency_ms": latency, "connections": count, **alone(server, count)}
                )
    for latency in LATENCIES_MS:
        with serving(files, latency) as server:
            result[f"index, {latency} ms"] = whole(scratch, server, latency)
    return result


# -- what is measured ------------------------------------------------------------------------------


def alone(server: Served, connections: int) -> dict[str, Any]:
    """Downloads without decoding; fewer pictures where all would take too long."""
    how = Fetching(connections=connections, per_host=connections, gap_ms=0)
    fitting = MOST_SECONDS * connections * 1_000 // (server.latency_ms or 1)
    urls = server.urls[: max(20, fitting)]
    start, size = time.perf_counter(), 0
    for one in Downloads(how).supply(Job(FileEntry(url, 0, 0), url) for url in urls):
        if one is not None:
            size += len(one.read().data)
    seconds = time.perf_counter() - start
    return {"n": len(urls), "a_second": len(urls) / seconds, "megabytes": size / 1e6}


def whole(scratch: Path, server: Served, latency: int) -> dict[str, Any]:
    """Indexing by URL, and again, with sixteen connections to the one host."""
    table = scratch / f"photos{latency}.csv"
    table.write_text("url\n" + "\n".join(server.urls) + "\n")
    how = Fetching(per_host=16, gap_ms=0)
    figures: dict[str, Any] = {}
    with Library.open(scratch / f"library{latency}", create=True) as library:
        for name in ("first", "second"):
            requests, sent = server.requests.value, server.sent.value
            start = time.perf_counter()
            report = library.add_from(UrlTableSource([table], "url", fetching=how))
            seconds = time.perf_counter() - start
            figures[name] = {
                "seconds": seconds,
                "a_second": len(server.urls) / seconds,
                "requests": server.requests.value - requests,
                "bytes_of_pictures": server.sent.value - sent,
                "files": {reason.value: n for (_, reason), n in report.counts.items()},
            }
    return figures


# -- the server ------------------------------------------------------------------------------------


class Served:
    """A server's address and what it counts."""

    def __init__(self, files: list[Path], latency_ms: int) -> None:
        self.latency_ms = latency_ms
        self.requests: Synchronized[int] = multiprocessing.Value("q", 0)
        self.sent: Synchronized[int] = multiprocessing.Value("q", 0)
        self.bodies = {f"/{number}.jpg": file.read_bytes() for number, file in enumerate(files)}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self), False)
        self.server.request_queue_size = 256
        self.server.daemon_threads = True
        self.server.server_bind()
        self.server.server_activate()
        address = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.urls = [address + name for name in self.bodies]


@contextmanager
def serving(files: list[Path], latency_ms: int) -> Iterator[Served]:
    """The server in another process until the end of the block."""
    served = Served(files, latency_ms)
    process = multiprocessing.get_context("fork").Process(target=served.server.serve_forever)
    process.start()
    served.server.server_close()
    try:
        yield served
    finally:
        process.terminate()
        process.join()


def _handler(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet for head and body

        def log_message(self, *args: Any) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            time.sleep(served.latency_ms / 1_000)
            body = served.bodies[self.path]
            tag = f'"{hashlib.sha1(body).hexdigest()}"'
            same = self.headers.get("If-None-Match") == tag
            with served.requests.get_lock():
                served.requests.value += 1
                served.sent.value += 0 if same else len(body)
            self.send_response(304 if same else 200)
            self.send_header("ETag", tag)
            if not same:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if same else body)

    return Handler


if __name__ == "__main__":
    main()
