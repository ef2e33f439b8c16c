"""A bar chart with the pictures that its bars stand for beside them, as PNG or HTML."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from lookalike.present.page import data_address, escaped
from lookalike.present.sheet import FAINT, FRAME, INK, PAPER, RULE, fitted, font_of
from lookalike.types import printable

BAR = (74, 111, 165)
"""The colour of bars: reads well on the ground of all drawn pages, in print, too."""

_MARGIN, _GAP = 48, 20
_PICTURE, _ROW, _LOW_ROW = 104, 124, 56
_NAMES, _BARS, _VALUES = 340, 680, 150

_HEAD = 104


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar. ``value`` None: unknown, none is drawn. ``detail``: a lesser line under the name."""

    name: str
    value: float | None
    detail: str = ""
    jpeg: bytes | None = None


@dataclass(frozen=True, slots=True)
class BarChart:
    """Bars in the order in which they are drawn; ``pictured``: they have a place for a picture."""

    title: str
    subtitle: str
    bars: Sequence[Bar]
    pictured: bool

    def span(self) -> tuple[float, float]:
        """The least and the greatest value that has room, among them 0."""
        values = [bar.value for bar in self.bars if bar.value is not None]
        low, high = min([0.0, *values]), max([0.0, *values])
        return low, (high if high > low else low + 1.0)

    def share(self, value: float) -> float:
        """Where a value lies between the least and the greatest, 0..1."""
        low, high = self.span()
        return (value - low) / (high - low)


def shown_value(value: float | None) -> str:
    """A bar's value: whole numbers with commas, others with four digits."""
    if value is None:
        return "NULL"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


def write_chart(chart: BarChart, path: Path) -> None:
    """Write a chart to a file whose name ends in .png or .html."""
    if path.suffix.lower() == ".html":
        path.write_text(chart_page(chart), encoding="utf-8")
    else:
        draw_chart(chart).save(path, "PNG", optimize=True)


# -- PNG -------------------------------------------------------------------------------------------


