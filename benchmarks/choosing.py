"""When to use which way of comparing? Methods, the weight of colour, shortlists, bins, changes.

    python benchmarks/choosing.py LIBRARY [--queries N] [--only PART,...]

LIBRARY is a library of photos in class folders (``lookalike index PHOTOS --library LIBRARY``).
Beside it, a set is made in which class and colour both matter: photos of each class tinted in six
hues, five each; relevant is the same class in the same hue. Classes are parted into two halves; the
weight of colour and the length of shortlists are chosen on one and reported on the other.

Chosen is the largest weight, and the longest shortlist, that surely (95 %) lose no more than NOISE
against the better part on the first half of the photos as they are; null if none does.
"""

from __future__ import annotations

import colorsys
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from common import RESULTS, deliver, library_parser, provenance, require, short_library
from PIL import Image

from lookalike import Library, Method
from lookalike.evaluate.colours import CHANGES, Colouring, colour_study, opened
from lookalike.evaluate.evaluation import Candidates, Exam
from lookalike.evaluate.labels import FOLDERS, Labels, labels_of
from lookalike.evaluate.metrics import RankingMeasures, estimate

WEIGHTS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6)
SHORTLISTS = (10, 20, 50, 100)
METRICS = ("intersection", "bhattacharyya")
COLOURINGS = (
    Colouring(8), Colouring(16), Colouring(32), Colouring(8, grid=2), Colouring(16, grid=2),
    Colouring(8, grid=4),
)  # fmt: skip
NOISE = 0.005
"""Half of the 95 % interval of P@5 over all photos of Caltech-101."""

STUDIED, COLOUR_QUERIES, CHANGED = 2_000, 200, 60
"""Pictures among which colours are compared, those searched with, and those that are changed."""

HUES, EACH, TINT = 6, 5, 0.5
K = 5


def main() -> None:
    parser = library_parser(__doc__, "choosing")
    parser.add_argument("--queries", type=int, default=1_000, help="per half and set, at most")
    parser.add_argument("--only", help="some parts, by commas; the result keeps the others")
    options = parser.parse_args()
    require(parser, options, "library")
    queries = 12 if options.short else options.queries
    if options.short:
        shorten()
    with (
        short_library() if options.short else Library.open(options.library) as library,
        tempfile.TemporaryDirectory() as scratch,
    ):
        made = Made(library, Path(scratch), *((2, 3) if options.short else (HUES, EACH)))
        found = {
            part: {"provenance": provenance(), **PARTS[part](library, made, queries)}
            for part in (options.only.split(",") if options.only else PARTS)
        }
        made.close()
    path = RESULTS / f"{options.name}.json"
    before = json.loads(path.read_text()) if options.only and path.exists() else {}
    deliver(options.name, {**before, "provenance": provenance(), **found}, short=options.short)


def shorten() -> None:
    """Two of everything is enough to see that it runs."""
    global WEIGHTS, SHORTLISTS, COLOURINGS
    WEIGHTS, SHORTLISTS, COLOURINGS = WEIGHTS[2:8:5], SHORTLISTS[:1], COLOURINGS[1:5:3]


class Made:
    """The tinted set as a library, made when it is first asked for."""

    def __init__(self, source: Library, folder: Path, hues: int, each: int) -> None:
        self._source, self._folder, self._size = source, folder, (hues, each)
        self._library: Library | None = None

    def library(self) -> Library:
        if self._library is None:
            tint(classes_of(self._source), self._folder / "made", *self._size)
            self._library = Library.open(self._folder / "library", create=True)
            self._library.add([self._folder / "made"])
        return self._library

    def close(self) -> None:
        if self._library is not None:
            self._library.close()


def classes_of(library: Library) -> dict[str, list[Path]]:
    paths = [Path(row.path) for row in library.ledger() if row.record is not None]
    by_class = itertools.groupby(sorted(paths), key=lambda path: path.parent.name)
    return {name: list(some) for name, some in by_class}


def tint(classes: dict[str, list[Path]], folder: Path, hues: int, each: int) -> None:
    """Photos of every class that has enough, evenly spread, each in one of the hues.

    Half of each pixel is its own colour, half its brightness in the hue. Folders: CLASS~HUE.
    """
    for name, paths in classes.items():
        if len(paths) < hues * each:
            continue
        chosen = np.linspace(0, len(paths) - 1, hues * each).astype(int).tolist()
        for number, at in enumerate(chosen):
            with Image.open(paths[at]) as image:
                pixels = np.asarray(image.convert("RGB"), float)
            brightness = pixels @ np.array([0.299, 0.587, 0.114])
            hue = np.array(colorsys.hls_to_rgb(number % hues / hues, 0.5, 1)) * 0.8 + 0.2
            tinted = (1 - TINT) * pixels + TINT * brightness[..., None] * hue
            place = folder / f"{name}~{number % hues}" / f"{number}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(tinted, 0, 255).astype(np.uint8)).save(place, quality=90)


def compared(library: Library, queries: int) -> dict[str, Any]:
    """All usual methods, as ``lookalike evaluate`` compares them."""
    sizes = [dims for dims in (50, 100, 200) if dims < len(library)]
    evaluation = library.evaluate(FOLDERS, Candidates(dims=sizes), k=K, queries=queries, stage=told)
    table = asdict(evaluation)
    table["recommended"] = evaluation.recommended.name
    return rounded(table)


