"""Folders and single files as a source."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from lookalike.config import Limits
from lookalike.decode import read
from lookalike.scan import absolute_roots, scan
from lookalike.sources.base import Supplied
from lookalike.types import FileEntry, PassedOver

ANNOUNCED = 32
"""Files that the system is told of at a time."""

ANNOUNCED_BYTES = 1_000_000
"""What of a file is asked for at most, so that large ones do not push out what others need."""


class FolderSource:
    """A Source of folders and files on disk.

    Raises InputError for a path that does not exist. ``is_library``: folders to be passed over.
    """

    def __init__(
        self,
        paths: Iterable[str],
        *,
        hidden: bool = False,
        is_library: Callable[[str], bool] | None = None,
        limits: Limits = Limits(),
    ) -> None:
        self._paths = absolute_roots(paths)
        self._hidden, self._is_library, self._limits = hidden, is_library, limits
        self.name = ", ".join(self._paths)
        self.places: Sequence[str] = self._paths
        self.roots: Sequence[str] = [path for path in self._paths if os.path.isdir(path)]

    def found(self) -> Iterator[FileEntry | PassedOver]:
        """Every file once, folder by folder."""
        return scan(self._paths, hidden=self._hidden, is_library=self._is_library)

    def supply(self, entries: Iterable[FileEntry]) -> Iterator[Supplied]:
        """The same entries; the system is told meanwhile that their files will be read soon.

        A third of the time beside encoding went into waiting for files that were not in memory.
        """
        entries = iter(entries)
        with ThreadPoolExecutor(1, "announce") as pool:
            while some := list(itertools.islice(entries, ANNOUNCED)):
                pool.submit(_announce, some)
                for entry in some:
                    yield on_disk(entry, self._limits)


def on_disk(entry: FileEntry, limits: Limits) -> Supplied:
    """A file on disk as a picture to be read."""
    return Supplied(entry, partial(read, entry.path, limits))


def _announce(entries: Sequence[FileEntry]) -> None:
    """Ask the system to read the beginnings of files ahead; nothing happens where it cannot."""
    if not hasattr(os, "posix_fadvise"):  # macOS, Windows
        return
    for entry in entries:
        with contextlib.suppress(OSError):
            file = os.open(entry.path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                os.posix_fadvise(file, 0, ANNOUNCED_BYTES, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(file)
