"""Showing results: text, contact sheet, page."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lookalike.present.captions import contact_sheet
from lookalike.present.page import page, write_html
from lookalike.present.sheet import CELL, draw, png, write_png
from lookalike.present.table import columns, hits_table
from lookalike.types import COSINE, Hit, QueryInput, SearchResult, Sheet, Tile, printable
from tests.conftest import BLUE, GREEN, RED, encoded, plain

# -- text ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b.jpg", "a b.jpg"),
        ("日本é.jpg", "日本é.jpg"),
        ("line\nbreak\t\x1b[31m", r"line\nbreak\t\x1b[31m"),
        ("\udcff.jpg", r"\udcff.jpg"),
        ("\u2028\u202e", r"\u2028\u202e"),
    ],
)
def test_only_what_a_terminal_can_show_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(text=st.text())
def test_printable_text_is_one_line_and_can_be_encoded(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode("utf-8")


def test_columns_are_padded_and_aligned() -> None:
    rows = [["1", "short", "x"], ["10", "a longer one", ""]]
    assert columns(["n", "name", "end"], rows, "rl") == (
        " n  name          end\n 1  short         x\n10  a longer one"
    )
    assert columns(["n"], []) == "n"


def result(*paths: tuple[str, ...], inputs: int = 1) -> SearchResult:
    hits = tuple(
        Hit(n, UUID(int=n), places, 0.5, True, 0.5, (0.25,) * inputs)
        for n, places in enumerate(paths, start=1)
    )
    asked = tuple(QueryInput(f"{n}.jpg", 1.0) for n in range(inputs))
    return SearchResult(asked, "meaning", COSINE, "mean", "toy", 9, True, hits)


def test_the_table_has_a_line_per_place() -> None:
    lines = hits_table(result(("/a.jpg", "/b.jpg"), (), ("/c\n.jpg",))).splitlines()
    assert lines[0].split() == ["rank", "cosine", "id", "path"]
    assert lines[1].split() == ["1", "0.5000", str(UUID(int=1)), "/a.jpg"]
    assert lines[2].split() == ["/b.jpg"]
    assert lines[3].split() == ["2", "0.5000", str(UUID(int=2))]
    assert lines[4].endswith(r"/c\n.jpg")
    assert lines[5:] == ["exact: the nearest of 9 records"]


def test_the_table_ends_with_what_was_compared_and_whether_exactly() -> None:
    found = result(("/a.jpg",))
    one = replace(found, searched=1, where="width > 9")
    assert hits_table(one).endswith(
        "\nexact: the nearest of 1 record for which the condition holds"
    )
    many = replace(found, searched=444_667, exact=False)
    assert hits_table(many).splitlines()[-1] == (
        "nearly exact: from an index of 444,667 records; --exact compares with every one"
    )


def test_several_inputs_have_a_column_of_their_scores() -> None:
    lines = hits_table(result(("/a.jpg", "/b.jpg"), inputs=2)).splitlines()
    assert "each input" in lines[0]
    assert "0.250 0.250" in lines[1]
    assert lines[2].index("/b.jpg") == lines[1].index("/a.jpg")


# -- the contact sheet -----------------------------------------------------------------------------


def tile(colour: tuple[int, int, int], *caption: str, size: tuple[int, int] = (256, 256)) -> Tile:
    return Tile(encoded(plain(colour, size), "JPEG", quality=95), caption)


def sheet(inputs: int = 1, hits: int = 3, caption: str = "name.jpg") -> Sheet:
    return Sheet(
        "by meaning", [tile(RED, caption)] * inputs, [tile(GREEN, "1.  0.9", caption)] * hits
    )


def boxes(image: Image.Image, colour: tuple[int, int, int]) -> int:
    """How many frames of CELL x CELL pixels of about one colour there are."""
    near = np.abs(np.asarray(image, np.int16) - colour).max(axis=2) < 12
    assert near.sum() % (CELL * CELL) == 0
    return int(near.sum()) // (CELL * CELL)


@pytest.mark.parametrize(("inputs", "hits"), [(1, 1), (1, 5), (2, 7), (5, 5), (1, 23)])
def test_every_picture_is_drawn_whole(inputs: int, hits: int) -> None:
    image = draw(sheet(inputs, hits))
    assert boxes(image, RED) == inputs
    assert boxes(image, GREEN) == hits


def test_inputs_stand_left_of_hits() -> None:
    pixels = np.asarray(draw(sheet(2, 4)), np.int16)
    red = np.flatnonzero((np.abs(pixels - RED).max(axis=2) < 12).any(axis=0))
    green = np.flatnonzero((np.abs(pixels - GREEN).max(axis=2) < 12).any(axis=0))
    assert red.max() < green.min()


@pytest.mark.parametrize("size", [(256, 10), (10, 256), (1, 1), (3, 2)])
def test_pictures_keep_their_shape_in_the_middle_of_their_frame(size: tuple[int, int]) -> None:
    image = draw(Sheet("", [tile(RED, size=size)], []))
    ys, xs = np.nonzero(np.abs(np.asarray(image, np.int16) - RED).max(axis=2) < 12)
    width, height = np.ptp(xs) + 1, np.ptp(ys) + 1
    assert max(width, height) <= CELL
    assert width / height == pytest.approx(size[0] / size[1], rel=0.15)


def test_a_sheet_without_pictures_is_drawn() -> None:
    empty = draw(Sheet("nothing", [Tile(None, ["gone.jpg"])], []))
    assert boxes(empty, RED) == 0
    assert np.asarray(empty).std() > 0  # frames and words


@pytest.mark.parametrize("caption", ["W" * 300, "日" * 100, "\udcff" * 80, "a\nb" * 50])
def test_a_caption_stays_within_its_cell(caption: str) -> None:
    narrow, wide = draw(sheet(1, 5, "x")), draw(sheet(1, 5, caption))
    assert narrow.size == wide.size
    changed = np.asarray(narrow, np.int16) != np.asarray(wide, np.int16)
    xs = np.flatnonzero(changed.any(axis=(0, 2)))
    gaps = np.flatnonzero(np.diff(xs) > 12)
    columns_of_text = np.split(xs, gaps + 1)
    assert len(columns_of_text) == 6  # six cells, whose captions do not touch each other
    assert all(np.ptp(column) <= CELL for column in columns_of_text)


def test_the_sheet_is_a_png_file(tmp_path: Path) -> None:
    write_png([sheet()], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.format == "PNG"
        assert boxes(image.convert("RGB"), GREEN) == 3
    assert (tmp_path / "sheet.png").read_bytes() == png([sheet()])


# -- the page --------------------------------------------------------------------------------------


def test_words_stand_where_a_picture_would() -> None:
    words = QueryInput("a <red> car", 1.0, understood=("car (car)",))
    drawn = contact_sheet(replace(result(), inputs=(words,)), [None], [])
    assert drawn.inputs[0].instead == "a <red> car"
    assert "a &lt;red&gt; car</div>" in page([drawn])
    assert png([drawn]) != png([Sheet(drawn.title, [Tile(None, drawn.inputs[0].caption)], [])])


def test_names_are_escaped() -> None:
    text = page([sheet(caption='<script>"x"&\'.jpg')])
    assert "<script>" not in text
    assert "&lt;script&gt;&quot;x&quot;&amp;&#x27;.jpg" in text


@given(caption=st.text("<>&\"'=ab/\n\udcff"), title=st.text("<>&\"'ab\udcff"))
def test_no_name_opens_a_tag_or_leaves_an_attribute(caption: str, title: str) -> None:
    def shape(text: str) -> list[str]:
        return [c for c in text if c in "<>\"'"]

    asked = Sheet(title, [Tile(None, [caption, caption])], [tile(BLUE, "1.", caption)])
    plain_one = Sheet("", [Tile(None, ["", ""])], [tile(BLUE, "1.", "")])
    assert shape(page([asked])) == shape(page([plain_one]))
    page([asked]).encode("utf-8")


def test_the_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    write_html([sheet(2, 3)], tmp_path / "sheet.html")
    text = (tmp_path / "sheet.html").read_text("utf-8")
    assert text.count("<img ") == text.count("data:image/jpeg;base64,") == 5
    assert "http" not in text
    assert "Inputs" in text


def test_a_page_without_hits_says_so() -> None:
    assert "nothing to show" in page([Sheet("", [Tile(None, ["gone"])], [])])
    assert "no picture" in page([Sheet("", [Tile(None, ["gone"])], [])])


def test_a_jpeg_on_the_page_is_the_one_given() -> None:
    import base64

    jpeg = sheet().inputs[0].jpeg
    assert jpeg is not None
    start = page([sheet()]).index("base64,") + 7
    encoded_jpeg = page([sheet()])[start : page([sheet()]).index('"', start)]
    assert Image.open(io.BytesIO(base64.b64decode(encoded_jpeg))).size == (256, 256)
    assert base64.b64decode(encoded_jpeg) == jpeg
