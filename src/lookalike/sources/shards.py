"""Tar archives of pictures as a source, as webdataset has them; nothing is unpacked to disk."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import tarfile
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NoReturn

from lookalike.config import Limits
from lookalike.decode import ReadFile, too_many_bytes
from lookalike.errors import ImageError, InputError, one_line
from lookalike.places import in_archive
from lookalike.scan import IMAGE_SUFFIXES, UNDECODED_SUFFIXES, undecoded
from lookalike.sources.base import Supplied
from lookalike.types import FileEntry, PassedOver, Reason, State

WAITING_BYTES = 128 * 10**6
"""Bytes of pictures from packed archives that may wait to be read."""

_FACTS_BYTES = 1_000_000
_DAMAGED = (tarfile.TarError, EOFError, zlib.error, OSError, ValueError)


class ShardSource:
    """A Source of the pictures in tar archives, plain or packed by gzip.

    Members of one name before its first dot belong together, as ``0001.jpg`` and ``0001.json``;
    that name, its key, is what other tables call the picture, or what ``id_field`` is in its JSON.
    A picture's path is ``/folder/shard.tar/0001.jpg``. An archive that did not change is only
    listed. Raises InputError for one that does not exist.
    """

    def __init__(
        self, paths: Sequence[str], *, id_field: str | None = None, limits: Limits = Limits()
    ) -> None:
        self._paths = list(dict.fromkeys(map(os.path.abspath, paths)))
        for path in self._paths:
            if not os.path.isfile(path):
                raise InputError(f"{path}: no such file; check the path")
        self._id_field, self._limits = id_field, limits
        self.name = ", ".join(self._paths)
        self.roots: Sequence[str] = list(self._paths)
        self.places: Sequence[str] = self._paths

    def found(self) -> Iterator[FileEntry | PassedOver]:
        """Every picture, archive by archive, in the order of the members.

        An archive that cannot be listed is no root: of what lies in it nothing is known.
        """
        self.roots = list(self._paths)
        for path in self._paths:
            try:
                yield from _listed(path, self._id_field)
            except _DAMAGED as error:
                self.roots = [root for root in self.roots if root != path]
                yield PassedOver(path, State.UNREADABLE, Reason.READ_ERROR, _why(error))

    def supply(self, entries: Iterable[FileEntry]) -> Iterator[Supplied | None]:
        """These pictures; each archive is gone through once."""
        return read_members(entries, self._limits)


# -- what there is ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Group:
    """Pictures of one key, until the next key begins, and its facts."""

    key: str = ""
    found: list[FileEntry] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)

    def named(self, id_field: str | None) -> Iterator[FileEntry]:
        """The pictures, with their id."""
        id_ = self.key if id_field is None else self.facts.get(id_field)
        for entry in self.found:
            yield replace(entry, foreign_id=None if id_ in (None, "") else str(id_))


def _listed(path: str, id_field: str | None) -> Iterator[FileEntry | PassedOver]:
    names: set[str] = set()
    group, pictures = _Group(), 0
    with _opened(path) as (archive, mtime_ns):
        for member in archive:
            name = _plain(member.name)
            key = _key(name)
            if key != group.key:
                yield from group.named(id_field)
                group = _Group(key)
            if member.isdir():
                continue
            problem = _problem(path, member, name, names)
            names.add(name)
            if isinstance(problem, PassedOver):
                yield problem
            elif _suffix(name) in IMAGE_SUFFIXES:
                pictures += 1
                group.found.append(FileEntry(f"{path}/{name}", member.size, mtime_ns))
            elif id_field is not None and _suffix(name) == ".json":
                group.facts = _facts(archive, member)
        yield from group.named(id_field)
        _require_end(archive)
    if not pictures:
        yield PassedOver(path, State.SKIPPED, Reason.EMPTY_ARCHIVE)


def _problem(path: str, member: tarfile.TarInfo, name: str, names: set[str]) -> PassedOver | None:
    """Why a member is passed over; None for one that is not, or is no picture by its name."""
    place, suffix = f"{path}/{name}", _suffix(name)
    if suffix in UNDECODED_SUFFIXES:
        return undecoded(place, suffix)
    if suffix not in IMAGE_SUFFIXES:
        return None
    if not member.isreg():
        return PassedOver(place, State.SKIPPED, Reason.SPECIAL_FILE)
    if name.startswith("/") or ".." in name.split("/"):
        detail = "its name leads out of the archive"
        return PassedOver(place, State.SKIPPED, Reason.SPECIAL_FILE, detail)
    if name in names:
        detail = "the first member of this name counts"
        return PassedOver(f"{place} (again)", State.SKIPPED, Reason.REPEATED, detail)
    return None


def _facts(archive: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, object]:
    file = archive.extractfile(member) if member.size <= _FACTS_BYTES else None
    try:
        facts = json.loads(file.read()) if file else None
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _plain(name: str) -> str:
    return name.removeprefix("./")


def _key(name: str) -> str:
    folder, _, base = name.rpartition("/")
    return f"{folder}/{base.partition('.')[0]}".lstrip("/")


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


# -- reading ---------------------------------------------------------------------------------------


def read_members(entries: Iterable[FileEntry], limits: Limits) -> Iterator[Supplied | None]:
    """Members of archives; those of an archive are to follow each other.

    A plain archive is read where a member lies, by who reads the picture. One that is packed is
    gone through here, and what it gives waits, up to ``WAITING_BYTES``.
    """
    for path, group in itertools.groupby(entries, key=_archive_of):
        wanted = {entry.path[len(path) + 1 :]: entry for entry in group}
        try:
            yield from _members(path, wanted, limits)
        except _DAMAGED as error:
            detail = _why(error)
        else:
            detail = "no longer in the archive; index it again"
        for entry in wanted.values():
            yield Supplied(entry, partial(_refuse, Reason.READ_ERROR, detail))


def read_member(entry: FileEntry, limits: Limits) -> ReadFile:
    """One member; raises ImageError where it cannot be had."""
    for one in read_members([entry], limits):
        if one is not None:
            return one.read()
    raise ImageError(Reason.READ_ERROR, "")  # never: each entry gives something


def _archive_of(entry: FileEntry) -> str:
    member = in_archive(entry.path)
    return member[0] if member else os.path.dirname(entry.path)


def _members(path: str, wanted: dict[str, FileEntry], limits: Limits) -> Iterator[Supplied | None]:
    """What an archive has of ``wanted``, which is taken out of it."""
    waiting, file = _Waiting(), None if is_packed(path) else _Shared(path)
    with _opened(path) as (archive, mtime_ns):
        for member in archive:
            entry = wanted.pop(_plain(member.name), None)
            if entry is not None:
                refusal = _refusal(entry, member, mtime_ns, limits)
                if refusal is not None:
                    yield refusal
                elif file is not None:
                    read = partial(file.read, member.offset_data, member.size)
                    yield Supplied(entry, partial(_read, entry, read))
                else:
                    while waiting.is_full:
                        yield None  # what waits is read then
                        waiting.wait()
                    unpacked = archive.extractfile(member)
                    data = unpacked.read() if unpacked else b""
                    yield Supplied(entry, partial(_read, entry, waiting.holding(data)))
            if not wanted:
                return


def _refusal(
    entry: FileEntry, member: tarfile.TarInfo, mtime_ns: int, limits: Limits
) -> Supplied | None:
    """A member that is not read, or None for one that is."""
    if entry.mtime_ns != mtime_ns or not member.isreg():
        detail = "the archive changed; index it again"
        return Supplied(entry, partial(_refuse, Reason.READ_ERROR, detail))
    if member.size > limits.megabytes * 1e6:
        too_many = too_many_bytes(member.size, limits)
        return Supplied(entry, partial(_refuse, too_many.reason, too_many.detail))
    return None


def _read(entry: FileEntry, read: Callable[[], bytes]) -> ReadFile:
    try:
        data = read()
    except OSError as error:
        raise ImageError(Reason.READ_ERROR, error.strerror or str(error)) from error
    if not data:
        raise ImageError(Reason.ZERO_BYTES, "")
    if len(data) < entry.bytes:
        raise ImageError(Reason.TRUNCATED, "the archive ends within it")
    return ReadFile(entry, data, hashlib.sha256(data).digest())


def _refuse(reason: Reason, detail: str) -> NoReturn:
    raise ImageError(reason, detail)


class _Shared:
    """An open file that several threads read parts of."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._guard = threading.Lock()

    def read(self, offset: int, size: int) -> bytes:
        with self._guard:
            os.lseek(self._file, offset, os.SEEK_SET)
            parts = []
            while size > 0 and (part := os.read(self._file, min(size, 2**26))):
                parts.append(part)
                size -= len(part)
        return b"".join(parts)

    def __del__(self) -> None:
        os.close(self._file)


