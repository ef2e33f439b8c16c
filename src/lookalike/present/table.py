"""Results as text for a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from lookalike.types import Cell, Hit, SearchResult, printable

ROWS_ALIGNED = 1_000


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], right: str = "") -> str:
    """Rows under a header, columns padded; ``right`` has an "r" per right-aligned column."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [
            cell.rjust(width) if right[i : i + 1] == "r" else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def cells(row: Sequence[Cell]) -> list[str]:
    """A row of a user's table as text: numbers with up to six digits, null as NULL."""
    return [
        "NULL" if cell is None
        else f"{cell:.6g}" if isinstance(cell, float)
        else printable(str(cell))
        for cell in row
    ]  # fmt: skip


def aligned(header: Sequence[str], rows: Iterator[Sequence[Cell]]) -> Iterator[str]:
    """Lines of a user's rows under their header, numbers to the right, as they come.

    ``ROWS_ALIGNED`` rows are aligned with each other, so that no more are kept.
    """
    header, told = [printable(name) for name in header], False
    for some in iter(lambda: list(itertools.islice(rows, ROWS_ALIGNED)), []):
        right = "".join("r" if _are_numbers(one) else "l" for one in zip(*some, strict=True))
        lines = columns(header, [cells(row) for row in some], right).split("\n")
        yield from lines[told:]
        told = True
    if not told:
        yield columns(header, [])


def _are_numbers(values: Iterable[Cell]) -> bool:
    return all(value is None or isinstance(value, int | float) for value in values)


def hits_table(result: SearchResult) -> str:
    """The hits of a search: rank, score, how alike, scores per input, id, what it shows, paths.

    The last line says what was compared, and whether exactly.
    """
    several = len(result.inputs) > 1
    judged = any(hit.likeness for hit in result.hits)
    labelled = any(hit.label or hit.labels for hit in result.hits)
    header = ["rank", result.measure.name]
    header += [*(["alike"] if judged else []), *(["each input"] if several else []), "id"]
    header += [*(["shows"] if labelled else []), "path"]
    rows = []
    for hit in result.hits:
        likeness = [hit.likeness.value if hit.likeness else ""] if judged else []
        each = [" ".join(f"{score:.3f}" for score in hit.input_scores)] if several else []
        shows = [printable(shown(hit))] if labelled else []
        first, *others = hit.paths or ("",)
        start = [str(hit.rank), f"{hit.score:.4f}", *likeness, *each, str(hit.id), *shows]
        rows.append([*start, printable(first)])
        rows.extend([*("" for _ in start), printable(path)] for path in others)
    return f"{columns(header, rows, 'rr')}\n{compared(result)}"


def shown(hit: Hit) -> str:
    """What a picture shows and how surely, and the labels that were given to it.

    "unsure" where nothing is sure enough and no label was given.
    """
    given = ", ".join(dict.fromkeys(label.name for label in hit.labels))
    seen = f"{hit.label.name} {hit.label.confidence:.2f}" if hit.label else ""
    return " · ".join(filter(None, (given, seen))) or "unsure"


def compared(result: SearchResult) -> str:
    """What a search compared, in one line: with how many records, and whether exactly."""
    those = "1 record" if result.searched == 1 else f"{result.searched:,} records"
    if result.where is not None:
        those += " for which the condition holds"
    if result.category is not None:
        those += f" that show: {result.category}"
    if result.exact:
        return f"exact: the nearest of {those}"
    return f"nearly exact: from an index of {those}; --exact compares with every one"
