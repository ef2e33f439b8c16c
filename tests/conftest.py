"""A toy encoder whose answers are known by hand, small pictures, tables and libraries."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from PIL import Image

from lookalike import Library
from lookalike.features.encoders import Encoded, EncoderSpec
from lookalike.side_tables import TableOptions
from lookalike.stores.base import HistogramPart, HistogramTable, VectorTable
from lookalike.types import ID_DTYPE, SparseHistogram

# Tests run in a process a core: more threads in each would wait for each other.
os.environ.setdefault("RAYON_NUM_THREADS", "1")  # manifolds-rs
os.environ.setdefault("OMP_NUM_THREADS", "1")  # openTSNE, scikit-learn

settings.register_profile(
    "lookalike",
    deadline=None,  # two shared cores
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("lookalike")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


# -- the toy encoder -------------------------------------------------------------------------------


class CrashError(Exception):
    """What a toy encoder raises that was told to fail."""


class ToyEncoder:
    """Eight numbers of a picture squeezed to 4 x 4, made a unit vector.

    Mean red, green, blue (0..1) of the upper half, the same of the lower half, brightness of the
    right half less the left's, and 0.5, which keeps black from being a vector of zeros. The logits
    are the three means of the whole. ``encoded`` counts pictures; after ``fail_after`` it raises.
    """

    def __init__(self, name: str = "toy", fail_after: int | None = None) -> None:
        self.spec = EncoderSpec(
            name=name,
            dim=8,
            side=4,
            preprocessing="box-4",
            classes=3,
            weights="none",
            weights_digest="0" * 64,
            size_mb=0.0,
            licence="Apache-2.0",
            source="tests",
        )
        self.encoded = 0
        self.fail_after = fail_after

    def prepare(self, image: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return np.asarray(image.resize((4, 4), Image.Resampling.BOX), dtype=np.uint8)

    def encode(self, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Encoded:
        self.encoded += len(pixels)
        if self.fail_after is not None and self.encoded > self.fail_after:
            raise CrashError
        shares = pixels.astype(np.float32) / 255
        upper, lower = shares[:, :2].mean(axis=(1, 2)), shares[:, 2:].mean(axis=(1, 2))
        slope = shares[:, :, 2:].mean(axis=(1, 2, 3)) - shares[:, :, :2].mean(axis=(1, 2, 3))
        vectors = np.column_stack([upper, lower, slope, np.full(len(pixels), 0.5)])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Encoded(vectors.astype(np.float32), shares.mean(axis=(1, 2)))


# -- pictures --------------------------------------------------------------------------------------


def picture(seed: int, size: tuple[int, int] = (48, 32)) -> Image.Image:
    """A picture of soft blotches, another one for every seed."""
    blotches = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(blotches).resize(size, Image.Resampling.BICUBIC)


def plain(colour: tuple[int, ...], size: tuple[int, int] = (40, 24)) -> Image.Image:
    """A picture of one colour."""
    return Image.new("RGB", size, colour)


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def fill(folder: Path, seeds: Sequence[int]) -> list[Path]:
    """Pictures by seed as PNG files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{seed:03d}.png" for seed in seeds]
    for path, seed in zip(paths, seeds, strict=True):
        picture(seed).save(path)
    return paths


# -- tables ----------------------------------------------------------------------------------------


def record_ids(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.void]]:
    """Distinct ids whose bytes are often 0, 127, 128 or 255, where comparisons go wrong."""
    rng = np.random.default_rng(seed)
    found: dict[bytes, None] = {}
    while len(found) < count:
        found[bytes(rng.choice([0, 127, 128, 255], 15).astype(np.uint8)) + b"\0"] = None
    return np.frombuffer(b"".join(found), dtype=ID_DTYPE)


def sparse(cells: dict[int, int]) -> SparseHistogram:
    """A histogram from pixels per bin."""
    bins = sorted(cells)
    return SparseHistogram(
        np.array(bins, dtype=np.uint16), np.array([cells[b] for b in bins], dtype=np.uint16)
    )


