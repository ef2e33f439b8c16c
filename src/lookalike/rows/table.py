"""A table of one file or several parts."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from lookalike.errors import InputError
from lookalike.rows.base import Batch, Kinds, Part, as_kind, refuse
from lookalike.rows.delimited import DelimitedPart
from lookalike.rows.jsonlines import JsonPart
from lookalike.rows.parquet import ParquetPart
from lookalike.rows.plain import COMPRESSED
from lookalike.types import Column, ColumnKind

_FORMATS: dict[str, Callable[[Path], Part]] = {
    "tsv": lambda path: DelimitedPart(path, "\t"),
    "tab": lambda path: DelimitedPart(path, "\t"),
    "csv": lambda path: DelimitedPart(path, None),
    "jsonl": JsonPart,
    "ndjson": JsonPart,
    "parquet": ParquetPart,
}
_SUFFIX = re.compile(rf".*\.({'|'.join(_FORMATS)})[._-]?[0-9]*", re.IGNORECASE)


class Table:
    """Rows that lie in one file or several.

    Nothing is read before it is asked for, and never more than a batch is kept. ``columns`` goes
    through all rows once, ``batches`` once more. Raises InputError, in one line that names file and
    line, for what cannot be read.
    """

    def __init__(self, parts: Sequence[Part], *, kept_as_text: Sequence[str] = ()) -> None:
        self._parts = parts
        self._kept_as_text = kept_as_text

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, in their order."""
        return tuple(part.path for part in self._parts)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns. Of JSON lines all rows are read for it."""
        first, *others = self._parts
        names = first.names()
        for part in others:
            own = part.names()
            if isinstance(part, JsonPart) and isinstance(first, JsonPart):
                names = (*names, *(name for name in own if name not in names))
            elif own != names:
                refuse(
                    part.path, _difference(own, names, first.path), "parts have the same columns"
                )
        return names

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Names and kinds; all rows are read to find what kind fits them all."""
        return self.kinds_of(self.names)

    def kinds_of(self, names: Sequence[str]) -> tuple[Column, ...]:
        """The same for some of the columns."""
        self.check_names(names)
        wanted = [name for name in names if name not in self._kept_as_text]
        kinds = {name: Kinds() for name in wanted}
        for part in self._parts:
            own = [name for name in wanted if name in part.names()]
            for name, kind in zip(own, part.kinds(own), strict=True):
                kinds[name].add(kind)
        return tuple(Column(name, kinds.get(name, Kinds()).kind) for name in names)

    def check_names(self, names: Sequence[str]) -> None:
        """Raise InputError if one of these is no column."""
        for name in names:
            if name not in self.names:
                problem = f"no column {name!r}"
                refuse(self.paths[0], problem, f"columns are {', '.join(self.names)}")

    def batches(self, columns: Sequence[Column] | None = None) -> Iterator[Batch]:
        """All rows, some at a time, each column's values of its kind or None."""
        columns = self.columns if columns is None else columns
        for part in self._parts:
            for batch in self._of(part, [column.name for column in columns]):
                try:
                    cells = [
                        as_kind(values, column.kind)
                        for values, column in zip(batch, columns, strict=True)
                    ]
                except (ValueError, OverflowError) as error:
                    refuse(part.path, f"changed while it was read ({error})", "try again")
                yield cells

    def texts(self, names: Sequence[str]) -> Iterator[list[Sequence[str | None]]]:
        """All rows of some columns as text, without a look at their kinds: one pass."""
        columns = [Column(name, ColumnKind.TEXT) for name in names]
        self.check_names(names)
        yield from self.batches(columns)  # type: ignore[misc]

    def _of(self, part: Part, names: Sequence[str]) -> Iterator[Batch]:
        """A part's batches; a column that it does not have is null."""
        own = part.names()
        have = [name for name in names if name in own]
        for batch in part.batches(have):
            of = dict(zip(have, batch, strict=True))
            nothing = [None] * len(batch[0]) if batch else []
            yield [of.get(name, nothing) for name in names]


def open_table(patterns: Sequence[str | os.PathLike[str]], *, texts: Sequence[str] = ()) -> Table:
    """The table that lies in files: paths, or patterns of them (``conversions.tsv*``).

    A pattern's files are in the order of their names. The format is told by the suffix: ``.tsv``,
    ``.csv`` (tabs, commas or semicolons), ``.jsonl``, ``.ndjson``, ``.parquet``, with a part's
    number behind it or without; all but Parquet may be compressed (``.gz``, ``.bz2``, ``.xz``).
    ``texts``: columns that are text whatever they look like. Raises InputError for what is not
    there or no table.
    """
    paths: dict[str, Path] = {}
    for pattern in patterns:
        for found in _matching(os.path.expanduser(os.fspath(pattern))):
            paths.setdefault(os.path.realpath(found), Path(found))
    if not paths:
        raise InputError("no table is named; give a file or a pattern, like conversions.tsv*")
    return Table([_part(path) for path in paths.values()], kept_as_text=texts)


def _matching(pattern: str) -> list[str]:
    if os.path.lexists(pattern):
        return [pattern]
    if not glob.has_magic(pattern):
        raise InputError(f"{pattern}: no such file; check the path")
    found = sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise InputError(f"{pattern}: no file fits this pattern; check it")
    return found


def _part(path: Path) -> Part:
    if path.is_dir():
        refuse(path, "is a folder", "name the files in it, like FOLDER/*.tsv")
    if not path.is_file():
        refuse(path, "is no regular file", "save the table as a file first")
    compressed = path.suffix.lower() in COMPRESSED
    match = _SUFFIX.fullmatch(path.stem if compressed else path.name)
    if match is None or (compressed and match[1].lower() == "parquet"):
        known = ", ".join(f".{name}" for name in _FORMATS)
        refuse(path, "its name says no format of a table", f"let it end in one of {known}")
    return _FORMATS[match[1].lower()](path)


def _difference(own: Sequence[str], names: Sequence[str], first: Path) -> str:
    lacking = [name for name in names if name not in own]
    further = [name for name in own if name not in names]
    parts = [f"has no column {lacking[0]!r}"] if lacking else []
    parts += [f"has a column {further[0]!r}"] if further else []
    return f"{' and '.join(parts) or 'has its columns in another order'}, unlike {first}"
