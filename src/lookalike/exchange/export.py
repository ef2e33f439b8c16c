"""The main path of an export: a place is checked, everything written beside it, and renamed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lookalike.conditions import Condition
from lookalike.errors import InputError, StorageError
from lookalike.exchange.arrays import IDS, SPACE, VECTORS, write_arrays
from lookalike.exchange.card import card
from lookalike.exchange.clip_retrieval import write_clip_retrieval
from lookalike.exchange.columns import schema_of
from lookalike.exchange.parquet import write_file, write_parts
from lookalike.exchange.photos import CONVERSIONS, PHOTOS, Conversion, write_photos
from lookalike.exchange.selection import ExportOptions, Selection
from lookalike.exchange.table import write_csv
from lookalike.rows.parquet import arrow
from lookalike.sql import Statement
from lookalike.stores import Store
from lookalike.types import Space
from lookalike.writing import check_folder, whole_folder, write_whole

FORMS = ("parquet", "npy", "csv", "photos", "clip-retrieval")

_BY_FILES = ("photos", "clip-retrieval")
"""Forms whose rows are files: they tell them by their paths."""

_QUOTE = '"'

CARD, DATA = "README.md", "data"

_OWN = {
    "parquet": {CARD, DATA},
    "npy": {VECTORS, IDS, SPACE},
    "photos": {PHOTOS, CONVERSIONS},
    "clip-retrieval": {"img_emb", "metadata"},
}
"""Names in a folder of each form."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written: a file or a folder, how many rows, of records or of files."""

    path: Path
    rows: int
    by: str
    bytes: int


def is_file(form: str, out: Path) -> bool:
    """Whether an export is one file; else it is a folder."""
    return form == "csv" or (form == "parquet" and out.suffix.lower() == ".parquet")


def check_out(form: str, out: Path, library: Path | None, store: Store) -> None:
    """Raise, before minutes of work, for a place where an export cannot or must not go.

    InputError for a place in the library, a picture of it, and a folder with other things in it;
    MissingExtraError where PyArrow is needed and not there.
    """
    _require_form(form)
    place = os.path.realpath(out)
    if library is not None and _overlap(os.path.realpath(library), place):
        raise InputError(
            f"{out}: is or holds the library itself; name another place for the export"
        )
    if any(map(store.reads_path, {os.path.abspath(out), place})):
        raise InputError(
            f"{out}: is a picture of the library, which is only read; name another place"
        )
    if is_file(form, out):
        if out.exists() and not out.is_file():
            raise InputError(f"{out}: is no regular file; name another place for the export")
    else:
        _check_contents(form, out)


def _overlap(one: str, other: str) -> bool:
    """Whether one of two real paths is the other, or lies in it."""
    return os.path.commonpath([one, other]) in (one, other)


def _require_form(form: str) -> None:
    if form not in FORMS:
        raise InputError(f"form {form!r}: not known; use one of: {', '.join(FORMS)}")
    if form not in ("csv", "npy"):
        arrow()


def _check_contents(form: str, out: Path) -> None:
    check_folder(out, _OWN[form], "export")
    for below in sorted(out.glob("*/*")):
        if form not in ("parquet", "clip-retrieval") or below.suffix not in (".parquet", ".npy"):
            raise InputError(f"{below}: belongs to no earlier export; name another folder")


def from_store(
    store: Store,
    library: Path | None,
    space: Space,
    where: Condition | None,
    form: str,
    out: Path,
    options: ExportOptions | None,
) -> ExportReport:
    """Export the records of a store's space for which a condition holds."""
    check_out(form, out, library, store)
    options = options or ExportOptions()
    if form in _BY_FILES:
        options = replace(options, by="files")
    return export(Selection(store, space, where, options), form, out, _conversions(form, store))


def _conversions(form: str, store: Store) -> Iterator[Conversion] | None:
    """Rows of the side table of this name, read late, where it is wanted and there."""
    tables = store.side_tables() if form == "photos" else []
    table = next((one for one in tables if one.name.casefold() == "conversions"), None)
    if table is None:
        return None
    keyword = table.column("keyword")
    if keyword is None:
        raise InputError(
            f"table {table.name}: has no column keyword, which conversions.parquet has; add the"
            " table anew with it"
        )

    names = (f'"{name.replace(_QUOTE, 2 * _QUOTE)}"' for name in (table.key, keyword.name))
    text = f'SELECT {", ".join(names)} FROM "{table.name}"'  # noqa: S608 (quoted; it only reads)

    def rows() -> Iterator[Conversion]:
        for photo, word in store.sql(Statement(text, store.dialect)):
            yield str(photo), None if word is None else str(word)

    return rows()


def export(
    selection: Selection, form: str, out: Path, conversions: Iterable[Conversion] | None = None
) -> ExportReport:
    """Write a selection whole or not at all; the place was checked by ``check_out``.

    Raises StorageError where it cannot be written, and leaves then what was there before.
    """
    try:
        if is_file(form, out):
            write = write_csv if form == "csv" else write_file
            write_whole(out, lambda file: write(selection, file))
        else:
            with whole_folder(out) as made:
                _folder_writer(form, out.name, conversions)(selection, made)
    except OSError as error:
        why = error.strerror or str(error)
        raise StorageError(
            f"{out}: the export cannot be written ({why}); name another place"
        ) from error
    return ExportReport(out, selection.count, selection.by, _size(out))


def _folder_writer(
    form: str, name: str, conversions: Iterable[Conversion] | None
) -> Callable[[Selection, Path], object]:
    if form == "photos":
        return lambda selection, folder: write_photos(selection, folder, conversions)
    if form == "parquet":
        return lambda selection, folder: _write_data_set(selection, folder, name)
    return {"npy": write_arrays, "clip-retrieval": write_clip_retrieval}[form]


def _write_data_set(selection: Selection, folder: Path, name: str) -> None:
    (folder / DATA).mkdir()
    write_parts(selection, folder / DATA)
    (folder / CARD).write_text(card(selection, name, schema_of(selection)), encoding="utf-8")


def _size(out: Path) -> int:
    files = [out] if out.is_file() else [path for path in out.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)
