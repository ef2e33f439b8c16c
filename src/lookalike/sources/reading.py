"""Known pictures read once more, wherever they lie."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from enum import Enum, auto

from lookalike.config import Fetching, Limits
from lookalike.decode import ReadFile, read
from lookalike.errors import ImageError
from lookalike.places import in_archive, is_object, is_url
from lookalike.sources.base import Supplied
from lookalike.types import FileEntry, Reason


def read_again(
    entry: FileEntry,
    limits: Limits = Limits(),
    *,
    kept: str | None = None,
    download: bool = False,
) -> ReadFile:
    """A picture from its path: a file, a member of an archive, an object of a store, a URL.

    ``kept``: the path of its kept original, which is read instead; ``download``: whether a URL is
    asked for otherwise. Raises ImageError where the picture cannot be had now.
    """
    if kept is not None:
        return replace(read(kept, limits), entry=entry)
    if is_url(entry.path):
        if not download:
            raise ImageError(Reason.READ_ERROR, "not kept; index with --keep-originals")
        from lookalike.sources.urls import fetch_again  # searches go without an HTTP client

        return fetch_again(entry, limits)
    if is_object(entry.path):
        from lookalike.sources.objects import read_object

        return read_object(entry, limits)
    if member := in_archive(entry.path):
        from lookalike.sources.shards import read_member

        return read_member(entry if entry.mtime_ns else _as_it_is(entry, member[0]), limits)
    return read(entry.path, limits)


def _as_it_is(entry: FileEntry, archive: str) -> FileEntry:
    """A member of which nothing was known before."""
    try:
        return replace(entry, mtime_ns=FileEntry.of(archive, os.stat(archive)).mtime_ns)
    except OSError as error:
        raise ImageError(Reason.READ_ERROR, error.strerror or str(error)) from error


def supply_again(
    entries: Iterable[FileEntry],
    limits: Limits,
    kept: Callable[[FileEntry], str | None],
    fetching: Fetching = Fetching(),
) -> Iterator[Supplied | None]:
    """The same for many: those that follow each other in an archive, or on the web, together."""
    ways = ((entry, kept(entry)) for entry in entries)
    for way, group in itertools.groupby(ways, key=lambda one: _way(*one)):
        if way is _Way.WEB:
            from lookalike.sources.urls import supply_again as supply_urls

            yield from supply_urls((entry for entry, _ in group), limits, fetching)
        elif way is _Way.ARCHIVE:
            from lookalike.sources.shards import read_members

            yield from read_members((entry for entry, _ in group), limits)
        else:
            yield from (_here(entry, original, limits) for entry, original in group)


class _Way(Enum):
    DISK = auto()
    ARCHIVE = auto()
    WEB = auto()


def _way(entry: FileEntry, kept: str | None) -> _Way:
    if kept is not None:
        return _Way.DISK
    if is_url(entry.path):
        return _Way.WEB
    return _Way.ARCHIVE if in_archive(entry.path) else _Way.DISK


def _here(entry: FileEntry, kept: str | None, limits: Limits) -> Supplied:
    if kept is None:
        return Supplied(entry, lambda: read_again(entry, limits))
    return Supplied(entry, lambda: replace(read(kept, limits), entry=entry))
