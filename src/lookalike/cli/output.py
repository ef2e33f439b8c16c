"""How the commands print: data on stdout, talk on stderr, paths byte for byte."""

from __future__ import annotations

import argparse
import csv
import errno
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from uuid import UUID

from lookalike.errors import InputError, StorageError
from lookalike.types import printable

if TYPE_CHECKING:
    from lookalike.library import Library


def talk(message: str) -> None:
    """One line for the user, on stderr."""
    print(f"lookalike: {printable(message)}", file=sys.stderr)


def print_path(path: str, end: bytes = b"\n") -> None:
    """A path on stdout exactly as the file system has it, whatever its bytes."""
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(path) + end)


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout, ASCII only; undecodable bytes of paths as lone surrogates."""
    print(json.dumps(value, indent=2))


_CSV: Any = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
"""CSV is UTF-8 whatever the terminal is; bytes of names that are not are escaped."""


def write_csv(path: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write a table to a file, or to stdout for "-"; returns how many rows it has."""
    if path == "-":
        sys.stdout.flush()
        with open(sys.stdout.fileno(), "w", closefd=False, **_CSV) as file:
            return _write_rows(file, header, rows)
    try:
        with open(path, "w", **_CSV) as file:
            return _write_rows(file, header, rows)
    except OSError as error:
        raise unwritable(path, "the table", error) from error


def _write_rows(file: TextIO, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    writer = csv.writer(file)
    writer.writerow(header)
    count = 0
    for row in rows:
        writer.writerow(row)
        count += 1
    return count


def unwritable(path: str | Path, what: str, error: OSError) -> StorageError:
    """The error of a file that could not be written."""
    return StorageError(f"{path}: {what} cannot be written ({error.strerror}); name another place")


def write_file(
    path: Path, what: str, write: Callable[[Path], object], *, told: str, show: bool = False
) -> None:
    """Have a file written and say where it is, as ``told``; raises StorageError if it cannot be.

    ``show``: open it in the browser.
    """
    try:
        write(path)
    except OSError as error:
        raise unwritable(path, what, error) from error
    talk(f"{told}: {path}")
    if show:
        open_page(path)


def check_place(
    library: Library, path: str | Path | None, what: str, inputs: Iterable[str] = ()
) -> None:
    """Raise before any work what would be raised when a file is written, and keep originals.

    None and "-" pass. Raises InputError for a picture of the library or one of ``inputs``, paths;
    StorageError for a place that cannot be written.
    """
    if path is None or str(path) == "-":
        return
    path = Path(path)
    if library.is_original(path) or any(_same_file(path, one) for one in inputs):
        raise InputError(
            f"{path}: is a picture of the library or an input, which are only read; name another"
            f" file for {what}"
        )
    check_outside(library, path, what)
    folder = os.path.dirname(os.path.abspath(path))
    written = path if os.path.exists(path) else folder
    if not os.path.isdir(folder):
        raise unwritable(path, what, _os_error(errno.ENOENT))
    if os.path.isdir(path):
        raise unwritable(path, what, _os_error(errno.EISDIR))
    if not os.access(written, os.W_OK):
        raise unwritable(path, what, _os_error(errno.EACCES))


def check_folder(path: Path, what: str) -> None:
    """The same for a folder that is written anew; what may lie in it is for others to say."""
    above = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(above):
        raise unwritable(path, what, _os_error(errno.ENOENT))
    if not os.access(above, os.W_OK):
        raise unwritable(path, what, _os_error(errno.EACCES))


def check_contents(library: Library, folder: Path, what: str) -> None:
    """Raise InputError for a folder in the library, or with a picture of it, to be written anew."""
    check_outside(library, folder, what)
    for path in folder.iterdir() if folder.is_dir() else ():
        if library.is_original(path):
            raise InputError(
                f"{path}: is a picture of the library, which is only read; name another folder"
                f" for {what}"
            )


def check_outside(library: Library, path: Path, what: str) -> None:
    """Raise InputError for a place among the library's own files."""
    own = os.path.realpath(library.own_folder)
    if os.path.commonpath([own, os.path.realpath(path)]) == own:
        raise InputError(f"{path}: lies in the library itself; name another place for {what}")


def _same_file(one: str | Path, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them is not there
        return False


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def page_path(path: Path | None, name: str) -> Path:
    """Where a page goes: ``path``, or a temporary folder if None."""
    import tempfile

    return path or Path(tempfile.mkdtemp(prefix="lookalike-")) / name


def open_page(path: Path) -> None:
    """Show a page in the browser, or say that there is none."""
    import webbrowser

    if not webbrowser.open(path.absolute().as_uri()):
        talk(f"{path}: no browser was found to open it")


def add_library_option(parser: argparse.ArgumentParser) -> None:
    """``--library DIR``, the same everywhere."""
    parser.add_argument(
        "--library",
        metavar="DIR",
        help="the library's folder, or a server's address (default: $LOOKALIKE_LIBRARY, else"
        " lookalike in your data folder)",
    )


def record_of(library: Library, text: str) -> UUID:
    """The record that a file or an id stands for, read as an input of a search is.

    Raises InputError for other terms, and for a file that is not in the library.
    """
    from lookalike.query import parse_term  # what prints for other commands need not load it

    term = parse_term(os.path.expanduser(text))
    if term.kind == "text":
        raise InputError(f"{text}: no such file, and not a record id; check the path")
    if term.weight != 1 or term.crop:
        raise InputError(f"{text}: a whole picture is needed; leave weight and crop out")
    if term.kind == "id":
        called = library.record_called(term.value)
        if called is None:
            raise InputError(f"{text}: no record of the library has this id; check it")
        return called
    found = library.record_at(term.value)
    if found is None:
        raise InputError(f"{text}: not a picture of this library; index it first")
    return found
