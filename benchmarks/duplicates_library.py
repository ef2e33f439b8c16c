"""A library of half a million pictures with known duplicates: what `duplicates.py --full` measures.

    python benchmarks/duplicates_library.py PHOTOS LIKE OUT [--count N] [--copies 0.05] [--plain]

LIKE is a library of PHOTOS, whose vectors are imitated; OUT must not exist. What lies in a library
of files that were indexed lies here without the files, as encoding so many would take an hour:

* A picture is a soft collage of parts of two photos: a photo and one of its 30 nearest, each cut
  out anywhere (73 % of its sides), mirrored or not. Its vector is drawn as those of LIKE lie around
  the first photo (``vectors.VectorGenerator``), so that as many neighbours are near as in a real
  library of that size.
* A share ``copies`` of the records are copies of others, changed in one of the ways of
  ``changed.py``, which OUT/made.npz has: ``source`` int64 (n,), -1 for no copy, and ``change`` int8
  (n,), its number in ``CHANGES``. A copy's vector has a cosine of 0.75 to 0.99 with the original's.

* Histogram, class logits and folder are those of the first photo; a file's name is a number.

Record i depends on the seed and i alone. There are no files. With --plain every record has the
thumbnail of its first photo as it is, which takes a tenth of the time: for what looks at no pixels.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from changed import CHANGES
from PIL import Image
from vectors import VectorGenerator, unit

from lookalike.features.thumbnail import SIDE as THUMBNAIL
from lookalike.features.thumbnail import thumbnail
from lookalike.stores import SqliteStore
from lookalike.stores.base import record_id
from lookalike.types import (
    ClassLogits,
    Features,
    FileEntry,
    ImageFacts,
    Outcome,
    SparseHistogram,
)

SIDE = 352
"""The longest side of the photos that collages are cut from."""

CHUNK = 2_000
_photos: list[np.ndarray] = []
"""Pixels of all photos in the order of LIKE's rows; inherited by forked workers."""

_near = np.empty((0, 0), np.int64)


@dataclass(frozen=True)
class Known:
    """What LIKE says of a photo: its folder's name, histogram and highest class logits."""

    folder: str
    histogram: SparseHistogram
    logits: ClassLogits


class Plan:
    """What every record is: ``base`` photo, ``source`` record of a copy or -1, ``change``."""

    def __init__(
        self, count: int, photos: int, copies: float, seed: int, *, plain: bool = False
    ) -> None:
        self.plain = plain
        rng = np.random.default_rng(seed)
        self.seed = seed
        self.base = rng.integers(photos, size=count)
        self.source = np.full(count, -1)
        self.change = np.full(count, -1, np.int8)
        order = rng.permutation(count)
        many = round(copies * count)
        mine = order[:many]
        self.source[mine] = rng.choice(order[many:], many)
        self.change[mine] = rng.integers(len(CHANGES), size=many)
        self.base[mine] = self.base[self.source[mine]]


def read_photos(
    photos: Path, like: SqliteStore
) -> tuple[list[np.ndarray], np.ndarray, list[Known]]:
    """Pixels, unit vectors and further features of all photos that LIKE has."""
    table = like.vectors(like.spaces()[0])
    vectors = unit(np.concatenate([np.asarray(part, np.float32) for part in table.parts]))
    by_hash = {record_key(path): path for path in photos.rglob("*.jpg")}
    histograms, logits = like.histograms(), like.logits(like.spaces()[0])
    pixels, rows, known = [], [], []
    for row, id_ in enumerate(table.ids):
        path = by_hash.get(id_.tobytes())
        if path is not None and table.live[row]:
            with Image.open(path) as image:
                scale = SIDE / max(image.size)
                size = (round(image.width * scale), round(image.height * scale))
                pixels.append(np.asarray(image.convert("RGB").resize(size)))
            rows.append(row)
            record = uuid.UUID(bytes=id_.tobytes())
            place, own = histograms.row_of(record), logits.row_of(record)
            assert place is not None
            assert own is not None
            classes = ClassLogits(logits.classes[own], logits.logits[own])
            known.append(Known(path.parent.name, histograms.histogram(place), classes))
    return pixels, vectors[rows], known


def record_key(path: Path) -> bytes:
    return record_id(hashlib.sha256(path.read_bytes()).digest()).bytes


