"""A folder that TensorBoard's projector opens, without TensorFlow.

What the plugin reads is told from its source (tensorboard 2.21, ``projector_plugin.py``): a tensor
is first read as lines of UTF-8 text, and as raw float32 of the stated shape only where that ends in
a UnicodeDecodeError. Numbers whose bytes happen to be UTF-8 would end in a ValueError instead, so
the first byte is one with which no UTF-8 text begins (``unreadable_as_text``).
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from lookalike.errors import InputError
from lookalike.maps.exports.pictures import tile
from lookalike.maps.exports.source import ExportSource, Rows
from lookalike.types import FloatArray, printable
from lookalike.writing import check_folder, whole_folder

MOST_ROWS = 100_000
"""The projector asks for so many rows and shows no more (``num_rows`` in its page)."""

MOST_SIDE = 8_192
"""Pixels of a sprite's side that the projector's textures have at most."""

MOST_TILE = 64
"""Pixels of a picture on the sprite at most."""

CONFIG, METADATA, SPRITE = "projector_config.pbtxt", "metadata.tsv", "sprite.jpg"
PCA, LAYOUT = "pca.bytes", "map.bytes"
_OWN = {CONFIG, METADATA, SPRITE, PCA, LAYOUT}

NO_CLUSTER = "in no cluster"


@dataclass(frozen=True, slots=True)
class ProjectorOptions:
    """``rows``: at most so many, all if None; ``sprite``: whether points are pictures."""

    rows: int | None = MOST_ROWS
    sprite: bool = True


def write_tensorboard(
    source: ExportSource, folder: Path, options: ProjectorOptions | None = None
) -> int:
    """Write the folder whole or not at all; returns how many records are in it.

    It has two tensors of the same rows: the reduced vectors, on which the projector's own t-SNE and
    UMAP run, and the map (its third axis is 0 where it has two). Raises InputError for a map
    without records and a folder that has other things in it, OSError where it cannot be written.
    """
    options = options or ProjectorOptions()
    source.require_records()
    check_export_folder(folder)
    rows = source.some(options.rows)
    with whole_folder(folder) as made:
        points = np.asarray(source.points()[rows], "<f4")
        layout = _three_axes(source.chart.positions[rows])
        (made / PCA).write_bytes(unreadable_as_text(points))
        (made / LAYOUT).write_bytes(unreadable_as_text(layout))
        _write_metadata(source, rows, made / METADATA)
        side = _write_sprite(source, rows, made / SPRITE) if options.sprite else 0
        shapes = {LAYOUT: layout.shape, PCA: points.shape}
        (made / CONFIG).write_text(_config(source, shapes, side), encoding="utf-8")
    return len(rows)


def check_export_folder(folder: Path) -> None:
    """Raise InputError for a place that is neither free nor an earlier export."""
    check_folder(folder, _OWN, "export")


def unreadable_as_text(numbers: FloatArray) -> bytes:
    """Float32 (n, d) as little-endian bytes that do not begin like UTF-8.

    For that the first number is moved by at most 64 units in its last place, 1 in 130,000 (128 of
    the smallest units there are next to 0), to where its lowest byte is 0x80 to 0xC1 or above 0xF4.
    """
    bits = np.ascontiguousarray(numbers, "<f4").view("<u4").copy()
    if bits.size:
        first = int(bits.flat[0])
        near = (first + step for away in range(129) for step in (-away, away))
        bits.flat[0] = next(one for one in near if one >= 0 and not _begins_text(one & 0xFF))
    return bits.tobytes()


def _begins_text(byte: int) -> bool:
    return byte < 0x80 or 0xC2 <= byte <= 0xF4


def _three_axes(positions: FloatArray) -> FloatArray:
    layout = np.zeros((len(positions), 3), np.float32)
    layout[:, : positions.shape[1]] = positions
    return layout


def _write_metadata(source: ExportSource, rows: Rows, path: Path) -> None:
    """A line per row under a header, tabs and line ends escaped."""
    levels = source.levels
    names = [f"cluster {number}" for number in range(1, len(levels) + 1)]
    if names:
        names[-1] = "cluster"
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("\t".join(["path", *reversed(names), "category", "label", "taken"]) + "\n")
        for piece, facts in source.described(rows):
            for row, fact in zip(piece.tolist(), facts, strict=True):
                clusters = [source.name_of(level, row) or NO_CLUSTER for level in reversed(levels)]
                cells = [fact.path, *clusters, fact.category, fact.label, fact.taken]
                file.write("\t".join(map(printable, cells)) + "\n")


def _write_sprite(source: ExportSource, rows: Rows, path: Path) -> int:
    """All pictures row by row on a square grid; returns the side of each in pixels."""
    columns = int(np.ceil(np.sqrt(len(rows))))
    side = min(MOST_TILE, MOST_SIDE // columns)
    if side < 1:
        raise InputError(
            f"{len(rows):,} pictures do not fit a sprite of {MOST_SIDE} pixels; fewer --rows, or"
            " --no-sprite"
        )
    sheet = np.zeros((columns * side, columns * side, 3), np.uint8)
    for place, pixels in enumerate(source.pictured(rows, lambda jpeg: tile(jpeg, side))):
        top, left = (side * at for at in divmod(place, columns))
        sheet[top : top + side, left : left + side] = pixels
    encoded = BytesIO()  # Pillow tells nothing of a full disk when it writes by itself
    Image.fromarray(sheet).save(encoded, "JPEG", quality=85)
    path.write_bytes(encoded.getbuffer())
    return side


def _config(source: ExportSource, shapes: dict[str, tuple[int, ...]], side: int) -> str:
    """The protocol buffer text that says what lies where; the first tensor is shown first."""
    options = source.chart.options
    said = {
        LAYOUT: f"map by {options.method}, {options.dims}-D",
        PCA: f"{options.by}, {shapes[PCA][1]} components",
    }
    sprite = (
        f'  sprite {{\n    image_path: "{SPRITE}"\n'
        f"    single_image_dim: {side}\n    single_image_dim: {side}\n  }}\n"
        if side
        else ""
    )
    return "".join(
        f'embeddings {{\n  tensor_name: "{said[name]}"\n  tensor_path: "{name}"\n'
        f"  tensor_shape: {shape[0]}\n  tensor_shape: {shape[1]}\n"
        f'  metadata_path: "{METADATA}"\n{sprite}}}\n'
        for name, shape in shapes.items()
    )
