"""What a search for duplicates takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from lookalike.errors import InputError


class Relation(StrEnum):
    """How a picture relates to another that shows the same; the closest comes first."""

    IDENTICAL = "identical"
    """The same bytes."""
    RE_ENCODED = "re-encoded"
    """The whole of the same picture: saved again, or resized."""
    EDITED = "edited"
    """Cropped, mirrored, turned, with other brightness or colours, or written over."""
    BURST = "burst"
    """Another shot of the same camera within seconds that looks alike."""


CLOSEST_FIRST = tuple(Relation)


@dataclass(frozen=True)
class DuplicateOptions:
    """What is looked for. ``least``: similarity, 0..1, that pairs must have."""

    relations: Sequence[Relation] = CLOSEST_FIRST
    least: float = 0.0
    where: str | None = None
    """A condition that all records fulfil (see ``conditions``)."""
    seconds: int = 10
    """Most that lie between two shots of a burst, one after the other."""

    def check(self) -> None:
        """Raise InputError for values that cannot be used."""
        if not 0 <= self.least <= 1:
            raise InputError(f"similarity {self.least:g}: must be from 0 to 1")
        if not self.relations:
            raise InputError("no relation; name at least one of " + ", ".join(CLOSEST_FIRST))
        if self.seconds < 0:
            raise InputError(f"seconds {self.seconds}: must not be negative")


@dataclass(frozen=True, slots=True)
class Copy:
    """One file of a group. ``relation`` and ``similarity``, 0..1, are to the group's best copy.

    The best copy itself has none, and similarity 1. ``changes`` says what differs, in words.
    ``taken_at`` and ``modified`` are ISO 8601, the second in UTC.
    """

    id: UUID
    path: str
    width: int
    height: int
    bytes: int
    format: str
    taken_at: str | None
    modified: str | None
    relation: Relation | None = None
    similarity: float = 1.0
    changes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "id": str(self.id),
            "path": self.path,
            "relation": None if self.relation is None else str(self.relation),
            "similarity": round(self.similarity, 4),
            "changes": list(self.changes),
            "width": self.width,
            "height": self.height,
            "bytes": self.bytes,
            "format": self.format,
            "taken_at": self.taken_at,
            "modified": self.modified,
        }


@dataclass(frozen=True, slots=True)
class Group:
    """Files that show the same. ``best`` is the one to keep; every other is alike to it."""

    best: Copy
    others: tuple[Copy, ...]

    @property
    def extra_bytes(self) -> int:
        """What all but the best copy take."""
        return sum(copy.bytes for copy in self.others)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"best": self.best.to_dict(), "others": [copy.to_dict() for copy in self.others]}


@dataclass(frozen=True, slots=True)
class DuplicateReport:
    """All groups, the one with the most extra bytes first.

    ``compared``: records; ``pairs``: pairs of different records found to be alike, by relation;
    ``left_out``: comparisons of hashes not made, as thousands were nearly equal; ``decided``: pairs
    found that the user has said are no duplicates; ``seconds``: by step.
    """

    groups: tuple[Group, ...]
    compared: int
    pairs: dict[Relation, int]
    left_out: int
    decided: int
    seconds: dict[str, float]

    @property
    def extra_bytes(self) -> int:
        """What all but the best copies take."""
        return sum(group.extra_bytes for group in self.groups)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "compared": self.compared,
            "pairs": {str(relation): count for relation, count in self.pairs.items()},
            "left_out": self.left_out,
            "decided": self.decided,
            "seconds": self.seconds,
            "groups": [group.to_dict() for group in self.groups],
        }
