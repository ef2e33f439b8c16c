"""Why two pictures are alike: both read, compared, and taken apart."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lookalike.errors import InputError
from lookalike.features.encoders import Encoder
from lookalike.indexes.exact import unit_vector
from lookalike.query.inputs import InputReader, picture_of
from lookalike.query.likeness import Judge
from lookalike.query.relevance import Relevance, everywhere, relevance, unmarked
from lookalike.query.search import Method, Point, compare_by
from lookalike.query.shared import overlap, shared_colours
from lookalike.query.tables import Tables
from lookalike.query.terms import Term
from lookalike.stores import Store
from lookalike.types import DoubleArray, Likeness, QueryInput, Why, WhySide

SHOWN_SIDE = 720
"""Pixels of the longest side of the pictures that an answer carries, at most."""

BOTH = Method("mix")
"""What is read of both pictures: vectors and colours."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One of the two pictures: as it was understood, its numbers, its pixels."""

    item: QueryInput
    vector: DoubleArray
    histogram: DoubleArray
    picture: Image.Image
    from_thumbnail: str | None


class Explainer:
    """Explains pairs of pictures from the tables of one commit."""

    def __init__(self, tables: Tables, store: Store, encoder: Callable[[], Encoder]) -> None:
        self._tables, self._store, self._encoder = tables, store, encoder
        self._reader = InputReader(store, tables, encoder, BOTH)
        meaning = Method("meaning")
        comparison, live = compare_by(meaning, tables)
        self._judge = Judge(comparison, tables, live, meaning)

    def explain(self, query: Term, hit: Term, *, quick: bool = False) -> Why:
        """See ``Library.why``."""
        one, other = self._read(query), self._read(hit)
        score = float(one.vector @ other.vector)
        likeness = self._judge.of_pair(score)
        same = _same(one.picture, other.picture)
        maps = [everywhere(side.picture.size) for side in (one, other)]
        if not same:
            maps = self._maps(one, other, likeness, quick)
        return Why(
            score,
            likeness,
            self._tables.space.name,
            same,
            _side(one, maps[0]),
            _side(other, maps[1]),
            overlap(one.histogram, other.histogram),
            shared_colours(one.histogram, other.histogram),
        )

    def _read(self, term: Term) -> Compared:
        if term.kind == "text":
            raise InputError(
                f"{term.text}: no such file, and words have no parts to show; give a picture or a"
                " record id"
            )
        if term.weight != 1:
            raise InputError(f"{term.text}: two pictures have no weights; leave it out")
        item, point = self._reader.read(term)
        picture, gone = picture_of(item, self._store)
        return Compared(item, _vector(point), point.need_histogram(), picture, gone)

    def _maps(
        self, one: Compared, other: Compared, likeness: Likeness | None, quick: bool
    ) -> list[Relevance]:
        encoder = self._encoder()
        maps = [
            relevance(encoder, side.picture, target.vector, quick=quick)
            for side, target in ((one, other), (other, one))
        ]
        if likeness is Likeness.UNLIKELY:  # what is left are accidents
            return [unmarked(found.relevance) for found in maps]
        return maps


def _vector(point: Point) -> DoubleArray:
    return unit_vector(point.need_vector())


def _same(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures have the same pixels."""
    return one.size == other.size and bool((np.asarray(one) == np.asarray(other)).all())


def _side(side: Compared, found: Relevance) -> WhySide:
    item = side.item
    return WhySide(
        name=item.term,
        path=item.path,
        record=item.record,
        crop=item.crop,
        jpeg=_shown(side.picture),
        relevance=found.relevance,
        marked=found.marked,
        boxes=found.boxes,
        fall=found.fall,
        from_thumbnail=side.from_thumbnail,
    )


def _shown(picture: Image.Image) -> bytes:
    shown = picture.copy()
    shown.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
