"""The main path of an import: what is it -> check all of it -> put it, some rows at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from lookalike.errors import InputError, NothingDoneError
from lookalike.exchange.clip_retrieval import ClipRetrieval, is_clip_retrieval
from lookalike.exchange.incoming import Arrival, ImportOptions, Incoming, Skipped
from lookalike.exchange.own_parquet import OwnParquet, is_own
from lookalike.exchange.photos import PhotosParquet, is_photos
from lookalike.exchange.rclip import RclipDatabase, is_rclip
from lookalike.exchange.tables import ParquetTable
from lookalike.pipeline import Progress
from lookalike.stores import Store
from lookalike.stores.base import SpaceFeatures, record_id
from lookalike.types import Outcome, Reason, Space


@dataclass(slots=True)
class ImportReport:
    """What an import did.

    ``rows`` came; ``added`` records are new, ``known`` ones were here, ``extended`` of them have
    now a vector in this space; ``left`` rows: their path has another picture here; ``skipped`` rows
    by reason.
    """

    spaces: list[Space] = field(default_factory=list)
    rows: int = 0
    added: int = 0
    known: int = 0
    extended: int = 0
    left: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


def arrivals(paths: Sequence[Path], options: ImportOptions) -> list[Arrival]:
    """What files and folders bring, by what is in them; raises InputError for what is not known."""
    found: list[Arrival] = []
    for path in paths:
        found.extend(_arrivals(path, options))
    return found


def _arrivals(path: Path, options: ImportOptions) -> Iterable[Arrival]:
    if path.is_dir():
        if is_clip_retrieval(path):
            return [ClipRetrieval(path, options)]
        parts = sorted((path / "data").glob("*.parquet")) or sorted(path.glob("*.parquet"))
        own = [part for part in parts if part.name != "conversions.parquet"]
        if not own:
            raise InputError(f"{path}: has no Parquet files and no img_emb_0.npy; name a file")
        return [_of_parquet(part, options) for part in own]
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path")
    return [RclipDatabase(path, options) if is_rclip(path) else _of_parquet(path, options)]


def _of_parquet(path: Path, options: ImportOptions) -> Arrival:
    table = ParquetTable(path)
    if is_own(table):
        return OwnParquet(table, options)
    if is_photos(table):
        return PhotosParquet(table, options)
    raise InputError(
        f"{path}: is neither an export of lookalike nor a photos.parquet (photo_id, photo_embed);"
        f" has {', '.join(table.schema.names[:12])}"
    )


def coming(
    paths: Sequence[Path], options: ImportOptions | None, progress: Progress
) -> list[Arrival]:
    """What comes, once all of it is sound; raises InputError for the first thing that is not."""
    progress.stage("check")
    found = arrivals(paths, options or ImportOptions())
    if not found:
        raise InputError("nothing to import; give at least one file or folder")
    for arrival in found:
        arrival.check()
    return found


def bring(found: Sequence[Arrival], store: Store, progress: Progress) -> ImportReport:
    """Put what is ``coming``.

    Every batch is durable when the next begins; the same import again continues a killed one.
    Raises InputError before anything is written where vectors cannot stand beside those here, and
    NothingDoneError where no row could be taken in.
    """
    for number, arrival in enumerate(found):
        _require_space(arrival.space, [*store.spaces(), *(one.space for one in found[:number])])
        _require_classes(arrival, store, found[:number])
    progress.stage("import")
    report = ImportReport(rows=sum(arrival.rows for arrival in found))
    progress.start(report.rows)
    try:
        for arrival in found:
            _put(arrival, store, progress, report)
            if arrival.space not in report.spaces:
                report.spaces.append(arrival.space)
    finally:
        progress.close()
    if not report.added and not report.known:
        raise NothingDoneError(
            f"{found[0].name}: none of the {report.rows:,} rows could be taken in ({_why(report)});"
            " are the pictures where the rows say?"
        )
    return report


def _why(report: ImportReport) -> str:
    reasons = [f"{count:,} {reason}" for reason, count in report.skipped.most_common()]
    if report.left:
        reasons.append(f"{report.left:,} at paths of other pictures")
    return ", ".join(reasons)


def _require_space(space: Space, others: Sequence[Space]) -> None:
    for other in others:
        if other.name == space.name and other != space:
            raise InputError(
                f"space {space.name}: vectors of {_made_by(space)} came, and those here are of"
                f" {_made_by(other)}; they cannot be compared, import into another --library"
            )


def _made_by(space: Space) -> str:
    return f"{space.weights_digest[:12]}, {space.preprocessing}, {space.dim} numbers"


def _require_classes(arrival: Arrival, store: Store, earlier: Sequence[Arrival]) -> None:
    """Raise InputError where a space would get another number of logits a record than it has."""
    had = {
        one.classes for one in earlier if one.space == arrival.space
    } | {
        store.logits(space).classes.shape[1] for space in store.spaces() if space == arrival.space
    }  # fmt: skip
    for count in had - {0, arrival.classes}:
        if arrival.classes:
            raise InputError(
                f"{arrival.name}: has {arrival.classes} logits a record, the space"
                f" {arrival.space.name} here {count}; export it anew"
            )


def _put(arrival: Arrival, store: Store, progress: Progress, report: ImportReport) -> None:
    if store.spaces():
        store.add_space(arrival.space)
    run = store.run(arrival.space)
    known_before = report.known
    for piece in arrival.pieces():
        rows = [row for row in piece if isinstance(row, Incoming)]
        report.skipped.update(row.reason for row in piece if isinstance(row, Skipped))
        _count(rows, store, report, lambda: run.put([o for row in rows for o in _outcomes(row)]))  # noqa: B023
        for source, labels in _by_source(rows).items():
            store.put_labels(source, labels, replace=False)
        progress.advance(len(piece))
    run.finish((), complete=False)
    if report.known > known_before:
        report.extended += _extend(arrival, store)


def _count(
    rows: Sequence[Incoming], store: Store, report: ImportReport, put: Callable[[], None]
) -> None:
    """Have rows put, and count what became of them."""
    new = {row.content_hash for row in rows if store.find_content(row.content_hash) is None}
    put()
    left = {one for one in new if store.find_content(one) is None}
    report.added += len(new) - len(left)
    report.left += sum(row.content_hash in left for row in rows)
    report.known += len({row.content_hash for row in rows} - new)


def _outcomes(row: Incoming) -> Iterable[Outcome]:
    for entry in row.entries:
        yield Outcome(entry, row.content_hash, row.features, Reason.IMPORTED)


def _by_source(rows: Sequence[Incoming]) -> dict[str, list[tuple[UUID, str, float]]]:
    found: dict[str, list[tuple[UUID, str, float]]] = {}
    for row in rows:
        for label in row.labels:
            said = (record_id(row.content_hash), label.name, label.confidence)
            found.setdefault(label.source or "table", []).append(said)
    return found


def _extend(arrival: Arrival, store: Store) -> int:
    """Give records that were here and have no vector in this space the one that came."""
    lacking = {one.record for one in store.lacking(arrival.space)}
    extended = 0
    for piece in arrival.pieces() if lacking else ():
        given: dict[UUID, SpaceFeatures] = {}
        for row in piece:
            if isinstance(row, Incoming) and (id_ := record_id(row.content_hash)) in lacking:
                features = row.features
                given[id_] = SpaceFeatures(id_, features.vector, features.logits)
        store.put_vectors(arrival.space, list(given.values()))
        lacking -= given.keys()
        extended += len(given)
    return extended
