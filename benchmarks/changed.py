"""Copies of photos, each changed in one known way: what `duplicates.py` asks for.

    python benchmarks/changed.py PHOTOS OUT --count 2000 --half second

A photo of PHOTOS goes unchanged to OUT/original/CLASS/NAME.jpg, and changed to
OUT/CHANGE/CLASS/NAME.jpg.
Classes are halved by their names: settings are chosen on the first half and reported on the second.
A file depends on the seed and its photo alone.
"""

from __future__ import annotations

import argparse
import io
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

ORIGINAL = "original"
QUALITY = 90
"""Of the JPEGs that are not about quality."""

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def unchanged(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image


def resized(share: float, image: Image.Image, _: np.random.Generator) -> Image.Image:
    size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
    return image.resize(size, Image.Resampling.LANCZOS)


def cropped(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """80 % of the width and of the height, anywhere."""
    width, height = round(image.width * 0.8), round(image.height * 0.8)
    left = int(rng.integers(0, image.width - width + 1))
    top = int(rng.integers(0, image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def flipped(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def with_text(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Two words, an eighth of the picture high, white with a black rim, anywhere."""
    out = image.copy()
    draw = ImageDraw.Draw(out)
    size = max(10, image.height // 8)
    font = ImageFont.load_default(size)
    words = f"Holiday {rng.integers(1990, 2030)}"
    box = draw.textbbox((0, 0), words, font=font, stroke_width=size // 12)
    left = int(rng.integers(0, max(1, image.width - box[2])))
    top = int(rng.integers(0, max(1, image.height - box[3])))
    draw.text((left, top), words, "white", font, stroke_width=size // 12, stroke_fill="black")
    return out


def brightened(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(float(rng.choice([0.7, 1.35])))


def turned_square(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    ways = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)
    return image.transpose(ways[int(rng.integers(2))])


def turned(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """By 5 degrees either way; the corners become black."""
    return image.rotate(float(rng.choice([-5, 5])), Image.Resampling.BICUBIC)


def straightened(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """By 5 degrees either way, then cropped so that no corner is black."""
    out = turned(image, rng)
    tilt = np.tan(np.radians(5.0))
    across, down = tilt * image.height / 2, tilt * image.width / 2
    return out.crop(
        (round(across), round(down), image.width - round(across), image.height - round(down))
    )


CHANGES: Mapping[str, tuple[Change, int]] = {
    "re-encoded, quality 30": (unchanged, 30),
    "re-encoded, quality 60": (unchanged, 60),
    "re-encoded, quality 90": (unchanged, 90),
    "resized to 50 %": (partial(resized, 0.5), QUALITY),
    "resized to 75 %": (partial(resized, 0.75), QUALITY),
    "resized to 150 %": (partial(resized, 1.5), QUALITY),
    "cropped to 80 %": (cropped, QUALITY),
    "flipped": (flipped, QUALITY),
    "text over it": (with_text, QUALITY),
    "brightness x 0.7 or 1.35": (brightened, QUALITY),
    "turned by 90 degrees": (turned_square, QUALITY),
    "turned by 5 degrees": (turned, QUALITY),
    "turned by 5 degrees and cropped": (straightened, QUALITY),
}
"""What is done to a photo, and the quality of the JPEG that it becomes."""


def half_of(photos: Path, half: str) -> list[Path]:
    """The photos of every other class, by name: "first", "second", or "all"."""
    classes = sorted(path for path in photos.iterdir() if path.is_dir())
    chosen = {"first": classes[::2], "second": classes[1::2], "all": classes}[half]
    return [path for folder in chosen for path in sorted(folder.glob("*.jpg"))]


def write_set(photos: list[Path], out: Path, count: int, seed: int, workers: int = 2) -> None:
    """Write ``count`` photos drawn from those given, unchanged and in every changed form."""
    order = np.random.default_rng(seed).permutation(len(photos))[:count]
    chosen = [photos[number] for number in sorted(order)]
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(partial(_write, out, seed), chosen, chunksize=16))


def _write(out: Path, seed: int, photo: Path) -> None:
    name = Path(photo.parent.name) / photo.name
    data = photo.read_bytes()
    _put(out / ORIGINAL / name, data)
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGB")
    for number, (change, (function, quality)) in enumerate(CHANGES.items()):
        rng = np.random.default_rng([seed, number, zlib.crc32(str(name).encode())])
        buffer = io.BytesIO()
        function(image, rng).save(buffer, "JPEG", quality=quality)
        _put(out / change / name, buffer.getvalue())


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--half", choices=("first", "second", "all"), default="second")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write_set(half_of(options.photos, options.half), options.out, options.count, options.seed)


if __name__ == "__main__":
    main()
