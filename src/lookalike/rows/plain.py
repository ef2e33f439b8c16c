"""Files of text, plain or compressed, read with limits: no line takes more memory than it may."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lookalike.rows.base import MOST_LINE_BYTES, refuse

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Checked(io.RawIOBase):
    """Bytes of a file; refuses zero bytes, and a line longer than any table's."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self.position = 0
        """Bytes read so far, decompressed."""
        self._line_start = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._file.read(len(buffer))
        if b"\0" in chunk:
            what = "is UTF-16" if not self.position and chunk.startswith(_UTF16) else "is no text"
            at = self.position + chunk.index(b"\0")
            refuse(self._path, f"{what} (a zero byte at {at:,})", "save it as UTF-8 text")
        newline = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        if newline >= 0:
            self._line_start = self.position + newline + 1
        self.position += len(chunk)
        if self.position - self._line_start > MOST_LINE_BYTES:
            problem = f"has a line of more than {MOST_LINE_BYTES:,} bytes (at {self._line_start:,})"
            refuse(self._path, problem, "it is no table, or a cell of it is too long")
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _plain(path: Path, mode: str) -> IO[bytes]:
    return open(path, mode, buffering=0)  # the Checked above it is buffered


_OPENERS: Mapping[str, Callable[[Path, str], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
COMPRESSED = tuple(_OPENERS)


def _opened(path: Path) -> IO[bytes]:
    file: IO[bytes] = _OPENERS.get(path.suffix.lower(), _plain)(path, "rb")
    return file


@contextmanager
def opened(path: Path) -> Iterator[tuple[Checked, io.TextIOWrapper]]:
    """A file's bytes and text; errors of reading it become InputErrors of one line."""
    try:
        with _opened(path) as file:
            raw = Checked(path, file)
            buffered = io.BufferedReader(raw, 2**18)
            yield raw, io.TextIOWrapper(buffered, "utf-8-sig", newline="")
    except UnicodeDecodeError as error:
        number, what = _undecodable(path)
        refuse(path, f"line {number:,} is not UTF-8 ({what or error.reason})", "save it as UTF-8")
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        refuse(path, f"is not whole or not compressed ({error})", "get it again")
    except OSError as error:
        refuse(path, f"cannot be read ({error.strerror or error})", "check the file")


def _undecodable(path: Path) -> tuple[int, str]:
    """The first line that is not UTF-8, from 1, and what is wrong with it."""
    number = 0
    with _opened(path) as file, io.BufferedReader(Checked(path, file), 2**18) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return number, f"byte {line[error.start]:#04x} at {error.start + 1}"
    return number, ""
