"""Groups of duplicates as one HTML file: the best copy beside each other one, and what differs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike.present.page import data_address, escaped

_STYLE = """
:root { color-scheme: light dark; --paper: #fafaf8; --ink: #1c1c1e; --faint: #6b6b70;
  --frame: #e8e8e4; --rule: #dcdcd6; --good: #1f7a4d; --good-paper: #e3f2e9;
  --identical: #6b6b70; --re-encoded: #2f6fb3; --edited: #a8620f; --burst: #7d4bb0; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #18181a; --ink: #ececea; --faint: #9c9ca2; --frame: #26262a; --rule: #333338;
    --good: #6fd19e; --good-paper: #1d3328; --identical: #a6a6ac; --re-encoded: #82b6ee;
    --edited: #e3a95c; --burst: #c4a0ea; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem; max-width: 1500px; background: var(--paper);
  color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.35rem; font-weight: 600; margin: 0 0 .15rem; }
header p { margin: 0 0 1.5rem; color: var(--faint); }
article { display: flex; gap: 2rem; padding: 1.5rem 0; border-top: 1px solid var(--rule); }
.best { flex: 0 0 260px; }
ul { list-style: none; margin: 0; padding: 0; display: grid; gap: 1.5rem; flex: 1; min-width: 0;
  grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); align-content: start; }
figure { margin: 0; min-width: 0; }
.frame { aspect-ratio: 4 / 3; background: var(--frame); display: grid; place-items: center;
  grid-template: minmax(0, 1fr) / minmax(0, 1fr);
  border-radius: 6px; overflow: hidden; color: var(--faint); }
.frame img { max-width: 100%; max-height: 100%; display: block; }
.mark { display: flex; align-items: baseline; gap: .5rem; margin: .55rem 0 .1rem; }
.mark b { font-weight: 600; }
.mark i { font-style: normal; color: var(--faint); margin-left: auto; font-size: .85rem;
  font-variant-numeric: tabular-nums; }
.keep { color: var(--good); background: var(--good-paper); border-radius: 99px;
  padding: .05rem .6rem; font-weight: 600; font-size: .85rem; }
.dot { width: .6rem; height: .6rem; border-radius: 50%; background: currentColor; flex: none; }
.identical { color: var(--identical); } .re-encoded { color: var(--re-encoded); }
.edited { color: var(--edited); } .burst { color: var(--burst); }
.name, .folder, .what { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.folder, .what, dl { color: var(--faint); font-size: .85rem; }
.what { color: var(--ink); white-space: normal; }
dl { display: grid; grid-template-columns: auto 1fr; gap: 0 .75rem; margin: .35rem 0 0;
  font-variant-numeric: tabular-nums; }
dd { margin: 0; } dd.differs { color: var(--ink); }
code { display: block; font-size: .7rem; color: var(--faint); margin-top: .3rem; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; user-select: all; }
footer { border-top: 1px solid var(--rule); padding-top: 1rem; color: var(--faint);
  font-size: .85rem; }
@media (max-width: 700px) { body { padding: 1rem; } article { flex-direction: column; }
  .best { flex: none; width: 100%; } }
"""


@dataclass(frozen=True, slots=True)
class PairTile:
    """One picture of a group. ``facts``: name, value, and whether it differs from the best's."""

    jpeg: bytes | None
    path: str
    id: str
    relation: str | None
    similarity: float
    changes: Sequence[str]
    facts: Sequence[tuple[str, str, bool]]


def side_by_side(copy: Mapping[str, Any], best: Mapping[str, Any], jpeg: bytes | None) -> PairTile:
    """A tile from a copy's and its group's best copy's plain values, and a thumbnail."""
    own, kept = _facts(copy), _facts(best)
    facts = [(name, own[name], own[name] != kept[name]) for name in own]
    return PairTile(
        jpeg,
        copy["path"],
        copy["id"],
        copy["relation"],
        copy["similarity"],
        copy["changes"],
        facts,
    )


def _facts(copy: Mapping[str, Any]) -> dict[str, str]:
    return {
        "size": f"{copy['width']} x {copy['height']}",
        "bytes": f"{copy['bytes']:,}",
        "format": str(copy["format"]),
        "taken": (copy["taken_at"] or "unknown").replace("T", " "),
        "changed": (copy["modified"] or "unknown")[:10],
    }


def write_pairs(summary: str, groups: Iterable[Sequence[PairTile]], path: Path) -> None:
    """Write the page, group by group; it needs no other file."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(
            "<!doctype html>\n"
            '<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>lookalike duplicates</title><style>{_STYLE}</style></head><body>\n"
            f"<header><h1>Duplicates</h1><p>{escaped(summary)}</p></header>\n<main>\n"
        )
        for best, *others in groups:
            tiles = "\n".join(f"<li>{_figure(tile)}</li>" for tile in others)
            file.write(f'<article><div class="best">{_figure(best)}</div>\n')
            file.write(f"<ul>\n{tiles}\n</ul></article>\n")
        file.write(
            "</main>\n<footer>The copy to keep has the most pixels, then the most bytes, then is"
            " the oldest. Nothing was deleted. Two that are not duplicates: lookalike duplicates"
            " --not ID ID</footer>\n</body></html>\n"
        )


def _figure(tile: PairTile) -> str:
    folder, name = os.path.split(tile.path)
    picture = "no picture"
    if tile.jpeg is not None:
        source = data_address(tile.jpeg)
        picture = f'<img alt="{escaped(name)}" src="{source}" loading="lazy">'
    if tile.relation is None:
        mark = '<span class="keep">keep</span>'
    else:
        mark = (
            f'<span class="dot {tile.relation}"></span><b class="{tile.relation}">'
            f"{escaped(tile.relation)}</b><i>{tile.similarity:.3f}</i>"
        )
    facts = "".join(
        f"<dt>{key}</dt><dd{' class=differs' if differs else ''}>{escaped(value)}</dd>"
        for key, value, differs in tile.facts
    )
    what = f'<div class="what">{escaped(", ".join(tile.changes))}</div>' if tile.changes else ""
    return (
        f'<figure><div class="frame">{picture}</div><figcaption><div class="mark">{mark}</div>'
        f'{what}<div class="name" title="{escaped(tile.path)}">{escaped(name)}</div>'
        f'<div class="folder" title="{escaped(folder)}">{escaped(folder)}</div>'
        f"<dl>{facts}</dl><code>{tile.id}</code></figcaption></figure>"
    )
