"""Defaults that a user may change, and where they come from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lookalike.kernels import cores

LIBRARY_VARIABLE = "LOOKALIKE_LIBRARY"
MODELS_VARIABLE = "LOOKALIKE_MODELS"


def default_library() -> str:
    """``$LOOKALIKE_LIBRARY``, else ``lookalike`` in the user's data folder (XDG)."""
    return os.environ.get(LIBRARY_VARIABLE) or str(_data_folder() / "lookalike")


def cache_folder() -> Path:
    """Where what is known of libraries on servers may be kept (XDG)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lookalike"


def models_folder() -> Path:
    """Where downloaded weights lie: ``$LOOKALIKE_MODELS``, else ``lookalike-models`` as above."""
    chosen = os.environ.get(MODELS_VARIABLE)
    return Path(os.path.abspath(chosen)) if chosen else _data_folder() / "lookalike-models"


def _data_folder() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def library_folder(folder: str | os.PathLike[str] | None) -> Path:
    """The absolute place of a library; the user's default one if None."""
    return Path(os.path.abspath(os.path.expanduser(folder or default_library())))


@dataclass(frozen=True)
class Limits:
    """What a single file may cost. A decoded pixel takes 4 to 12 bytes, in every thread."""

    megapixels: float = 100.0
    megabytes: float = 500.0


@dataclass(frozen=True, slots=True)
class Fetching:
    """How pictures are asked for at their servers: politely, unless told otherwise.

    ``connections`` at a time altogether and ``per_host``; ``gap_ms`` at the least from one request
    to a host to the next; ``timeout_seconds`` for a connection and for each wait, six times as much
    for a whole picture that is not large; ``retries`` of what may succeed later.
    ``waiting_megabytes``: while more of what has come waits to be read, nothing more is asked for.
    """

    connections: int = 16
    per_host: int = 4
    gap_ms: float = 25.0
    timeout_seconds: float = 20.0
    retries: int = 4
    waiting_megabytes: float = 256.0


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How a run of the indexer works.

    ``limit`` stops after so many images (a first try); ``hidden`` also takes dot files;
    ``prune`` forgets files that are gone; ``allow_empty`` believes a folder that has become empty;
    ``retry`` reads unreadable files again even if they did not change.
    """

    limit: int | None = None
    hidden: bool = False
    prune: bool = False
    allow_empty: bool = False
    retry: bool = False
    workers: int = 0
    """Threads that read, decode and encode; 0 means one per core."""
    memory_limit: int | None = None
    """Bytes that the whole process may take; decoding waits, or refuses a file, for it."""
    encoder: str | None = None
    """Name of the encoder; None means the library's own, or the default one for a new library."""
    tiles: bool = False
    """Also see what parts of the pictures show; a library that has parts of some gets all."""
    encode_batch: int = 32
    """Pictures that a thread prepares before it encodes them; each half stays in the cache."""
    commit_batch: int = 500
    limits: Limits = Limits()
    fetching: Fetching = Fetching()
    """How known pictures are asked for again that lie on the web and are not kept."""

    @property
    def threads(self) -> int:
        """Threads to start, at least 1."""
        return self.workers or max(1, cores())
