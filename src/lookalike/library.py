"""The facade: open a library, add pictures, search. Everything else is reached from here."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np

from lookalike import config
from lookalike.decode import Decoded, decode, read
from lookalike.errors import ImageError, InputError, LibraryMissingError
from lookalike.features.encoders import DEFAULT_ENCODER, Encoder, load_encoder
from lookalike.features.histogram import histogram
from lookalike.indexes import ExactIndex
from lookalike.indexes.base import Mask
from lookalike.indexes.pca import PcaCache
from lookalike.pipeline import IndexReport, Progress, index
from lookalike.query.search import (
    ByColour,
    ByMix,
    ByVector,
    Comparison,
    Method,
    Point,
    rank,
)
from lookalike.query.terms import Crop, Term, parse_term
from lookalike.stores import HistogramTable, SqliteStore, VectorTable
from lookalike.stores.schema import is_library, readable_errors
from lookalike.types import (
    DoubleArray,
    Hit,
    LedgerRow,
    QueryInput,
    Record,
    SearchResult,
    Sheet,
    Space,
    State,
    Tile,
)

if TYPE_CHECKING:
    from lookalike.evaluate.pca_study import PcaStudy

Source = str | Path | UUID | Term
"""What a search takes as an input: a path, a record id, or a term of the query grammar."""


class Library:
    """Pictures that were indexed, in one folder on disk, and the searches over them.

    >>> with Library.open("pictures.library", create=True) as library:   # doctest: +SKIP
    ...     library.add(["~/Pictures"])
    ...     for hit in library.search(["cat.jpg"]).hits:
    ...         print(hit.rank, hit.score, hit.paths[0])

    Several processes may read one library while one writes to it. An object of this class belongs
    to one thread.
    """

    def __init__(self, folder: Path, encoder: Encoder | None) -> None:
        """Use ``Library.open``."""
        self.folder = folder
        self._encoder = encoder
        self._store: SqliteStore | None = None
        self._version: int | None = None

    @classmethod
    def open(
        cls,
        folder: str | os.PathLike[str] | None = None,
        *,
        create: bool = False,
        encoder: Encoder | None = None,
    ) -> Library:
        """Open the library in ``folder`` (the user's default one if None).

        With ``create`` it need not exist yet; ``add`` makes it. ``encoder`` replaces the default
        one. Raises LibraryMissingError, LibraryCorruptError, LibraryNewerError.
        """
        place = Path(os.path.abspath(os.path.expanduser(folder or config.default_library())))
        library = cls(place, encoder)
        if not create:
            library._reader()
        return library

    def close(self) -> None:
        """Release the library's files. Closing twice is harmless."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def __enter__(self) -> Library:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """Records that have at least one file now."""
        if self._store is None and not is_library(self.folder):
            return 0
        with readable_errors(self.folder):
            return self._reader().count()

    # -- filling ---------------------------------------------------------------------------------

    def add(
        self,
        paths: Iterable[str | os.PathLike[str]],
        options: config.IndexOptions = config.IndexOptions(),
        progress: Progress | None = None,
    ) -> IndexReport:
        """Index files and folders; only what is new or changed is read.

        Everything committed stays, however the run ends; running it again continues. Raises
        InputError for a missing path, NothingDoneError if there is no image or none could be read,
        LibraryLockedError if another process writes, StorageError if the disk is full.
        """
        expanded = [os.path.expanduser(os.fspath(path)) for path in paths]
        if not expanded:
            raise InputError("nothing to index; give at least one file or folder")
        for path in expanded:
            if not os.path.exists(path):
                raise InputError(f"{path}: no such file or folder; check the path")
        fresh = not is_library(self.folder)
        with readable_errors(self.folder):
            store = SqliteStore(self.folder, write=True)
            try:
                return index(store, self._default_encoder(store), expanded, options, progress)
            finally:
                if fresh and next(store.ledger(), None) is None:
                    store.discard()
                store.close()

    def ledger(self, state: State | None = None) -> Iterator[LedgerRow]:
        """Every path ever seen with its state and reason, ordered by path."""
        with readable_errors(self.folder):
            yield from self._reader().ledger(state)

    # -- searching -------------------------------------------------------------------------------

    def search(
        self,
        inputs: Source | Sequence[Source],
        k: int = 5,
        method: Method = Method(),
        *,
        combine: str = "mean",
        include_self: bool = False,
    ) -> SearchResult:
        """The k records most like one or several inputs, best first.

        ``inputs``: paths of pictures, record ids, or terms (see ``query.terms``); k at least 1,
        more than there are gives all. ``combine``: "mean" compares with the mean of the inputs,
        "all" wants some likeness to every one. Inputs that are records of the library are left out
        unless ``include_self``. Raises InputError for values that cannot be used, and for an input
        picture that cannot be read.
        """
        if k < 1:
            raise InputError(f"k {k}: at least 1 hit must be asked for")
        sources = [inputs] if isinstance(inputs, str | Path | UUID | Term) else list(inputs)
        if not sources:
            raise InputError("no input; give at least one picture or record id")
        terms = [_as_term(source) for source in sources]
        _check_weights(terms, method, combine)
        with readable_errors(self.folder):
            self._refresh()
            return self._search(terms, k, method, combine, include_self)

    def _search(
        self, terms: list[Term], k: int, method: Method, combine: str, include_self: bool
    ) -> SearchResult:
        comparison, live = self._comparison(method)
        resolved = [self._resolve(term, method) for term in terms]
        allowed = live.copy()
        own = [item.record.bytes for item, _ in resolved if item.record]
        if own and not include_self:
            allowed &= ~np.isin(comparison.ids, np.frombuffer(b"".join(own), comparison.ids.dtype))
        found = rank(comparison, [point for _, point in resolved], k, combine, allowed)
        ids = [UUID(bytes=id_.tobytes()) for id_ in found.ids]
        distances = comparison.measure.distance(found.scores)
        records = self._reader().get(ids)
        hits = tuple(
            Hit(
                rank=number + 1,
                id=id_,
                paths=record.paths if record else (),
                score=float(found.scores[number]),
                higher_is_better=comparison.measure.higher_is_better,
                distance=float(distances[number]),
                input_scores=tuple(float(score) for score in found.input_scores[:, number]),
            )
            for number, (id_, record) in enumerate(zip(ids, records, strict=True))
        )
        return SearchResult(
            inputs=tuple(item for item, _ in resolved),
            method=method.by,
            measure=comparison.measure,
            combine=combine,
            space=None if method.by == "colour" else self.space.name,
            searched=int(allowed.sum()),
            exact=True,
            hits=hits,
            options=method.options,
        )

    def random_record(self, seed: int | None = None) -> UUID:
        """The id of a record drawn evenly; the same seed and library give the same one."""
        with readable_errors(self.folder):
            self._refresh()
            ids = np.sort(self._histograms.ids[self._histograms.live])
        if not len(ids):
            raise InputError(f"{self.folder}: the library is empty; index a folder first")
        chosen = random.Random(seed).choice(ids)  # noqa: S311 (nothing secret)
        return UUID(bytes=chosen.tobytes())

    def get(self, ids: Sequence[UUID]) -> list[Record | None]:
        """Records by id, in the order asked for; None where there is none."""
        with readable_errors(self.folder):
            return self._reader().get(ids)

    def thumbnails(self, ids: Sequence[UUID]) -> list[bytes | None]:
        """Thumbnails as JPEG, longest side at most 256 pixels, in the order asked for."""
        with readable_errors(self.folder):
            return self._reader().thumbnails(ids)

    def sheet(self, result: SearchResult) -> Sheet:
        """A contact sheet of a search: inputs beside hits, made from thumbnails."""
        from lookalike.features.thumbnail import thumbnail

        inputs = []
        for item in result.inputs:
            if item.record and not item.crop:
                picture = self.thumbnails([item.record])[0]
            else:
                assert item.path is not None  # only records are inputs without a file
                picture = thumbnail(_cropped(self._decode(item.path), item.crop).image)
            inputs.append(Tile(picture, _input_caption(item)))
        pictures = self.thumbnails([hit.id for hit in result.hits])
        hits = [
            Tile(picture, hit_caption(hit, len(result.inputs)))
            for hit, picture in zip(result.hits, pictures, strict=True)
        ]
        return Sheet(_title(result), inputs, hits)

    def pca_study(
        self,
        dims: Sequence[int] = (50, 75, 100, 200),
        methods: Sequence[str] = ("linear",),
        queries: int = 200,
        target: float = 0.8,
    ) -> PcaStudy:
        """How much smaller vectors could be: variance kept, overlap with the full top ten, time."""
        from lookalike.evaluate.pca_study import study

        with readable_errors(self.folder):
            self._refresh()
            return study(self._vectors, dims, methods, queries=queries, target=target)

    # -- inside ----------------------------------------------------------------------------------

    @property
    def space(self) -> Space:
        """The space that searches use: the library's first."""
        spaces = self._reader().spaces()
        if not spaces:
            raise LibraryMissingError(f"{self.folder}: nothing is indexed yet; index a folder")
        return spaces[0]

    def _reader(self) -> SqliteStore:
        if self._store is None:
            self._store = SqliteStore(self.folder)
        return self._store

    def _refresh(self) -> None:
        """Forget tables that another process or ``add`` has since added to."""
        version = self._reader().version()
        if version != self._version:
            for name in ("_vectors", "_histograms"):
                self.__dict__.pop(name, None)
            self._version = version

    @cached_property
    def _vectors(self) -> VectorTable:
        return self._reader().vectors(self.space)

    @cached_property
    def _histograms(self) -> HistogramTable:
        return self._reader().histograms()

    def _default_encoder(self, store: SqliteStore) -> Encoder:
        if self._encoder is None:
            spaces = store.spaces()
            self._encoder = load_encoder(spaces[0].encoder if spaces else DEFAULT_ENCODER)
        return self._encoder

    def _comparison(self, method: Method) -> tuple[Comparison, Mask]:
        if method.by == "colour":
            return ByColour(self._histograms, method.metric), self._histograms.live
        table = self._vectors
        if method.by == "pca":
            cache = PcaCache(self.folder / "derived" / "pca" / self.space.name, table)
            model, reduced = cache.index(method.pca_method, method.dims)

            def reduce(vector: DoubleArray) -> DoubleArray:
                return np.asarray(model.transform(vector[None, :], method.dims)[0], np.float64)

            return ByVector(reduced, reduce), table.live
        meaning = ByVector(ExactIndex(table.ids, table.parts))
        if method.by == "meaning":
            return meaning, table.live
        colour = ByColour(self._histograms, method.metric)
        return ByMix(meaning, colour, method.colour_weight), table.live

    def _resolve(self, term: Term, method: Method) -> tuple[QueryInput, Point]:
        """What a term stands for: which record or file, and its numbers."""
        store = self._reader()
        if term.kind == "id":
            record = UUID(term.value)
            found = store.get([record])[0]
            if found is None:
                raise InputError(f"{term.text}: no record with this id in {self.folder}")
            path = found.paths[0] if found.paths else None
            if term.crop:
                if path is None:
                    raise InputError(f"{term.text}: its file is gone, a crop cannot be taken")
                point = self._point(_cropped(self._decode(path), term.crop), term, method)
            else:
                point = self._stored_point(record, term, method)
            return QueryInput(term.text, term.weight, path, record, term.crop), point
        path = os.path.abspath(term.value)
        known = store.find_path(path)
        if known and not term.crop:
            return (
                QueryInput(term.text, term.weight, path, known[0]),
                self._stored_point(known[0], term, method),
            )
        try:
            file = read(path)
            content = store.find_content(file.content_hash)
            item = QueryInput(term.text, term.weight, path, content, term.crop)
            if content is not None and not term.crop and self._is_live(content):
                return item, self._stored_point(content, term, method)
            return item, self._point(_cropped(decode(file.data), term.crop), term, method)
        except ImageError as error:
            raise _unreadable(term.value, error) from error

    def _is_live(self, record: UUID) -> bool:
        return self._histograms.row_of(record) is not None

    def _decode(self, path: str) -> Decoded:
        try:
            return decode(read(path).data)
        except ImageError as error:
            raise _unreadable(path, error) from error

    def _stored_point(self, record: UUID, term: Term, method: Method) -> Point:
        vector = colours = None
        if method.by != "colour":
            row = self._vectors.row_of(record)
            if row is None:
                raise InputError(f"{term.text}: the record's file is gone; index again")
            vector = self._vectors.vectors(np.array([row]))[0].astype(np.float64)
        if method.by in ("colour", "mix"):
            row = self._histograms.row_of(record)
            if row is None:
                raise InputError(f"{term.text}: the record's file is gone; index again")
            colours = self._histograms.histogram(row).dense()
        return Point(vector, colours, term.weight)

    def _point(self, decoded: Decoded, term: Term, method: Method) -> Point:
        vector = colours = None
        if method.by != "colour":
            encoder = self._default_encoder(self._reader())
            if encoder.spec.space != self.space:
                raise InputError(
                    f"{term.text}: the library's vectors were made by other weights"
                    f" ({self.space.weights_digest[:12]}); index into a new library"
                )
            pixels = encoder.prepare(decoded.image)[None]
            # Stored vectors are halves; an input is rounded the same way, so that equal is equal.
            vector = encoder.encode(pixels).vectors[0].astype(np.float16).astype(np.float64)
        if method.by in ("colour", "mix"):
            colours = histogram(decoded.image).dense()
        return Point(vector, colours, term.weight)


def _as_term(source: Source) -> Term:
    if isinstance(source, Term):
        return source
    if isinstance(source, UUID):
        return Term(str(source), "id", str(source))
    if isinstance(source, Path):
        return Term(str(source), "file", str(source))
    return parse_term(source)


def _check_weights(terms: Sequence[Term], method: Method, combine: str) -> None:
    weights = [term.weight for term in terms]
    if min(weights) < 0 and method.by in ("colour", "mix"):
        raise InputError(
            f"--by {method.by}: colours cannot be subtracted; leave the minus out or"
            " compare by meaning"
        )
    if (combine == "all" and len(set(weights)) > 1) or (combine == "all" and weights[0] < 0):
        raise InputError("--combine all: every input counts alike; leave weights and signs out")


def _unreadable(path: str, error: ImageError) -> InputError:
    told = error.detail.partition(";")[0]  # the rest cures an index run
    detail = f" ({told})" if told else ""
    return InputError(
        f"{path}: cannot be read as a picture: {error.reason}{detail}; give another file"
    )


def _cropped(decoded: Decoded, crop: Crop | None) -> Decoded:
    if crop is None:
        return decoded
    left, top, width, height = crop
    image = decoded.image
    box = (
        min(round(left * image.width), image.width - 1),
        min(round(top * image.height), image.height - 1),
    )
    end = (
        max(box[0] + 1, min(image.width, round((left + width) * image.width))),
        max(box[1] + 1, min(image.height, round((top + height) * image.height))),
    )
    return replace(decoded, image=image.crop((*box, *end)))


def _input_caption(item: QueryInput) -> list[str]:
    name = os.path.basename(item.path or item.term)
    folder = os.path.basename(os.path.dirname(item.path)) if item.path else ""
    weight = "" if item.weight == 1 else f"weight {item.weight:g}"
    return [name, folder, weight]


def hit_caption(hit: Hit, inputs: int) -> list[str]:
    """The lines under a hit on a sheet: rank and score, name, other places, per-input scores."""
    name = os.path.basename(hit.paths[0]) if hit.paths else str(hit.id)
    folder = os.path.basename(os.path.dirname(hit.paths[0])) if hit.paths else ""
    more = f" (+{len(hit.paths) - 1} more)" if len(hit.paths) > 1 else ""
    lines = [f"{hit.rank}.  {hit.score:.3f}", f"{folder}/{name}{more}"]
    if inputs > 1:
        lines.append("each: " + "  ".join(f"{score:.2f}" for score in hit.input_scores))
    return lines


def _title(result: SearchResult) -> str:
    options = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in result.options.items()
    )
    how = f"by {result.method}" + (f" ({options})" if options else "")
    several = f", {result.combine} of {len(result.inputs)} inputs" if len(result.inputs) > 1 else ""
    better = "higher" if result.measure.higher_is_better else "lower"
    return f"{how}{several} · {result.measure.name}, {better} is more alike"
