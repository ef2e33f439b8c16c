"""Do parts of a picture show what the whole does not: several things, and small ones?

    python benchmarks/parts.py PHOTOS [--pictures N]

PHOTOS are Caltech-101's class folders; ``caltech_words.csv`` says which classes are right. Three
kinds of pictures are made from them: ``three`` photos of different classes in one picture, a
``small`` photo (a third of the width) on one of a class that ImageNet does not have, and ``one``
photo as it is. For several grids and thresholds: the share of things that a label names (recall),
the share of labels that name one (precision), and labels a picture. The grid and the threshold are
chosen on pictures from every other photo (``chosen_on``), and ``reported`` on the rest.
"""

from __future__ import annotations

import argparse
import csv
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from categories import SHORT_FOLDERS, SHORT_TABLE, TABLE, right_classes
from common import add_short, deliver, provenance, require
from PIL import Image

from lookalike.categories import CONFIDENT, class_shares
from lookalike.features.encoders import DEFAULT_ENCODER, load_encoder
from lookalike.features.parts import PARTS, cut, grid
from lookalike.indexes.categories import SURE_PART
from lookalike.pipeline import highest_logits

PICTURES = 150
SIZE = (900, 600)
GRIDS = {
    "whole alone": (),
    "2x2 of 0.5": grid(2, 0.5),
    "2x2 of 0.6": grid(2, 0.6),
    "3x3 of 0.4": grid(3, 0.4),
    "3x3 of 0.5": grid(3, 0.5),
    "2x2 of 0.6, 3x3 of 0.4": (*grid(2, 0.6), *grid(3, 0.4)),
}
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
LAYOUTS = (
    ((0, 0, 300, 600), (300, 0, 300, 600), (600, 0, 300, 600)),
    ((0, 0, 520, 600), (520, 0, 380, 300), (520, 300, 380, 300)),
    ((20, 40, 380, 260), (560, 90, 300, 260), (300, 330, 360, 250)),
)
"""Boxes (left, top, width, height) of three photos in one picture."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="of each kind and half")
    parser.add_argument("--name", default="parts")
    add_short(parser)
    options = parser.parse_args()
    require(parser, options, "photos")
    if not options.short:
        rows = list(csv.DictReader(TABLE.open()))
        result = measure(Photos(options.photos, rows), options.pictures)
        return deliver(options.name, result, short=False)
    with tempfile.TemporaryDirectory() as scratch:
        for folder, name in SHORT_FOLDERS.items():
            (Path(scratch) / folder).mkdir()
            photo = Image.open(Path(skimage.data.__file__).parent / name).convert("RGB")
            for half in (0, 1):
                photo.save(Path(scratch) / folder / f"{half}.png")
        nameless = {"folder": "coffee", "synsets": "", "word": "", "also_right": ""}
        rows = [*SHORT_TABLE[:2], SHORT_TABLE[2] | {"folder": "cat"}, nameless]
        return deliver(options.name, measure(Photos(Path(scratch), rows), 1), short=True)


class Photos:
    """Photos by folder, each half of them by itself, and which classes are right for a folder."""

    def __init__(self, root: Path, rows: Sequence[Mapping[str, str]]) -> None:
        self._root = root
        self.right = right_classes(rows)
        self.known = [folder for folder, right in self.right.items() if right]
        self.unknown = [folder for folder, right in self.right.items() if not right]

    def draw(self, folder: str, half: int, dice: random.Random) -> Image.Image:
        paths = sorted(path for path in (self._root / folder).iterdir())[half::2]
        return Image.open(dice.choice(paths)).convert("RGB")


Made = tuple[Image.Image, list[str]]


def three(photos: Photos, half: int, dice: random.Random) -> Made:
    folders = dice.sample(photos.known, min(3, len(photos.known)))
    ground = tuple(dice.randrange(60, 200) for _ in range(3))
    picture = Image.new("RGB", SIZE, ground)
    for folder, box in zip(folders, dice.choice(LAYOUTS), strict=False):
        paste(picture, photos.draw(folder, half, dice), box)
    return picture, folders


def small(photos: Photos, half: int, dice: random.Random) -> Made:
    folder = dice.choice(photos.known)
    picture = photos.draw(dice.choice(photos.unknown), half, dice).resize(SIZE)
    left, top = dice.randrange(0, 600), dice.randrange(0, 300)
    paste(picture, photos.draw(folder, half, dice), (left, top, 300, 300))
    return picture, [folder]


def one(photos: Photos, half: int, dice: random.Random) -> Made:
    folder = dice.choice(photos.known)
    return photos.draw(folder, half, dice), [folder]


def paste(picture: Image.Image, photo: Image.Image, box: tuple[int, int, int, int]) -> None:
    """As large as it fits into the box, in its middle."""
    left, top, width, height = box
    scale = min(width / photo.width, height / photo.height)
    size = max(1, int(photo.width * scale)), max(1, int(photo.height * scale))
    place = left + (width - size[0]) // 2, top + (height - size[1]) // 2
    picture.paste(photo.resize(size, Image.Resampling.BICUBIC), place)


KINDS = {"three": three, "small": small, "one": one}


def measure(photos: Photos, count: int) -> dict[str, Any]:
    encoder = load_encoder(DEFAULT_ENCODER, parallel=1)
    crops = list(dict.fromkeys(crop for own in GRIDS.values() for crop in own))
    result: dict[str, Any] = {
        "provenance": provenance(),
        "pictures_of_each_kind": count,
        "used": {"grid": _name(PARTS), "threshold": SURE_PART},
    }
    for half, part in enumerate(("chosen_on", "reported")):
        result[part] = {}
        for kind, make in KINDS.items():
            dice = random.Random(f"{part} {kind}")
            seen = []
            for _ in range(count):
                picture, truth = make(photos, half, dice)
                squares = [encoder.prepare(one) for one in (picture, *cut(picture, crops))]
                logits = encoder.encode(np.stack(squares)).logits
                seen.append((truth, *best_of_each(logits, encoder.spec.tail)))
            result[part][kind] = {
                name: scores(photos, seen, [crops.index(crop) + 1 for crop in own])
                for name, own in GRIDS.items()
            }
    return result


def _name(crops: Sequence[Any]) -> str:
    return next(name for name, own in GRIDS.items() if own == crops)


def best_of_each(logits: Any, tail: Any) -> tuple[Any, Any]:
    """The best class of each picture and its share."""
    highest = [highest_logits(own) for own in logits]
    shares = class_shares(np.stack([own.logits for own in highest]), tail)
    return np.array([own.classes[0] for own in highest]), shares[:, 0]


def scores(
    photos: Photos, seen: Sequence[tuple[list[str], Any, Any]], numbers: Sequence[int]
) -> dict[str, Any]:
    """By threshold: recall, precision, labels a picture, of the whole and some of its parts."""
    found: dict[str, Any] = {}
    for threshold in THRESHOLDS if numbers else (CONFIDENT,):
        things = named = labels = right = 0
        for truth, best, share in seen:
            said = {int(best[0])} if share[0] >= CONFIDENT else set()
            said |= {int(best[n]) for n in numbers if share[n] >= threshold}
            fitting = [photos.right[folder] for folder in truth]
            things += len(truth)
            named += sum(bool(said & classes) for classes in fitting)
            labels += len(said)
            right += sum(any(label in classes for classes in fitting) for label in said)
        found[f"{threshold:.1f}"] = {
            "recall": round(named / things, 3),
            "precision": round(right / labels, 3) if labels else None,
            "labels": round(labels / len(seen), 2),
        }
    return found


if __name__ == "__main__":
    main()
