"""Object stores as a source, by fsspec: ``s3://bucket/folder``, ``gs://...``, ``file:///folder``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from lookalike.config import Limits
from lookalike.decode import ReadFile, too_many_bytes
from lookalike.errors import ImageError, InputError, MissingExtraError, one_line
from lookalike.scan import IMAGE_SUFFIXES, UNDECODED_SUFFIXES, undecoded
from lookalike.sources.base import Supplied
from lookalike.types import FileEntry, PassedOver, Reason, State

_CHANGED = ("mtime", "LastModified", "last_modified", "updated", "created")
"""Where file systems say when an object was written last."""

_TAGS = ("ETag", "etag", "md5Hash")


class ObjectSource:
    """A Source of pictures below places like ``s3://bucket/folder``, or single objects.

    Credentials are what the store's own client finds; none stands in a place. Raises InputError
    for a place that is not there or whose kind is not known, MissingExtraError without fsspec.
    """

    def __init__(
        self, urls: Sequence[str], *, hidden: bool = False, limits: Limits = Limits()
    ) -> None:
        self._hidden, self._limits = hidden, limits
        self._urls = list(dict.fromkeys(map(_checked, urls)))
        self.name = ", ".join(self._urls)
        self.places: Sequence[str] = self._urls
        self.roots: Sequence[str] = list(self._urls)

    def found(self) -> Iterator[FileEntry | PassedOver]:
        """Every object once, folder by folder, by name.

        A place of which a folder cannot be listed is no root: what lies there is not known to be
        gone.
        """
        self.roots = list(self._urls)
        entered: set[str] = set()
        for url in self._urls:
            system, path = filesystem(url)
            pending = [path]
            while pending:
                folder = pending.pop()
                if folder in entered:
                    continue
                entered.add(folder)
                below: list[str] = []
                yield from self._listed(system, folder, below, url)
                pending.extend(reversed(below))

    def _listed(
        self, system: Any, folder: str, below: list[str], url: str
    ) -> Iterator[FileEntry | PassedOver]:
        """What a folder has; its folders are put into ``below``."""
        try:
            infos = sorted(system.ls(folder, detail=True), key=lambda info: str(info["name"]))
        except Exception as error:  # noqa: BLE001 (each store's client has its own)
            self.roots = [root for root in self.roots if root != url]
            where = system.unstrip_protocol(folder)
            yield PassedOver(where, State.UNREADABLE, Reason.READ_ERROR, one_line(error))
            return
        for info in infos:
            path = str(info["name"]).rstrip("/")
            name = path.rsplit("/", 1)[-1]
            if path == folder.rstrip("/") and info["type"] == "directory":
                continue  # a marker that some stores keep for the folder itself
            if name.startswith(".") and not self._hidden:
                yield PassedOver(system.unstrip_protocol(path), State.SKIPPED, Reason.HIDDEN)
            elif info["type"] == "directory":
                if not info.get("islink"):  # of file://, where links might lead round
                    below.append(path)
            elif info["type"] == "other":  # a pipe or a device, of file://
                where = system.unstrip_protocol(path)
                yield PassedOver(where, State.SKIPPED, Reason.SPECIAL_FILE)
            else:
                yield _found(system.unstrip_protocol(path), name, info)

    def supply(self, entries: Iterable[FileEntry]) -> Iterator[Supplied]:
        """The objects, each fetched by who reads it."""
        for entry in entries:
            yield Supplied(entry, partial(read_object, entry, self._limits))


def _checked(url: str) -> str:
    """A place as it is kept: without a slash at its end."""
    system, path = filesystem(url)
    try:
        is_there = system.exists(path)
    except Exception as error:
        raise InputError(f"{url}: cannot be reached: {one_line(error)}") from error
    if not is_there:
        raise InputError(f"{url}: nothing lies there; check the place")
    return str(system.unstrip_protocol(path)).rstrip("/")


def filesystem(url: str) -> tuple[Any, str]:
    """The file system of a place, and the path in it; no listing of it is remembered."""
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError("an object store", "objects") from error
    try:
        system, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:  # its client is not installed; a kind not known
        raise InputError(f"{url}: {one_line(error)}") from error
    return system, str(path)


def read_object(entry: FileEntry, limits: Limits) -> ReadFile:
    """One object; raises ImageError where it cannot be had."""
    most = int(limits.megabytes * 1e6)
    try:
        system, path = filesystem(entry.path)
        now = _entry(entry.path, system.info(path))
        data = b"" if now.bytes > most else system.cat_file(path)
    except FileNotFoundError as error:
        raise ImageError(Reason.READ_ERROR, "no longer there") from error
    except PermissionError as error:
        raise ImageError(Reason.NO_PERMISSION, one_line(error)) from error
    except (InputError, MissingExtraError):
        raise
    except Exception as error:
        raise ImageError(Reason.READ_ERROR, one_line(error)) from error
    size = max(now.bytes, len(data))
    if size > most:
        raise too_many_bytes(size, limits)
    if not data:
        raise ImageError(Reason.ZERO_BYTES, "")
    return ReadFile(now, data, hashlib.sha256(data).digest())


def _found(url: str, name: str, info: Mapping[str, Any]) -> FileEntry | PassedOver:
    suffix = os.path.splitext(name)[1].lower()
    if suffix in UNDECODED_SUFFIXES:
        return undecoded(url, suffix)
    if suffix not in IMAGE_SUFFIXES:
        return PassedOver(url, State.SKIPPED, Reason.OTHER_NAME)
    return _entry(url, info)


def _entry(url: str, info: Mapping[str, Any]) -> FileEntry:
    tag = next((info[name] for name in _TAGS if info.get(name)), None)
    size = int(info.get("size") or 0)
    return FileEntry(url, size, _changed_ns(info), validator=None if tag is None else str(tag))


def _changed_ns(info: Mapping[str, Any]) -> int:
    """When an object was written last, in ns; 0 where the store does not say."""
    said = next((info[name] for name in _CHANGED if info.get(name) is not None), 0)
    if isinstance(said, str):
        try:
            said = datetime.fromisoformat(said)
        except ValueError:
            return 0
    if isinstance(said, datetime):
        said = said.timestamp()
    return int(float(said) * 1e9)