def histogram_table(
    rows: Sequence[SparseHistogram], ids: Any = None, parts: int = 1
) -> HistogramTable:
    """A table of histograms, laid out in several parts."""
    bounds = np.linspace(0, len(rows), parts + 1).astype(int)
    pieces = [rows[a:b] for a, b in pairwise(bounds) if b > a]
    return HistogramTable(
        record_ids(len(rows)) if ids is None else ids,
        [
            HistogramPart(
                np.concatenate([row.bins for row in piece]),
                np.concatenate([row.counts for row in piece]),
                np.cumsum([len(row.bins) for row in piece], dtype=np.uint64),
            )
            for piece in pieces
        ],
        np.ones(len(rows), dtype=bool),
    )


def vector_table(rows: np.ndarray[Any, Any], ids: Any = None) -> VectorTable:
    """A table of vectors (n, dim), made unit length, as half-precision numbers."""
    rows = np.asarray(rows, dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    halves = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float16)
    ids = record_ids(len(rows)) if ids is None else ids
    return VectorTable(
        ids, [halves] if len(halves) else [], np.ones(len(rows), bool), rows.shape[1]
    )


def histograms(bins: int = 4096, cells: int = 30) -> st.SearchStrategy[SparseHistogram]:
    """Histograms with up to ``cells`` occupied bins among the first ``bins``."""
    return st.dictionaries(
        st.integers(0, bins - 1), st.integers(1, 65_280), min_size=1, max_size=cells
    ).map(sparse)


# -- fixtures --------------------------------------------------------------------------------------


@pytest.fixture
def toy() -> ToyEncoder:
    return ToyEncoder()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with twelve pictures, 000.png to 011.png."""
    fill(tmp_path / "photos", range(12))
    return tmp_path / "photos"


@pytest.fixture
def library(tmp_path: Path, toy: ToyEncoder) -> Iterator[Library]:
    """A library that is still empty."""
    with Library.open(tmp_path / "library", create=True, encoder=toy) as opened:
        yield opened


@pytest.fixture
def filled(library: Library, photos: Path) -> Library:
    """A library with the twelve pictures."""
    library.add([photos])
    return library


SOLD = {
    "000": 3, "001": 5, "002": 1, "003": 29, "004": 14, "005": 4, "006": 7, "007": 8, "009": 11,
    "010": 6, "011": 2,
}  # fmt: skip
"""Rows of conversions by picture; the others have none."""

KEYWORDS = ["bee", "bees", "honey bee", "bumblebee", "honey", "insect"]


@pytest.fixture
def sold(filled: Library, photos: Path, tmp_path: Path) -> Library:
    """The twelve pictures with foreign ids ``photo-NNN``, and a table of conversions."""
    give_foreign_ids(filled)
    lines = ["photo_id\tkeyword\tcountry\tn"]
    for name, count in SOLD.items():
        for number in range(count):
            keyword = KEYWORDS[(0, 0, 0, 0, 1, 1, 2, 3, 4, 5)[number % 10]]
            lines.append(f"photo-{name}\t{keyword}\t{'DE' if number % 2 else 'US'}\t{number}")
    lines.append("photo-gone\tbee\tDE\t\n")
    table = tmp_path / "conversions.tsv000"
    table.write_text("\n".join(lines))
    filled.add_table("conversions", [table], TableOptions("photo_id"))
    return filled


def give_foreign_ids(library: Library) -> None:
    db = sqlite3.connect(library.folder / "catalog.sqlite")
    with db:
        db.execute("UPDATE files SET foreign_id = 'photo-' || substr(name, 1, 3)")
    db.close()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Any]:
    """What drives a browser; one for all tests, as there may be no second one in a process."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium on the PATH: no page is looked at")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as made:
        yield made
