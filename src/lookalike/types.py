"""The vocabulary as types: file, record, space, histogram, hit. No behaviour beyond conversion."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

BINS = 4096
"""Bins of a colour histogram, 16 a channel: 256 * (R // 16) + 16 * (G // 16) + B // 16."""

LOGITS_KEPT = 10
"""Class logits stored per record and space, the highest first."""

PixelArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]
IdArray = NDArray[np.void]
"""Record ids as raw 16-byte UUIDs, dtype ``V16``, shape (n,)."""

ID_DTYPE = np.dtype("V16")

Crop = tuple[float, float, float, float]
"""A part of a picture: left, top, width, height in fractions of its size."""


class State(StrEnum):
    """What became of a file when it was last seen."""

    INDEXED = "indexed"
    UNCHANGED = "unchanged"
    MOVED = "moved"
    GONE = "gone"
    UNREADABLE = "unreadable"
    SKIPPED = "skipped"


LIVE_STATES = (State.INDEXED, State.UNCHANGED, State.MOVED)
"""States of files that lie where the library says."""


class Reason(StrEnum):
    """Why a file is in its state."""

    # indexed
    NEW = "new"
    CHANGED = "changed"
    DUPLICATE = "same content as another file"
    BACK = "back again"
    IMPORTED = "imported"
    """It came with another library's data, or another program's; nobody has read it here."""
    # unchanged
    SAME_STAT = "same size and time"
    SAME_CONTENT = "same content"
    NOT_MODIFIED = "not modified"
    NOT_REACHED = "not reached"
    """Its server did not give it this time; otherwise unreadable. Asked for again each run."""
    # moved
    MOVED = "moved"
    # gone
    NOT_FOUND = "not found"
    # unreadable
    ZERO_BYTES = "zero bytes"
    NOT_AN_IMAGE = "not an image"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    UNSUPPORTED = "unsupported"
    TOO_MANY_PIXELS = "too many pixels"
    TOO_MANY_BYTES = "too many bytes"
    NO_PERMISSION = "no permission"
    READ_ERROR = "read error"
    REFUSED = "refused by its server"
    # skipped
    HIDDEN = "hidden"
    OTHER_NAME = "not an image's name"
    LINK_LOOP = "link to a folder already seen"
    BROKEN_LINK = "broken link"
    SPECIAL_FILE = "not a regular file"
    LIBRARY = "a library's folder"
    BAD_URL = "not a URL of a picture"
    REPEATED = "given twice"
    EMPTY_ARCHIVE = "an archive without pictures"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A picture found at a path, which is absolute; undecodable bytes are kept as surrogates.

    ``path`` may also be a URL, or a member of an archive below the archive's own path. Where only
    reading tells, as with URLs, ``bytes`` and ``mtime_ns`` are 0 before. ``foreign_id``: what
    another table calls the picture; ``validator``: what a server said by which the unchanged
    picture is known again.
    """

    path: str
    bytes: int
    mtime_ns: int
    foreign_id: str | None = None
    validator: str | None = None

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> FileEntry:
        """From a file's status; a time that does not fit 64 bits of nanoseconds is cut to them."""
        return cls(path, status.st_size, max(-(2**63), min(status.st_mtime_ns, 2**63 - 1)))


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A path that the scan found and did not take as an image."""

    path: str
    state: State
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SparseHistogram:
    """The occupied bins of one colour histogram.

    ``bins`` uint16 (m,), ascending; ``counts`` uint16 (m,), pixels per bin, each at least 1.
    """

    bins: NDArray[np.uint16]
    counts: NDArray[np.uint16]

    def dense(self) -> DoubleArray:
        """The histogram as float64 (4096,), summing to 1."""
        full = np.zeros(BINS, dtype=np.float64)
        full[self.bins] = self.counts
        shares: DoubleArray = full / full.sum()
        return shares


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What the file says about the picture. Sizes in pixels, as displayed (orientation applied)."""

    width: int
    height: int
    format: str
    taken_at: str | None = None
    """EXIF capture time, ISO 8601 without time zone."""
    camera: str | None = None
    latitude: float | None = None
    """Degrees, north positive, -90..90."""
    longitude: float | None = None
    """Degrees, east positive, -180..180."""


@dataclass(frozen=True, slots=True)
class ClassLogits:
    """The highest class logits of one image: ``classes`` uint16 (m,), ``logits`` float32 (m,)."""

    classes: NDArray[np.uint16]
    logits: FloatArray


