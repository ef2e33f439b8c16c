"""Several sources as one, and the source that paths name."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from lookalike.config import Limits
from lookalike.places import is_archive, is_object
from lookalike.sources.base import Source, Supplied
from lookalike.sources.folders import FolderSource
from lookalike.types import FileEntry, PassedOver


class JoinedSource:
    """A Source of what several have, one after the other; a path is the first one's that has it."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self.name = ", ".join(source.name for source in sources)
        self.places: Sequence[str] = [place for source in sources for place in source.places]

    @property
    def roots(self) -> Sequence[str]:
        """All of which everything is listed."""
        return [root for source in self._sources for root in source.roots]

    def found(self) -> Iterator[FileEntry | PassedOver]:
        """What each has."""
        return itertools.chain.from_iterable(source.found() for source in self._sources)

    def supply(self, entries: Iterable[FileEntry]) -> Iterator[Supplied | None]:
        """Pictures of the same source that follow each other are asked for together."""
        for number, group in itertools.groupby(entries, key=self._owner):
            yield from self._sources[number].supply(group)

    def _owner(self, entry: FileEntry) -> int:
        """The source in one of whose places a path lies; the last if in none."""
        for number, source in enumerate(self._sources):
            if any(_lies_in(entry.path, place) for place in source.places):
                return number
        return len(self._sources) - 1


def _lies_in(path: str, place: str) -> bool:
    return path == place or path.startswith(place.rstrip(os.sep) + os.sep)


def source_of(
    paths: Sequence[str],
    *,
    hidden: bool = False,
    is_library: Callable[[str], bool] | None = None,
    limits: Limits = Limits(),
    id_field: str | None = None,
) -> Source:
    """The pictures in folders, files, tar shards and object stores.

    Raises InputError for what does not exist.

    A path that ends in .tar, .tar.gz or .tgz is a shard (see ``ShardSource``), but one in a folder
    is not: shards are named themselves.
    """
    objects = [path for path in paths if is_object(path)]
    shards = [path for path in paths if is_archive(path) and not os.path.isdir(path)]
    others = [path for path in paths if path not in {*objects, *shards}]
    sources: list[Source] = []
    if objects:
        from lookalike.sources.objects import ObjectSource  # and even fewer have these

        sources.append(ObjectSource(objects, hidden=hidden, limits=limits))
    if shards:
        from lookalike.sources.shards import ShardSource  # most runs have none

        sources.append(ShardSource(shards, id_field=id_field, limits=limits))
    if others:
        sources.append(FolderSource(others, hidden=hidden, is_library=is_library, limits=limits))
    return sources[0] if len(sources) == 1 else JoinedSource(sources)
