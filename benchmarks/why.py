"""Are the parts marked by ``lookalike why`` those that make two pictures alike? And how long is it?

    python benchmarks/why.py LIBRARY [--pairs 200] [--name NAME]

Pairs are records of LIBRARY, evenly drawn, each with one of its five best hits. For both pictures
of a pair the marked area is hidden in the picture at its full size, which is then prepared and
encoded anew, and so are areas of equal size: rectangles of random shape and place. Hidden means
filled with grey, with the picture's mean colour, or with the blurred picture; the library itself
picks marks by the third, so the first two say more. The figure is the mean fall of the score for
the marked area over that for random ones; intervals are of 2,000 bootstrap samples of the pairs.
A picture in which nothing was marked counts as one whose score does not fall.

Ways: "default" is what ``Library.why`` does, "hiding alone" what it does for encoders that do not
tell what they saw, "quick" what it does with ``quick``. The whole command is started with
``--sheet``, as a user would.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import clocked, deliver, library_parser, opened, provenance, require, watched
from PIL import Image, ImageFilter

from lookalike import Library
from lookalike.decode import decode, read
from lookalike.features.encoders import Encoded, Encoder
from lookalike.query.relevance import MARKED, Relevance, relevance, stretched
from lookalike.types import DoubleArray, PixelArray

FILLS = ("grey", "mean colour", "blur")
RECTANGLES, STARTS, SAMPLES = 2, 10, 2_000

Way = Callable[[Image.Image, DoubleArray], Relevance]


def main() -> None:
    parser = library_parser(__doc__, "why")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    require(parser, options, "library")
    if options.short:
        options.pairs = 1
    with opened(options) as library:
        pairs = list(drawn(library, options.pairs, options.seed))
        result = {
            "provenance": provenance(),
            "records": len(library),
            "pairs": len(pairs),
            "command": commands(library.folder, pairs[:STARTS]),
            "ways": measured(library._encoder_of(library.space), pairs, options.seed),
        }
    deliver(options.name, result, short=options.short)


def drawn(library: Library, count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Paths of records and of one of the five best hits of each."""
    dice = np.random.default_rng(seed)
    for number in range(count):
        query = library.random_record(1_000_000 * seed + number)
        hits = library.search(query, 5).hits
        (record,) = library.get([query])
        assert record is not None
        yield record.paths[0], hits[int(dice.integers(len(hits)))].paths[0]


# -- the command -----------------------------------------------------------------------------------


