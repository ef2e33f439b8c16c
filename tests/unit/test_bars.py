"""Bar charts of grouped rows, with pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
from PIL import Image

from lookalike import Library
from lookalike.present.bars import BAR, Bar, BarChart, chart_page, draw_chart, write_chart
from lookalike.present.grouped import bar_chart
from tests.conftest import RED, encoded, plain

JPEG = encoded(plain(RED, (60, 40)), "JPEG")
ONE, TWO = UUID(int=1), UUID(int=2)


def find(texts: Sequence[str]) -> list[UUID | None]:
    return [{"a": ONE, "b": TWO}.get(text) for text in texts]


def thumbnails(ids: Sequence[UUID]) -> list[bytes | None]:
    return [JPEG if id_ == ONE else None for id_ in ids]


def bar_pixels(chart: BarChart) -> list[int]:
    """How many pixels of a bar each row of the drawing has, for the rows that have any."""
    pixels = np.asarray(draw_chart(chart))
    counts = (pixels == BAR).all(axis=2).sum(axis=1)
    starts = np.flatnonzero((counts > 0) & (np.roll(counts, 1) == 0))
    return [int(counts[start]) for start in starts]


def test_rows_become_bars_in_their_order_with_their_pictures() -> None:
    chart = bar_chart(["photo", "count"], [("a", 30), ("b", 10), ("c", 20)], find, thumbnails)
    assert chart is not None
    assert chart.pictured
    assert chart.title == "count by photo"
    assert [(bar.name, bar.value, bar.jpeg) for bar in chart.bars] == [
        ("a", 30, JPEG), ("b", 10, None), ("c", 20, None)
    ]  # fmt: skip
    first, second, third = bar_pixels(chart)
    assert abs(first - 3 * second) <= 3
    assert abs(third - 2 * second) <= 3


def test_another_column_of_text_names_the_bars() -> None:
    rows = [("/x/a.jpg", "a", 1.5), ("/x/b.jpg", "b", None)]
    chart = bar_chart(["path", "photo", "score"], rows, find, thumbnails)
    assert chart is not None
    assert [(bar.name, bar.detail, bar.value) for bar in chart.bars] == [
        ("a.jpg", "a", 1.5), ("b.jpg", "b", None)
    ]  # fmt: skip


def test_rows_that_name_no_pictures_have_none() -> None:
    chart = bar_chart(["word", "n"], [("bee", 3), ("a", 2), (None, 1)], find, thumbnails)
    assert chart is not None
    assert not chart.pictured
    assert [bar.name for bar in chart.bars] == ["bee", "a", "NULL"]


def test_rows_without_numbers_are_no_chart_and_no_rows_an_empty_one() -> None:
    assert bar_chart(["photo", "word"], [("a", "x")], find, thumbnails) is None
    assert bar_chart(["photo", "n"], [("a", 1), ("b", "x")], find, thumbnails) is None
    nothing = bar_chart(["photo", "n"], [], find, thumbnails)
    assert nothing is not None
    assert draw_chart(nothing).width > 100
    assert "nothing to show" in chart_page(nothing)
    numbers = bar_chart(["n"], [(5,), (7,)], find, thumbnails)
    assert numbers is not None
    assert [bar.name for bar in numbers.bars] == ["1", "2"]


def test_values_below_zero_go_to_the_left() -> None:
    chart = BarChart("t", "s", [Bar("a", 1.0), Bar("b", -1.0), Bar("c", float("inf"))][:2], False)
    assert chart.span() == (-1.0, 1.0)
    up, down = bar_pixels(chart)
    assert abs(up - down) <= 2
    pixels = (np.asarray(draw_chart(chart)) == BAR).all(axis=2)
    rows = np.flatnonzero(pixels.any(axis=1))
    assert pixels[rows[0]].nonzero()[0].min() >= pixels[rows[-1]].nonzero()[0].max() - 3


def test_a_page_says_the_same_and_escapes_names(tmp_path: Path) -> None:
    chart = BarChart("<t>", "s", [Bar("<b>", 1234567.0, "&", JPEG), Bar("c", 0.12345)], True)
    page = chart_page(chart)
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "1,234,567" in page
    assert "0.1235" in page
    assert "data:image/jpeg;base64," in page
    for name in ("chart.png", "chart.html"):
        write_chart(chart, tmp_path / name)
    assert Image.open(io.BytesIO((tmp_path / "chart.png").read_bytes())).size[0] > 500
    assert (tmp_path / "chart.html").read_text() == page


def test_records_are_named_by_id_foreign_id_and_path(sold: Library, photos: Path) -> None:
    (id_,) = sold.matching("name = '003.png'")
    (photos / "003.png").unlink()  # its thumbnail is there
    texts = [str(id_), "photo-003", str(photos / "003.png"), "photo-xyz", "", str(UUID(int=7))]
    assert sold.records_named(texts) == [id_, id_, id_, None, None, None]
