"""Where a picture lies, as its path tells: on disk, at a URL, in an object store or an archive."""

from __future__ import annotations

import os
import re

_URL = re.compile(r"https?://", re.I)
_OBJECT = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]+://", re.I)
_ARCHIVE = re.compile(r"\.(?:tar|tar\.gz|tgz)\Z", re.I)


def is_url(path: str) -> bool:
    """Whether a path is the URL of a picture."""
    return _URL.match(path) is not None


def is_object(path: str) -> bool:
    """Whether a path is that of a picture in an object store, like ``s3://bucket/cat.jpg``."""
    return _OBJECT.match(path) is not None


def is_remote(path: str) -> bool:
    """Whether a path is a URL, or lies in an object store."""
    return is_url(path) or is_object(path)


def is_archive(path: str) -> bool:
    """Whether a path is that of a tar archive on disk, by its name."""
    return not is_remote(path) and _ARCHIVE.search(path) is not None


def in_archive(path: str) -> tuple[str, str] | None:
    """The archive and the name in it of a member's path, or None for any other path.

    A folder may be called like an archive; what lies in it is on disk.
    """
    if is_remote(path) or ".t" not in path.lower():
        return None
    for slash in (found.start() for found in re.finditer("/", path)):
        archive = path[:slash]
        if is_archive(archive) and path[slash + 1 :] and not os.path.isdir(archive):
            return archive, path[slash + 1 :]
    return None


def absolute(path: str) -> str:
    """An absolute path on disk, or the URL or place in an object store as it is."""
    return path if is_remote(path) else os.path.abspath(path)


def file_of(path: str) -> str | None:
    """The file on disk that holds a picture: itself, or its archive; None for a remote one."""
    if is_remote(path):
        return None
    member = in_archive(path)
    return member[0] if member else path


def shown(place: str) -> str:
    """A library's place as it may be shown: of an address without what may be credentials."""
    named = re.sub(r"(?i)(password=)[^&]*", r"\1...", place)
    return re.sub(r"://.*@", "://", named, flags=re.DOTALL)
