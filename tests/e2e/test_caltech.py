"""Photos of ten kinds of things: what is found is of the same kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from .command import Command

CALTECH = Path(__file__).resolve().parents[3] / "shared" / "photos" / "caltech101"
CLASSES = (
    "Motorbikes",
    "accordion",
    "airplanes",
    "bonsai",
    "butterfly",
    "car_side",
    "chandelier",
    "grand_piano",
    "sunflower",
    "watch",
)
PER_CLASS = 12

pytestmark = pytest.mark.skipif(not CALTECH.is_dir(), reason="photos not present")

PRECISION = """
import sys
from pathlib import Path
from lookalike import Library, Method
by, hits, wanted = Method(by=sys.argv[1]), 0, 0
with Library.open() as library:
    for path in sys.argv[2:]:
        for hit in library.search(Path(path), 5, by).hits:
            wanted += 1
            hits += Path(hit.paths[0]).parent.name == Path(path).parent.name
print(hits / wanted)
"""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Links to twelve photos of each class."""
    folder = tmp_path_factory.mktemp("caltech") / "photos"
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for path in sorted((CALTECH / name).iterdir())[:PER_CLASS]:
            (folder / name / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def library(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    command = Command(tmp_path_factory.mktemp("caltech library") / "library")
    counts = command("index", sample).done().counts()
    assert counts == {("indexed", "new"): len(CLASSES) * PER_CLASS}
    return command


def test_no_photo_is_lost(library: Command, sample: Path) -> None:
    assert set(library.ledger()) == {str(path) for path in sample.glob("*/*")}
    photo = next(sample.glob("*/*"))
    every = library("search", photo, "--include-self", "-k", "500", "--paths").done().paths
    assert set(every) == {str(path) for path in sample.glob("*/*")}


@pytest.mark.parametrize(("by", "least"), [("meaning", 0.9), ("mix", 0.85)])
def test_nine_of_ten_among_the_five_nearest_are_of_the_same_kind(
    by: str, least: float, library: Command, sample: Path
) -> None:
    answer = library.script(PRECISION, by, *sorted(sample.glob("*/*"))).done()
    assert float(answer.text) >= least


def test_meaning_tells_kinds_apart_better_than_colour(library: Command, sample: Path) -> None:
    photos = sorted(sample.glob("*/*"))
    meaning, colour = (
        float(library.script(PRECISION, by, *photos).done().text) for by in ("meaning", "colour")
    )
    assert meaning > colour + 0.2
