"""The small picture kept in the catalogue, from which sheets and pages are made."""

from __future__ import annotations

import io

from PIL import Image

from lookalike.features.resample import resample

SIDE = 256
"""Pixels of a thumbnail's longest side, at most."""

QUALITY = 82


def thumbnail(image: Image.Image) -> bytes:
    """An RGB picture as a JPEG whose longest side is at most 256 pixels; never enlarged."""
    small = image
    if max(image.size) > SIDE:
        scale = SIDE / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        small = Image.fromarray(resample(image, size))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
