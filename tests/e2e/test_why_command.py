"""``lookalike why`` as a user runs it, with the real encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from .command import Command
from .gallery import photo


def test_a_mirrored_copy_is_alike_by_the_same_parts(
    indexed: Command, photos: Path, tmp_path: Path
) -> None:
    cat = photos / "originals" / "chelsea.png"
    photo("chelsea.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirrored.png")
    asked = "why", cat, tmp_path / "mirrored.png", "--sheet"
    assert "(likely) in efficientnet-lite0" in indexed(*asked, tmp_path / "why.html").done().text
    value = indexed(*asked, tmp_path / "why.png", "--json").done().json()
    for name in ("why.png", "why.html"):
        assert (tmp_path / name).stat().st_size > 10_000
    assert value["score"] > 0.95
    assert value["colours"]["overlap"] > 0.99
    assert min(value["query"]["fall"], value["hit"]["fall"]) > 0.05
    own, other = (value[side]["relevance"] for side in ("query", "hit"))
    turned = [row[::-1] for row in other]
    near = sum(
        abs(a - b) for x, y in zip(own, turned, strict=True) for a, b in zip(x, y, strict=True)
    )
    apart = sum(
        abs(a - b) for x, y in zip(own, other, strict=True) for a, b in zip(x, y, strict=True)
    )
    assert near < apart


def test_an_unlike_pair_and_an_equal_one_are_said_to_be_that(
    indexed: Command, photos: Path
) -> None:
    cat, rocket = photos / "originals" / "chelsea.png", photos / "originals" / "rocket.jpg"
    assert "hardly anything makes these two alike" in indexed("why", cat, rocket).done().text
    twin = photos / "twins" / "twin a.png"
    assert "the two are the same picture" in indexed("why", cat, twin).done().text


@pytest.mark.parametrize(
    ("hit", "told"),
    [
        ("sports car", "words have no parts to show"),
        ("nowhere.jpg", "no such file"),
        ("2*coffee.png", "weights"),
    ],
)
def test_what_cannot_be_explained_gets_one_line(
    indexed: Command, photos: Path, hit: str, told: str
) -> None:
    cat = photos / "originals" / "chelsea.png"
    term = hit.replace("coffee.png", str(photos / "originals" / "coffee.png"))
    indexed("why", cat, term).refused(2, told)


def test_a_sheet_of_another_kind_is_refused_before_any_work(indexed: Command) -> None:
    indexed("why", "a.jpg", "b.jpg", "--sheet", "why.gif").refused(2, ".png or .html")
