"""Reduced vectors, kept in the library's derived folder and made anew whenever they do not fit."""

from __future__ import annotations

import contextlib
import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookalike.features.pca import PcaModel, fit
from lookalike.indexes.exact import ExactIndex
from lookalike.stores.base import VectorTable
from lookalike.types import FloatArray, IdArray

FITTED_DIMS = 256
"""Components fitted at least (where so many exist), so that trying other sizes costs no new fit."""

REFIT_GROWTH = 1.2
"""A model is fitted anew when the table has grown by this factor; until then new rows are
projected by the old one."""

_VERSION = "v1"
"""Format version of the files, the first part of their names."""

_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)
"""What reading a missing or damaged file raises; it is then made anew."""

_CHUNK = 8_192


def chunks(table: VectorTable, *, live_only: bool = True) -> Iterator[FloatArray]:
    """The table's vectors as float32 (m, dim), m at most 8,192."""
    start = 0
    for part in table.parts:
        for offset in range(0, len(part), _CHUNK):
            chunk = np.asarray(part[offset : offset + _CHUNK], dtype=np.float32)
            live = table.live[start : start + len(chunk)]
            start += len(chunk)
            chosen = chunk[live] if live_only else chunk
            if len(chosen):
                yield chosen


def fit_table(table: VectorTable, method: str, dims: int) -> PcaModel:
    """A model of at least ``dims`` components for the table's live rows."""
    rows = int(table.live.sum())
    generous = max(dims, min(FITTED_DIMS, rows - 1, table.dim)) if method == "linear" else dims
    return fit(method, lambda: chunks(table), rows, generous)


class PcaCache:
    """Models and reduced vectors of one space under ``folder``.

    Deleting the folder is always safe. Where it cannot be written, everything is computed anew.
    """

    def __init__(self, folder: Path, table: VectorTable) -> None:
        self._folder = folder
        self._table = table

    def index(self, method: str, dims: int) -> tuple[PcaModel, ExactIndex]:
        """The model, and an exact index over the vectors it reduced to ``dims`` dimensions."""
        model, fitted = self._model(method, dims)
        return model, ExactIndex(self._table.ids, [self._reduced(model, fitted, dims)])

    def _model(self, method: str, dims: int) -> tuple[PcaModel, str]:
        """The model and a name for what it was fitted on."""
        ids = self._table.ids
        for path in self._folder.glob(f"{_VERSION}-{method}-*.model.npz"):
            rows, components, digest = path.name.split(".")[0].split("-")[2:]
            fitted_rows = int(rows)
            usable = fitted_rows <= len(ids) <= fitted_rows * REFIT_GROWTH
            if usable and int(components) >= dims and digest == _digest(ids[:fitted_rows]):
                with contextlib.suppress(*_DAMAGED):
                    return PcaModel.load(path), f"{rows}-{components}-{digest}"
        model = fit_table(self._table, method, dims)
        name = f"{len(ids)}-{model.dims}-{_digest(ids)}"
        self._keep(f"{_VERSION}-{method}-{name}.model.npz", f"*-{method}-*", model.save)
        return model, name

    def _reduced(self, model: PcaModel, fitted: str, dims: int) -> NDArray[np.float16]:
        """The table reduced, float16 (n, dims)."""
        ids = self._table.ids
        stem = f"{_VERSION}-{model.method}-{fitted}.{dims}"
        name = f"{stem}.{len(ids)}-{_digest(ids)}.npy"
        path = self._folder / name
        with contextlib.suppress(*_DAMAGED):
            stored: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
            if stored.shape == (len(ids), dims) and stored.dtype == np.float16:
                return stored
        parts = [
            model.transform(chunk, dims).astype(np.float16)
            for chunk in chunks(self._table, live_only=False)
        ]
        reduced = np.concatenate(parts) if parts else np.empty((0, dims), np.float16)
        self._keep(name, f"{stem}.*", lambda target: _save(target, reduced))
        return reduced

    def _keep(self, name: str, older: str, write: Callable[[Path], None]) -> None:
        """Write a file under another name, sync and rename it; remove what it replaces."""
        temporary = self._folder / f".{name}.{os.getpid()}.tmp"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                write(temporary)
                with open(temporary, "rb") as written:
                    os.fsync(written.fileno())
                os.replace(temporary, self._folder / name)
            finally:
                temporary.unlink(missing_ok=True)
            for path in self._folder.glob(older):
                if path.name != name:
                    path.unlink(missing_ok=True)
        except OSError:
            return  # a cache that cannot be written costs time, not answers


def _save(target: Path, array: NDArray[np.float16]) -> None:
    with open(target, "wb") as file:
        np.save(file, array, allow_pickle=False)


def _digest(ids: IdArray) -> str:
    return hashlib.sha256(ids.tobytes()).hexdigest()[:16]
