"""Terms to points: the numbers of an input, from the store if it is known, else from its file."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol
from uuid import UUID

import numpy as np
from PIL import Image

from lookalike.categories import Understanding, understand
from lookalike.categories.tree import direction_of
from lookalike.decode import ReadFile, decode
from lookalike.errors import ImageError, InputError
from lookalike.features.encoders import Encoder
from lookalike.features.encoders.catalogue import CATALOGUE
from lookalike.features.histogram import histogram
from lookalike.features.parts import pixel_box
from lookalike.features.thumbnail import thumbnail
from lookalike.indexes.exact import unit_vector
from lookalike.places import absolute, is_url
from lookalike.query.search import WITH_COLOUR, Method, Point
from lookalike.query.terms import Term, record_id_of
from lookalike.sources.reading import read_again
from lookalike.stores import Store
from lookalike.types import (
    Crop,
    DoubleArray,
    FileEntry,
    FloatArray,
    QueryInput,
    Record,
    Space,
)

EXAMPLES = 50
"""Pictures of the library that words stand for, at most, where they are mixed with pictures."""


class Numbers(Protocol):
    """The numbers of a library's records in one space, as inputs of a search need them."""

    space: Space

    def vector_of(self, record: UUID) -> DoubleArray | None:
        """The vector of a live record, float64 (dim,), or None."""

    def histogram_of(self, record: UUID) -> DoubleArray | None:
        """The histogram of a live record, float64 (4096,), or None."""

    def examples(self, classes: tuple[int, ...], most: int) -> FloatArray:
        """Vectors (m, dim) of records that surely show one of some classes, the surest first."""


class InputReader:
    """Reads the inputs of one search; ``encoder`` is asked for only if a picture is new."""

    def __init__(
        self, store: Store, numbers: Numbers, encoder: Callable[[], Encoder], method: Method
    ) -> None:
        self._store = store
        self._numbers = numbers
        self._encoder = encoder
        self._meaning = method.by != "colour"
        self._colour = method.by in WITH_COLOUR

    def read(self, term: Term) -> tuple[QueryInput, Point]:
        """What a term stands for: which file or record, and its numbers."""
        return self.read_each([term])[0]

    def read_each(self, terms: Sequence[Term]) -> list[tuple[QueryInput, Point]]:
        """``read`` for each of many terms; the store is asked once for those that are ids."""
        ids = {term.value: self._id_of(term) for term in terms if term.kind == "id"}
        known = [id_ for id_ in ids.values() if id_ is not None]
        found = dict(zip(known, self._store.get(known), strict=True))
        records = {value: found[id_] for value, id_ in ids.items() if id_ is not None}
        return [self._by_kind(term, records) for term in terms]

    def _id_of(self, term: Term) -> UUID | None:
        return record_id_of(term.value) or self._store.find_foreign(term.value)

    def _by_kind(self, term: Term, records: dict[str, Record | None]) -> tuple[QueryInput, Point]:
        if term.kind == "id":
            return self._by_id(term, records.get(term.value))
        return self._by_words(term) if term.kind == "text" else self._by_path(term)

    def _by_words(self, term: Term) -> tuple[QueryInput, Point]:
        """Words by the names of classes, or by the encoder's own tower for text if it has one."""
        if self._colour:
            raise InputError(f"{term.text}: words have no colours; search by meaning or pca")
        spec = CATALOGUE.get(self._numbers.space.encoder)
        if spec is not None and spec.names_classes:
            return self._by_class_names(term)
        encode = getattr(self._own_encoder(), "encode_words", None)
        if encode is None:
            raise InputError(
                f"{term.text}: no such file, and the space {self._numbers.space.name} knows no"
                " words; check the path, or name another --space"
            )
        vector = np.asarray(encode([term.value])[0], np.float64)
        item = QueryInput(term.text, term.weight, understood=(term.value,))
        return item, Point(vector, None, term.weight, words=True)

    def _by_class_names(self, term: Term) -> tuple[QueryInput, Point]:
        said = understand(term.value)
        if not said.phrases:
            raise InputError(_not_understood(term, said))
        phrases = tuple(phrase.classes for phrase in said.phrases)
        vector = np.sum([self._shown(classes) for classes in phrases], axis=0)
        understood = tuple(
            f"{phrase.words} ({', '.join(one.name for one in phrase.categories)})"
            for phrase in said.phrases
        )
        item = QueryInput(term.text, term.weight, understood=understood, unknown=said.unknown)
        return item, Point(vector, None, term.weight, phrases, words=True)

    def _shown(self, classes: tuple[int, ...]) -> DoubleArray:
        """The mean of pictures that surely show one of some classes, float64 (dim,) of unit length.

        The library's own pictures are nearer to others than the direction in which the encoder's
        last layer looks for the classes; that stands in where it has none.
        """
        best = self._numbers.examples(classes, EXAMPLES)
        if not len(best):
            return direction_of(classes)
        return unit_vector(best.mean(axis=0, dtype=np.float64))

    def _by_id(self, term: Term, found: Record | None) -> tuple[QueryInput, Point]:
        if found is None:
            raise InputError(
                f"{term.text}: no record with this id; lookalike ledger --csv - lists them"
            )
        record = found.id
        path = found.paths[0] if found.paths else None
        item = QueryInput(term.text, term.weight, path, record, term.crop)
        stored = None if term.crop else self._stored(record, term.weight)
        if stored is not None:
            return item, stored
        if path is None:
            raise InputError(f"{term.text}: the record's file is gone; index its folder again")
        self._require_seen(term, record)
        return self._fresh(item, _decoded(path, _read(path, self._store, record), term.crop))

    def _require_seen(self, term: Term, record: UUID) -> None:
        """Raise InputError for colours, or a part, of a record that was imported without them."""
        missing = term.crop or self._numbers.histogram_of(record) is None
        if missing and self._store.thumbnails([record]) == [None]:
            raise InputError(
                f"{term.text}: was imported as a vector alone, without colours and picture; search"
                " by meaning"
            )

    def _by_path(self, term: Term) -> tuple[QueryInput, Point]:
        path = absolute(term.value)
        known = self._store.find_path(path)
        stored = self._stored(known[0], term.weight) if known and not term.crop else None
        if known and stored is not None:
            return QueryInput(term.text, term.weight, path, known[0]), stored
        file = _read(path, self._store, known[0] if known else None, term.value)
        record = self._store.find_content(file.content_hash)
        item = QueryInput(term.text, term.weight, path, record, term.crop)
        stored = self._stored(record, term.weight) if record and not term.crop else None
        return (item, stored) if stored else self._fresh(item, _decoded(path, file, term.crop))

    def _stored(self, record: UUID, weight: float) -> Point | None:
        """The numbers of a live record, or None where a table does not have them."""
        vector = self._numbers.vector_of(record) if self._meaning else None
        colours = self._numbers.histogram_of(record) if self._colour else None
        if (self._meaning and vector is None) or (self._colour and colours is None):
            return None
        return Point(vector, colours, weight)

    def _fresh(self, item: QueryInput, picture: Image.Image) -> tuple[QueryInput, Point]:
        vector = self._encoded(picture) if self._meaning else None
        colours = histogram(picture).dense() if self._colour else None
        shown = replace(item, thumbnail=thumbnail(picture))
        return shown, Point(vector, colours, item.weight)

    def _own_encoder(self) -> Encoder:
        """The encoder, once it is sure that it is the space's."""
        encoder = self._encoder()
        if encoder.spec.space != self._numbers.space:
            space = self._numbers.space
            raise InputError(
                f"the library's vectors were made by {space.name} {space.weights_digest[:12]}, not"
                f" by {encoder.spec.name} {encoder.spec.weights_digest[:12]}; index into a new"
                " library"
            )
        return encoder

    def _encoded(self, picture: Image.Image) -> DoubleArray:
        encoder = self._own_encoder()
        vector = encoder.encode(encoder.prepare(picture)[None]).vectors[0]
        # Stored vectors are halves; an input is rounded the same way, so that equal is equal.
        return np.asarray(vector.astype(np.float16), np.float64)


