"""Half a million photographs that behave like real ones, made from a few thousand.

    python benchmarks/generate.py files PHOTOS OUT --count 444668

``files`` writes JPEGs: each is a photo of PHOTOS under another crop, mirrored or not, with other
colours and some noise, in the folder of its class. File i depends on the seed and i alone.

Vectors are made by ``vectors.py``.
"""

from __future__ import annotations

import argparse
import functools
import io
import math
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from common import add_short, deliver, provenance, small_photos
from PIL import Image, ImageEnhance

NOISE_SIDE = 512
"""Noise is cut from one square of this side at a random place; drawing it anew costs 2 ms."""


# -- files -----------------------------------------------------------------------------------------


def write_files(photos: Path, out: Path, count: int, seed: int, workers: int) -> None:
    """Write ``count`` JPEGs below ``out``; those that exist already are left as they are."""
    sources = sorted(path for path in photos.rglob("*") if path.suffix.lower() == ".jpg")
    variants = -(-count // len(sources))
    write = functools.partial(
        _write_variants, sources, photos, out, variants=variants, count=count, seed=seed
    )
    with ProcessPoolExecutor(workers) as pool:
        for done, _ in enumerate(pool.map(write, range(len(sources)), chunksize=16), 1):
            if done % 500 == 0:
                print(f"{done} of {len(sources)} photos, {variants} variants each", flush=True)


def _write_variants(
    sources: list[Path],
    photos: Path,
    out: Path,
    number: int,
    *,
    variants: int,
    count: int,
    seed: int,
) -> None:
    source = sources[number]
    folder = out / source.parent.relative_to(photos)
    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    for variant in range(variants):
        index = variant * len(sources) + number
        path = folder / f"{source.stem}_{variant:03d}.jpg"
        if index < count and not path.exists():
            temporary = path.with_suffix(".part")
            temporary.write_bytes(varied(picture, np.random.default_rng([seed, index])))
            temporary.rename(path)


def varied(picture: Image.Image, rng: np.random.Generator) -> bytes:
    """One variant as a JPEG of about the size of the original."""
    share, skew = rng.uniform(0.35, 1.0), math.exp(rng.uniform(-0.25, 0.25))
    width = min(picture.width, max(16, round(picture.width * math.sqrt(share * skew))))
    height = min(picture.height, max(16, round(picture.height * math.sqrt(share / skew))))
    left = int(rng.integers(0, picture.width - width + 1))
    top = int(rng.integers(0, picture.height - height + 1))
    scale = rng.uniform(0.85, 1.15) * math.sqrt(picture.width * picture.height / (width * height))
    size = (max(32, round(width * scale)), max(32, round(height * scale)))
    box = (left, top, left + width, top + height)
    image = picture.resize(size, Image.Resampling.BILINEAR, box=box)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(rng.uniform(0.7, 1.35))
    gains = rng.uniform(0.88, 1.12, 3).astype(np.float32)
    pixels = np.asarray(image, dtype=np.float32) * gains + _noise(rng, image.size)
    buffer = io.BytesIO()
    noisy = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    noisy.save(buffer, "JPEG", quality=int(rng.integers(75, 93)))
    return buffer.getvalue()


def _noise(rng: np.random.Generator, size: tuple[int, int]) -> Any:
    tile = _noise_tile()
    rows = (np.arange(size[1]) + rng.integers(NOISE_SIDE)) % NOISE_SIDE
    columns = (np.arange(size[0]) + rng.integers(NOISE_SIDE)) % NOISE_SIDE
    return tile[rows[:, None], columns] * np.float32(rng.uniform(0.0, 8.0))


@functools.cache
def _noise_tile() -> Any:
    return np.random.default_rng(0).normal(size=(NOISE_SIDE, NOISE_SIDE, 3)).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_short(parser)
    kinds = parser.add_subparsers(dest="kind")
    files = kinds.add_parser("files")
    files.add_argument("photos", type=Path)
    files.add_argument("out", type=Path)
    files.add_argument("--count", type=int, default=444_668)
    files.add_argument("--seed", type=int, default=1)
    files.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if options.short:
        deliver("generate", short(), short=True)
        return
    if not options.kind:
        parser.error("missing: files (or --short)")
    write_files(options.photos, options.out, options.count, options.seed, options.workers)


def short() -> dict[str, Any]:
    """Twice 20 files from 8: are they there, and the same each time?"""
    with tempfile.TemporaryDirectory() as scratch:
        photos, outs = Path(scratch) / "photos", [Path(scratch) / name for name in ("a", "b")]
        small_photos(photos, 8, 2, seed=1)
        for out in outs:
            write_files(photos, out, 20, seed=1, workers=2)
        first, second = (
            {path.relative_to(out): path.read_bytes() for path in out.rglob("*.jpg")}
            for out in outs
        )
    distinct = len(set(first.values()))
    return {
        "provenance": provenance(),
        "files": len(first),
        "distinct": distinct,
        "repeatable": first == second,
    }


if __name__ == "__main__":
    main()
