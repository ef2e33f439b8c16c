"""Why two pictures are alike: parts found by hiding them, shared colours, and how it is shown."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lookalike import Library
from lookalike.errors import InputError
from lookalike.features.encoders import Encoded, Places
from lookalike.features.histogram import histogram
from lookalike.present.why import draw_why, highlighted, why_page, write_why_html, write_why_png
from lookalike.query.relevance import boxes_of, everywhere, relevance, stretched
from lookalike.query.shared import overlap, shared_colours
from lookalike.query.terms import Term
from lookalike.types import Likeness, SharedColour, Why, WhySide
from tests.conftest import BLACK, BLUE, GREEN, RED, WHITE, ToyEncoder, encoded, plain

# -- parts -----------------------------------------------------------------------------------------


class DotEncoder(ToyEncoder):
    """Counts pure red, green and blue pixels of a picture at 56 x 56; a blurred dot has none."""

    def __init__(self) -> None:
        super().__init__("dots")
        self.spec = replace(self.spec, dim=4, side=56)

    def prepare(self, image: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return np.asarray(image.resize((56, 56), Image.Resampling.NEAREST))

    def encode(self, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Encoded:
        self.encoded += len(pixels)
        counts = [(pixels == colour).all(axis=3).sum(axis=(1, 2)) for colour in (RED, GREEN, BLUE)]
        vectors = np.column_stack([*counts, np.full(len(pixels), 1.0)])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Encoded(vectors.astype(np.float32), None)


ONLY_RED = np.array([1.0, 0, 0, 0])


def dotted(*dots: tuple[tuple[int, int, int], int, int], size: tuple[int, int] = (112, 112)) -> Any:
    """White, with dots of 12 pixels: colour, left, top."""
    picture = plain(WHITE, size)
    for colour, left, top in dots:
        picture.paste(colour, (left, top, left + 12, top + 12))
    return picture


def test_what_makes_two_pictures_alike_is_marked_and_nothing_else() -> None:
    found = relevance(DotEncoder(), dotted((RED, 18, 34), (GREEN, 82, 82)), ONLY_RED)
    (box,) = found.boxes
    left, top, width, height = (112 * value for value in box)
    assert left <= 18 < 30 <= left + width
    assert top <= 34 < 46 <= top + height
    assert width * height < 0.2 * 112 * 112
    assert found.relevance.max() == 1
    assert found.relevance[20:, 20:].max() < 0.1  # hiding the green dot raises the score
    assert found.fall > 0.2


def test_nothing_is_marked_where_hiding_changes_nothing() -> None:
    found = relevance(DotEncoder(), plain(WHITE), ONLY_RED)
    assert (found.boxes, found.fall, found.marked.any()) == ((), 0, False)


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (3, 90), (640, 30), (50, 50)])
def test_a_picture_of_any_size_has_a_map(size: tuple[int, int]) -> None:
    encoder = ToyEncoder()
    found = relevance(encoder, plain(BLUE, size), np.eye(8)[2])
    rows, columns = found.relevance.shape
    assert found.relevance.dtype == np.float32
    assert found.marked.shape == (rows, columns)
    assert 40 * 16 <= rows * columns <= 60 * 16
    assert (rows > columns) == (size[1] > size[0])
    assert encoder.encoded < 80


class TellingEncoder(DotEncoder):
    """Tells where the red pixels are, on 14 x 14 places."""

    def places(self, image: Image.Image) -> Places:
        pixels = self.prepare(image)
        counts = np.zeros((14, 14, 4), np.float32)
        counts[..., 0] = (pixels == RED).all(axis=2).reshape(14, 4, 14, 4).sum(axis=(1, 3))
        return Places(counts, (0.0, 0.0, 1.0, 1.0))


def test_an_encoder_that_tells_what_it_saw_is_asked_a_few_times_only() -> None:
    encoder, picture = TellingEncoder(), dotted((RED, 18, 34), (GREEN, 82, 82))
    found = relevance(encoder, picture, ONLY_RED, quick=True)
    assert encoder.encoded < 8
    by_hiding = relevance(DotEncoder(), picture, ONLY_RED)
    assert not (found.marked & ~by_hiding.marked).any()  # which is coarser
    assert found.fall == pytest.approx(by_hiding.fall, abs=0.05)
    thorough = relevance(encoder, picture, ONLY_RED)
    assert thorough.fall >= found.fall
    assert encoder.encoded > 50


def test_marks_are_a_fifth_of_the_picture_at_most() -> None:
    dots = [(RED, 5 + 20 * x, 5 + 20 * y) for x in range(5) for y in range(5)]
    found = relevance(DotEncoder(), dotted(*dots), ONLY_RED)
    assert found.marked.mean() <= 0.2


@given(seed=st.integers(0, 1000))
def test_boxes_hold_all_marks_and_the_most_telling_comes_first(seed: int) -> None:
    dice = np.random.default_rng(seed)
    weights, marked = dice.random((6, 8)).astype(np.float32), dice.random((6, 8)) < 0.2
    boxes = boxes_of(weights, marked)
    covered = np.zeros((6, 8), bool)
    for left, top, width, height in boxes:
        rows = slice(round(6 * top), round(6 * (top + height)))
        covered[rows, round(8 * left) : round(8 * (left + width))] = True
    assert (covered | ~marked).all()
    assert len(boxes) <= marked.sum()


def test_masks_are_stretched_over_the_picture() -> None:
    mask = np.array([[True, False], [False, False]])
    large = stretched(mask, (10, 40))
    assert large[:5, :20].all()
    assert large.sum() == 100


# -- colours ---------------------------------------------------------------------------------------


def halves(first: tuple[int, ...], second: tuple[int, ...], share: float) -> Any:
    """The histogram of a picture whose left part, ``share`` of it, has the first colour."""
    picture = plain(second, (100, 40))
    picture.paste(plain(first, (round(100 * share), 40)))
    return histogram(picture).dense()


def test_shared_colours_have_their_shares_of_both_the_largest_first() -> None:
    query, hit = halves(RED, BLUE, 0.7), halves(RED, BLUE, 0.2)
    red, blue = SharedColour(RED, 0.7, 0.2), SharedColour(BLUE, 0.3, 0.8)
    found = shared_colours(query, hit)
    assert [one.rgb for one in found] == [BLUE, RED]
    for one, same in zip(found, (blue, red), strict=True):
        np.testing.assert_allclose((one.in_query, one.in_hit), (same.in_query, same.in_hit))
    assert overlap(query, hit) == pytest.approx(0.5)


def test_a_colour_of_one_picture_alone_is_not_shared() -> None:
    (only,) = shared_colours(halves(RED, GREEN, 0.5), halves(RED, BLACK, 0.995))
    assert only.rgb == RED
    assert shared_colours(halves(RED, RED, 1), halves(BLUE, BLUE, 1)) == ()


def test_shades_that_look_alike_are_one_colour() -> None:
    found = shared_colours(halves((120, 60, 30), (130, 66, 34), 0.5), halves(*2 * (RED,), 0.5))
    assert found == ()
    mixed = halves((120, 60, 30), (136, 66, 34), 0.5)
    (brown,) = shared_colours(mixed, mixed)
    assert brown.in_query == pytest.approx(1)


# -- a library -------------------------------------------------------------------------------------


def test_two_records_are_explained(filled: Library, photos: Path) -> None:
    hit = filled.search(photos / "000.png", 1).hits[0]
    why = filled.why(photos / "000.png", hit.id)
    assert why.score == pytest.approx(hit.score, abs=1e-6)
    assert (why.query.path, why.hit.record) == (str(photos / "000.png"), hit.id)
    assert why.space == "toy"
    assert not why.same
    for side in (why.query, why.hit):
        assert 0 <= side.relevance.min() <= side.relevance.max() <= 1


def test_both_ways_are_the_same_answer_turned_round(filled: Library, photos: Path) -> None:
    one = filled.why(photos / "000.png", photos / "001.png")
    other = filled.why(photos / "001.png", photos / "000.png")
    np.testing.assert_array_equal(one.query.relevance, other.hit.relevance)
    assert (one.score, one.overlap) == (other.score, other.overlap)


def test_the_same_picture_twice_is_said_to_be_that(filled: Library, photos: Path) -> None:
    copy = photos.parent / "copy.png"
    copy.write_bytes((photos / "003.png").read_bytes())
    why = filled.why(photos / "003.png", copy)
    assert why.same
    assert not why.hardly_alike
    assert "same picture" in why.verdict
    assert why.query.boxes == ((0, 0, 1, 1),)
    assert "score falls" not in why_page(why)
    assert why.overlap == pytest.approx(1)


def test_a_crop_is_compared_and_shown_by_itself(filled: Library, photos: Path) -> None:
    why = filled.why(f"{photos / '000.png'}[0,0,0.5,1]", photos / "000.png")
    assert why.query.crop == (0, 0, 0.5, 1)
    assert Image.open(io.BytesIO(why.query.jpeg)).size == (24, 32)
    assert not why.same


def test_a_file_that_is_gone_or_changed_is_shown_by_its_thumbnail(
    filled: Library, photos: Path
) -> None:
    ids = [filled.search(photos / f"00{n}.png", 1, include_self=True).hits[0].id for n in (4, 5)]
    (photos / "004.png").unlink()
    (photos / "005.png").write_bytes((photos / "006.png").read_bytes())
    why = filled.why(*ids)
    assert "gone" in (why.query.from_thumbnail or "")
    assert "changed" in (why.hit.from_thumbnail or "")
    assert Image.open(io.BytesIO(why.query.jpeg)).size == (48, 32)
    assert "thumbnail" in why_page(why)


def test_another_place_of_the_record_serves_where_the_first_is_gone(
    library: Library, photos: Path
) -> None:
    (photos / "zz.png").write_bytes((photos / "000.png").read_bytes())
    library.add([photos])
    id_ = library.search(photos / "zz.png", 1, include_self=True).hits[0].id
    (photos / "000.png").unlink()
    assert library.why(id_, photos / "001.png").query.from_thumbnail is None


@pytest.mark.parametrize(
    ("term", "told"),
    [
        (Term("2*x", "file", "000.png", 2.0), "no weights"),
        ("sports car", "words have no parts"),
        ("nowhere.png", "nowhere.png: no such file"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_one_line(
    filled: Library, photos: Path, term: Any, told: str
) -> None:
    with pytest.raises(InputError, match=told) as caught:
        filled.why(photos / "000.png", term)
    assert "\n" not in str(caught.value)


def test_a_space_that_is_not_there_is_refused(filled: Library, photos: Path) -> None:
    with pytest.raises(InputError, match="this library has: toy"):
        filled.why(photos / "000.png", photos / "001.png", space="clip")


# -- showing ---------------------------------------------------------------------------------------


def side(picture: Image.Image, marks: str = "left", **changes: Any) -> WhySide:
    """A side whose left half is marked, or nothing, or all."""
    weights = np.zeros((8, 8), np.float32)
    weights[:, :4] = 1
    found = everywhere(picture.size) if marks == "all" else None
    marked = (weights > 0) & (marks == "left")
    made = WhySide(
        name="a <b>.jpg",
        path="/photos/of/a <b>.jpg",
        record=None,
        crop=None,
        jpeg=encoded(picture, "PNG"),
        relevance=found.relevance if found else weights,
        marked=found.marked if found else marked,
        boxes=found.boxes if found else boxes_of(weights, marked),
        fall=0.3,
    )
    return replace(made, **changes)


def answer(query: WhySide, hit: WhySide, **changes: Any) -> Why:
    colours = (SharedColour(RED, 0.5, 0.25), SharedColour(BLACK, 0.02, 0.6))
    made = Why(0.71, Likeness.LIKELY, "toy", False, query, hit, 0.27, colours)
    return replace(made, **changes)


ORANGE = (240, 150, 30)


def test_what_is_marked_keeps_its_colours_and_the_rest_is_dimmed() -> None:
    shown = np.asarray(highlighted(side(plain(ORANGE, (200, 100)))), int)
    assert shown.shape == (280, 560, 3)
    assert (shown[140, 60] == ORANGE).all()
    dimmed = shown[140, 500]
    assert dimmed.max() < 120
    assert dimmed.max() - dimmed.min() < 30


@pytest.mark.parametrize("marks", ["nothing", "all"])
def test_a_picture_without_telling_parts_is_shown_as_it_is(marks: str) -> None:
    shown = np.asarray(highlighted(side(plain(ORANGE, (200, 100)), marks)))
    assert (shown == ORANGE).all()


@pytest.mark.parametrize("size", [(1, 1), (900, 20), (20, 900), (300, 200)])
def test_pictures_of_any_shape_fit_on_the_sheet(size: tuple[int, int], tmp_path: Path) -> None:
    why = answer(side(plain(ORANGE, size)), side(plain(BLUE, (300, 200))))
    write_why_png(why, tmp_path / "why.png")
    with Image.open(tmp_path / "why.png") as page:
        assert page.size == draw_why(why).size
        assert page.width == 1224
        assert page.height < 1000


def test_bars_are_as_wide_as_the_shares_of_the_colours() -> None:
    page = np.asarray(draw_why(answer(side(plain(BLUE)), side(plain(BLUE)))))
    widths = (page == RED).all(axis=2).sum(axis=1)
    inside = widths[widths > 0][1:-1]  # without the line around
    assert set(inside) == {round(560 * 0.5) - 1 + round(560 * 0.25) - 1}


def test_the_page_is_one_file_and_names_are_escaped(tmp_path: Path) -> None:
    why = answer(side(plain(ORANGE)), side(plain(BLUE), from_thumbnail="the file is gone"))
    write_why_html(why, tmp_path / "why.html")
    text = (tmp_path / "why.html").read_text()
    assert "a &lt;b&gt;.jpg" in text
    assert "<b>" not in text
    assert "http" not in text
    assert "Likely alike" in text
    assert "from the thumbnail: the file is gone" in text
    assert text.count('src="data:image/jpeg;base64,') == 4  # both, dimmed and as they are


def test_an_unlike_pair_is_said_to_have_hardly_anything_alike() -> None:
    parts = [side(plain(colour), "nothing", fall=0.0) for colour in (ORANGE, BLUE)]
    why = answer(*parts, score=0.2, likeness=Likeness.UNLIKELY)
    assert why.hardly_alike
    text = why_page(why)
    assert "Hardly anything makes these two alike" in text
    assert "score falls" not in text


def test_the_answer_is_plain_json() -> None:
    why = answer(side(plain(ORANGE)), side(plain(BLUE)))
    value = json.loads(json.dumps(why.to_dict()))
    assert value["query"]["boxes"] == [[0, 0, 0.5, 1]]
    assert value["colours"]["shared"][0] == {"rgb": list(RED), "in_query": 0.5, "in_hit": 0.25}
    assert np.shape(value["hit"]["relevance"]) == (8, 8)
    assert (value["likeness"], value["same"]) == ("likely", False)
