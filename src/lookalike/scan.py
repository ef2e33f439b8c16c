"""Folders to file entries: walk, tell images from the rest by name, never loop, never stop."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator

from lookalike.errors import InputError
from lookalike.types import FileEntry, PassedOver, Reason, State

IMAGE_SUFFIXES = frozenset(
    """
    .jpg .jpeg .jpe .jfif .png .webp .gif .bmp .dib .tif .tiff .avif .heic .heif .hif
    """.split()  # noqa: SIM905 (a list of strings would take a screen)
)
"""Suffixes of the formats that are decoded."""

UNDECODED_SUFFIXES = frozenset(
    """
    .cr2 .cr3 .nef .arw .dng .orf .rw2 .raf .psd .xcf .svg .jxl .jp2 .j2k .ico .tga .exr
    .hdr .pcx .ppm .pgm .pbm .pnm .eps .djvu
    """.split()  # noqa: SIM905 (a list of strings would take a screen)
)
"""Suffixes of pictures in formats that are not decoded; the ledger calls them unsupported."""

Found = FileEntry | PassedOver


def undecoded(path: str, suffix: str) -> PassedOver:
    """A picture whose suffix is one of ``UNDECODED_SUFFIXES``."""
    detail = f"{suffix} pictures are not decoded; convert to JPEG, PNG or TIFF"
    return PassedOver(path, State.UNREADABLE, Reason.UNSUPPORTED, detail)


def absolute_roots(paths: Iterable[str]) -> list[str]:
    """Absolute paths of what is to be scanned, without repeats; raises if one does not exist.

    A link to, or into, a folder that is named before it is left out: its files have their paths.
    """
    roots: dict[str, None] = {}
    real_roots: dict[str, str] = {}
    for path in paths:
        root = os.path.abspath(path)
        if not os.path.exists(root):
            raise InputError(f"{path}: no such file or folder; check the path")
        real = os.path.realpath(root)
        holders = (real_roots[r] for r in (real, *_parents(real)) if r in real_roots)
        if all(holder in (root, *_parents(root)) for holder in holders):
            roots[root] = None
            real_roots.setdefault(real, root)
    return list(roots)


def _parents(path: str) -> Iterator[str]:
    while (parent := os.path.dirname(path)) != path:
        yield parent
        path = parent


def scan(
    roots: Iterable[str], *, hidden: bool = False, is_library: Callable[[str], bool] | None = None
) -> Iterator[Found]:
    """Walk ``roots`` (absolute files or folders) and yield every file once, in a fixed order.

    Names starting with a dot are passed over unless ``hidden``. Links are followed; a folder that
    was already entered is not entered again. Folders for which ``is_library`` holds are passed
    over. A folder that cannot be listed is yielded as unreadable and the walk goes on.
    """
    roots = list(roots)
    named = {root for root in roots if not os.path.isdir(root)}
    walk = _Walk(hidden, is_library or (lambda _folder: False), named)
    for root in roots:
        if root not in named:
            yield from walk.folder(root)
        else:
            yield from walk.file(root, os.path.basename(root), named=True)


class _Walk:
    def __init__(
        self, hidden: bool, is_library: Callable[[str], bool], named: Collection[str]
    ) -> None:
        self._hidden = hidden
        self._named = named
        self._is_library = is_library
        self._entered: set[tuple[int, int]] = set()

    def folder(self, top: str) -> Iterator[Found]:
        pending = [top]
        while pending:
            folder = pending.pop()
            refusal = self._refusal(folder)
            listing = refusal or _listing(folder)
            if isinstance(listing, PassedOver):
                if folder != top or listing.reason != Reason.LINK_LOOP:  # a root within a root
                    yield listing
                continue
            folders: list[str] = []
            for entry in listing:
                yield from self._entry(entry, folders)
            pending.extend(reversed(folders))

    def _entry(self, entry: os.DirEntry[str], folders: list[str]) -> Iterator[Found]:
        """A file, or nothing for a folder, which is put aside for later."""
        if entry.path in self._named:
            return
        if entry.name.startswith(".") and not self._hidden:
            yield PassedOver(entry.path, State.SKIPPED, Reason.HIDDEN)
        elif _is_folder(entry):
            folders.append(entry.path)
        else:
            yield from self.file(entry.path, entry.name)

    def _refusal(self, folder: str) -> PassedOver | None:
        if self._is_library(folder):
            return PassedOver(folder, State.SKIPPED, Reason.LIBRARY)
        try:
            status = os.stat(folder)
        except OSError as error:
            return _unlistable(folder, error)
        identity = (status.st_dev, status.st_ino)
        if identity in self._entered:
            return PassedOver(folder, State.SKIPPED, Reason.LINK_LOOP)
        self._entered.add(identity)
        return None

    def file(self, path: str, name: str, *, named: bool = False) -> Iterator[Found]:
        suffix = os.path.splitext(name)[1].lower()
        if suffix in UNDECODED_SUFFIXES:
            yield undecoded(path, suffix)
            return
        if suffix not in IMAGE_SUFFIXES and not named:
            yield PassedOver(path, State.SKIPPED, Reason.OTHER_NAME)
            return
        try:
            status = os.stat(path)
        except FileNotFoundError:
            yield PassedOver(path, State.SKIPPED, Reason.BROKEN_LINK)
            return
        except OSError as error:
            yield _unlistable(path, error)
            return
        if not stat.S_ISREG(status.st_mode):
            yield PassedOver(path, State.SKIPPED, Reason.SPECIAL_FILE)
            return
        yield FileEntry.of(path, status)


def _listing(folder: str) -> list[os.DirEntry[str]] | PassedOver:
    try:
        with os.scandir(folder) as listing:
            return sorted(listing, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        return _unlistable(folder, error)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _unlistable(path: str, error: OSError) -> PassedOver:
    denied = isinstance(error, PermissionError)
    reason = Reason.NO_PERMISSION if denied else Reason.READ_ERROR
    return PassedOver(path, State.UNREADABLE, reason, error.strerror or str(error))