def commands(folder: Path, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Milliseconds and processor time of the whole command, with a PNG and with HTML."""
    return {
        name: command(folder, pairs, options)
        for name, options in {
            "PNG": ["--sheet", "why.png"],
            "HTML": ["--sheet", "why.html"],
            "quick, PNG": ["--quick", "--sheet", "why.png"],
        }.items()
    }


def command(folder: Path, pairs: list[tuple[str, str]], options: list[str]) -> dict[str, Any]:
    program = [sys.executable, "-m", "lookalike", "why", "--library", folder.absolute()]
    *options, name = options
    with tempfile.TemporaryDirectory() as scratch:
        last = [*options, str(Path(scratch) / name)]
        watched([*program, *pairs[0], *last]).checked()
        done, figures = clocked(
            lambda pair: watched([*program, *pair, *last], interval=0.02).checked(), pairs
        )
    cpu = np.array([one.cpu_seconds for one in done])
    return {**figures, "cpu_p50_ms": round(float(np.median(cpu)) * 1e3, 1)}


# -- marks -----------------------------------------------------------------------------------------


class Untelling:
    """An encoder of which no more is known than that it is one."""

    def __init__(self, encoder: Encoder) -> None:
        self.spec, self.prepare = encoder.spec, encoder.prepare
        self._encoder = encoder

    def encode(self, pixels: PixelArray) -> Encoded:
        return self._encoder.encode(pixels)


def measured(encoder: Encoder, pairs: list[tuple[str, str]], seed: int) -> dict[str, Any]:
    ways: dict[str, Way] = {
        "default": lambda picture, target: relevance(encoder, picture, target),
        "hiding alone": lambda picture, target: relevance(Untelling(encoder), picture, target),
        "quick": lambda picture, target: relevance(encoder, picture, target, quick=True),
    }
    dice = np.random.default_rng(seed)
    tried: dict[str, list[Tried]] = {name: [] for name in ways}
    for paths in pairs:
        pictures = [decode(read(path).data).image for path in paths]
        pixels = np.stack([encoder.prepare(picture) for picture in pictures])
        vectors = encoder.encode(pixels).vectors.astype(np.float64)
        for picture, target in ((pictures[0], vectors[1]), (pictures[1], vectors[0])):
            hider = Hider(encoder, picture, target)
            for name, way in ways.items():
                tried[name].append(hider.tried(way, dice))
    return {name: figures(rows, seed) for name, rows in tried.items()}


@dataclass(frozen=True)
class Tried:
    """One picture: falls of the score (fills,) for the marks and for random areas; seconds."""

    marks: DoubleArray
    chance: DoubleArray
    area: float
    seconds: float


class Hider:
    """Hides parts of a picture at its full size, in each of ``FILLS``."""

    def __init__(self, encoder: Encoder, picture: Image.Image, target: DoubleArray) -> None:
        self._encoder, self._picture, self._target = encoder, picture, target
        self._pixels = np.asarray(picture)
        blurred = picture.filter(ImageFilter.GaussianBlur(min(picture.size) / 9))
        mean = np.broadcast_to(self._pixels.mean(axis=(0, 1)), self._pixels.shape)
        self._fills = (np.full_like(self._pixels, 128), mean.astype(np.uint8), np.asarray(blurred))
        self._whole = self._scores([self._pixels])[0]

    def tried(self, way: Way, dice: np.random.Generator) -> Tried:
        started = time.perf_counter()
        found = way(self._picture, self._target)
        seconds = time.perf_counter() - started
        area = float(found.marked.mean())
        shape = self._pixels.shape[:2]
        chances = [rectangle(area or MARKED, shape, dice) for _ in range(RECTANGLES)]
        falls = [self._falls(mask) for mask in (stretched(found.marked, shape), *chances)]
        return Tried(falls[0], np.mean(falls[1:], axis=0), area, seconds)

    def _falls(self, mask: np.ndarray) -> DoubleArray:
        hidden = [np.where(mask[..., None], fill, self._pixels) for fill in self._fills]
        return self._whole - self._scores(hidden)

    def _scores(self, pictures: list[PixelArray]) -> DoubleArray:
        pixels = np.stack([self._encoder.prepare(Image.fromarray(one)) for one in pictures])
        return np.asarray(self._encoder.encode(pixels).vectors @ self._target, np.float64)


def rectangle(area: float, shape: tuple[int, ...], dice: np.random.Generator) -> np.ndarray:
    """A mask of this share of the picture: up to twice as wide as high or the reverse, anywhere."""
    turned = float(np.exp(dice.uniform(-1, 1) * np.log(2) / 2))
    high = min(1.0, max(area, area**0.5 * turned))
    rows, columns = (
        round(part * side) for part, side in zip((high, area / high), shape, strict=True)
    )
    mask = np.zeros(shape, bool)
    top, left = (
        int(dice.integers(side - part + 1))
        for part, side in ((rows, shape[0]), (columns, shape[1]))
    )
    mask[top : top + rows, left : left + columns] = True
    return mask


def figures(rows: list[Tried], seed: int) -> dict[str, Any]:
    """Falls and how many times as far; both pictures of a pair count as one sample."""
    marks, chance = (
        np.array([getattr(row, name) for row in rows]).reshape(-1, 2, len(FILLS)).mean(axis=1)
        for name in ("marks", "chance")
    )
    dice = np.random.default_rng(seed)
    samples = dice.integers(len(marks), size=(SAMPLES, len(marks)))
    times = marks[samples].mean(axis=1) / chance[samples].mean(axis=1)
    low, high = np.percentile(times, [2.5, 97.5], axis=0)
    seconds = np.array([row.seconds for row in rows]) * 1e3
    return {
        "fills": {
            name: {
                "marked": round(float(marks[:, n].mean()), 4),
                "random": round(float(chance[:, n].mean()), 4),
                "times": round(float(marks[:, n].mean() / chance[:, n].mean()), 2),
                "interval": [round(float(low[n]), 2), round(float(high[n]), 2)],
                "pairs_where_more": round(float((marks[:, n] > chance[:, n]).mean()), 3),
            }
            for n, name in enumerate(FILLS)
        },
        "area": round(float(np.mean([row.area for row in rows])), 3),
        "nothing_marked": int(sum(row.area == 0 for row in rows)),
        "a_picture_p50_ms": round(float(np.median(seconds)), 1),
    }


if __name__ == "__main__":
    main()