def part_of(photo: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Pixels uint8 (*size, 3) cut out anywhere, mirrored or not."""
    height, width = size
    top = rng.integers(photo.shape[0] - height + 1)
    left = rng.integers(photo.shape[1] - width + 1)
    part = photo[top : top + height, left : left + width]
    return part[:, ::-1] if rng.random() < 0.5 else part


def collage(number: int, base: int, seed: int) -> Image.Image:
    """One photo here, another there, with a soft border anywhere in the middle."""
    rng = np.random.default_rng([seed, number])
    one, two = _photos[base], _photos[_near[base, rng.integers(_near.shape[1])]]
    height, width = (
        min(round(own * THUMBNAIL / SIDE), other)
        for own, other in zip(one.shape[:2], two.shape[:2], strict=True)
    )
    angle = rng.uniform(0, 2 * np.pi)
    across = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(500 * np.cos(angle))
    down = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(500 * np.sin(angle))
    border = across + (down[:, None] + np.float32(127 + 500 * rng.uniform(-0.3, 0.3)))
    mask = Image.fromarray(np.clip(border, 0, 255).astype(np.uint8))
    parts = [Image.fromarray(part_of(photo, (height, width), rng)) for photo in (one, two)]
    return Image.composite(*parts, mask)


def picture(number: int, plan: Plan) -> tuple[bytes, tuple[int, int]]:
    """The thumbnail of a record, and the size of its picture."""
    if plan.plain:
        return plain_picture(int(plan.base[number]))
    source = int(plan.source[number])
    own = collage(number if source < 0 else source, int(plan.base[number]), plan.seed)
    if source >= 0:
        change, quality = list(CHANGES.values())[plan.change[number]]
        rng = np.random.default_rng([plan.seed, number, 1])
        buffer = io.BytesIO()
        change(own, rng).save(buffer, "JPEG", quality=quality)
        own = Image.open(buffer).convert("RGB")
    return thumbnail(own), own.size


@functools.cache
def plain_picture(base: int) -> tuple[bytes, tuple[int, int]]:
    own = Image.fromarray(_photos[base])
    return thumbnail(own), own.size


def pictures(first: int, last: int, plan: Plan) -> list[tuple[bytes, tuple[int, int]]]:
    return [picture(number, plan) for number in range(first, last)]


def draw_vectors(generator: VectorGenerator, plan: Plan) -> np.ndarray:
    """Vectors of all records, float16 (n, dim)."""
    count = len(plan.base)
    out = np.empty((count, generator.real.shape[1]), np.float16)
    for at in range(0, count, CHUNK):
        base = plan.base[at : at + CHUNK]
        out[at : at + CHUNK] = generator.around(base, np.random.default_rng([plan.seed, at, 2]))
    mine = np.flatnonzero(plan.source >= 0)
    rng = np.random.default_rng([plan.seed, 3])
    for some in np.array_split(mine, -(-len(mine) // CHUNK) or 1):
        own = out[plan.source[some]].astype(np.float32)
        aside = unit(rng.normal(size=own.shape) * (own > 0))
        aside = unit(aside - (aside * own).sum(1, keepdims=True) * own)
        cosine = rng.uniform(0.75, 0.99, (len(some), 1))
        out[some] = unit(cosine * own + np.sqrt(1 - cosine**2) * aside)
    return out


def outcome(
    number: int, made: tuple[bytes, tuple[int, int]], vector: np.ndarray, known: Known
) -> Outcome:
    jpeg, (width, height) = made
    path = f"/made/{known.folder}/{number:07d}.jpg"
    taken = datetime(2001, 1, 1) + timedelta(minutes=number * 7919 % 12_000_000)
    facts = ImageFacts(width, height, "JPEG", taken_at=taken.isoformat())
    vector = vector.astype(np.float32)
    features = Features(facts, known.histogram, number, jpeg, vector, known.logits)
    entry = FileEntry(path, width * height // 4 + number % 997, 1_700_000_000_000_000_000)
    return Outcome(entry, hashlib.sha256(number.to_bytes(8, "big")).digest(), features)


def batches(plan: Plan, workers: int) -> Iterator[tuple[int, list[tuple[bytes, tuple[int, int]]]]]:
    """Pictures of all records in order, made beside; no more than a few batches wait."""
    starts = list(range(0, len(plan.base), CHUNK))
    with ProcessPoolExecutor(workers) as pool:
        running = [
            pool.submit(pictures, at, min(at + CHUNK, len(plan.base)), plan)
            for at in starts[: 2 * workers]
        ]
        for place, at in enumerate(starts):
            made = running.pop(0).result()
            if place + 2 * workers < len(starts):
                later = starts[place + 2 * workers]
                running.append(
                    pool.submit(pictures, later, min(later + CHUNK, len(plan.base)), plan)
                )
            yield at, made


def write_library(
    photos: Path,
    like: Path,
    out: Path,
    *,
    count: int,
    copies: float,
    seed: int,
    plain: bool = False,
    workers: int = 2,
) -> None:
    global _photos, _near
    store = SqliteStore(like)
    space = store.spaces()[0]
    _photos, vectors, known = read_photos(photos, store)
    store.close()
    generator = VectorGenerator(vectors, seed)
    _near = generator.rows[:, 1:]
    plan = Plan(count, len(_photos), copies, seed, plain=plain)
    drawn = draw_vectors(generator, plan)
    started = time.perf_counter()
    own = SqliteStore(out, write=True)
    np.savez(out / "made.npz", source=plan.source, change=plan.change)  # true if stopped, too
    run = own.run(space)
    for at, made in batches(plan, workers):
        rows = range(at, at + len(made))
        run.put(
            [
                outcome(row, one, drawn[row], known[plan.base[row]])
                for row, one in zip(rows, made, strict=True)
            ]
        )
        if at % (25 * CHUNK) == 0:
            print(f"{at} of {count}, {time.perf_counter() - started:.0f} s", flush=True)
    run.finish([], complete=False)
    own.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("like", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=444_668)
    parser.add_argument("--copies", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    write_library(
        options.photos, options.like, options.out, count=options.count, copies=options.copies,
        seed=options.seed, plain=options.plain, workers=options.workers,
    )  # fmt: skip


if __name__ == "__main__":
    main()
