"""A stand-in for the Hugging Face Hub: as much of it as uploading a data set needs, on loopback.

The requests are those that ``huggingface_hub`` 2.4 sends; what the real Hub does with them besides
is not known here.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_standin0123456789"


@dataclass
class Hub:
    """What was uploaded: ``repositories`` by name with whether private, ``files`` by path."""

    address: str = ""
    repositories: dict[str, bool] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    refused: int | None = None
    """A status with which everything is answered, if set."""


@contextmanager
def stand_in() -> Iterator[Hub]:
    """A running Hub, and what it got."""
    hub = Hub()

    class Handler(_Handler):
        own = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    own: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._body()
        self._answer(404, {"error": "not here"})

    def do_PUT(self) -> None:
        self.own.objects[self.path.rpartition("/")[2]] = self._body()
        self._answer(200, {})

    def do_POST(self) -> None:
        body = self._body()
        if self.own.refused is not None:
            self._answer(self.own.refused, {"error": "refused"})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}" and "lfs" not in self.path:
            self._answer(401, {"error": "who are you"})
        else:
            self._answer(200, self._posted(body))

    def _posted(self, body: bytes) -> dict[str, Any]:
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(part for part in (asked.get("organization"), asked["name"]) if part)
            assert asked["type"] == "dataset"
            self.own.repositories[name] = asked.get("visibility") == "private"
            return {"url": f"{self.own.address}/datasets/{name}", "name": name, "id": name}
        if "/preupload/" in self.path:
            return {"files": [
                {
                    "path": one["path"], "shouldIgnore": False,
                    "uploadMode": "lfs" if one["path"].endswith(".parquet") else "regular",
                }
                for one in json.loads(body)["files"]
            ]}  # fmt: skip
        if self.path.endswith("/objects/batch"):
            return {"transfer": "basic", "objects": [
                {**one, "actions": {"upload": {"href": f"{self.own.address}/put/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]}  # fmt: skip
        if "/commit/" in self.path:
            return self._commit(body)
        return {"errors": [], "warnings": []}

    def _commit(self, body: bytes) -> dict[str, Any]:
        for line in body.splitlines():
            one = json.loads(line)
            if one["key"] == "file":
                content = base64.b64decode(one["value"]["content"])
                self.own.files[one["value"]["path"]] = content
            elif one["key"] == "lfsFile":
                content = self.own.objects[one["value"]["oid"]]
                self.own.files[one["value"]["path"]] = content
        name = self.path.split("/datasets/")[1].partition("/commit/")[0]
        address = f"{self.own.address}/datasets/{name}/commit/{'0' * 40}"
        return {"success": True, "commitOid": "0" * 40, "commitUrl": address, "hookOutput": ""}

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            whole = b""
            while size := int(self.rfile.readline().strip() or b"0", 16):
                whole += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return whole
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
