"""The facade: filling a library."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lookalike import config
from lookalike.errors import InputError
from lookalike.features.encoders import Encoder, load_encoder
from lookalike.filling import fill, look_at_parts
from lookalike.homes import AnyStore, FolderHome
from lookalike.library.opened import OpenedLibrary
from lookalike.pipeline import (
    FillReport,
    IndexReport,
    Progress,
    Silence,
    Stopwatch,
    Work,
    encoder_of,
    index,
)
from lookalike.places import is_remote
from lookalike.query.tables import has_classes
from lookalike.scan import absolute_roots
from lookalike.sources import Source as PictureSource
from lookalike.sources import source_of
from lookalike.stores.originals import FOLDER as ORIGINALS
from lookalike.stores.originals import Originals
from lookalike.stores.schema import is_library
from lookalike.types import (
    LedgerRow,
    State,
)

if TYPE_CHECKING:
    pass


class Adding(OpenedLibrary):
    """Pictures come in."""

    def add(
        self,
        paths: Iterable[str | os.PathLike[str]],
        options: config.IndexOptions = config.IndexOptions(),
        progress: Progress | None = None,
    ) -> IndexReport:
        """Index files, folders and tar shards; only what is new or changed is read.

        Everything committed stays, however the run ends; running it again continues. Raises
        InputError for a missing path, NothingDoneError if there is no image or none could be read,
        LibraryLockedError if another process writes, StorageError if the disk is full.
        """
        return self.add_from(self.source(paths, options), options, progress)

    def source(
        self,
        paths: Iterable[str | os.PathLike[str]],
        options: config.IndexOptions = config.IndexOptions(),
        *,
        id_field: str | None = None,
    ) -> PictureSource:
        """What ``add`` makes of paths; ``id_field``: of shards, see ``ShardSource``."""
        expanded = [os.path.expanduser(os.fspath(path)) for path in paths]
        if not expanded:
            raise InputError("nothing to index; give at least one file or folder")
        return source_of(
            expanded,
            hidden=options.hidden,
            is_library=is_library,
            limits=options.limits,
            id_field=id_field,
        )

    def add_from(
        self,
        source: PictureSource,
        options: config.IndexOptions = config.IndexOptions(),
        progress: Progress | None = None,
        work: Work | None = None,
    ) -> IndexReport:
        """Index what a source has (see ``sources``): folders, shards, tables of URLs.

        As ``add``, which makes a source of its paths. What lies at the source's places gets vectors
        of the library's other spaces too. ``work``: see ``pipeline.index``; it may be elsewhere.
        """
        with self._home.errors(), self._filling() as store:
            encoder = self._given_encoder or self._own_encoder(store, options)
            further = self._further_encoders(store, options)  # before hours of work
            labelling = _labelling((encoder, *further), options)
            report = index(store, encoder, source, options, progress, work)
            filled = [fill(store, one, source.places, options, progress) for one in further]
            report = replace(report, filled=tuple(filled))
            if labelling and (options.tiles or store.parts_seen(labelling.spec.space)):
                tiled = look_at_parts(store, labelling, source.places, options, progress)
                report = replace(report, tiled=tiled)
            return self._refreshed(store, report, progress)

    @property
    def originals(self) -> Originals:
        """Where pictures from the web are kept, if they are (``UrlTableSource(keep=...)``).

        Raises InputError for a library on a server.
        """
        if not isinstance(self._home, FolderHome):
            raise InputError(
                f"{self._home.name}: originals are kept beside a library in a folder only; leave"
                " --keep-originals out"
            )
        return Originals(self._home.folder / ORIGINALS)

    def add_space(
        self,
        encoder: str | Encoder,
        paths: Iterable[str | os.PathLike[str]] | None = None,
        options: config.IndexOptions = config.IndexOptions(),
        progress: Progress | None = None,
    ) -> FillReport:
        """Give records vectors of a further encoder, by name or itself; the others stay.

        ``paths``: only of files at or under these, by default all. Searches go on meanwhile in the
        library's default space. Killed, the same call continues. Raises InputError for an unknown
        encoder, and what ``add`` raises.
        """
        roots = None if paths is None else _roots([os.fspath(path) for path in paths])
        with self._home.errors(), self._writing() as store:
            made = load_encoder(encoder, options.threads) if isinstance(encoder, str) else encoder
            self._encoders[made.spec.name] = made
            report = fill(store, made, roots, options, progress)
            self._refresh_space(store, report.space)
        return report

    def ledger(self, state: State | None = None) -> Iterator[LedgerRow]:
        """Every path ever seen with its state and reason, ordered by path."""
        with self._home.errors():
            yield from self._reader().ledger(state)

    def _own_encoder(self, store: AnyStore, options: config.IndexOptions) -> Encoder:
        """What makes the vectors of the default space, or the one that options name if new."""
        named = None if store.spaces() else options.encoder
        return encoder_of(store, options.threads, named)

    def _further_encoders(self, store: AnyStore, options: config.IndexOptions) -> list[Encoder]:
        """What makes vectors of the library's other spaces, and of one that options add."""
        if self._given_encoder is not None:
            return []
        names = [space.name for space in store.spaces()]
        added = [options.encoder] if names and options.encoder else []  # else the library's first
        further = dict.fromkeys([*names[1:], *added])
        return [load_encoder(name, options.threads) for name in further if name != names[0]]

    def _refreshed(
        self, store: AnyStore, report: IndexReport, progress: Progress | None
    ) -> IndexReport:
        """The report of a run, once the indexes have been made that pay."""
        watch = Stopwatch(progress or Silence())
        watch.stage("index")
        for space in store.spaces():
            self._refresh_space(store, space)
        return replace(report, seconds={**report.seconds, **watch.seconds()})


def _labelling(encoders: Sequence[Encoder], options: config.IndexOptions) -> Encoder | None:
    """The encoder that tells what parts of pictures show; InputError if none can and one should."""
    found = next((one for one in encoders if has_classes(one.spec.space)), None)
    if found is None and options.tiles:
        raise InputError(
            "tiles: no encoder of this library has classes to see in parts of pictures"
        )
    return found


def _roots(paths: Sequence[str]) -> list[str]:
    """Absolute paths of what lies on disk, which must exist, and beginnings of remote paths."""
    urls = [path for path in paths if is_remote(path)]
    return [*urls, *absolute_roots(path for path in paths if not is_remote(path))]
