"""Labels that somebody gave: the names of folders, or a CSV file with the columns path and label.

Whatever needs labels reads them here: evaluation, and whoever stores them.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from lookalike.errors import InputError
from lookalike.places import is_remote
from lookalike.stores.labels import label_name
from lookalike.types import LIVE_STATES, LedgerRow, as_text

FOLDERS = "folders"
"""The source that labels a picture with the name of the folder in which it lies."""

COLUMNS = ("path", "label")


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One line of a CSV file: an absolute path, one label of it, and the line's number."""

    path: str
    label: str
    line: int


@dataclass(frozen=True, slots=True)
class Labels:
    """What records of a library are said to show; a record may have several labels.

    ``of`` has no record without a label. ``unknown``: paths of the source that are no readable
    picture of the library, in its order.
    """

    source: str
    of: Mapping[UUID, frozenset[str]]
    unknown: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Records of each label, the most frequent first, ties by name."""
        counted = Counter(label for labels in self.of.values() for label in labels)
        return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def labels_of(source: str | os.PathLike[str], ledger: Iterable[LedgerRow]) -> Labels:
    """The labels of a library's records, from "folders" or a CSV file (see ``read_csv``).

    ``ledger``: the library's; only files that lie there now count. A record that lies in several
    folders has their names. Raises InputError for a file that cannot be read as such, and where no
    record gets a label. Bytes of folders' names that are not UTF-8 become escapes: a label is text.
    """
    records = {
        row.path: row.record
        for row in ledger
        if row.record is not None and row.state in LIVE_STATES
    }
    source = os.fspath(source)
    if source == FOLDERS:
        pairs = [(path, as_text(os.path.basename(os.path.dirname(path)))) for path in records]
    else:
        pairs = [(row.path, row.label) for row in read_csv(source)]
    found: dict[UUID, set[str]] = {}
    unknown: dict[str, None] = {}
    for path, label in pairs:
        record = records.get(path)
        if record is None:
            unknown[path] = None
        elif label:
            found.setdefault(record, set()).add(label)
    if not found:
        raise InputError(_nothing(source, len(unknown)))
    of = {record: frozenset(labels) for record, labels in found.items()}
    return Labels(source, of, tuple(unknown))


def _nothing(source: str, unknown: int) -> str:
    if source == FOLDERS:
        return "labels folders: the library has no picture; index a folder of folders first"
    if unknown:
        return (
            f"{source}: none of its {unknown} paths is a picture of this library; relative paths"
            " start at the file's own folder"
        )
    return f"{source}: no labels below the header; add lines of path and label"


def read_csv(path: str) -> Iterator[LabelRow]:
    """The lines of a CSV file with a header that names at least the columns path and label.

    UTF-8, commas; other columns are ignored. A relative path starts at the folder of the file; a
    picture with several labels has several lines. Raises InputError for a file that cannot be read,
    a missing column, and a line without a path or label.
    """
    folder = os.path.dirname(os.path.abspath(path))
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield from _rows(path, folder, csv.reader(file))
    except OSError as error:
        raise InputError(
            f"labels {path}: cannot be read ({error.strerror}); name a CSV file, or: {FOLDERS}"
        ) from error
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file ({error}); save it as CSV in UTF-8") from error


def _shortened(text: str, shown: int = 80) -> str:
    """What a message can quote of a file that may be anything, on one line."""
    return text if len(text) <= shown else f"{text[:shown]}..."


def _below(folder: str, path: str) -> str:
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def _rows(path: str, folder: str, reader: Iterator[list[str]]) -> Iterator[LabelRow]:
    header = [name.strip().casefold() for name in next(reader, [])]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise InputError(
            f"{path}: no column {' and no column '.join(missing)} in its first line"
            f" ({_shortened(', '.join(header)) or 'empty'}); it needs: {','.join(COLUMNS)}"
        )
    places = [header.index(name) for name in COLUMNS]
    for number, cells in enumerate(reader, start=2):
        if not cells:  # an empty line
            continue
        own, label = ((cells[at].strip() if at < len(cells) else "") for at in places)
        if not own or not label:
            raise InputError(
                f"{path}: entry {number} has no {'label' if own else 'path'};"
                " every line needs both, leave out pictures without a label"
            )
        full = own if is_remote(own) else _below(folder, own)
        try:
            yield LabelRow(full, label_name(label), number)
        except InputError as error:
            raise InputError(f"{path}: entry {number}: {error}") from error
