"""rclip's database, read and never written.

After yurijmikhalevich/rclip, ``rclip/db.py`` and ``rclip/model.py``: a table ``images`` with
``filepath``, ``modified_at``, ``size``, ``vector`` (512 float32 of unit length) and ``deleted``,
NULL for what is there. Versions 1 and 2 (``db_version``) have vectors of OpenAI's CLIP ViT-B/32, 3
and 4 of DataComp's ViT-B-32 for 256 pixels.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import quote

import numpy as np

from lookalike.errors import InputError
from lookalike.exchange.incoming import (
    UNKNOWN,
    ImportOptions,
    Incoming,
    Skipped,
    require_text,
    space_from,
    unit_vectors,
)
from lookalike.exchange.seen import Made, lies_here, made_together, seen
from lookalike.types import FloatArray, Space, printable

DIM = 512

_MODELS = {
    1: ("rclip-openai-vit-b-32", "ViT-B-32-quickgelu/openai"),
    2: ("rclip-openai-vit-b-32", "ViT-B-32-quickgelu/openai"),
    3: ("rclip-datacomp-vit-b-32-256", "ViT-B-32-256/datacomp_s34b_b86k"),
    4: ("rclip-datacomp-vit-b-32-256", "ViT-B-32-256/datacomp_s34b_b86k"),
}
"""By version of the database: the name of our space, and the model's and checkpoint's own."""

_SQLITE = b"SQLite format 3\0"


def is_rclip(path: Path) -> bool:
    """Whether a file is an SQLite database with the table that rclip has."""
    try:
        with path.open("rb") as file:
            if file.read(len(_SQLITE)) != _SQLITE:
                return False
        with contextlib.closing(_opened(path)) as database:
            columns = {row[1] for row in database.execute("PRAGMA table_info(images)")}
    except (OSError, sqlite3.Error):
        return False
    return {"filepath", "size", "vector", "deleted"} <= columns


class RclipDatabase:
    """An Arrival: the pictures of rclip's database that lie where it says, of the size it says.

    They are read, for their content, colours and thumbnails; others are left.
    """

    classes = 0

    def __init__(self, path: Path, options: ImportOptions) -> None:
        self.name, self._path, self._normalise = str(path), path, options.normalise
        with self._reading() as database:
            (self.rows,) = database.execute(
                "SELECT count(*) FROM images WHERE deleted IS NULL"
            ).fetchone()
            self.space = self._space(database, options)
        if not self.rows:
            raise InputError(f"{path}: has no pictures; run rclip in a folder first")

    def _space(self, database: sqlite3.Connection, options: ImportOptions) -> Space:
        if options.encoder is not None:
            return space_from(options, DIM, self.name)
        has = database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'db_version'").fetchone()
        row = database.execute("SELECT version FROM db_version").fetchone() if has else None
        version = row[0] if row else 1
        if version not in _MODELS:
            raise InputError(
                f"{self.name}: version {version} of rclip's database is not known, which are"
                f" 1 to {max(_MODELS)}; name the model with --encoder"
            )
        name, model = _MODELS[version]
        return Space(name, options.weights_digest or UNKNOWN, f"rclip {model}", DIM)

    def check(self) -> None:
        """Go through all vectors and paths; raises InputError for the first unsound row."""
        for _ in self._each():
            pass

    def pieces(self) -> Iterator[Sequence[Incoming | Skipped]]:
        """All rows, some at a time."""
        return made_together(self._made())

    def _made(self) -> Iterator[Made]:
        for path, size, vector in self._each():
            yield partial(_incoming, path, size, vector)

    def _each(self) -> Iterator[tuple[str, int, FloatArray]]:
        with self._reading() as database:
            rows = database.execute(
                "SELECT filepath, size, vector FROM images WHERE deleted IS NULL ORDER BY id"
            )
            for number, (path, size, vector) in enumerate(rows):
                where = f"{self.name}: row {number}"
                if not isinstance(path, str) or not isinstance(size, int):
                    raise InputError(f"{where}: has no path or size; repair the database")
                if not isinstance(vector, bytes) or len(vector) != 4 * DIM:
                    raise InputError(f"{where}: its vector is not {DIM} float32; run rclip anew")
                own = np.frombuffer(vector, "<f4")[None]
                unit = unit_vectors(own, self.name, number, normalise=self._normalise)[0]
                yield require_text(path, where), size, unit

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(_opened(self._path)) as database:
                yield database
        except sqlite3.Error as error:
            raise InputError(f"{self.name}: cannot be read ({error}); is it rclip's?") from error


def _incoming(path: str, size: int, vector: FloatArray) -> Incoming | Skipped:
    if not lies_here(path):
        return Skipped(printable(path), "not found")
    if os.stat(path).st_size != size:
        return Skipped(printable(path), "another size than rclip knew")
    return seen(path, vector, None)


def _opened(path: Path) -> sqlite3.Connection:
    """A connection that only reads."""
    name = quote(os.fsencode(path.absolute()))
    database = sqlite3.connect(f"file:{name}?mode=ro", uri=True, check_same_thread=False)
    database.execute("PRAGMA query_only = 1")
    return database
