"""Why two pictures are alike, as PNG or HTML: the telling parts bright, the rest dimmed."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from lookalike.present.page import data_address, escaped
from lookalike.present.sheet import FAINT, FRAME, INK, PAPER, RULE, fitted, font_of
from lookalike.types import Likeness, SharedColour, Why, WhySide

SIDE = 560
"""Pixels of a picture's longest side on a PNG."""

_MARGIN, _GAP, _BAR = 36, 32, 34
_DIMMED, _DARK = 0.12, 0.42
"""Saturation and brightness that are left of what is not marked."""

_LINE_DARK = 0.65
_LEAST_LABEL = 46
"""Pixels below which a part of a bar has no number in it."""


# -- the picture -----------------------------------------------------------------------------------


def highlighted(side: WhySide) -> Image.Image:
    """The picture to fit ``SIDE``, what is not marked dark and nearly grey, a thin line between.

    The whole picture in its colours if nothing is marked, or all of it.
    """
    picture = _scaled(Image.open(io.BytesIO(side.jpeg)).convert("RGB"))
    if not side.boxes or side.marked.all():
        return picture
    grey = np.asarray(picture.convert("L"), np.float32)[..., None]
    pixels = np.asarray(picture, np.float32)
    dimmed = (grey + (pixels - grey) * _DIMMED) * _DARK
    mask = _mask(side, picture.size)
    bright = np.asarray(mask.filter(ImageFilter.GaussianBlur(1.2)), np.float32)[..., None] / 255
    shown = dimmed + (pixels - dimmed) * bright
    return Image.fromarray(_outlined(shown, mask).astype(np.uint8))


def _mask(side: WhySide, size: tuple[int, int]) -> Image.Image:
    """What is marked, at the picture's size, its outline as smooth as the map: 0 or 255."""
    level = float(side.relevance[side.marked].min())
    smooth = Image.fromarray(side.relevance).resize(size, Image.Resampling.BICUBIC)
    # Places that reach the level and are not marked are specks: they, too, stay dim.
    near = Image.fromarray(side.marked.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(3))
    kept = np.asarray(near.resize(size, Image.Resampling.BILINEAR)) > 127
    return Image.fromarray(np.where((np.asarray(smooth) >= level) & kept, 255, 0).astype(np.uint8))


def _outlined(pixels: np.ndarray, mask: Image.Image) -> np.ndarray:
    """A white line around the mask, with a dark one outside it, that is seen on any ground."""
    out = pixels
    for width, grey, strength in ((7, 0, _LINE_DARK), (5, 255, 0.95)):
        edge = ImageChops.difference(mask.filter(ImageFilter.MaxFilter(width)), mask)
        soft = edge.filter(ImageFilter.GaussianBlur(0.6))
        alpha = np.asarray(soft, np.float32)[..., None] / 255 * strength
        out = out + (grey - out) * alpha
    return np.asarray(np.clip(out + 0.5, 0, 255))


# -- PNG -------------------------------------------------------------------------------------------


def write_why_png(why: Why, path: Path) -> None:
    """Draw the answer and write it."""
    buffer = io.BytesIO()
    draw_why(why).save(buffer, "PNG", compress_level=1)
    path.write_bytes(buffer.getvalue())


