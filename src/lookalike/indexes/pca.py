"""Reduced vectors, kept in the library's derived folder and made anew whenever they do not fit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lookalike.features.pca import PcaModel, fit
from lookalike.indexes.codes import Codes
from lookalike.indexes.compact import LONGEST_TAIL, CodesCache
from lookalike.indexes.derived import DAMAGED, DerivedFolder, digest
from lookalike.indexes.exact import ExactIndex
from lookalike.stores.base import VectorTable
from lookalike.types import FloatArray

FITTED_DIMS = 256
"""Components fitted at least (where so many exist), so that trying other sizes costs no new fit."""

REFIT_GROWTH = 1.2
"""A model is fitted anew when the table has grown by this factor; until then new rows are
projected by the old one."""

_VERSION = "v1"
"""Format version of the files, the first part of their names."""

_CHUNK = 8_192


def chunks(table: VectorTable, *, live_only: bool = True, first: int = 0) -> Iterator[FloatArray]:
    """The table's vectors from row ``first`` on as float32 (m, dim), m at most 8,192."""
    start = 0
    for part in table.parts:
        for offset in range(max(0, first - start), len(part), _CHUNK):
            chunk = np.asarray(part[offset : offset + _CHUNK], dtype=np.float32)
            live = table.live[start + offset : start + offset + len(chunk)]
            chosen = chunk[live] if live_only else chunk
            if len(chosen):
                yield chosen
        start += len(part)


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
        self._derived = DerivedFolder(folder)
        self._table = table

    def index(self, method: str, dims: int) -> tuple[PcaModel, ExactIndex]:
        """The model, and an exact index over the vectors it reduced to ``dims`` dimensions."""
        model, fitted = self._model(method, dims)
        reduced = self._reduced(model, fitted, dims)
        return model, ExactIndex(self._table.ids, reduced)

    def codes(self, method: str, dims: int, index: ExactIndex) -> Codes | None:
        """Codes of the vectors that ``index`` has, for a compact index over them."""
        reduced = replace(self._table, parts=index.parts, dim=dims)
        cache = CodesCache(self._derived.folder / f"compact-{method}-{dims}", reduced)
        codes = cache.load()
        if codes is None and cache.refresh():
            codes = cache.load()
        return codes

    def keeps(self, method: str, dims: int) -> bool:
        """Whether there is a model already, so that ``index`` need not fit one."""
        return self._kept_model(method, dims) is not None

    def _model(self, method: str, dims: int) -> tuple[PcaModel, str]:
        """The model and a name for what it was fitted on."""
        kept = self._kept_model(method, dims)
        if kept is not None:
            return kept
        ids, model = self._table.ids, fit_table(self._table, method, dims)
        name = f"{len(ids)}-{model.dims}-{digest(ids)}"
        self._derived.keep(f"{_VERSION}-{method}-{name}.model.npz", model.save, f"*-{method}-*")
        return model, name

    def _kept_model(self, method: str, dims: int) -> tuple[PcaModel, str] | None:
        ids = self._table.ids
        for path in self._derived.folder.glob(f"{_VERSION}-{method}-*.model.npz"):
            rows, components, made_for = path.name.split(".")[0].split("-")[2:]
            fitted_rows = int(rows)
            usable = fitted_rows <= len(ids) <= fitted_rows * REFIT_GROWTH
            if usable and int(components) >= dims and made_for == digest(ids[:fitted_rows]):
                with contextlib.suppress(*DAMAGED):
                    return PcaModel.load(path), f"{rows}-{components}-{made_for}"
        return None

    def _reduced(self, model: PcaModel, fitted: str, dims: int) -> list[NDArray[np.float16]]:
        """The table reduced, float16 (n_i, dims): what is kept, and the rows added since."""
        ids, stem = self._table.ids, f"{_VERSION}-{model.method}-{fitted}.{dims}"
        kept = self._kept(stem, dims)
        rows = len(ids) - len(kept)
        if not rows:
            return [kept]
        fresh = [
            model.transform(chunk, dims).astype(np.float16)
            for chunk in chunks(self._table, live_only=False, first=len(kept))
        ]
        if len(kept) and rows <= LONGEST_TAIL:
            return [kept, *fresh]
        whole = np.concatenate([kept, *fresh])
        self._derived.keep_array(f"{stem}.{len(ids)}-{digest(ids)}.npy", whole, f"{stem}.*")
        return [whole]

    def _kept(self, stem: str, dims: int) -> NDArray[np.float16]:
        """What is kept of the table's first rows, float16 (m, dims)."""
        ids = self._table.ids
        for path in self._derived.folder.glob(f"{stem}.*.npy"):
            rows, made_for = path.name.split(".")[-2].split("-")
            if int(rows) <= len(ids) and made_for == digest(ids[: int(rows)]):
                with contextlib.suppress(*DAMAGED):
                    stored: NDArray[np.float16] = self._derived.array(path.name)
                    if stored.shape == (int(rows), dims) and stored.dtype == np.float16:
                        return stored
        return np.empty((0, dims), np.float16)