def picture_of(item: QueryInput, store: Store) -> tuple[Image.Image, str | None]:
    """The picture that an input was read from, RGB, its crop cut out; and why it is a thumbnail.

    A record's thumbnail stands in where no file of its content can be read now. Raises InputError
    where there is neither.
    """
    record = store.get([item.record])[0] if item.record else None
    paths = [item.path] if record is None else [item.path, *record.paths]
    gone = "the file is gone"
    for path in dict.fromkeys(path for path in paths if path is not None):
        try:
            file = _read_again(path, store, item.record, download=record is None)
            if record is None or file.content_hash == record.content_hash:
                return _cropped(decode(file.data).image, item.crop), None
            gone = "the file has changed"
        except ImageError as error:
            gone = "the file is gone or cannot be read"
            gone = f"the picture is {error.detail}" if is_url(path) else gone
    jpeg = store.thumbnails([item.record])[0] if item.record else None
    if jpeg is None:
        raise InputError(f"{item.term}: {gone}, and there is no thumbnail; index its folder again")
    return _cropped(Image.open(io.BytesIO(jpeg)).convert("RGB"), item.crop), gone


def _cropped(image: Image.Image, crop: Crop | None) -> Image.Image:
    return image.crop(pixel_box(image.size, crop)) if crop else image


def _not_understood(term: Term, said: Understanding) -> str:
    wider = "".join(
        f"; {word!r} is not known, {name!r} is" for word, name in list(said.wider.items())[:1]
    )
    return (
        f"{term.text}: no such file, and none of these words is known{wider}; check the path, or"
        " name things that can be seen, in English or German"
    )


def _read(path: str, store: Store, record: UUID | None, named: str | None = None) -> ReadFile:
    """The bytes of a picture, downloaded where they are not at hand; ``named``: for messages."""
    try:
        return _read_again(path, store, record, download=True)
    except ImageError as error:
        raise _unreadable(named or path, error) from error


def _read_again(path: str, store: Store, record: UUID | None, *, download: bool) -> ReadFile:
    files = store.files([record])[0] if record else ()
    entry = next((one for one in files if one.path == path), None)
    content = store.get([record])[0] if record and is_url(path) else None
    kept = store.original(content.content_hash) if content else None
    return read_again(entry or FileEntry(path, 0, 0), kept=kept, download=download)


def _decoded(path: str, file: ReadFile, crop: Crop | None) -> Image.Image:
    try:
        image = decode(file.data).image
    except ImageError as error:
        raise _unreadable(path, error) from error
    return _cropped(image, crop)


def _unreadable(path: str, error: ImageError) -> InputError:
    told = error.detail.partition(";")[0]  # the rest cures an index run
    detail = f" ({told})" if told else ""
    return InputError(
        f"{path}: cannot be read as a picture: {error.reason}{detail}; give another file"
    )
