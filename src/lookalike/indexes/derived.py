"""Files that can be made anew at any time: written under another name, synced, renamed."""

from __future__ import annotations

import hashlib
import os
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.types import IdArray

DAMAGED = (
    OSError, ValueError, LookupError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error,
    tokenize.TokenError, SyntaxError,  # a header that is no longer Python's notation
    RuntimeError,  # a ZIP entry that says it is encrypted, or packed in an unknown way
)  # fmt: skip
"""What reading a missing or damaged file raises; it is then made anew."""


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

        def write(path: Path) -> None:
            with open(path, "wb") as file:
                np.save(file, array, allow_pickle=False)

        return self.keep(name, write, older)

    def array(self, name: str) -> NDArray[Any]:
        """An array, mapped from disk; raises one of DAMAGED."""
        mapped: NDArray[Any] = np.load(self.folder / name, mmap_mode="r", allow_pickle=False)
        return mapped


def digest(ids: IdArray, *further: NDArray[Any]) -> str:
    """What rows, and ``further`` numbers, a file was made for, as part of its name."""
    found = hashlib.sha256(np.ascontiguousarray(ids).data)
    for array in further:
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:16]
