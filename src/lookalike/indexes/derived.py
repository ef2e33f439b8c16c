"""Files that can be made anew at any time: written under another name, synced, renamed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.stores.base import VectorTable
from lookalike.types import IdArray

DAMAGED = (
    OSError, ValueError, LookupError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error,
    tokenize.TokenError, SyntaxError,  # a header that is no longer Python's notation
    RuntimeError,  # a ZIP entry that says it is encrypted, or packed in an unknown way
)  # fmt: skip
"""What reading a missing or damaged file raises; it is then made anew."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a cache over a table stands.

    ``made``: the table's first rows for which it was made; ``left``: whether anything lies there,
    fitting or not; ``tail``: so many further rows do no harm; ``least``: of fewer none is made.
    """

    rows: int
    made: int
    left: bool
    tail: int = 0
    least: int = 1


class DerivedFolder:
    """A folder of caches. Deleting it is always safe; if it cannot be written nothing is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, name: str, write: Callable[[Path], None], older: str = "") -> bool:
        """Write a file whole or not at all, then remove those that match ``older``.

        Returns whether it is there now: a cache that cannot be written costs time, not answers.
        """
        temporary = self.folder / f".{name}.{os.getpid()}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                write(temporary)
                with open(temporary, "rb") as written:
                    os.fsync(written.fileno())
                os.replace(temporary, self.folder / name)
            finally:
                temporary.unlink(missing_ok=True)
            for path in self.folder.glob(older) if older else ():
                if path.name != name:
                    path.unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def keep_array(self, name: str, array: NDArray[Any], older: str = "") -> bool:
        """``keep`` for one array."""
        return self.keep(name, array_writer(array), older)

    def array(self, name: str) -> NDArray[Any]:
        """An array, mapped from disk; raises one of DAMAGED."""
        mapped: NDArray[Any] = np.load(self.folder / name, mmap_mode="r", allow_pickle=False)
        return mapped

    # A set of files has one stem, VERSION-ROWS-...-MADE_FOR, and stands for a table's first rows.

    def keep_set(self, stem: str, files: Mapping[str, Callable[[Path], None]]) -> bool:
        """``keep`` files STEM.NAME in their order, and then no other set, of whatever version.

        The last one makes the set count. Returns whether all are there.
        """
        if not all(self.keep(f"{stem}.{name}", write) for name, write in files.items()):
            return False
        with contextlib.suppress(OSError):
            for path in self.folder.glob("v*-*"):
                if not path.name.startswith(f"{stem}."):
                    path.unlink(missing_ok=True)
        return True

    def left(self) -> bool:
        """Whether there are files of any set."""
        return next(self.folder.glob("v*-*"), None) is not None

    def sets(
        self, version: str, last: str, rows: int, made_for: Callable[[int], str]
    ) -> Iterator[tuple[str, int]]:
        """Stems of sets made for the first of ``rows`` rows, and for how many; the most first.

        ``last`` is the name that makes a set count; ``made_for`` gives the end of the stem of one
        for so many rows.
        """
        found = [
            path.name.removesuffix(f".{last}") for path in self.folder.glob(f"{version}-*.{last}")
        ]
        for stem in sorted(found, key=_rows_of, reverse=True):
            own = _rows_of(stem)
            if 0 < own <= rows and stem.rpartition("-")[2] == made_for(own):
                yield stem, own


def _rows_of(stem: str) -> int:
    return int(stem.split("-")[1])


def array_writer(array: NDArray[Any]) -> Callable[[Path], None]:
    """What writes an array to a path, for ``keep`` and ``keep_set``."""

    def write(path: Path) -> None:
        with open(path, "wb") as file:
            np.save(file, array, allow_pickle=False)

    return write


_SAMPLE = 16
"""Vectors by which a table of the same records in another space is told apart."""


def table_digest(table: VectorTable, rows: int) -> str:
    """What depends on the first rows of a table: ids, and vectors, as a model may change."""
    return digest(table.ids[:rows], table.vectors(np.arange(min(rows, _SAMPLE))))


def digest(ids: IdArray, *further: NDArray[Any]) -> str:
    """What rows, and ``further`` numbers, a file was made for, as part of its name."""
    found = hashlib.sha256(np.ascontiguousarray(ids).data)
    for array in further:
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:16]
