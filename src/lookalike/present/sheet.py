"""A contact sheet as a PNG: inputs on the left, hits on the right, labelled."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from lookalike.types import Sheet, Tile, printable

CELL = 200
"""Pixels of a picture's frame."""

_GAP, _MARGIN, _LINE, _LINES = 16, 24, 16, 3
_INPUT_COLUMNS, _HIT_COLUMNS = 1, 5

PAPER, INK, FAINT, FRAME = (250, 250, 248), (28, 28, 30), (110, 110, 115), (232, 232, 228)
RULE = (205, 205, 200)
"""Colours of all drawn pages: ground, text, lesser text, ground of a picture, lines."""


def write_png(sheets: Sequence[Sheet], path: Path) -> None:
    """Draw sheets, one below the other, and write them."""
    path.write_bytes(png(sheets))


def png(sheets: Sequence[Sheet]) -> bytes:
    """Sheets, one below the other, as the bytes of a PNG file."""
    buffer = io.BytesIO()
    drawn = [draw(sheet) for sheet in sheets]
    size = (max(one.width for one in drawn), sum(one.height for one in drawn))
    page, top = Image.new("RGB", size, PAPER), 0
    for one in drawn:
        page.paste(one, (0, top))
        top += one.height
    page.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def draw(sheet: Sheet) -> Image.Image:
    """The sheet as an RGB picture."""
    columns = max(1, min(_HIT_COLUMNS, len(sheet.hits)))
    rows = max(-(-len(sheet.hits) // columns), -(-len(sheet.inputs) // _INPUT_COLUMNS), 1)
    step_x, step_y = CELL + _GAP, CELL + _LINE * _LINES + _GAP
    top = _MARGIN + 3 * _LINE
    hits_left = _MARGIN + _INPUT_COLUMNS * step_x + _GAP
    size = (hits_left + columns * step_x - _GAP + _MARGIN, top + rows * step_y + _MARGIN - _GAP)
    page = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(page)
    many = "inputs" if len(sheet.inputs) > 1 else "input"
    pen.text((_MARGIN, _MARGIN - 6), many, INK, font_of(15))
    pen.text((hits_left, _MARGIN - 6), "most alike", INK, font_of(15))
    heading = fitted(sheet.title, size[0] - hits_left - _MARGIN, font_of(12))
    pen.text((hits_left, _MARGIN + 14), heading, FAINT, font_of(12))
    rule = hits_left - _GAP
    pen.line([(rule, _MARGIN), (rule, size[1] - _MARGIN)], RULE, 1)
    for number, tile in enumerate(sheet.inputs):
        _place(page, pen, tile, _MARGIN, top + number * step_y)
    for number, tile in enumerate(sheet.hits):
        x, y = hits_left + number % columns * step_x, top + number // columns * step_y
        _place(page, pen, tile, x, y)
    if not sheet.hits:
        pen.text((hits_left, top + CELL // 2), "nothing to show", FAINT, font_of(14))
    return page


def _place(page: Image.Image, pen: ImageDraw.ImageDraw, tile: Tile, x: int, y: int) -> None:
    pen.rectangle([x, y, x + CELL - 1, y + CELL - 1], FRAME)
    if tile.jpeg is None:
        instead = fitted(tile.instead, CELL - 24, font_of(13))
        pen.text((x + 12, y + CELL // 2 - 8), instead, FAINT, font_of(13))
    else:
        picture = Image.open(io.BytesIO(tile.jpeg)).convert("RGB")
        picture.thumbnail((CELL, CELL), Image.Resampling.BILINEAR)
        if max(picture.size) < CELL // 4:  # tiny pictures are shown with whole, larger pixels
            times = CELL // 2 // max(picture.size)
            size = (picture.width * times, picture.height * times)
            picture = picture.resize(size, Image.Resampling.NEAREST)
        page.paste(picture, (x + (CELL - picture.width) // 2, y + (CELL - picture.height) // 2))
    for number, line in enumerate(tile.caption[:_LINES]):
        font = font_of(13) if number == 0 else font_of(11)
        ink = INK if number == 0 else FAINT
        pen.text((x, y + CELL + 4 + number * _LINE), fitted(line, CELL, font), ink, font)


def fitted(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """The text, its middle left out if it is wider than ``width`` pixels."""
    text = printable(text)
    if font.getlength(text) <= width:
        return text
    low, high = 1, len(text)
    while low < high:
        kept = (low + high + 1) // 2
        if font.getlength(_shortened(text, kept)) <= width:
            low = kept
        else:
            high = kept - 1
    return _shortened(text, low)


def _shortened(text: str, kept: int) -> str:
    tail = kept // 2
    return f"{text[: kept - tail]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - tail :] if tail else ''}"


@functools.cache
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """The package's own font, ``size`` in pixels."""
    data = files(__package__).joinpath("fonts", "DejaVuSans.ttf").read_bytes()
    return ImageFont.truetype(io.BytesIO(data), size)
