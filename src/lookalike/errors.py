"""Everything that lookalike raises on purpose.

::

    LookalikeError                 exit status of the command
    ├── InputError                 2   an argument cannot be used as it is
    ├── ImageError                 1   one image cannot be read (has a ``reason``)
    ├── LibraryError               1   the library cannot be used
    │   ├── LibraryMissingError        there is none at that place
    │   ├── LibraryCorruptError        a file of it is damaged
    │   ├── LibraryNewerError          it was written by a newer lookalike
    │   ├── LibraryOlderError          it was written by an older one, and cannot be migrated here
    │   ├── LibraryLockedError         another process is writing to it
    │   └── StorageError               the disk is full, or refuses to be written
    ├── NothingDoneError           1   a run found nothing that it could do
    ├── ClusterError               1   workers of a cluster cannot be had, or gave up
    └── MissingExtraError          1   an optional dependency is not installed

Every message is one line that says what, where, the value, and the cure.
"""

from __future__ import annotations

from lookalike.types import Reason


class LookalikeError(Exception):
    """Base of all errors that lookalike raises on purpose."""

    exit_status = 1


class InputError(LookalikeError, ValueError):
    """An argument has a value that cannot be used."""

    exit_status = 2


class ImageError(LookalikeError):
    """One image cannot be read; ``reason`` is the ledger's word for why."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


class LibraryError(LookalikeError):
    """The library cannot be used as it lies there."""


class LibraryMissingError(LibraryError):
    """There is no library at that place."""


class LibraryCorruptError(LibraryError):
    """A file of the library is damaged or not what it should be."""


class LibraryNewerError(LibraryError):
    """The library's format is newer than this version can read."""


class LibraryOlderError(LibraryError):
    """The library's format is older, and it cannot be migrated where it lies."""


class LibraryLockedError(LibraryError):
    """Another process is writing to the library."""


class StorageError(LibraryError):
    """The disk is full, or the library's folder cannot be written to."""


class NothingDoneError(LookalikeError):
    """A run found nothing that it could do."""


class ClusterError(LookalikeError):
    """Workers of a cluster cannot be had, differ from this process, or gave up."""


class MissingExtraError(LookalikeError):
    """An optional dependency is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional part; pip install 'lookalike[{extra}]'")


def one_line(error: BaseException, most: int = 200) -> str:
    """What an error says, in one line of at most ``most`` characters; else its class's name."""
    return " ".join(str(error).split())[:most] or type(error).__name__
