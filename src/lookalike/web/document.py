"""A map as one HTML file that needs no server (``frontend/README.md`` has its form)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

ENTRY = '<script src="/static/map.js" defer></script>'
STYLE = '<link rel="stylesheet" href="/static/map.css">'


def document(
    facts: Mapping[str, Any], records: Mapping[str, Sequence[str]], packets: Mapping[str, bytes]
) -> str:
    """The page with a map inside.

    ``facts`` as ``maps.packets.facts`` gives them; ``records``: lists "ids", "paths" and "captions"
    by row; ``packets`` by name: "points", "colouring-NAME" for each colouring of the facts,
    "sheet-0" and so on, and "neighbours" if there are any.
    """
    static = files("lookalike.web") / "static"
    page, script, style = (
        (static / name).read_text("utf-8") for name in ("map.html", "map.js", "map.css")
    )
    parts = [_json("facts", facts), _json("records", records)]
    parts += [_packet(name, content) for name, content in packets.items()]
    for entry in (ENTRY, STYLE):
        if page.count(entry) != 1:
            raise ValueError(f"map.html: has no {entry}")
    head, _, tail = page.replace(STYLE, f"<style>{style}</style>").partition(ENTRY)
    body, _, end = tail.partition("</body>")
    blobs = "\n".join(parts)
    return f"{head}{body}{blobs}\n<script>{script}</script>\n</body>{end}"


def _json(name: str, value: Any) -> str:
    text = json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="lookalike-{name}">{text}</script>'


def _packet(name: str, content: bytes) -> str:
    text = base64.b64encode(content).decode("ascii")
    return f'<script type="application/octet-stream" id="lookalike-{name}">{text}</script>'
