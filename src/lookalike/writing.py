"""Files and folders written whole or not at all: under another name, renamed at the end."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO

from lookalike.errors import InputError
from lookalike.types import printable


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()
"""Asked for once: to ask is to change it for a moment, for all threads."""


def write_whole(path: Path, write: Callable[[IO[bytes]], object], *, durable: bool = False) -> None:
    """Write a file whole or not at all: under another name beside it, renamed at the end.

    What cannot be written raises OSError, and leaves what was there before. That includes a device,
    a pipe, or a link to one, like /dev/stdout: a rename would put a file in its place. A link to a
    file stays, and what it leads to is written. With ``durable`` its bytes are on the disk before
    it has its name, so that not even a power cut leaves half of it.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    path = Path(os.path.realpath(path))
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            write(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_UMASK)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def check_folder(folder: Path, own: Collection[str], what: str) -> None:
    """Raise InputError for a place that is neither free nor an earlier ``what``.

    ``own``: the names that files of one have.
    """
    if folder.is_dir() and not folder.is_symlink():
        strangers = sorted({path.name for path in folder.iterdir()} - {*own})
        if strangers:
            raise InputError(
                f"{folder}: is no earlier {what} (has {printable(strangers[0])!r}); name another"
                " folder"
            )
    elif folder.exists() or folder.is_symlink():
        raise InputError(f"{folder}: is there and no folder; name another")


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside ``folder`` to write into, which takes its place at the end or goes.

    What cannot be written raises OSError, and leaves what was there before.
    """
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        made.chmod(0o755)
        yield made
        if folder.exists():
            earlier = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            folder.rename(earlier)  # onto an empty folder, which rename allows
            made.rename(folder)
            shutil.rmtree(earlier, ignore_errors=True)
        else:
            made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
