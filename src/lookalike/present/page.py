"""A contact sheet as one HTML file: pictures inside, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from lookalike.types import Sheet, Tile

_STYLE = """
:root { color-scheme: light dark; --paper: #fafaf8; --ink: #1c1c1e; --faint: #6b6b70;
  --frame: #e8e8e4; --rule: #cdcdc8; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #18181a; --ink: #ececea; --faint: #9c9ca2; --frame: #26262a; --rule: #3a3a40; }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
main { display: flex; gap: 2rem; align-items: flex-start; }
main + main { margin-top: 3rem; }
section.hits { border-left: 1px solid var(--rule); padding-left: 2rem; flex: 1; min-width: 0; }
h1 { font-size: 1.05rem; font-weight: 600; margin: 0 0 .2rem; }
p.how { margin: 0 0 1rem; color: var(--faint); min-height: 1.45em; }
ul { list-style: none; margin: 0; padding: 0; display: grid; gap: 1.25rem;
  grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); }
section.inputs { flex: 0 0 200px; }
section.inputs ul { grid-template-columns: 200px; }
.frame { aspect-ratio: 1; background: var(--frame); display: grid; place-items: center;
  grid-template: minmax(0, 1fr) / minmax(0, 1fr);
  border-radius: 4px; overflow: hidden; color: var(--faint); }
.frame img { max-width: 100%; max-height: 100%; display: block; }
figure { margin: 0; min-width: 0; }
figcaption { margin-top: .4rem; }
figcaption span { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  color: var(--faint); font-size: .85rem; }
figcaption span:first-child { color: var(--ink); font-size: 1rem; }
@media (max-width: 700px) { main { flex-direction: column; }
  section.hits { border-left: 0; padding-left: 0; width: 100%; } }
"""


def write_html(sheets: Sequence[Sheet], path: Path) -> None:
    """Write sheets, one below the other, as a page that needs no other file."""
    path.write_text(page(sheets), encoding="utf-8")


def page(sheets: Sequence[Sheet]) -> str:
    """Sheets, one below the other, as the text of an HTML page."""
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>lookalike</title><style>{_STYLE}</style></head><body>\n"
        f"{''.join(_main(sheet) for sheet in sheets)}</body></html>\n"
    )


def _main(sheet: Sheet) -> str:
    many = "Inputs" if len(sheet.inputs) > 1 else "Input"
    nothing = "" if sheet.hits else "<p class=how>nothing to show</p>"
    return (
        "<main>\n"
        f'<section class="inputs"><h1>{many}</h1><p class="how"></p>'
        f"{_list(sheet.inputs)}</section>\n"
        f'<section class="hits"><h1>Most alike</h1><p class="how">{escaped(sheet.title)}</p>'
        f"{_list(sheet.hits)}{nothing}</section>\n"
        "</main>\n"
    )


def _list(tiles: Sequence[Tile]) -> str:
    return "<ul>\n" + "\n".join(_item(tile) for tile in tiles) + "\n</ul>"


def _item(tile: Tile) -> str:
    name = escaped(tile.caption[1] if len(tile.caption) > 1 else "".join(tile.caption))
    if tile.jpeg is None:
        picture = escaped(tile.instead)
    else:
        picture = f'<img alt="{name}" src="{data_address(tile.jpeg)}">'
    lines = "".join(
        f'<span title="{escaped(line)}">{escaped(line)}</span>' for line in tile.caption
    )
    return (
        f'<li><figure><div class="frame">{picture}</div>'
        f"<figcaption>{lines}</figcaption></figure></li>"
    )


def escaped(text: str) -> str:
    """Text for HTML; undecodable bytes as escapes."""
    return html.escape(text.encode("utf-8", "backslashreplace").decode())


def data_address(jpeg: bytes) -> str:
    """The address of a picture that lies in the page itself."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