def draw_chart(chart: BarChart) -> Image.Image:
    """The chart as an RGB picture."""
    row = _ROW if chart.pictured else _LOW_ROW
    left = _MARGIN + (_PICTURE + _GAP if chart.pictured else 0)
    bars_left = left + _names_width(chart) + 2 * _GAP
    size = (bars_left + _BARS + _VALUES + _MARGIN, _HEAD + row * max(1, len(chart.bars)) + _MARGIN)
    page = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(page)
    wide = size[0] - 2 * _MARGIN
    pen.text((_MARGIN, 34), fitted(chart.title, wide, font_of(26)), INK, font_of(26))
    pen.text((_MARGIN, 70), fitted(chart.subtitle, wide, font_of(17)), FAINT, font_of(17))
    if not chart.bars:
        pen.text((_MARGIN, _HEAD + 12), "nothing to show", FAINT, font_of(20))
        return page
    zero = bars_left + round(chart.share(0) * _BARS)
    for number, bar in enumerate(chart.bars):
        top = _HEAD + number * row
        if chart.pictured:
            _place(page, pen, bar, _MARGIN, top + (row - _PICTURE) // 2)
        _name(pen, bar, left, top + row // 2)
        _bar(pen, chart, bar, bars_left, zero, top + row // 2)
    pen.line([(zero, _HEAD), (zero, _HEAD + row * len(chart.bars))], RULE, 2)
    return page


def _names_width(chart: BarChart) -> int:
    """Room for the longest name, as far as there is any."""
    names = [font_of(20).getlength(printable(bar.name)) for bar in chart.bars]
    details = [font_of(15).getlength(printable(bar.detail)) for bar in chart.bars]
    return min(_NAMES, math.ceil(max([0.0, *names, *details])))


def _place(page: Image.Image, pen: ImageDraw.ImageDraw, bar: Bar, x: int, y: int) -> None:
    """The picture, filling its square from the middle."""
    if bar.jpeg is None:
        pen.rounded_rectangle([x, y, x + _PICTURE - 1, y + _PICTURE - 1], 8, FRAME)
        return
    picture = Image.open(io.BytesIO(bar.jpeg)).convert("RGB")
    side = min(picture.size)
    corner = ((picture.width - side) // 2, (picture.height - side) // 2)
    box = (*corner, corner[0] + side, corner[1] + side)
    square = picture.resize((_PICTURE, _PICTURE), Image.Resampling.LANCZOS, box)
    mask = Image.new("L", (_PICTURE * 4, _PICTURE * 4), 0)
    ImageDraw.Draw(mask).rounded_rectangle([0, 0, _PICTURE * 4 - 1, _PICTURE * 4 - 1], 32, 255)
    page.paste(square, (x, y), mask.resize(square.size, Image.Resampling.LANCZOS))


def _name(pen: ImageDraw.ImageDraw, bar: Bar, x: int, middle: int) -> None:
    up = 12 if bar.detail else 0
    name = fitted(bar.name, _NAMES, font_of(20))
    pen.text((x, middle - up), name, INK, font_of(20), anchor="lm")
    if bar.detail:
        detail = fitted(bar.detail, _NAMES, font_of(15))
        pen.text((x, middle + 15), detail, FAINT, font_of(15), anchor="lm")


def _bar(
    pen: ImageDraw.ImageDraw, chart: BarChart, bar: Bar, left: int, zero: int, middle: int
) -> None:
    end, half = zero, 20 if chart.pictured else 14
    if bar.value is not None and math.isfinite(bar.value):
        end = left + round(chart.share(bar.value) * _BARS)
        pen.rectangle([min(zero, end), middle - half, max(zero, end), middle + half], BAR)
    ink = FAINT if bar.value is None else INK
    text = shown_value(bar.value)
    pen.text((max(end, zero) + 14, middle), text, ink, font_of(20), anchor="lm")


# -- HTML ------------------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light dark; --paper: #fafaf8; --ink: #1c1c1e; --faint: #6b6b70;
  --frame: #e8e8e4; --bar: #4a6fa5; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #18181a; --ink: #ececea; --faint: #9c9ca2; --frame: #26262a; --bar: #7fa3d8; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem; max-width: 1100px; background: var(--paper);
  color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.25rem; font-weight: 600; margin: 0; }
p { margin: 0 0 1.5rem; color: var(--faint); }
ol { list-style: none; margin: 0; padding: 0; display: grid; gap: .6rem; }
li { display: grid; grid-template-columns: minmax(8rem, 16rem) 1fr; gap: 1rem;
  align-items: center; }
.pictured li { grid-template-columns: 64px minmax(8rem, 16rem) 1fr; }
.frame { width: 64px; height: 64px; border-radius: 6px; overflow: hidden;
  background: var(--frame); }
.frame img { width: 100%; height: 100%; object-fit: cover; display: block; }
.name, .detail { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.detail { color: var(--faint); font-size: .85rem; }
.line { display: flex; align-items: center; gap: .6rem; font-variant-numeric: tabular-nums; }
.bar { background: var(--bar); height: 1.6rem; border-radius: 2px; flex: none; min-width: 1px; }
"""


def chart_page(chart: BarChart) -> str:
    """The chart as the text of an HTML page that needs no other file."""
    items = "\n".join(_item(chart, bar) for bar in chart.bars)
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(chart.title)}</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>{escaped(chart.title)}</h1><p>{escaped(chart.subtitle)}</p>\n"
        f"<ol{' class=pictured' if chart.pictured else ''}>\n{items}\n</ol>\n"
        f"{'' if chart.bars else '<p>nothing to show</p>'}</body></html>\n"
    )


def _item(chart: BarChart, bar: Bar) -> str:
    picture = ""
    if chart.pictured:
        inner = f'<img alt="" src="{data_address(bar.jpeg)}">' if bar.jpeg else ""
        picture = f'<div class="frame">{inner}</div>'
    detail = f'<div class="detail">{escaped(bar.detail)}</div>' if bar.detail else ""
    zero = chart.share(0)
    end = zero if bar.value is None else chart.share(bar.value)
    start, width = min(zero, end) * 80, abs(end - zero) * 80
    return (
        f'<li>{picture}<div><div class="name" title="{escaped(bar.name)}">{escaped(bar.name)}</div>'
        f'{detail}</div><div class="line"><span class="bar" style="margin-left:{start:.2f}%;'
        f'width:{width:.2f}%"></span>{escaped(shown_value(bar.value))}</div></li>'
    )
