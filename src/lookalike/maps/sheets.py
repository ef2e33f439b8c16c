"""Thumbnails of many records in one picture, as a view of the map asks for them."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image

from lookalike.maps.packets import packet

QUALITY = 78
GROUND = (236, 236, 236)
MAX_ROWS = 4_096
"""Thumbnails of a sheet at most."""
TILES = range(16, 257)
"""Pixels that the side of a tile may have."""


def sheet_packet(rows: Sequence[int], jpegs: Sequence[bytes | None], tile: int) -> bytes:
    """The packet of one sheet: a JPEG of tiles, row-major, each with a thumbnail in its middle.

    ``jpegs``: the catalogue's thumbnail of every row, None where there is none.
    """
    columns = max(1, math.ceil(math.sqrt(len(rows))))
    lines = max(1, math.ceil(len(rows) / columns))
    page = Image.new("RGB", (columns * tile, lines * tile), GROUND)
    sizes: list[int] = []
    for place, jpeg in enumerate(jpegs):
        small = None if jpeg is None else reduced(jpeg, tile)
        if small is None:
            sizes += [0, 0]
            continue
        left, top = place % columns * tile, place // columns * tile
        page.paste(small, (left + (tile - small.width) // 2, top + (tile - small.height) // 2))
        sizes += small.size
    buffer = io.BytesIO()
    page.save(buffer, "JPEG", quality=QUALITY, subsampling=2)
    head = {
        "tile": tile,
        "columns": columns,
        "rows": [int(row) for row in rows],
        "sizes": sizes,
        "type": "image/jpeg",
    }
    return packet(head, buffer.getvalue())


def reduced(jpeg: bytes, tile: int) -> Image.Image | None:
    """A thumbnail that fits a tile, decoded no larger than it needs to be; None if damaged."""
    try:
        with Image.open(io.BytesIO(jpeg)) as image:
            image.draft("RGB", (tile, tile))
            scale = tile / max(image.size)
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            whole = image.convert("RGB")  # a copy that outlives the file
            return whole if scale >= 1 else whole.resize(size, Image.Resampling.BILINEAR)
    except (OSError, ValueError):
        return None
