"""The facade: searching a library, and what is known of its records."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from lookalike.categories import Category
from lookalike.categories.lexicon import categories_named
from lookalike.conditions import Condition, parse_condition
from lookalike.errors import ImageError, InputError
from lookalike.library.opened import OpenedLibrary
from lookalike.places import absolute, is_remote
from lookalike.present.captions import contact_sheet
from lookalike.query.answer import Answerer, Request
from lookalike.query.categories import CategoryCounts, count_categories
from lookalike.query.inputs import InputReader, Numbers
from lookalike.query.search import WITH_COLOUR, Method
from lookalike.query.tables import without_classes
from lookalike.query.terms import Term, parse_term, record_id_of
from lookalike.sources.reading import read_again
from lookalike.stores.server.store import ServerStore
from lookalike.types import (
    FileEntry,
    Label,
    Likeness,
    Record,
    SearchResult,
    Sheet,
    Space,
    Why,
    uuids,
)

if TYPE_CHECKING:
    from lookalike.query.remote import RemoteAnswerer, ServerTables


Source = str | Path | UUID | Term
"""What a search takes as an input: a path, a record id, or a term of the query grammar."""


class Searching(OpenedLibrary):
    """What is like this?"""

    def search(
        self,
        inputs: Source | Sequence[Source],
        k: int = 5,
        method: Method = Method(),
        *,
        combine: str = "mean",
        include_self: bool = False,
        where: str | Condition | None = None,
        category: str | None = None,
        least: str | Likeness | None = None,
        space: str | None = None,
        exact: bool = False,
    ) -> SearchResult:
        """The k records most like one or several inputs, best first.

        ``inputs``: paths of pictures, record ids, or terms (see ``query.terms``); k at least 1,
        more than there are gives all. ``combine``: "mean" compares with the mean of the inputs,
        "all" wants some likeness to every one. Inputs that are records of the library are left out
        unless ``include_self``. ``where`` keeps to records for which a condition holds (see
        ``conditions``); if it holds for k, k come back. ``category``: only records that surely show
        this, a name like "cat" or "animal". ``least``: leave out hits that are less alike, "likely"
        or "maybe". ``space``: by name, the library's default one if None. ``exact`` compares with
        every such record, where otherwise an index may look at fewer; the result says which it was.
        Raises InputError for values that cannot be used, and for an input picture that cannot be
        read.
        """
        sources = [inputs] if isinstance(inputs, str | Path | UUID | Term) else list(inputs)
        request = _request(k, method, combine, include_self, where, exact, category, least)
        terms = _terms(sources, method, combine)
        with self._home.errors():
            result = self._answerer(request, space).answer(terms)
            self._index_soon(request, result)
            return result

    def compare(
        self,
        inputs: Source | Sequence[Source],
        spaces: Sequence[str],
        k: int = 5,
        **options: Any,
    ) -> list[SearchResult]:
        """The same search in several spaces, in their order; ``options`` as ``search`` has them."""
        if len(spaces) < 2:
            raise InputError(f"spaces {', '.join(spaces)}: name two or more to compare")
        return [self.search(inputs, k, space=space, **options) for space in spaces]

    def search_many(
        self,
        inputs: Sequence[Source],
        k: int = 5,
        method: Method = Method(),
        *,
        include_self: bool = False,
        where: str | Condition | None = None,
        category: str | None = None,
        least: str | Likeness | None = None,
        space: str | None = None,
        exact: bool = False,
    ) -> list[SearchResult]:
        """``search`` for each input by itself, in one pass where the method allows it.

        By meaning and PCA a batch of 256 takes a fraction of the time of 256 searches.
        """
        request = _request(k, method, "mean", include_self, where, exact, category, least)
        terms = _terms(inputs, method, "mean")
        with self._home.errors():
            results = self._answerer(request, space).answer_each(terms)
            self._index_soon(request, results[0])
            return results

    def why(
        self, query: Source, hit: Source, *, space: str | None = None, quick: bool = False
    ) -> Why:
        """What makes two pictures alike: parts of both, and the colours that they share.

        ``query``, ``hit``: as inputs of a search, but no words; ``space``: as in ``search``;
        ``quick``: only ask an encoder that tells what it saw where, instead of also hiding every
        part in turn, a hundred passes. Where a record's file is gone its thumbnail is used.
        Raises InputError for values that cannot be used or read.
        """
        from lookalike.query.why import Explainer  # no search needs it

        terms = _as_term(query), _as_term(hit)
        with self._home.errors():
            tables = self._current(space)
            encoder = partial(self._encoder_of, tables.space)
            return Explainer(tables, self._reader(), encoder).explain(*terms, quick=quick)

    def categories(self, name: str | None = None) -> CategoryCounts:
        """What the records show, as trees with counts; only at or below a category if named.

        A record counts for a category that it shows with a confidence of at least 0.5, and for all
        above that. Raises InputError for a name that is not known, and where no space has classes.
        """
        top = _category(name)
        with self._home.errors():
            index = self._current().labelled_by.categories
            if index.empty:
                raise without_classes(self.name)
            return count_categories(index, top)

    def shown_by(self, record: UUID, least: float = 0.1) -> list[Label]:
        """What a record shows with a confidence of at least ``least``: classes and all above them.

        The widest first, then the labels of its parts and those that were given to it. Raises
        InputError for an id that is not in the library.
        """
        with self._home.errors():
            if self._reader().get([record]) == [None]:
                raise InputError(f"{record}: no record of {self.name} has this id")
            index = self._current().labelled_by.categories
            row = index.row_of(record)
            labels = [] if row is None else [
                Label(one.name, share, one.id) for one, share in index.shown(row, least)
            ]  # fmt: skip
            parts = [] if row is None else index.part_labels(row)
            return [*labels, *parts, *self._reader().labels([record])[0]]

    def random_record(self, seed: int | None = None) -> UUID:
        """The id of a record drawn evenly; the same seed and library give the same one."""
        with self._home.errors():
            store = self._reader()
            count = store.count()
            if not count:
                raise InputError(f"{self.name}: the library is empty; index a folder first")
            place = random.Random(seed).randrange(count)  # noqa: S311 (nothing secret)
            return store.id_at(place)

    def get(self, ids: Sequence[UUID]) -> list[Record | None]:
        """Records by id, in the order asked for; None where there is none."""
        with self._home.errors():
            return self._reader().get(ids)

    def record_at(self, path: str | os.PathLike[str]) -> UUID | None:
        """The record that lies at a path, or has the content of a file there; None if none has.

        A URL that the library does not know is not asked for.
        """
        where = absolute(os.fspath(path))
        with self._home.errors():
            known = self._reader().find_path(where)
            if known is not None or is_remote(where):
                return known[0] if known else None
            try:
                file = read_again(FileEntry(where, 0, 0))
                return self._reader().find_content(file.content_hash)
            except ImageError as error:
                raise InputError(f"{path}: cannot be read: {error.reason}") from error

    def record_called(self, name: str) -> UUID | None:
        """The record that an id stands for, its own or another table's; None if none is so called.

        One that is written as ours is, is taken for ours, whether it is here or not.
        """
        with self._home.errors():
            return record_id_of(name) or self._reader().find_foreign(name)

    def is_original(self, path: str | os.PathLike[str]) -> bool:
        """Whether a path, or what it links to, is one from which the library reads a picture."""
        where = os.path.abspath(os.fspath(path))
        with self._home.errors():
            return any(map(self._reader().reads_path, {where, os.path.realpath(where)}))

    def matching(self, where: str | Condition) -> list[UUID]:
        """Ids of the records for which a condition holds, ascending."""
        condition = parse_condition(str(where))
        with self._home.errors():
            return uuids(self._reader().matching(condition))

    def thumbnails(self, ids: Sequence[UUID]) -> list[bytes | None]:
        """Thumbnails as JPEG, longest side at most 256 pixels, in the order asked for."""
        with self._home.errors():
            return self._reader().thumbnails(ids)

    def sheet(self, result: SearchResult) -> Sheet:
        """A contact sheet of a search: inputs beside hits, made from thumbnails."""
        hits = self.thumbnails([hit.id for hit in result.hits])
        inputs = [
            item.thumbnail or (self.thumbnails([item.record])[0] if item.record else None)
            for item in result.inputs
        ]
        return contact_sheet(result, inputs, hits)

    def _answerer(self, request: Request, space: str | None = None) -> Answerer | RemoteAnswerer:
        store = self._reader()
        own = self._space(space)
        remote = self._server_tables(store, own) if isinstance(store, ServerStore) else None
        if remote is not None and request.method.by != "pca":
            from lookalike.query.remote import RemoteAnswerer

            return RemoteAnswerer(
                remote, remote.store, self._input_reader(remote, request), request
            )
        # By PCA a server's vectors are fetched and reduced here, once.
        tables = self._current(space)
        return Answerer(tables, store, self._input_reader(remote or tables, request), request)

    def _input_reader(self, numbers: Numbers, request: Request) -> InputReader:
        encoder = partial(self._encoder_of, numbers.space)
        return InputReader(self._reader(), numbers, encoder, request.method)

    def _server_tables(self, store: ServerStore, space: Space) -> ServerTables:
        from lookalike.query.remote import ServerTables

        version = store.version()
        if self._remote is None or self._remote[0] != (version, space):
            self._remote = (version, space), ServerTables(store, space)
        return self._remote[1]


def _as_term(source: Source) -> Term:
    if isinstance(source, Term):
        return source
    if isinstance(source, UUID):
        return Term(str(source), "id", str(source))
    if isinstance(source, Path):
        return Term(str(source), "file", str(source))
    return parse_term(source)


def _terms(sources: Sequence[Source], method: Method, combine: str) -> list[Term]:
    if not sources:
        raise InputError("no input; give at least one picture or record id")
    terms = [_as_term(source) for source in sources]
    _check_weights(terms, method, combine)
    return terms


def _request(
    k: int,
    method: Method,
    combine: str,
    include_self: bool,
    where: str | Condition | None,
    exact: bool,
    category: str | None = None,
    least: str | Likeness | None = None,
) -> Request:
    if k < 1:
        raise InputError(f"k {k}: at least 1 hit must be asked for")
    condition = None if where is None else parse_condition(str(where))  # checks trees, too
    shown, alike = _category(category), _least(least)
    return Request(k, method, combine, include_self, condition, exact, shown, alike)


def _category(name: str | None) -> Category | None:
    if name is None:
        return None
    found = categories_named(name.strip().casefold())
    if len(found) != 1:
        known = ", ".join(one.name for one in found)
        unclear = f"stands for several, name one of: {known}"
        unknown = "not known; lookalike categories lists those of a library"
        raise InputError(f"category {name!r}: {unclear if found else unknown}")
    return found[0]


def _least(word: str | Likeness | None) -> Likeness | None:
    if word is None:
        return None
    try:
        return Likeness(word)
    except ValueError as error:
        known = ", ".join(one.value for one in Likeness)
        raise InputError(f"least {word!r}: not known; use one of: {known}") from error


def _check_weights(terms: Sequence[Term], method: Method, combine: str) -> None:
    weights = [term.weight for term in terms]
    if min(weights) < 0 and method.by in WITH_COLOUR:
        raise InputError(
            f"--by {method.by}: colours cannot be subtracted; leave the minus out or"
            " compare by meaning"
        )
    if combine == "all" and method.by == "shortlist":
        raise InputError(
            "--combine all: a shortlist is near the mean of the inputs; leave it out, or --by mix"
        )
    if combine == "all" and (len(set(weights)) > 1 or weights[0] < 0):
        raise InputError("--combine all: every input counts alike; leave weights and signs out")
