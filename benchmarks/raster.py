"""How far is the colour raster's histogram from that of the full picture?

    python benchmarks/raster.py PHOTOS [--sample N]

The raster is the decoded picture reduced by area to fit 256 x 255 pixels. For each picture the
Bhattacharyya distance and the intersection of both histograms are taken, once for the photos as
they are and once enlarged fourfold in each direction (bicubic, then JPEG at quality 90), where
decoding at a reduced scale sets in.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import add_short, deliver, provenance, require, small_photos
from PIL import Image

from lookalike.decode import decode
from lookalike.features.histogram import histogram, score
from lookalike.scan import scan
from lookalike.types import BINS, FileEntry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--sample", type=int, default=500)
    add_short(parser)
    options = parser.parse_args()
    require(parser, options, "photos")
    if options.short:
        with tempfile.TemporaryDirectory() as folder:
            small_photos(Path(folder), 10, 2, seed=1)
            result = measure(Path(folder), 10)
    else:
        result = measure(options.photos, options.sample)
    deliver("raster", result, short=options.short)


def measure(photos: Path, sample: int) -> dict[str, Any]:
    paths = [e.path for e in scan([str(photos.resolve())]) if isinstance(e, FileEntry)]
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, sample).astype(int)]
    result: dict[str, Any] = {"provenance": provenance(), "pictures": len(chosen)}
    result["as they are"] = compare([Path(path).read_bytes() for path in chosen])
    result["enlarged fourfold"] = compare([enlarged(Path(path)) for path in chosen[::5]])
    print(result)
    return result


def enlarged(path: Path) -> bytes:
    picture = Image.open(path).convert("RGB")
    size = (picture.width * 4, picture.height * 4)
    buffer = io.BytesIO()
    picture.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def compare(files: list[bytes]) -> dict[str, float]:
    distances, overlaps = [], []
    for data in files:
        reduced = histogram(decode(data).image).dense()
        full = full_histogram(Image.open(io.BytesIO(data)).convert("RGB"))
        distances.append(score(full, reduced, "bhattacharyya"))
        overlaps.append(score(full, reduced, "intersection"))
    return {
        "bhattacharyya_mean": round(float(np.mean(distances)), 4),
        "bhattacharyya_p95": round(float(np.percentile(distances, 95)), 4),
        "intersection_mean": round(float(np.mean(overlaps)), 4),
        "intersection_p05": round(float(np.percentile(overlaps, 5)), 4),
    }


def full_histogram(picture: Image.Image) -> Any:
    pixels = np.asarray(picture, dtype=np.int64).reshape(-1, 3) >> 4
    index = pixels[:, 0] * 256 + pixels[:, 1] * 16 + pixels[:, 2]
    return np.bincount(index, minlength=BINS) / len(index)


if __name__ == "__main__":
    main()
