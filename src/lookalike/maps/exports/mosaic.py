"""A poster of thumbnails, each in the cell of a grid in which it lies on the map."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lookalike.errors import InputError
from lookalike.maps.exports.page import STRETCH, Page, Places, PosterOptions, footer
from lookalike.maps.exports.pictures import tile
from lookalike.maps.exports.source import ExportSource, Rows
from lookalike.types import FloatArray
from lookalike.writing import write_whole

ENDINGS = (".png", ".jpg", ".jpeg")

CELL_MM = (3.6, 25.0)
"""A cell is chosen between these, so that there are about as many cells as pictures."""


@dataclass(frozen=True, slots=True)
class MosaicOptions(PosterOptions):
    """``cell``: millimetres of a picture's side, chosen by the number of pictures if None."""

    cell: float | None = None

    def check(self) -> None:
        """Raise InputError for values that cannot be used."""
        PosterOptions.check(self)
        if self.cell is not None and not 1 <= self.cell <= 1_000:
            raise InputError(f"cell {self.cell}: 1 to 1,000 millimetres")


def write_mosaic(source: ExportSource, path: Path, options: MosaicOptions | None = None) -> int:
    """Draw the poster to a PNG or JPEG file, whole or not at all; returns how many pictures it has.

    A cell shows the picture nearest to its middle of those that lie in it; where none lies it
    stays empty. Raises InputError for a map without records, another ending and options that
    cannot be used, OSError where the file cannot be written.
    """
    options = options or MosaicOptions()
    check_ending(path)
    source.require_records()
    page = Page.of(source.chart, options, stretch=STRETCH)
    side = cell_pixels(page, options, len(source))
    cells, rows = nearest_of_cells(page.points, side)
    sheet = np.empty((page.height, page.width, 3), np.uint8)
    sheet[:] = page.theme.paper
    pictures = source.pictured(rows, lambda jpeg: tile(jpeg, side))
    for (column, row), pixels in zip(cells.tolist(), pictures, strict=True):
        top, left = max(0, row * side), max(0, column * side)
        window = sheet[top : top + side, left : left + side]
        window[:] = pixels[: window.shape[0], : window.shape[1]]
    poster = Image.fromarray(sheet)
    _write_names(poster, page, source, len(rows))
    write_whole(path, lambda file: save(poster, path, file, options.dpi))
    return len(rows)


def check_ending(path: Path) -> None:
    """Raise InputError for a name that is no picture's."""
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path}: name a file ending in {', '.join(ENDINGS)}")


def cell_pixels(page: Page, options: MosaicOptions, records: int) -> int:
    """The side of a cell in pixels."""
    dots = options.dpi / 25.4
    if options.cell is not None:
        return max(1, round(options.cell * dots))
    even = np.sqrt(page.width * page.height / records) / dots
    return max(1, round(float(np.clip(even, *CELL_MM)) * dots))


def nearest_of_cells(points: FloatArray, side: int) -> tuple[Rows, Rows]:
    """The cells of a grid in which points (n, 2) lie: column and row (m, 2), and which is nearest.

    To the cell's middle, ties by row of the map; cells by column, then row.
    """
    cells = np.floor(points / side).astype(np.int64)
    away = np.square(points / side - cells - 0.5).sum(axis=1)
    order = np.lexsort((away, cells[:, 1], cells[:, 0]))
    sorted_cells = cells[order]
    first = np.ones(len(order), bool)
    first[1:] = (sorted_cells[1:] != sorted_cells[:-1]).any(axis=1)
    return sorted_cells[first], order[first]


def _write_names(poster: Image.Image, page: Page, source: ExportSource, shown: int) -> None:
    """Names over the pictures, and a line about the poster at its foot."""
    pen, places = ImageDraw.Draw(poster), Places(page.width, page.height)
    line = f"{footer(source)} · {shown:,} shown"
    height = page.pixels(9)
    _write(pen, page, places, line, height, page.foot, "faint")
    for name, size, at in page.names(source):
        _write(pen, page, places, name, size, at, "ink")


def _write(
    pen: ImageDraw.ImageDraw,
    page: Page,
    places: Places,
    text: str,
    height: float,
    at: tuple[float, float],
    ink: str,
) -> None:
    font = _font(max(6, round(height)))
    left, top, right, bottom = font.getbbox(text)
    gap = height * 0.3
    place = places.put(text, at, right - left + 2 * gap, bottom - top + 2 * gap)
    if place is not None:
        corner = place[0] - (left + right) / 2, place[1] - (top + bottom) / 2
        halo = max(1, round(height / 7))
        colour = page.theme.ink if ink == "ink" else page.theme.faint
        pen.text(corner, text, colour, font, stroke_width=halo, stroke_fill=page.theme.paper)


def _font(size: int) -> ImageFont.FreeTypeFont:
    data = files("lookalike").joinpath("present", "fonts", "DejaVuSans.ttf").read_bytes()
    return ImageFont.truetype(BytesIO(data), size)


def save(poster: Image.Image, path: Path, file: IO[bytes], dpi: int) -> None:
    """Encode a poster as its name says, with its resolution."""
    encoded = BytesIO()  # Pillow tells nothing of a full disk when it writes by itself
    if path.suffix.lower() == ".png":
        poster.save(encoded, "PNG", compress_level=3, dpi=(dpi, dpi))
    else:
        poster.save(encoded, "JPEG", quality=90, dpi=(dpi, dpi))
    file.write(encoded.getbuffer())
