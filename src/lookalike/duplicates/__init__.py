"""Duplicates: byte-identical, saved again or resized, edited or cropped, shot in a burst."""

from lookalike.duplicates.report import (
    CLOSEST_FIRST,
    Copy,
    DuplicateOptions,
    DuplicateReport,
    Group,
    Relation,
)

__all__ = [
    "CLOSEST_FIRST",
    "Copy",
    "DuplicateOptions",
    "DuplicateReport",
    "Group",
    "Relation",
]