def told(name: str) -> None:
    print(name, flush=True)


# -- choosing on one half, reporting on the other --------------------------------------------------


def mixed(library: Library, tinted: Library, queries: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, own in (("photos", library), ("tinted", tinted)):
        for half, labels in enumerate(halves(own)):
            told(f"mixtures, {name}, half {half}")
            exam = Exam([own._current()], labels, queries, K, RankingMeasures())
            result[f"{name}, {'chosen on' if half == 0 else 'reported on'}"] = half_of(own, exam)
    first = result["photos, chosen on"]
    for what in ("weights", "shortlists"):
        good = [value for value, one in first[what].items() if one["lead"]["low"] >= -NOISE]
        result[f"chosen {what}"] = max(good, key=float, default=None)
    return result


def halves(library: Library) -> Iterator[Labels]:
    """The labels of every other class, and those of the rest; hues stay with their class."""
    whole = labels_of(FOLDERS, library.ledger())
    names = sorted({label.partition("~")[0] for label in whole.counts})
    for half in (names[::2], names[1::2]):
        own = {id_: some for id_, some in whole.of.items() if min(some).partition("~")[0] in half}
        yield Labels(FOLDERS, own)


def half_of(library: Library, exam: Exam) -> dict[str, Any]:
    tables = library._current()

    def sat(method: Method) -> np.ndarray:
        return exam.precisions(tables, method)

    parts = {"meaning": sat(Method()), "colour": sat(Method("colour"))}
    better = max(parts.values(), key=np.mean)

    def against(own: np.ndarray) -> dict[str, Any]:
        lead = estimate(own - better)
        return rounded({"precision": asdict(estimate(own)), "lead": asdict(lead)})

    return {
        "records": len(exam.ids),
        "queries": len(exam.queries),
        "labels": exam.label_count,
        **{name: against(marks) for name, marks in parts.items()},
        "weights": {str(w): against(sat(Method("mix", colour_weight=w))) for w in WEIGHTS},
        "shortlists": {str(n): against(sat(Method("shortlist", shortlist=n))) for n in SHORTLISTS},
    }


# -- colours ---------------------------------------------------------------------------------------


def thumbnails(library: Library) -> tuple[list[UUID], list[bytes], list[str]]:
    given = labels_of(FOLDERS, library.ledger())
    stored = sorted(library._reader().each_thumbnail())
    ids = [UUID(bytes=id_) for id_, _ in stored]
    return ids, [data for _, data in stored], [min(given.of[id_]) for id_ in ids]


def coloured(library: Library, queries: int) -> dict[str, Any]:
    """Bins and parts, by the two metrics that find most, from thumbnails."""
    _, images, labels = thumbnails(library)
    some = np.linspace(0, len(images) - 1, min(STUDIED, len(images))).astype(int).tolist()
    images, labels = [images[at] for at in some], [labels[at] for at in some]
    changed = min(queries, CHANGED)
    trials = []
    for colouring in COLOURINGS:
        told(f"colours, {colouring.name}")
        trials += colour_study(
            images, labels, [colouring], METRICS, k=K, queries=queries, changed=changed
        )
    return {
        "pictures": len(images),
        "queries": queries,
        "changed": changed,
        "trials": [rounded(asdict(trial)) for trial in trials],
    }


def found_again(library: Library, count: int) -> dict[str, Any]:
    """Changed thumbnails as new pictures: is the nearest record what they were?"""
    ids, images, _ = thumbnails(library)
    drawn = np.random.default_rng(0).permutation(len(ids))[:count].tolist()
    methods = [Method(), Method("mix"), Method("colour"), Method("colour", metric="intersection")]
    result: dict[str, Any] = {"pictures": count}
    with tempfile.TemporaryDirectory() as scratch:
        for name, change in CHANGES.items():
            told(f"found again, {name}")
            paths = [Path(scratch) / f"{at}.png" for at in drawn]
            for path, at in zip(paths, drawn, strict=True):
                change(opened(images[at])).save(path, compress_level=1)
            result[name] = {
                called(method): share(library, method, paths, [ids[at] for at in drawn])
                for method in methods
            }
    return result


def called(method: Method) -> str:
    return f"colour, {method.metric}" if method.by == "colour" else method.by


def share(library: Library, method: Method, paths: Sequence[Path], ids: Sequence[UUID]) -> float:
    hits = [library.search(path, 1, method).hits[0].id for path in paths]
    return round(float(np.mean([hit == id_ for hit, id_ in zip(hits, ids, strict=True)])), 4)


def rounded(value: Any) -> Any:
    """Four decimals are more than any of these figures is sure of."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value


PARTS: dict[str, Callable[[Library, Made, int], dict[str, Any]]] = {
    "photos": lambda library, made, queries: compared(library, queries),
    "tinted": lambda library, made, queries: compared(made.library(), queries),
    "mix": lambda library, made, queries: mixed(library, made.library(), queries),
    "colours": lambda library, made, queries: coloured(library, min(queries, COLOUR_QUERIES)),
    "found_again": lambda library, made, queries: found_again(library, min(queries, CHANGED)),
}


if __name__ == "__main__":
    main()
