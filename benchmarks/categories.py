"""Are labels right, do words find what they name, and is nothing found where there is nothing?

    python benchmarks/categories.py PHOTOS [--name NAME]

PHOTOS are Caltech-101's class folders. ``caltech_words.csv``, written before the code, says what
each folder may be called (WordNet ids: a class of ImageNet-1k at or below one of them is right) and
the word to search with. Measured: how often a label that is confident is right, and how many
pictures get one, where the class exists in ImageNet; P@10 of the words; how often nothing is said
to be alike, of pictures and words that are in the library, of nonsense words and pictures of noise;
what share of hits that are likely, maybe or unlikely alike lies in the query's folder.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from common import add_short, deliver, percentile_ms, provenance, require
from PIL import Image, ImageFilter

from lookalike import Library, Method
from lookalike.categories import CONFIDENT, category_tree
from lookalike.errors import InputError
from lookalike.types import Likeness

TABLE = Path(__file__).parent / "caltech_words.csv"
QUERIES = 1_000
NONSENSE = (
    "blorptang", "wug", "flimsy quandle", "xyzzy", "zorple of brimble", "asdfgh", "quux",
    "snarfblat", "glorpf", "brillig slithy", "frumious", "mome raths", "vorpal", "plugh", "grobnik",
)  # fmt: skip
SHORT_FOLDERS = {"cat": "chelsea.png", "rocket": "rocket.jpg", "coffee": "coffee.png"}
SHORT_TABLE = [
    {"folder": "cat", "synsets": "n02121620", "word": "cat", "also_right": ""},
    {"folder": "rocket", "synsets": "n04266014 n03773504", "word": "missile", "also_right": ""},
    {"folder": "coffee", "synsets": "n07930864 n07920052", "word": "espresso", "also_right": ""},
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--name", default="categories")
    add_short(parser)
    options = parser.parse_args()
    require(parser, options, "photos")
    with tempfile.TemporaryDirectory() as scratch:
        photos, rows = options.photos, list(csv.DictReader(TABLE.open()))
        if options.short:
            photos, rows = Path(scratch) / "photos", SHORT_TABLE
            for folder, name in SHORT_FOLDERS.items():
                (photos / folder).mkdir(parents=True)
                source = Path(skimage.data.__file__).parent / name
                (photos / folder / name).write_bytes(source.read_bytes())
        with Library.open(Path(scratch) / "library", create=True) as library:
            library.add([photos])
            result = measure(library, rows, Path(scratch))
    deliver(options.name, result, short=options.short)


def measure(library: Library, rows: Sequence[Mapping[str, str]], scratch: Path) -> dict[str, Any]:
    folders = {
        row.record: Path(row.path).parent.name for row in library.ledger() if row.record is not None
    }
    result: dict[str, Any] = {"provenance": provenance(), "records": len(library)}
    result["labels"] = labels(library, rows, folders)
    result["words"] = words(library, rows, folders)
    result["nothing"] = nothing(library, rows, scratch)
    result["likeness"] = {
        name: likeness(library, method, folders)
        for name, method in (
            ("meaning", Method()),
            ("pca-100", Method("pca")),
            ("mix", Method("mix")),
        )
        if method.by != "pca" or len(library) > method.dims
    }
    return result


# -- labels ----------------------------------------------------------------------------------------


def labels(
    library: Library, rows: Sequence[Mapping[str, str]], folders: Mapping[Any, str]
) -> dict[str, Any]:
    """Precision of confident classes, and how many pictures have one."""
    right = right_classes(rows)
    index = library._current().categories
    own = np.array([folders[key] for key in _records(index.ids)])
    known = np.array([bool(right[folder]) for folder in own])
    best, share = index.classes[:, 0], index.shares[:, 0].astype(np.float32)
    fits = np.array([number in right[folder] for number, folder in zip(best, own, strict=True)])
    sure = share >= CONFIDENT
    return {
        "folders_in_imagenet": len({*own[known]}),
        "pictures": int(known.sum()),
        "confident": CONFIDENT,
        "coverage": round(float(sure[known].mean()), 4),
        "precision": round(float(fits[known & sure].mean()), 4),
        "precision_of_all": round(float(fits[known].mean()), 4),
        "labelled_where_no_class_fits": round(float(sure[~known].mean()), 4)
        if (~known).any()
        else 0,
    }


def right_classes(rows: Sequence[Mapping[str, str]]) -> dict[str, set[int]]:
    """By folder: the numbers of the classes that are right for it; none where ImageNet has none."""
    tree = category_tree()
    return {
        row["folder"]: {
            number
            for id_ in row["synsets"].split()
            if (one := tree.get(id_)) is not None
            for number in one.classes
        }
        for row in rows
    }


def _records(ids: Any) -> list[Any]:
    from uuid import UUID

    return [UUID(bytes=id_.tobytes()) for id_ in ids]


# -- words -----------------------------------------------------------------------------------------


def words(
    library: Library, rows: Sequence[Mapping[str, str]], folders: Mapping[Any, str]
) -> dict[str, Any]:
    """P@10 of every word, or of fewer hits where its folders have fewer pictures."""
    each, seconds, silent = {}, [], []
    for row in rows:
        if not row["word"]:
            continue
        fitting = {row["folder"], *row["also_right"].split()}
        count = min(10, sum(folder in fitting for folder in folders.values()))
        started = time.perf_counter()
        found = library.search(f"text:{row['word']}", count)
        seconds.append(time.perf_counter() - started)
        each[row["word"]] = float(np.mean([folders[hit.id] in fitting for hit in found.hits]))
        silent.append(found.nothing_alike)
    return {
        "words": len(each),
        "p_at_10": round(float(np.mean([*each.values()])), 4),
        "below_0.9": {word: round(share, 2) for word, share in each.items() if share < 0.9},
        "nothing_alike": round(float(np.mean(silent)), 4),
        **percentile_ms(seconds),
    }


# -- nothing ---------------------------------------------------------------------------------------


def nothing(library: Library, rows: Sequence[Mapping[str, str]], scratch: Path) -> dict[str, Any]:
    """Of how many queries it is said that nothing is like them."""
    refused = 0
    for word in NONSENSE:
        try:
            library.search(f"text:{word}")
        except InputError:
            refused += 1
    kinds = {}
    for kind in NOISE:
        said = []
        for seed in range(20):
            path = scratch / f"{kind}-{seed}.png"
            noise(kind, seed).save(path)
            said.append(library.search(path).nothing_alike)
        kinds[kind] = round(float(np.mean(said)), 3)
    table = library._current().vectors
    chosen = np.linspace(0, len(table.ids) - 1, min(QUERIES, len(table.ids))).astype(int)
    good = [library.search(record).nothing_alike for record in _records(table.ids[chosen])]
    return {
        "nonsense_words": len(NONSENSE),
        "nonsense_words_not_understood": refused,
        "noise": kinds,
        "pictures": len(good),
        "pictures_of_the_library": round(float(np.mean(good)), 4),
    }


NOISE = ("uniform", "normal", "grey", "soft", "coarse", "blocks", "plain", "pink")


def noise(kind: str, seed: int, size: tuple[int, int] = (300, 224)) -> Image.Image:
    """A picture of nothing."""
    dice = np.random.default_rng([seed, NOISE.index(kind)])
    wide, high = size
    if kind == "coarse":
        return _image(dice.integers(0, 256, (7, 9, 3))).resize(size, Image.Resampling.BICUBIC)
    if kind == "blocks":
        return _image(dice.integers(0, 256, (14, 18, 3))).resize(size, Image.Resampling.NEAREST)
    if kind == "plain":
        return Image.new("RGB", size, tuple(dice.integers(0, 256, 3).tolist()))
    if kind == "grey":
        return _image(dice.integers(0, 256, (high, wide, 1)).repeat(3, axis=2))
    if kind == "soft":
        soft = _image(dice.integers(0, 256, (high, wide, 3))).filter(ImageFilter.GaussianBlur(4))
        return _image((np.asarray(soft).astype(float) - 128) * 6 + 128)
    if kind == "pink":
        away = np.hypot(np.fft.fftfreq(high)[:, None], np.fft.fftfreq(wide)[None])
        away[0, 0] = 1
        waves = np.fft.fft2(dice.normal(size=(3, high, wide))) / away
        values = np.moveaxis(np.fft.ifft2(waves).real, 0, 2)
        return _image(128 + 50 * (values - values.mean()) / values.std())
    spread = dice.normal(128, 50, (high, wide, 3))
    return _image(dice.integers(0, 256, (high, wide, 3)) if kind == "uniform" else spread)


def _image(values: Any) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


# -- likely, maybe, unlikely -----------------------------------------------------------------------


def likeness(library: Library, method: Method, folders: Mapping[Any, str]) -> dict[str, Any]:
    """Of the fifty nearest of some records, by word: how many, and the share in their folder."""
    table = library._current().vectors
    chosen = np.linspace(0, len(table.ids) - 1, min(300, len(table.ids))).astype(int)
    seen: dict[Any, list[bool]] = {word: [] for word in Likeness}
    for record in _records(table.ids[chosen]):
        for hit in library.search(record, 50, method).hits:
            if hit.likeness is not None:
                seen[hit.likeness].append(folders[hit.id] == folders[record])
    return {
        word.value: {
            "hits": len(own),
            "same_folder": round(float(np.mean(own)), 3) if own else None,
        }
        for word, own in seen.items()
    }


if __name__ == "__main__":
    main()
