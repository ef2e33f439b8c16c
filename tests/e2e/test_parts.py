"""``index --tiles``: several and small things in one picture, with the shipped encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from .command import Command
from .gallery import PHOTOS


@pytest.fixture(scope="module")
def mosaics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cat beside a cup of coffee, each filling half of a picture, and the sky alone."""
    folder = tmp_path_factory.mktemp("mosaics")
    cat, coffee, sky = (
        Image.open(PHOTOS / name).convert("RGB").resize((400, 400))
        for name in ("chelsea.png", "coffee.png", "hubble_deep_field.jpg")
    )
    both = Image.new("RGB", (800, 400))
    both.paste(cat, (0, 0))
    both.paste(coffee, (400, 0))
    both.save(folder / "both.png")
    sky.save(folder / "sky.png")
    return folder


@pytest.fixture(scope="module")
def tiled(mosaics: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    command = Command(tmp_path_factory.mktemp("tiled") / "library")
    assert "lookalike: parts of 2 records were looked at" in (
        command("index", mosaics, "--tiles").done().talk
    )
    return command


def test_a_picture_of_two_things_has_both_as_labels(tiled: Command) -> None:
    hits = tiled("search", "cat", "--json").done().json()["hits"]
    both = next(hit for hit in hits if hit["paths"][0].endswith("both.png"))
    names = {label["name"] for label in both["labels"]}
    assert names & {"Egyptian cat", "cat", "domestic cat", "tabby"}, names
    assert names & {"espresso", "cup", "beverage", "coffee"}, names
    assert all(len(label["part"]) == 4 for label in both["labels"])


@pytest.mark.parametrize("category", ["cat", "animal", "espresso"])
def test_categories_of_parts_are_kept_to(tiled: Command, category: str, mosaics: Path) -> None:
    found = tiled("search", mosaics / "sky.png", "--category", category, "--paths").done().paths
    assert [Path(path).name for path in found] == ["both.png"]


def test_without_tiles_the_whole_decides(mosaics: Path, tmp_path: Path) -> None:
    command = Command(tmp_path / "library")
    command("index", mosaics).done()
    hits = command("search", mosaics / "sky.png", "--json").done().json()["hits"]
    assert all(hit["labels"] == [] for hit in hits)


def test_a_library_with_tiles_keeps_them_current(mosaics: Path, tmp_path: Path) -> None:
    command = Command(tmp_path / "library")
    album = tmp_path / "album"
    album.mkdir()
    (album / "sky.png").write_bytes((mosaics / "sky.png").read_bytes())
    command("index", album, "--tiles").done()
    (album / "both.png").write_bytes((mosaics / "both.png").read_bytes())
    assert "lookalike: parts of 1 records were looked at" in command("index", album).done().talk
    found = command("search", album / "sky.png", "--category", "cat", "--paths").done().paths
    assert [Path(path).name for path in found] == ["both.png"]
    assert not any("parts" in line for line in command("index", album).done().talk)


def test_what_one_picture_shows_is_listed_with_its_parts(tiled: Command, mosaics: Path) -> None:
    shown = tiled("categories", "--of", mosaics / "both.png", "--json").done().json()["shows"]
    names = [label["name"] for label in shown]
    assert {"animal", "cat"} & {*names} or "espresso" in names
    parts = [label for label in shown if "part" in label]
    assert len(parts) >= 2
    assert all(0.8 <= label["confidence"] <= 1 for label in parts)
    text = tiled("categories", "--of", mosaics / "both.png").done().text
    assert "part 0" in text
    tiled("categories", "--of", mosaics / "none.png").refused(2, "no such file")
