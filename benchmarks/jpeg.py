"""What does decoding large JPEGs at a reduced scale save, and what does it change?

    python benchmarks/jpeg.py [PHOTOS] [--pictures 8] [--rounds 5] [--name NAME]

Pictures of 12 megapixels (4000 x 3000): photos of PHOTOS, evenly spread, cropped to 4:3, enlarged
(bicubic) and given some noise; without PHOTOS, blurred noise of several grain sizes. Each is saved
as JPEG at quality 85 and 95, baseline and progressive, and timed in one thread from its bytes:

- *full*: Pillow's `Image.open(...).convert("RGB")`
- *reduced*: `decode.decode`
- *analyse*: `pipeline.analyse`: read, hash, decode, all features, `prepare`; not the encoder's run

Then the features of the reduced picture are held against those of the full one: cosine of the
vectors, Bhattacharyya distance of the histograms, differing bits of 64 of the perceptual hash.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import add_short, deliver, provenance
from PIL import Image, ImageOps

from lookalike.config import Limits
from lookalike.decode import decode
from lookalike.features.encoders import DEFAULT_ENCODER, Encoder, load_encoder
from lookalike.features.histogram import histogram, score
from lookalike.features.phash import phash
from lookalike.pipeline import analyse
from lookalike.scan import scan
from lookalike.sources.folders import on_disk
from lookalike.types import FileEntry

SIZE = (4000, 3000)
SHORT_SIZE = (1600, 1200)
NOISE = 4.0
"""Standard deviation, of 255, of the noise that an enlarged photo gets: it has no detail left."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--name", default="jpeg")
    add_short(parser)
    options = parser.parse_args()
    size = SHORT_SIZE if options.short else SIZE
    pictures, rounds = (2, 1) if options.short else (options.pictures, options.rounds)
    result = {
        "provenance": provenance(),
        "made_from": "photos" if options.photos else "blurred noise",
        "size": size,
        "pictures": pictures,
        "rounds": rounds,
        "jpegs": measure(options.photos, size, pictures, rounds),
    }
    deliver(options.name, result, short=options.short)


def measure(
    photos: Path | None, size: tuple[int, int], pictures: int, rounds: int
) -> list[dict[str, Any]]:
    encoder = load_encoder(DEFAULT_ENCODER)
    rows = []
    for quality in (85, 95):
        for progressive in (False, True):
            files = [
                saved(picture, quality, progressive) for picture in large(photos, size, pictures)
            ]
            row = {
                "quality": quality,
                "progressive": progressive,
                "megabytes": round(float(np.mean([len(data) for data in files])) / 1e6, 2),
                "reduced_to": decode(files[0]).image.size,
                **times(files, encoder, rounds),
                **differences(files, encoder),
            }
            print({k: v for k, v in row.items() if not isinstance(v, dict)}, flush=True)
            rows.append(row)
    return rows


# -- the pictures ----------------------------------------------------------------------------------


def large(photos: Path | None, size: tuple[int, int], count: int) -> Iterator[Image.Image]:
    """The same pictures each time."""
    paths: list[str] = []
    if photos:
        found = [e.path for e in scan([str(photos.resolve())]) if isinstance(e, FileEntry)]
        paths = [found[i] for i in np.linspace(0, len(found) - 1, count).astype(int)]
    for number in range(count):
        rng = np.random.default_rng(number)
        picture = enlarged(paths[number], size) if paths else texture(rng, size)
        noise = rng.standard_normal((size[1], size[0], 3), dtype=np.float32) * NOISE
        noisy = np.asarray(picture, dtype=np.float32) + noise
        yield Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def enlarged(path: str, size: tuple[int, int]) -> Image.Image:
    with Image.open(path) as photo:
        return ImageOps.fit(photo.convert("RGB"), size, Image.Resampling.BICUBIC)


def texture(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Coloured noise of several grain sizes, the coarse ones strongest."""
    whole = np.full((size[1], size[0], 3), 128, dtype=np.float32)
    for cells in (4, 16, 64, 256):
        grain = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        grown = grain.resize(size, Image.Resampling.BICUBIC)
        whole += (np.asarray(grown, dtype=np.float32) - 128) * np.float32(2 / cells**0.5)
    return Image.fromarray(np.clip(whole, 0, 255).astype(np.uint8))


def saved(picture: Image.Image, quality: int, progressive: bool) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, progressive=progressive)
    return buffer.getvalue()


# -- what is measured ------------------------------------------------------------------------------


def full(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def times(files: list[bytes], encoder: Encoder, rounds: int) -> dict[str, float]:
    """Milliseconds per picture, median over pictures and rounds; the three ways alternate."""
    seconds: dict[str, list[float]] = {"full": [], "reduced": [], "analyse": []}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "picture.jpg"
        for data in files:
            path.write_bytes(data)
            entry = FileEntry.of(str(path), path.stat())
            ways: dict[str, Callable[[], object]] = {
                "full": lambda d=data: full(d),  # type: ignore[misc]
                "reduced": lambda d=data: decode(d),  # type: ignore[misc]
                "analyse": lambda e=entry: analyse(  # type: ignore[misc]
                    on_disk(e, Limits()), lambda _: False, encoder.prepare, Limits()
                ),
            }
            for _ in range(rounds):
                for name, way in ways.items():
                    started = time.perf_counter()
                    way()
                    seconds[name].append(time.perf_counter() - started)
    ms = {f"{name}_ms": round(float(np.median(all_)) * 1e3, 2) for name, all_ in seconds.items()}
    return {**ms, "full_to_reduced": round(ms["full_ms"] / ms["reduced_ms"], 2)}


def differences(files: list[bytes], encoder: Encoder) -> dict[str, dict[str, float]]:
    """Reduced against full, per feature; the worst is the least cosine and the largest distance."""
    cosines, distances, bits = [], [], []
    for data in files:
        pictures = decode(data).image, full(data)
        vectors = encoder.encode(np.stack([encoder.prepare(p) for p in pictures])).vectors
        cosines.append(float(vectors[0] @ vectors[1]))
        reduced, whole = (histogram(picture).dense() for picture in pictures)
        distances.append(float(score(whole, reduced, "bhattacharyya")))
        bits.append((phash(pictures[0]) ^ phash(pictures[1])).bit_count())
    return {
        "vector_cosine": {"mean": round(np.mean(cosines).item(), 5), "worst": min(cosines)},
        "histogram_bhattacharyya": {
            "mean": round(np.mean(distances).item(), 5),
            "worst": max(distances),
        },
        "phash_bits": {"mean": round(np.mean(bits).item(), 2), "worst": max(bits)},
    }


if __name__ == "__main__":
    main()
