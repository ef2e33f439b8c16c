"""The facade: what goes out of a library and comes into it as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lookalike.conditions import Condition, parse_condition
from lookalike.homes import FolderHome, home_of
from lookalike.library.opened import OpenedLibrary
from lookalike.pipeline import (
    Progress,
    Silence,
)

if TYPE_CHECKING:
    from lookalike.exchange.bring import ImportReport
    from lookalike.exchange.export import ExportReport
    from lookalike.exchange.incoming import ImportOptions
    from lookalike.exchange.selection import ExportOptions
    from lookalike.push import PushOptions, PushReport


class Exchanging(OpenedLibrary):
    """Exports, imports, pushes."""

    def export(
        self,
        form: str,
        out: str | os.PathLike[str],
        options: ExportOptions | None = None,
        *,
        space: str | None = None,
        where: str | Condition | None = None,
    ) -> ExportReport:
        """Write records for other programs: "parquet", "npy", "csv", "photos", "clip-retrieval".

        ``out``: a file, or a folder for Parquet in parts and whatever is several files; it is
        written whole or not at all. ``where`` keeps to records for which a condition holds. Raises
        InputError for a place that is not free and where nothing is to be exported,
        MissingExtraError without PyArrow, StorageError where it cannot be written.
        """
        from lookalike.exchange import export

        condition = None if where is None else parse_condition(str(where))
        with self._home.errors():
            store, own = self._reader(), self._space(space)
            place = self._home.folder if isinstance(self._home, FolderHome) else None
            return export.from_store(store, place, own, condition, form, Path(out), options)

    def import_(
        self,
        paths: Iterable[str | os.PathLike[str]],
        options: ImportOptions | None = None,
        progress: Progress | None = None,
    ) -> ImportReport:
        """Take in what ``export`` wrote, and vectors that other programs made.

        Parquet of our own and photos.parquet, clip-retrieval's folder, rclip's database. All of it
        is checked before any of it is put; killed, the same call continues. Raises InputError for
        what is not sound or not known, and what ``add`` raises.
        """
        from lookalike.exchange import bring

        progress = progress or Silence()
        with self._home.errors():
            coming = bring.coming([Path(path) for path in paths], options, progress)
            with self._filling() as store:
                report = bring.bring(coming, store, progress)
                for space in store.spaces():
                    self._refresh_space(store, space)
        return report

    def push(
        self,
        address: str,
        options: PushOptions | None = None,
        progress: Progress | None = None,
    ) -> PushReport:
        """Send all of it, or what has changed since, to a server; see ``docs/servers.md``.

        Killed, the same call continues. Raises LibraryError for another library's records there,
        and where both do not hold the same afterwards.
        """
        from lookalike.push import PushOptions, push

        with self._home.errors():
            return push(self._home, home_of(address), options or PushOptions(), progress)
