"""What stands on a contact sheet: its title, and the lines under each picture."""

from __future__ import annotations

import os
from collections.abc import Sequence

from lookalike.types import Hit, QueryInput, SearchResult, Sheet, Tile

Pictures = Sequence[bytes | None]
"""JPEGs, None where there is none."""


def contact_sheet(result: SearchResult, inputs: Pictures, hits: Pictures) -> Sheet:
    """The sheet of a search; the pictures are in the order of its inputs and hits."""
    several = len(result.inputs) > 1
    under_hits = (_under_hit(hit, several) for hit in result.hits)
    return Sheet(
        _title(result),
        [_input(item, jpeg) for item, jpeg in zip(result.inputs, inputs, strict=True)],
        [Tile(*pair) for pair in zip(hits, under_hits, strict=True)],
    )


def _title(result: SearchResult) -> str:
    options = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in result.options.items()
    )
    how = f"by {result.method}" + (f" ({options})" if options else "")
    several = f", {result.combine} of {len(result.inputs)} inputs" if len(result.inputs) > 1 else ""
    better = "higher" if result.measure.higher_is_better else "lower"
    space = f" in {result.space}" if result.space else ""
    category = f", only {result.category}" if result.category else ""
    score = f"{result.measure.name}, {better} is more alike"
    return f"{how}{space}{category}{several} · {score}"


def _input(item: QueryInput, jpeg: bytes | None) -> Tile:
    """An input's picture, or its words in place of one."""
    if item.understood:
        return Tile(jpeg, _under_input(item), item.term)
    return Tile(jpeg, _under_input(item))


def _under_input(item: QueryInput) -> list[str]:
    """Name, folder, and the weight or the crop if there is one."""
    folder, name = os.path.split(item.path or item.term)
    notes = [] if item.weight == 1 else [f"weight {item.weight:g}"]
    if item.crop:
        notes.append("part of it")
    return [name, os.path.basename(folder), ", ".join(notes)]


def _under_hit(hit: Hit, several: bool) -> list[str]:
    """Rank and score, folder and name, the number of other places, the score per input."""
    folder, name = os.path.split(hit.paths[0] if hit.paths else str(hit.id))
    more = f" (+{len(hit.paths) - 1} more)" if len(hit.paths) > 1 else ""
    likeness = f"  {hit.likeness}" if hit.likeness else ""
    lines = [f"{hit.rank}.  {hit.score:.3f}{likeness}", f"{os.path.basename(folder)}/{name}{more}"]
    if several:
        lines.append("each: " + "  ".join(f"{score:.2f}" for score in hit.input_scores))
    return lines
