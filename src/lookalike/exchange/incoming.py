"""Rows that come from elsewhere, and what must hold of each before it becomes a record."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lookalike.errors import InputError
from lookalike.features.encoders.catalogue import CATALOGUE
from lookalike.features.thumbnail import SIDE
from lookalike.places import is_url
from lookalike.types import (
    BINS,
    LOGITS_KEPT,
    DoubleArray,
    Features,
    FileEntry,
    FloatArray,
    ImageFacts,
    Label,
    Space,
    SparseHistogram,
)

UNIT_TOLERANCE = 0.01
"""How far a vector's length may be from 1: float16 of a few hundred numbers is within 0.001."""

UNKNOWN = "unknown"
"""A digest or preprocessing that nobody told."""

NOTHING_KNOWN = ImageFacts(0, 0, "")
"""Of a picture that is known by its vector alone."""

MOST_TEXT_BYTES = 64 * 1024
"""Of one cell of text; paths end far below."""

MOST_THUMBNAIL_BYTES = 2**20
"""A JPEG of 256 x 256 pixels has some 10 KB."""

_STORE = re.compile(r"(?:s3a?|gc?s|az|abfss?|adl|oss|hdfs)://", re.IGNORECASE)
"""Places in object stores; another kind, like file://, is no place that a file may name."""

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A record-to-be: where it lies, its content's hash, its features, and labels given to it."""

    entries: tuple[FileEntry, ...]
    content_hash: bytes
    features: Features
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row of which nothing can be made here, and why."""

    name: str
    reason: str


class Arrival(Protocol):
    """What one import brings. All of it is checked before any of it is put.

    ``rows``: how many there are; ``space``: that of the vectors; ``classes``: logits a record, 0
    for none, once it was checked.
    """

    name: str
    rows: int
    classes: int

    @property
    def space(self) -> Space: ...

    def check(self) -> None:
        """Go through everything; raises InputError for the first thing that is not sound."""

    def pieces(self) -> Iterator[Sequence[Incoming | Skipped]]:
        """All rows, some at a time, in their order; may be called again."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """``encoder``, ``weights_digest``, ``preprocessing``: who made vectors that do not say so.

    ``normalise``: make vectors unit length that are not.
    """

    encoder: str | None = None
    weights_digest: str | None = None
    preprocessing: str | None = None
    normalise: bool = False


def place_of(where: str | None, name: str, source: Path) -> str:
    """The path of an imported row: its own if it says a whole one, else one that names its source.

    ``imported:FILE/NAME`` is no path of a file system: no folder that is indexed holds it.
    """
    if where and (is_url(where) or _STORE.match(where) or where.startswith("/")):
        return where
    return f"imported:{source.name}/{name}"


def stand_in_hash(space: Space, name: str) -> bytes:
    """In place of the hash of a picture that was never seen: of who made its vector, and its name.

    The same row gives the same record each time; the picture itself, indexed later, is another.
    """
    text = "\n".join(("lookalike imported", space.encoder, space.weights_digest, name))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def vector_alone(vector: FloatArray) -> Features:
    """The features of a picture of which nothing but the vector is known."""
    return Features(NOTHING_KNOWN, None, 0, None, vector)


def require_text(text: str, where: str) -> str:
    """Text that can be kept; InputError for one that is too long or no UTF-8."""
    if len(text.encode("utf-8", "surrogatepass")) > MOST_TEXT_BYTES:
        raise InputError(f"{where}: a text of {len(text):,} characters; cut it")
    if "\0" in text or (not text.isascii() and _SURROGATE.search(text)):
        raise InputError(f"{where}: {text[:40]!r} is no clean text; write it anew in UTF-8")
    return text


def unit_vectors(
    vectors: NDArray[np.floating], name: str, first: int, *, normalise: bool
) -> FloatArray:
    """Vectors (n, dim) as float32 of unit length; ``first``: the first row's number, for errors.

    Raises InputError for the first that is not finite, has no direction, or is not of unit length.
    """
    own: DoubleArray = np.asarray(vectors, np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", own, own))
    for bad, what in (
        (~np.isfinite(lengths), "has numbers that are not finite; leave that row out"),
        (lengths == 0, "is all zeros and has no direction; leave that row out"),
    ):
        if bad.any():
            raise InputError(f"{name}: the vector of row {first + int(np.argmax(bad))} {what}")
    if normalise:
        own = own / lengths[:, None]
    off = np.abs(lengths - 1.0) > (np.inf if normalise else UNIT_TOLERANCE)
    if off.any():
        row = int(np.argmax(off))
        raise InputError(
            f"{name}: the vector of row {first + row} has length {lengths[row]:.4g}, not 1; add"
            " --normalise if only its direction counts"
        )
    exact: FloatArray = own.astype(np.float32)
    return exact


# -- what must hold of what was seen ---------------------------------------------------------------


def require_histogram(
    bins: NDArray[np.uint16], counts: NDArray[np.uint16], where: str
) -> SparseHistogram:
    """A histogram as it is kept; InputError for one that is none."""
    sound = (
        0 < len(bins) == len(counts) <= BINS
        and bool((np.diff(bins.astype(np.int64)) > 0).all())
        and int(bins[-1]) < BINS
        and bool((counts > 0).all())
    )
    if not sound:
        raise InputError(f"{where}: its histogram is none; bins ascend, counts are at least 1")
    return SparseHistogram(bins, counts)


def require_thumbnail(jpeg: bytes, where: str) -> bytes:
    """A JPEG of at most 256 pixels a side; InputError for anything else. Decodes nothing."""
    try:
        if len(jpeg) > MOST_THUMBNAIL_BYTES:
            raise ValueError("too long")
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
            if max(image.size) > SIDE:
                raise ValueError("too large")
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(
            f"{where}: its thumbnail is no JPEG of at most {SIDE} pixels; export it anew"
        ) from error
    return jpeg


def most_classes(space: Space) -> int:
    """Class numbers of a space end below this."""
    spec = CATALOGUE.get(space.encoder)
    return spec.classes if spec is not None and spec.classes else 2**16


def require_logits(
    classes: NDArray[np.uint16], logits: FloatArray, count: int, space: Space, where: str
) -> None:
    """Raise InputError unless these are ``count`` classes, by falling logits."""
    sound = (
        0 < len(classes) == len(logits) == count <= LOGITS_KEPT
        and bool(np.isfinite(logits).all())
        and bool((np.diff(logits) <= 0).all())
        and int(classes.max()) < most_classes(space)
    )
    if not sound:
        raise InputError(
            f"{where}: its classes and logits are not the {count} highest of this encoder; export"
            " it anew"
        )


def space_from(options: ImportOptions, dim: int, name: str) -> Space:
    """The space of vectors that do not say who made them, as the options say it.

    Raises InputError where these do not, and where the catalogue's encoder has other vectors;
    LookalikeError where its weights are not here, so that nobody knows their digest.
    """
    if options.encoder is None:
        raise InputError(
            f"{name}: does not say which encoder made its vectors of {dim} numbers; add --encoder,"
            " like clip-vit-b32"
        )
    require_space_name(options.encoder)
    spec = CATALOGUE.get(options.encoder)
    if spec is None:
        made_by = options.weights_digest or UNKNOWN, options.preprocessing or UNKNOWN
        return Space(options.encoder, *made_by, dim)
    if spec.dim != dim:
        raise InputError(
            f"{name}: has vectors of {dim} numbers, {spec.name} makes {spec.dim}; name another"
            " --encoder"
        )
    digest = options.weights_digest or spec.weights_digest
    if not digest:
        from lookalike.features.encoders.models import held

        digest = held(spec).weights_digest
    return Space(spec.name, digest, options.preprocessing or spec.preprocessing, dim)


def require_space_name(name: str) -> None:
    """Raise InputError for an encoder's name that can name no folder."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}", name):
        raise InputError(
            f"encoder {name[:40]!r}: letters, digits, and . _ + - are allowed, a letter or digit"
            " first"
        )
