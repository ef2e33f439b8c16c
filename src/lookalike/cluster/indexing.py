"""The main path of indexing into parts: list, leave out what is there, have the rest written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

from lookalike.cluster.packing import pack_entries, unpack_entries
from lookalike.cluster.parts import Counts, KnownPictures, PartsFolder, write_passed
from lookalike.cluster.workers import Cluster
from lookalike.config import IndexOptions
from lookalike.errors import NothingDoneError
from lookalike.features.encoders import Encoder
from lookalike.pipeline import IndexReport, Progress, Silence, Stopwatch, first_images
from lookalike.sources import Source
from lookalike.types import FileEntry, PassedOver, Reason, State

PAGE = 1_000
"""Entries that are kept together."""


def index_into_parts(
    folder: PartsFolder,
    cluster: Cluster,
    encoder: Encoder,
    source: Source,
    options: IndexOptions = IndexOptions(),
    progress: Progress | None = None,
) -> IndexReport:
    """Have the pictures of ``source`` that are in no part yet written to parts, by a cluster.

    Killed, the same call continues. Raises NothingDoneError if there is no picture to be found,
    InputError where the folder has parts of another space, and what ``Cluster`` raises.
    """
    progress = progress or Silence()
    watch = Stopwatch(progress)
    # 1. What lies there, and what of it is in no part?
    watch.stage("scan")
    folder.begin()
    with (
        closing(KnownPictures(folder, encoder.spec.space, retry=options.retry)) as known,
        closing(_Wanted()) as wanted,
    ):
        found = first_images(source.found(), options.limit)
        counts = write_passed(folder, wanted.note(found, known))
        counts[State.UNCHANGED, Reason.SAME_STAT] += wanted.known
        _require_some(source, wanted, counts)
        # 2. Have that read, decoded, encoded and written.
        watch.stage("read")
        progress.start(wanted.count)
        try:
            for done in cluster.write_parts(
                source, wanted.entries(), wanted.count, encoder, options, folder
            ):
                counts.update(done)
                progress.advance(done.total())
        finally:
            progress.close()
        return IndexReport(dict(+counts), wanted.count, seconds=watch.seconds())


def _require_some(source: Source, wanted: _Wanted, counts: Counts) -> None:
    if not wanted.count and not wanted.known:
        raise NothingDoneError(
            f"{source.name}: no images found ({counts.total()} other files passed over); name a"
            " folder with pictures"
        )


class _Wanted:
    """Pictures that are to be read, in a temporary file, so that memory stays bounded."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE wanted (number INTEGER PRIMARY KEY, entries BLOB)")
        self._db.execute("BEGIN")
        self.count, self.known = 0, 0

    def note(
        self, found: Iterable[FileEntry | PassedOver], known: KnownPictures
    ) -> Iterator[PassedOver]:
        """Keep the pictures that are not known, count those that are; yields what is none."""
        waiting: list[FileEntry] = []
        for item in found:
            if isinstance(item, PassedOver):
                yield item
            elif item in known:
                self.known += 1
            else:
                waiting.append(item)
            if len(waiting) == PAGE:
                self._keep(waiting)
                waiting = []
        self._keep(waiting)

    def _keep(self, entries: list[FileEntry]) -> None:
        self.count += len(entries)
        self._db.execute("INSERT INTO wanted (entries) VALUES (?)", (pack_entries(entries),))

    def entries(self) -> Iterator[FileEntry]:
        """What was kept, in its order."""
        for (packed,) in self._db.execute("SELECT entries FROM wanted ORDER BY number"):
            yield from unpack_entries(packed)

    def close(self) -> None:
        self._db.close()