def draw_why(why: Why) -> Image.Image:
    """The answer as an RGB picture: title, both pictures, the colours that they share."""
    pictures = [highlighted(side) for side in (why.query, why.hit)]
    high = max(picture.height for picture in pictures)
    top = _MARGIN + 74
    below = top + high + 88
    page = Image.new("RGB", (2 * _MARGIN + _GAP + 2 * SIDE, below + _BAR + 44 + _MARGIN), PAPER)
    pen = ImageDraw.Draw(page)
    wide = page.width - 2 * _MARGIN
    pen.text((_MARGIN, _MARGIN - 8), fitted(_title(why), wide, font_of(24)), INK, font_of(24))
    pen.text((_MARGIN, _MARGIN + 28), fitted(_verdict(why), wide, font_of(15)), FAINT, font_of(15))
    pen.text((_MARGIN, below - 12), fitted(_colours(why), wide, font_of(15)), INK, font_of(15))
    for number, (side, picture) in enumerate(zip((why.query, why.hit), pictures, strict=True)):
        left = _MARGIN + number * (SIDE + _GAP)
        pen.rectangle([left, top, left + SIDE - 1, top + high - 1], FRAME)
        page.paste(
            picture, (left + (SIDE - picture.width) // 2, top + (high - picture.height) // 2)
        )
        for line, text in enumerate(_captions(side)):
            font = font_of(15 if line == 0 else 13)
            pen.text(
                (left, top + high + 8 + 22 * line),
                fitted(text, SIDE, font),
                FAINT if line else INK,
                font,
            )
        _bar(pen, why.colours, number == 0, (left, below + 16))
    return page


def _scaled(picture: Image.Image) -> Image.Image:
    """To fit a square of SIDE; small pictures are enlarged, at most eightfold."""
    times = min(SIDE / max(picture.size), 8.0)
    size = (max(1, round(picture.width * times)), max(1, round(picture.height * times)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _bar(
    pen: ImageDraw.ImageDraw,
    colours: tuple[SharedColour, ...],
    of_query: bool,
    place: tuple[int, int],
) -> None:
    """A picture's area as a bar: the shared colours as wide as their shares, then the rest."""
    left, top = place
    pen.rectangle([left, top, left + SIDE - 1, top + _BAR - 1], FRAME)
    at, told = float(left), 0.0
    for colour in colours:
        share = colour.in_query if of_query else colour.in_hit
        end = at + share * SIDE
        pen.rectangle([round(at), top, max(round(at), round(end) - 1), top + _BAR - 1], colour.rgb)
        if end - at >= _LEAST_LABEL:
            pen.text((round(at), top + _BAR + 6), f"{share:.0%}", INK, font_of(13))
        at, told = end, told + share
    pen.rectangle([left, top, left + SIDE - 1, top + _BAR - 1], outline=RULE)
    rest = left + SIDE - at
    if rest >= _LEAST_LABEL + 90:
        pen.text((round(at) + 10, top + 9), f"other colours {1 - told:.0%}", FAINT, font_of(13))


# -- HTML ------------------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light dark; --paper: #fafaf8; --ink: #1c1c1e; --faint: #6b6b70;
  --frame: #e8e8e4; --rule: #cdcdc8; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #18181a; --ink: #ececea; --faint: #9c9ca2; --frame: #26262a;
    --rule: #3a3a40; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem; max-width: 1300px; background: var(--paper);
  color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; font-weight: 600; margin: 0; }
h2 { font-size: 1rem; font-weight: 600; margin: 2rem 0 0; }
p { margin: .2rem 0 1.25rem; color: var(--faint); }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 2rem; }
figure { margin: 0; min-width: 0; }
.frame { background: var(--frame); border-radius: 6px; overflow: hidden; display: grid;
  place-items: center; height: min(62vh, 560px); grid-template: minmax(0, 1fr) / minmax(0, 1fr); }
.frame img { grid-area: 1 / 1; width: 100%; height: 100%; object-fit: contain; min-height: 0; }
.frame img.plain { opacity: 0; transition: opacity .2s; }
.frame:hover img.plain, .frame:focus img.plain { opacity: 1; }
figcaption span { display: block; color: var(--faint); font-size: .9rem; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }
figcaption span:first-child { color: var(--ink); font-size: 1rem; margin-top: .5rem; }
.bar { display: flex; height: 2.2rem; border-radius: 4px; overflow: hidden; margin-top: .75rem;
  background: var(--frame); outline: 1px solid var(--rule); }
.shares { display: flex; font-size: .85rem; color: var(--faint); margin-top: .25rem;
  font-variant-numeric: tabular-nums; }
.shares span { overflow: hidden; white-space: nowrap; }
@media (max-width: 700px) { body { padding: 1rem; } .pair { grid-template-columns: 1fr; } }
"""


def write_why_html(why: Why, path: Path) -> None:
    """Write the answer as a page that needs no other file."""
    path.write_text(why_page(why), encoding="utf-8")


def why_page(why: Why) -> str:
    """The answer as the text of an HTML page; the pointer over a picture shows it undimmed."""
    sides = (why.query, why.hit)
    figures = "".join(_figure(side) for side in sides)
    bars = "".join(_html_bar(why.colours, of_query) for of_query in (True, False))
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>lookalike why</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>{escaped(_title(why))}</h1><p>{escaped(_verdict(why))}</p>\n"
        f'<div class="pair">{figures}</div>\n'
        f'<h2>{escaped(_colours(why))}</h2>\n<div class="pair">{bars}</div>\n</body></html>\n'
    )


def _figure(side: WhySide) -> str:
    lines = "".join(
        f'<span title="{escaped(line)}">{escaped(line)}</span>' for line in _captions(side)
    )
    name = escaped(_captions(side)[0])
    plain = f'<img class="plain" alt="" src="{data_address(side.jpeg)}">' if side.boxes else ""
    shown = data_address(_as_jpeg(highlighted(side)))
    return (
        f'<figure><div class="frame" tabindex="0"><img alt="{name}" src="{shown}">{plain}</div>'
        f"<figcaption>{lines}</figcaption></figure>\n"
    )


def _as_jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _html_bar(colours: tuple[SharedColour, ...], of_query: bool) -> str:
    shares = [(one, one.in_query if of_query else one.in_hit) for one in colours]
    parts = "".join(
        f'<div style="width:{share:.2%};background:rgb{one.rgb}" title="{share:.0%}"></div>'
        for one, share in shares
    )
    numbers = "".join(
        f'<span style="width:{share:.2%}">{f"{share:.0%}" if share >= 0.06 else ""}</span>'
        for _, share in shares
    )
    rest = 1 - sum(share for _, share in shares)
    other = f"<span>other {rest:.0%}</span>" if rest >= 0.15 else ""
    return f'<div><div class="bar">{parts}</div><div class="shares">{numbers}{other}</div></div>\n'


# -- words -----------------------------------------------------------------------------------------


_JUDGED = {
    Likeness.LIKELY: "Likely alike",
    Likeness.MAYBE: "Maybe alike",
    Likeness.UNLIKELY: "Hardly alike",
    None: "How alike?",
}
"""None: the library is too small to say."""


def _title(why: Why) -> str:
    judged = _JUDGED[why.likeness]
    if why.same:
        judged = "The same picture"
    return f"{judged} · cosine {why.score:.3f}"


def _verdict(why: Why) -> str:
    return f"{why.verdict.capitalize()} (by {why.space})"


def _colours(why: Why) -> str:
    told = "Colours of both" if why.colours else "No colour fills a hundredth of both"
    share = ", with their share of each" if why.colours else ""
    return f"{told}{share} · intersection of the histograms {why.overlap:.2f}"


def _captions(side: WhySide) -> list[str]:
    """Name, folder, and what hiding the marked parts does."""
    folder, name = os.path.split(side.path or side.name)
    notes = [os.path.basename(folder)] if folder else []
    if side.crop:
        notes.append("part of it")
    if side.from_thumbnail:
        notes.append(f"from the thumbnail: {side.from_thumbnail}")
    told = f"without the bright parts the score falls by {side.fall:.2f}" if side.fall else ""
    return [name, " · ".join(note for note in (*notes, told) if note)]
