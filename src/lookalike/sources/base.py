"""The contract of a source of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from lookalike.decode import ReadFile
from lookalike.types import FileEntry, PassedOver, Reason


class Kept(Exception):  # noqa: N818 (no error: the picture is as it was known, or cannot be had now)
    """Said in place of bytes: what is known of a path still holds; ``reason`` and ``detail``."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Supplied:
    """A picture that can be read now.

    ``read`` is called once, in any thread, and gives the bytes with the entry as it was at that
    moment. It raises ImageError where the picture cannot be had, and ``Kept`` where it need not.
    """

    entry: FileEntry
    read: Callable[[], ReadFile]


class Source(Protocol):
    """Pictures that can be listed, and read one by one.

    ``roots``: paths of folders and archives of which this source lists everything: what a library
    knows at or under them and ``found`` does not give is gone. ``places``: at or under these lies
    all that it finds. ``name``: for messages.
    """

    @property
    def name(self) -> str: ...

    @property
    def roots(self) -> Sequence[str]: ...

    @property
    def places(self) -> Sequence[str]: ...

    def found(self) -> Iterator[FileEntry | PassedOver]:
        """Everything there is, each path once, in a fixed order; may be called once."""

    def supply(self, entries: Iterable[FileEntry]) -> Iterator[Supplied | None]:
        """The pictures of these entries, in any order, each once; those ahead may be fetched.

        None where more takes its time, or waits until something is read: what there is by then is
        read, encoded and committed.
        """
