"""Tables of text: a line of names, then a line a row; cells parted by tabs, commas or semicolons.

Quotation is that of CSV (RFC 4180), in files with tabs as well: the Unsplash data sets are written
so. An empty cell is null.

The standard library's reader, and no other: over 2.25 million rows of six cells it took 1.2 s and
pyarrow's 4.9 s with its conversion to Python's values (2 cores), and it can say in which line what
is wrong.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lookalike.rows.base import (
    BATCH_BYTES,
    BATCH_ROWS,
    Batch,
    Kinds,
    checked_names,
    refuse,
)
from lookalike.rows.plain import Checked, opened

if TYPE_CHECKING:
    from _csv import Reader

_END = "\0end"
"""A last line of our own: if it does not come out by itself, a quotation swallowed it."""

_AT_ONCE = 200


class DelimitedPart:
    """A TSV or CSV file. ``delimiter`` None: what its first line has most of."""

    def __init__(self, path: Path, delimiter: str | None) -> None:
        self.path = path
        self._delimiter = delimiter

    def names(self) -> tuple[str, ...]:
        with opened(self.path) as (_, text):
            reader = self._reader(text)
            return self._header(reader)

    def kinds(self, wanted: Sequence[str]) -> list[Kinds]:
        kinds = [Kinds() for _ in wanted]
        for batch in self.batches(wanted):
            for kind, values in zip(kinds, batch, strict=True):
                kind.see_texts(values)
            if all(kind.decided for kind in kinds):
                break  # what is wrong further on is found when rows are taken
        return kinds

    def batches(self, wanted: Sequence[str]) -> Iterator[Batch]:
        with opened(self.path) as (raw, text):
            reader = self._reader(text)
            names = self._header(reader)
            places = [names.index(name) for name in wanted]
            for rows in self._rows(reader, raw, len(names)):
                columns = list(zip(*rows, strict=True))
                yield [_cells(columns[place]) for place in places]

    def _reader(self, text: Iterator[str]) -> Reader:
        first = next(text, "")
        if not first.strip():
            refuse(self.path, "is empty", "a table begins with a line of its columns' names")
        delimiter = self._delimiter or max(",\t;", key=first.count)
        return csv.reader(itertools.chain([first], text, [_END]), delimiter=delimiter)

    def _header(self, reader: Reader) -> tuple[str, ...]:
        try:
            return checked_names(self.path, [name.strip() for name in next(reader)])
        except csv.Error as error:
            self._refuse(reader, error)

    def _rows(self, reader: Reader, raw: Checked, width: int) -> Iterator[list[list[str]]]:
        """Rows of equal length; blank lines are left out."""
        rows: list[list[str]] = [[]]
        while rows[-1:] != [[_END]]:
            line, rows = reader.line_num + 1, []
            for some in self._some(reader, raw):
                rows += some
            whole = rows if rows[-1:] != [[_END]] else rows[:-1]
            if any(len(row) != width for row in whole):
                self._check_widths(whole, line, width)
                whole = [row for row in whole if row]
            if whole:
                yield whole

    def _some(self, reader: Reader, raw: Checked) -> Iterator[list[list[str]]]:
        """The rows of a batch; the file's end is a row of its own."""
        position = raw.position
        for _ in range(BATCH_ROWS // _AT_ONCE):
            try:
                rows = list(itertools.islice(reader, _AT_ONCE))
            except csv.Error as error:
                self._refuse(reader, error)
            yield rows
            if rows[-1:] == [[_END]] or raw.position - position > BATCH_BYTES:
                return
            if len(rows) < _AT_ONCE:
                problem = "a quotation mark opens a cell and none closes it"
                refuse(self.path, problem, "close it, or double the mark and quote the cell")

    def _check_widths(self, rows: Sequence[Sequence[str]], line: int, width: int) -> None:
        for row in rows:
            if row and len(row) != width:
                cells = f"line {line:,} has {len(row)} cells and the first line {width}"
                refuse(self.path, cells, "mend or remove it")
            line += 1 + sum(cell.count("\n") for cell in row)

    def _refuse(self, reader: Reader, error: csv.Error) -> NoReturn:
        what = str(error)
        if "field limit" in what:
            what = f"a cell of more than {csv.field_size_limit():,} characters"
        problem = f"line {reader.line_num:,}: {what}"
        refuse(self.path, problem, "shorten it, or close the quotation that opens it")


def _cells(texts: Sequence[str]) -> Sequence[str | None]:
    """Empty cells are null."""
    return [text or None for text in texts] if "" in texts else texts
