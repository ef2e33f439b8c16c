"""Bursts: are shots of one scene seconds apart told from other scenes, and from later shots?

Used by ``duplicates.py``. Photos of a class are taken two by two, "one" and "other". A camera takes
one at second 0, 1 and 2, the other at 6 and 7, and one again two hours later. A shot after the
first is 94 % of each side, cut out anywhere, with up to 8 % more or less light and some noise. What
should be a burst: shots of one photo within seconds. What should not: shots of two photos of a
class within seconds, and shots of one photo hours apart.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

SHOTS = (("one", 0), ("one", 1), ("one", 2), ("other", 6), ("other", 7), ("one", 7_200))
"""Which photo, and after how many seconds."""

FIRST = (0, 6)
"""The seconds of first shots, which are the photos as they are."""

KINDS = ("one scene, seconds apart", "two scenes, seconds apart", "one scene, hours apart")

Named = tuple[list[str], list[str], str]


def shot(photo: Path, again: int, seed: int) -> Image.Image:
    """A photo as it is, or as it is shot again."""
    with Image.open(photo) as opened:
        image = opened.convert("RGB")
    if not again:
        return image
    rng = np.random.default_rng([seed, again, zlib.crc32(photo.name.encode())])
    wide, high = (round(side * 0.94) for side in image.size)
    left = int(rng.integers(image.width - wide + 1))
    top = int(rng.integers(image.height - high + 1))
    image = image.crop((left, top, left + wide, top + high))
    image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.92, 1.08))
    pixels = np.asarray(image, np.float32) + rng.normal(0, 2, (high, wide, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def write_bursts(photos: list[Path], out: Path, count: int, seed: int) -> None:
    """Write ``count`` pairs of scenes to OUT/NUMBER/SHOT.jpg, the scenes of a pair of one class."""
    by_class: dict[Path, list[Path]] = {}
    for photo in photos:
        by_class.setdefault(photo.parent, []).append(photo)
    scenes = [two for own in by_class.values() for two in zip(own[::2], own[1::2], strict=False)]
    order = np.random.default_rng(seed).permutation(len(scenes))[:count]
    for number, place in enumerate(order):
        folder = out / f"{number:04d}"
        folder.mkdir(parents=True)
        start = datetime(2020, 1, 1) + timedelta(days=number)
        for again, (which, second) in enumerate(SHOTS):
            photo = scenes[place][which == "other"]
            tags = Image.Exif()
            tags[0x010F], tags[0x0110] = "Maker", "Camera"
            tags[0x0132] = (start + timedelta(seconds=second)).strftime("%Y:%m:%d %H:%M:%S")
            picture = shot(photo, 0 if second in FIRST else again, seed)
            picture.save(folder / f"{again}.jpg", quality=90, exif=tags)


def kind(one: int, two: int) -> str:
    """What a pair of shots of one folder is."""
    (which, at), (other, later) = SHOTS[one], SHOTS[two]
    if abs(at - later) > 60:
        return KINDS[2] if which == other else ""
    return KINDS[0] if which == other else KINDS[1]


def bursts(
    found: Iterable[Named], scenes: int, share: Callable[[int, int], dict[str, Any]]
) -> dict[str, Any]:
    """Per kind of pair, how often it was called what; precision of the relation ``burst``."""
    called: dict[str, Counter[str]] = {name: Counter() for name in KINDS}
    right = wrong = 0
    for firsts, seconds, relation in found:
        for one, two in ((Path(a), Path(b)) for a in firsts for b in seconds):
            name = kind(int(one.stem), int(two.stem)) if one.parent == two.parent else ""
            if name:
                called[name][relation] += 1
            right += relation == "burst" and name == KINDS[0]
            wrong += relation == "burst" and name != KINDS[0]
    of = Counter(kind(a, b) for a in range(len(SHOTS)) for b in range(a))
    return {
        "scenes": 2 * scenes,
        "called burst": {name: share(called[name]["burst"], of[name] * scenes) for name in KINDS},
        "called": {name: dict(counts) for name, counts in called.items()},
        "precision": share(right, right + wrong),
    }
