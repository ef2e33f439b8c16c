"""Pictures that lie here and whose vectors came from elsewhere: read for all but the vector."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from lookalike.config import Limits
from lookalike.decode import decode, read
from lookalike.errors import ImageError
from lookalike.exchange.incoming import Incoming, Skipped
from lookalike.features.histogram import histogram
from lookalike.features.metadata import facts
from lookalike.features.phash import phash
from lookalike.features.thumbnail import thumbnail
from lookalike.pipeline import batched, ordered_map
from lookalike.types import Features, FileEntry, FloatArray, printable

_AT_ONCE = 200
_THREADS = max(1, min(4, os.cpu_count() or 1))


def lies_here(path: str) -> bool:
    """Whether a path is that of a regular file."""
    return os.path.isfile(path)


def seen(
    path: str, vector: FloatArray, foreign_id: str | None, limits: Limits = Limits()
) -> Incoming | Skipped:
    """The row of a picture at a path, whose vector is known; why not, where it cannot be read."""
    try:
        file = read(path, limits)
        decoded = decode(file.data, limits)
    except ImageError as error:
        return Skipped(printable(path), str(error.reason))
    image = decoded.image
    features = Features(facts(decoded), histogram(image), phash(image), thumbnail(image), vector)
    entry = FileEntry(path, file.entry.bytes, file.entry.mtime_ns, foreign_id)
    return Incoming((entry,), file.content_hash, features)


Made = Callable[[], Incoming | Skipped]
"""A row that is made when it is called, in any thread."""


def made_together(rows: Iterable[Made]) -> Iterator[Sequence[Incoming | Skipped]]:
    """Rows made by several threads, in their order, some at a time."""
    with ThreadPoolExecutor(_THREADS, "import") as pool:
        yield from batched(ordered_map(pool, lambda row: row(), rows, _AT_ONCE), _AT_ONCE)
