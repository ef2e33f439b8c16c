"""A stand-in for a ClickHouse server: its HTTP interface on the loopback, chDB behind it.

What it has of the interface: a statement as the body or as the parameter ``query`` with data as
the body; parameters of statements (``param_NAME``), settings and the database in the URL; basic
authentication, which is demanded; errors with their code in a header. Each request has a handle of
the engine for itself, as each has a context of its own on a server.
"""

from __future__ import annotations

import atexit
import base64
import functools
import re
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import lz4.frame

from lookalike.stores import Store
from lookalike.stores.server.address import parse_address
from lookalike.stores.server.clickhouse.engine import ClickHouseEngine
from lookalike.stores.server.store import ServerStore
from tests.servers import chdb_folder, namespace_of, toy_shares

USER, PASSWORD = "tester", "s3cret/with:odd@signs?&"

_OF_HTTP = {
    "query", "database", "query_id", "session_id", "session_timeout", "session_check", "quota_key",
    "wait_end_of_query", "client_protocol_version", "role", "send_progress_in_http_headers",
    "http_headers_progress_interval_ms", "enable_http_compression", "compress", "decompress",
    "buffer_size",
}  # fmt: skip
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_INSERT = re.compile(rb"\s*(INSERT\s+INTO\b[^\n]*?)\s+FORMAT\s+(\w+)\s", re.IGNORECASE)
_CODE = re.compile(r"Code: (\d+)")


def _unpacked(data: bytes, encoding: str | None) -> bytes:
    """A body as it was before it was packed: the client packs with LZ4, in several frames."""
    if not encoding or encoding == "identity":
        return data
    assert encoding == "lz4", encoding
    parts = []
    while data:
        frame = lz4.frame.LZ4FrameDecompressor()
        parts.append(frame.decompress(data))
        data = frame.unused_data or b""
    return b"".join(parts)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn

    def log_message(self, *_arguments: Any) -> None:
        """Nothing is logged."""

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            data = b"".join(parts)
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return _unpacked(data, self.headers.get("Content-Encoding"))

    def _answer(self, body: bytes) -> None:
        url = urlsplit(self.path)
        if url.path == "/ping":
            self._send(200, b"Ok.\n")
            return
        self.server.seen.append((self.path, dict(self.headers)))
        own = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {own}":
            text = "Code: 516. DB::Exception: Authentication failed: password is incorrect."
            self._send(403, text.encode(), {"X-ClickHouse-Exception-Code": "516"})
            return
        options = dict(parse_qsl(url.query, keep_blank_values=True))
        try:
            data, form = _run(options, body)
        except RuntimeError as error:
            text = str(error)
            found = _CODE.search(text)
            code = found.group(1) if found else "1000"
            self._send(500, text.encode(), {"X-ClickHouse-Exception-Code": code})
            return
        self._send(200, data, {"X-ClickHouse-Format": form} if form else {})

    def _send(self, status: int, data: bytes, headers: dict[str, str] = {}) -> None:  # noqa: B006
        self.send_response(status)
        for name, value in {**headers, "X-ClickHouse-Timezone": "UTC"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _run(options: dict[str, str], body: bytes) -> tuple[bytes, str]:
    """What the engine says to a statement, and in which format."""
    import chdb

    parameters = {n[6:]: value for n, value in options.items() if n.startswith("param_")}
    settings = {
        name: value
        for name, value in options.items()
        if name not in _OF_HTTP and not name.startswith("param_")
    }
    whole = b"\n".join(part for part in (options.get("query", "").encode(), body) if part)
    connection = chdb.connect(chdb_folder())
    try:
        if options.get("database"):
            connection.query(f"USE `{options['database']}`", "TabSeparated")
        for name, value in sorted(settings.items(), key=lambda one: one[0] == "readonly"):
            escaped = value.replace("'", "\\'")
            connection.query(f"SET {name} = '{escaped}'", "TabSeparated")
        if insert := _INSERT.match(whole):
            _insert(connection, insert, whole[insert.end() :])
            return b"", ""
        statement = whole.decode()
        form = _FORMAT.search(statement)
        named = form.group(1) if form else "TabSeparated"
        result = connection.query(statement, named, params=parameters)
        return bytes(result.bytes() or b""), named if form else ""
    finally:
        connection.close()


def _insert(connection: Any, insert: re.Match[bytes], data: bytes) -> None:
    """Data that comes with an INSERT: the engine in this process takes it from a file."""
    head, form = insert.group(1).decode(), insert.group(2).decode()
    with tempfile.NamedTemporaryFile(prefix="insert-") as file:
        file.write(data)
        file.flush()
        connection.query(f"{head} FROM INFILE '{file.name}' FORMAT {form}", "TabSeparated")


class StandIn(ThreadingHTTPServer):
    """The server; ``seen`` has paths and headers of the requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []
        import chdb

        self._engine = chdb.connect(chdb_folder())  # without a handle the engine ends
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def address(self, database: str, user: str = USER, password: str = PASSWORD) -> str:
        """The address of a library there."""
        host = f"127.0.0.1:{self.server_address[1]}"
        return f"clickhouse://{quote(user, '')}:{quote(password, '')}@{host}/{database}"


@functools.cache
def stand_in() -> StandIn:
    """One server for all tests of this process."""
    server = StandIn()
    atexit.register(server.shutdown)
    return server


def clickhouse_library(place: Path) -> str:
    """The address of a library that belongs to a test's folder."""
    return stand_in().address(namespace_of(place / "over HTTP"))


def open_clickhouse(place: Path, *, write: bool = False) -> Store:
    engine = ClickHouseEngine(parse_address(clickhouse_library(place)))
    return ServerStore(engine, toy_shares, write=write)
