"""The small picture kept in the catalogue, from which sheets and pages are made."""

from __future__ import annotations

import io

from PIL import Image

SIDE = 256
"""Pixels of a thumbnail's longest side, at most."""

QUALITY = 82


def thumbnail(image: Image.Image) -> bytes:
    """An RGB picture as a JPEG whose longest side is at most 256 pixels; never enlarged."""
    small = image
    if max(image.size) > SIDE:
        scale = SIDE / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        # As good to the eye as bicubic and a third cheaper; the area alone leaves jagged edges.
        small = image.resize(size, Image.Resampling.HAMMING, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