class _Waiting:
    """Bytes that wait to be read."""

    def __init__(self) -> None:
        self._bytes = 0
        self._read = threading.Condition()

    @property
    def is_full(self) -> bool:
        return self._bytes >= WAITING_BYTES

    def wait(self) -> None:
        """Until half of it is read, a second at most."""
        with self._read:
            self._read.wait_for(lambda: self._bytes < WAITING_BYTES // 2, timeout=1.0)

    def holding(self, data: bytes) -> Callable[[], bytes]:
        """The bytes, which wait until they are asked for, once."""
        held = [data]
        with self._read:
            self._bytes += len(data)

        def take() -> bytes:
            taken = held.pop()
            with self._read:
                self._bytes -= len(taken)
                self._read.notify_all()
            return taken

        return take


@contextmanager
def _opened(path: str) -> Iterator[tuple[tarfile.TarFile, int]]:
    """An archive to be gone through once from the beginning, and its time of change in ns."""
    with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:*") as archive:
        yield archive, FileEntry.of(path, os.fstat(file.fileno())).mtime_ns


def is_packed(path: str) -> bool:
    """Whether an archive is compressed: nothing in it can be read without what is before."""
    with open(path, "rb") as file:
        return file.read(6).startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"))


def _require_end(archive: tarfile.TarFile) -> None:
    """Raise if the archive does not end as one does: Python's reader stops at what it cannot read.

    The format ends with blocks of 512 zeros.
    """
    file = archive.fileobj
    assert file is not None
    file.seek(archive.offset)
    if file.read(512) != bytes(512):
        raise tarfile.ReadError(f"damaged or cut off at byte {archive.offset}")


def _why(error: Exception) -> str:
    told = one_line(error)
    return "not a tar archive" if told.startswith("file could not be opened") else told
