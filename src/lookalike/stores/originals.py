"""Pictures that came from the web, kept as they were: ``originals/ab/abcdef....jpg``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lookalike.errors import StorageError
from lookalike.writing import write_whole

FOLDER = "originals"

_SUFFIXES = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\0": "tif",
    b"MM\0*": "tif",
}
_ALL_SUFFIXES = dict.fromkeys([*_SUFFIXES.values(), "webp", "avif", "heic"])


class Originals:
    """Kept pictures in a folder, by content hash; it is made with the first of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, content_hash: bytes) -> str | None:
        """The path of a kept picture, or None."""
        name = content_hash.hex()
        folder = self.folder / name[:2]
        paths = (folder / f"{name}.{suffix}" for suffix in _ALL_SUFFIXES) if folder.is_dir() else ()
        return next((str(path) for path in paths if path.is_file()), None)

    def keep(self, data: bytes, content_hash: bytes) -> bool:
        """Keep a picture; False for what does not begin as one. Raises StorageError.

        It is there whole or not at all, however the process ends. Safe in several threads.
        """
        suffix = _suffix(data)
        if suffix is None:
            return False
        name = content_hash.hex()
        place = self.folder / name[:2] / f"{name}.{suffix}"
        if place.exists():
            return True
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, lambda file: file.write(data), durable=True)
        except OSError as error:
            raise StorageError(
                f"{place}: {error.strerror}; free some space, or index without --keep-originals"
            ) from error
        return True

    def prune(self, known: Callable[[bytes], bool]) -> int:
        """Remove pictures that are no record's, and what a killed run left; returns how many."""
        removed = 0
        for path in sorted(self.folder.glob("??/*")):
            try:
                stays = known(bytes.fromhex(path.stem))
            except ValueError:
                stays = False
            if not stays:
                path.unlink(missing_ok=True)
                removed += 1
        return removed


def _suffix(data: bytes) -> str | None:
    for start, suffix in _SUFFIXES.items():
        if data.startswith(start):
            return suffix
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        return "avif" if data[8:12] in (b"avif", b"avis") else "heic"
    return None