@dataclass(frozen=True, slots=True)
class Features:
    """All that one decode of one image gives.

    ``vector`` float32 (dim,) of unit length; ``phash`` a 64-bit perceptual hash, unsigned;
    ``thumbnail`` a JPEG whose longest side is at most 256 pixels. Of a picture that was imported
    and never seen here ``histogram`` and ``thumbnail`` may be None, ``phash`` 0.
    """

    facts: ImageFacts
    histogram: SparseHistogram | None
    phash: int
    thumbnail: bytes | None
    vector: FloatArray
    logits: ClassLogits | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one file gave: a content hash and features, or a content already known, or a refusal.

    One that was imported has a content hash and the ``reason`` for it, too.
    ``kept``: what is known of the path still holds, for this ``reason`` (not modified, not
    reached); where nothing is known, it is a refusal.
    """

    entry: FileEntry
    content_hash: bytes | None = None
    features: Features | None = None
    reason: Reason | None = None
    """Set when the file is unreadable, kept, or imported."""
    detail: str = ""
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Space:
    """Where vectors may be compared with each other: encoder, weights, preprocessing, dimension."""

    encoder: str
    weights_digest: str
    preprocessing: str
    dim: int

    @property
    def name(self) -> str:
        """The name under which the space is asked for and stored, e.g. ``efficientnet-lite0``."""
        return self.encoder


@dataclass(frozen=True, slots=True)
class Record:
    """One distinct image, by content. ``paths`` are all places where it lies now."""

    id: UUID
    content_hash: bytes
    bytes: int
    facts: ImageFacts
    phash: int
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One line of the ledger. ``record`` is None where no image could be read."""

    path: str
    state: State
    reason: str
    detail: str
    bytes: int | None
    mtime_ns: int | None
    record: UUID | None


@dataclass(frozen=True, slots=True)
class Measure:
    """A way of comparing two images: its name, the range of its score and which end is alike."""

    name: str
    lowest: float
    highest: float
    higher_is_better: bool

    def distance(self, score: DoubleArray) -> DoubleArray:
        """Scores as distances: ascending means less alike, for every measure."""
        return self.highest - score if self.higher_is_better else score


COSINE = Measure("cosine", -1.0, 1.0, True)
CORRELATION = Measure("correlation", -1.0, 1.0, True)
CHI_SQUARE = Measure("chi-square", 0.0, float("inf"), False)
INTERSECTION = Measure("intersection", 0.0, 1.0, True)
BHATTACHARYYA = Measure("bhattacharyya", 0.0, 1.0, False)
MIX = Measure("mix", -1.0, 1.0, True)
SHARE = Measure("share", 0.0, 1.0, True)
"""How surely a picture shows what words name."""

COLOUR_MEASURES: Mapping[str, Measure] = {
    m.name: m for m in (CORRELATION, CHI_SQUARE, INTERSECTION, BHATTACHARYYA)
}


class Likeness(StrEnum):
    """How sure it is that a hit is like what was asked for."""

    LIKELY = "likely"
    MAYBE = "maybe"
    UNLIKELY = "unlikely"

    @property
    def order(self) -> int:
        """0 for the surest."""
        return list(Likeness).index(self)


@dataclass(frozen=True, slots=True)
class Label:
    """What a picture shows, with a confidence 0..1; ``category`` is an id of the tree or None.

    ``source``: who says so, one of ``LABEL_SOURCES``; None for what the encoder's classes say.
    ``part``: the box of the picture that shows it, as a crop in fractions; None for all of it.
    """

    name: str
    confidence: float
    category: str | None = None
    source: str | None = None
    part: Crop | None = None


