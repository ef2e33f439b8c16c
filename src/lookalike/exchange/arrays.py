"""Vectors as NumPy arrays, with the ids of their records and what the space is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

import numpy as np

from lookalike.exchange.columns import identity
from lookalike.exchange.selection import Selection
from lookalike.version import __version__

VECTORS, IDS, SPACE = "vectors.npy", "ids.npy", "space.json"


def write_arrays(selection: Selection, folder: Path) -> None:
    """Write vectors.npy (n, dim), ids.npy (n,) of ids as 36 ASCII bytes, and space.json."""
    dtype = np.dtype("<f2" if selection.options.half else "<f4")
    count, dim = selection.count, selection.space.dim
    with open(folder / VECTORS, "wb") as vectors, open(folder / IDS, "wb") as ids:
        _begin(vectors, dtype, (count, dim))
        _begin(ids, np.dtype("S36"), (count,))
        for piece in selection.pieces():
            vectors.write(piece.vectors.astype(dtype).tobytes())
            ids.write(b"".join(str(row.record.id).encode() for row in piece.rows))
    about = {**identity(selection.space), "rows": count, "by": selection.by, "version": __version__}
    (folder / SPACE).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _begin(file: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """The header of an array whose values follow."""
    described = {
        "descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape
    }  # fmt: skip
    np.lib.format.write_array_header_1_0(file, described)