LABEL_SOURCES = ("own", "folders", "table", "names")
"""Who gives labels: the user, the names of folders, a CSV file, a list of names to choose from."""


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How many records that have a file now have a label from a source."""

    source: str
    label: str
    records: int


@dataclass(frozen=True, slots=True)
class QueryInput:
    """One input as it was understood: where it came from and which record it is, if any.

    ``understood`` and ``unknown``: of words, those that were and were not.
    """

    term: str
    weight: float
    path: str | None = None
    record: UUID | None = None
    crop: Crop | None = None
    thumbnail: bytes | None = field(default=None, repr=False, compare=False)
    """A JPEG of the input, where it is not a record's own picture."""
    understood: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer. ``distance`` ascends with rank for every measure; ``score`` is the measure's own.

    ``input_scores`` holds the score against each input, in their order; with one input, its score.
    ``likeness`` is None where the library is too small to say. ``label``: what the picture shows,
    None where that is unsure or the library has no classes. ``labels``: those that were given to
    it, and those of its parts.
    """

    rank: int
    id: UUID
    paths: tuple[str, ...]
    score: float
    higher_is_better: bool
    distance: float
    input_scores: tuple[float, ...]
    likeness: Likeness | None = None
    label: Label | None = None
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first, and what was compared to find them."""

    inputs: tuple[QueryInput, ...]
    method: str
    measure: Measure
    combine: str
    space: str | None
    searched: int
    """Records that were compared (inputs left out are not counted)."""
    exact: bool
    """Whether no record that was compared can be nearer than the hits."""
    hits: tuple[Hit, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    where: str | None = None
    """The condition that all hits fulfil, if one was set."""
    category: str | None = None
    """The category that all hits show, if one was asked for."""
    least: Likeness | None = None
    """How alike hits are at the least, if that was asked for."""

    @property
    def nothing_alike(self) -> bool:
        """Whether nothing here is like what was asked for: no hit is more than unlikely."""
        words = [hit.likeness for hit in self.hits]
        return all(word is Likeness.UNLIKELY for word in words)

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values for JSON; an unbounded range end is None."""
        highest = None if np.isinf(self.measure.highest) else self.measure.highest
        query = {
            "inputs": [_input_dict(item) for item in self.inputs],
            "by": self.method,
            **self.options,
            "combine": self.combine,
            **({} if self.where is None else {"where": self.where}),
            **({} if self.category is None else {"category": self.category}),
            **({} if self.least is None else {"min": self.least.value}),
            "space": self.space,
            "searched": self.searched,
            "exact": self.exact,
            "score": {
                "kind": self.measure.name,
                "range": [self.measure.lowest, highest],
                "higher_is_better": self.measure.higher_is_better,
            },
        }
        return {
            "query": query,
            "nothing_alike": self.nothing_alike,
            "hits": [_hit_dict(hit) for hit in self.hits],
        }


def _input_dict(item: QueryInput) -> dict[str, Any]:
    record = str(item.record) if item.record else None
    crop = list(item.crop) if item.crop else None
    return {
        "term": item.term,
        "weight": item.weight,
        "path": item.path,
        "id": record,
        "crop": crop,
        **({"understood": list(item.understood)} if item.understood else {}),
        **({"unknown": list(item.unknown)} if item.unknown else {}),
    }


def _hit_dict(hit: Hit) -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "id": str(hit.id),
        "paths": list(hit.paths),
        "score": hit.score,
        "distance": hit.distance,
        "input_scores": list(hit.input_scores),
        "likeness": hit.likeness.value if hit.likeness else None,
        "label": label_dict(hit.label),
        "labels": [label_dict(label) for label in hit.labels],
    }


def label_dict(label: Label | None) -> dict[str, Any] | None:
    """A label as plain values for JSON."""
    if label is None:
        return None
    return {
        "name": label.name,
        "confidence": label.confidence,
        "category": label.category,
        **({"source": label.source} if label.source else {}),
        **({"part": list(label.part)} if label.part else {}),
    }


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture of a contact sheet: a JPEG and the lines under it."""

    jpeg: bytes | None
    """None where no picture could be had; a frame with ``instead`` in it is drawn."""
    caption: Sequence[str]
    instead: str = "no picture"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A contact sheet: inputs beside hits."""

    title: str
    inputs: Sequence[Tile]
    hits: Sequence[Tile]


@dataclass(frozen=True, slots=True)
class SharedColour:
    """A colour that two pictures have in common: ``rgb`` 0..255 each, and shares 0..1.

    ``in_query`` and ``in_hit``: of each picture's area in about this colour.
    """

    rgb: tuple[int, int, int]
    in_query: float
    in_hit: float


@dataclass(frozen=True, slots=True)
class WhySide:
    """One of two compared pictures, and which of its parts make it like the other.

    ``relevance`` float32 (rows, columns), 0..1, over the whole picture: how much of the score comes
    from a place, as a share of the most telling place's; 0 where it would rise without.
    ``marked``: the places that matter most, bool of the same shape; ``boxes`` around each connected
    piece of them, the most telling first; all empty where nothing is telling. ``fall``: by how much
    hiding all that is marked lowers the score.
    """

    name: str
    path: str | None
    record: UUID | None
    crop: Crop | None
    jpeg: bytes = field(repr=False, compare=False)
    """What was compared, for showing; longest side at most 720 pixels."""
    relevance: FloatArray = field(repr=False, compare=False)
    marked: NDArray[np.bool_] = field(repr=False, compare=False)
    boxes: tuple[Crop, ...]
    fall: float
    from_thumbnail: str | None = None
    """Why the catalogue's thumbnail stands in for the file, or None where it does not."""


@dataclass(frozen=True, slots=True)
class Why:
    """What makes two pictures alike: parts of both, and colours.

    ``score``: cosine, -1..1; ``same``: the two are the same picture, all of it counts.
    ``overlap``: intersection of the colour histograms, 0..1; ``colours``: the largest shared first.
    """

    score: float
    likeness: Likeness | None
    space: str
    same: bool
    query: WhySide
    hit: WhySide
    overlap: float
    colours: tuple[SharedColour, ...]

    @property
    def hardly_alike(self) -> bool:
        """Whether there is no more likeness than any two pictures have: nothing is marked."""
        return not (self.query.boxes or self.hit.boxes or self.same)

    @property
    def verdict(self) -> str:
        """The answer in one sentence."""
        if self.same:
            return "the two are the same picture: all of it is alike"
        if self.hardly_alike:
            return "hardly anything makes these two alike"
        return "the marked parts make these two alike"

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain values for JSON; maps as rows of numbers, pictures left out."""
        return {
            "score": self.score,
            "likeness": self.likeness.value if self.likeness else None,
            "space": self.space,
            "verdict": self.verdict,
            "same": self.same,
            "query": _side_dict(self.query),
            "hit": _side_dict(self.hit),
            "colours": {
                "overlap": self.overlap,
                "shared": [
                    {"rgb": list(one.rgb), "in_query": one.in_query, "in_hit": one.in_hit}
                    for one in self.colours
                ],
            },
        }


def _side_dict(side: WhySide) -> dict[str, Any]:
    return {
        "name": side.name,
        "path": side.path,
        "id": str(side.record) if side.record else None,
        "crop": list(side.crop) if side.crop else None,
        "from_thumbnail": side.from_thumbnail,
        "fall": side.fall,
        "boxes": [list(box) for box in side.boxes],
        "relevance": [[round(float(value), 3) for value in row] for row in side.relevance],
    }


Cell = int | float | str | None
"""A value in a row of a user's table."""


class ColumnKind(StrEnum):
    """What values a column of a user's table has; each of them may also be null."""

    INTEGER = "integer"
    """64 bits, signed."""
    REAL = "real"
    """64 bits, never NaN."""
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a user's table."""

    name: str
    kind: ColumnKind


SIDE_MATCHES = ("foreign_id", "path", "name", "id")
"""What of a picture the key of a side table's row may be, in the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class SideTable:
    """A user's own table beside the pictures.

    ``key``: the column that says to which picture a row belongs, a text; ``matches``: what of the
    picture it is compared with, one of ``SIDE_MATCHES``. ``source`` says where the rows came from,
    ``added`` when (ISO 8601, UTC).
    """

    name: str
    key: str
    matches: str
    columns: tuple[Column, ...]
    rows: int = 0
    source: str = ""
    added: str = ""

    def column(self, name: str) -> Column | None:
        """A column by its name, in letters of either case."""
        wanted = name.casefold()
        return next((one for one in self.columns if one.name.casefold() == wanted), None)


@dataclass(frozen=True)
class SqlResult:
    """What a statement gives: names of columns, and rows that are read as they are asked for.

    Bytes come as text in hexadecimal digits. ``close`` ends it before its last row.
    """

    columns: tuple[str, ...]
    rows: Generator[tuple[Cell, ...], None, None]

    def __iter__(self) -> Iterator[tuple[Cell, ...]]:
        return self.rows

    def close(self) -> None:
        """Let go of the snapshot that it is read from. Closing twice is harmless."""
        self.rows.close()


# -- ids and text, as they are passed on -----------------------------------------------------------


def uuids(ids: IdArray) -> list[UUID]:
    """Ids of an array, in its order."""
    return [UUID(bytes=id_.tobytes()) for id_ in ids]


def id_array(ids: Iterable[UUID]) -> IdArray:
    """Ids as an array, in their order."""
    return np.frombuffer(b"".join(id_.bytes for id_ in ids), ID_DTYPE)


def as_text(name: str) -> str:
    """A name of the file system as text that UTF-8 can hold: undecodable bytes as escapes."""
    if name.isascii():
        return name
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    """Text that any terminal can show on one line: control and undecodable bytes as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
