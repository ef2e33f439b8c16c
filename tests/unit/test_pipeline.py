"""Indexing from folder to library, with the toy encoder."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from lookalike import IndexOptions, Library, Method
from lookalike.config import Limits
from lookalike.errors import InputError, LibraryError, NothingDoneError
from lookalike.pipeline import IndexReport, batch_size, batched, highest_logits, ordered_map
from lookalike.stores import SqliteStore
from lookalike.types import Reason, Record, State
from tests.conftest import CrashError, ToyEncoder, encoded, fill, picture


def states(library: Library, root: Path) -> dict[str, tuple[str, str]]:
    """Per path its state and reason."""
    return {os.path.relpath(row.path, root): (row.state, row.reason) for row in library.ledger()}


def contents(library: Library, toy: ToyEncoder) -> dict[UUID, tuple[Record | None, Any]]:
    """Per live record: itself, its vector, its histogram and its thumbnail."""
    found = {}
    with closing(SqliteStore(library.folder)) as store:
        vectors, colours = store.vectors(toy.spec.space), store.histograms()
        for row in np.flatnonzero(vectors.live):
            record = UUID(bytes=vectors.ids[row].tobytes())
            colour_row = colours.row_of(record)
            assert colour_row is not None
            colour = colours.histogram(colour_row)
            found[record] = (
                store.get([record])[0],
                (
                    vectors.vectors(np.array([row])).tolist(),
                    colour.bins.tolist(),
                    colour.counts.tolist(),
                    store.thumbnails([record]),
                ),
            )
    return found


def counts(report: IndexReport) -> dict[str, int]:
    """Files by reason."""
    return {reason.value: count for (_, reason), count in report.counts.items()}


# -- what a run does -------------------------------------------------------------------------------


def test_every_picture_is_indexed_once(filled: Library, photos: Path, toy: ToyEncoder) -> None:
    assert len(filled) == toy.encoded == 12
    assert set(states(filled, photos).values()) == {(State.INDEXED, Reason.NEW)}


def test_a_second_run_encodes_nothing(filled: Library, photos: Path, toy: ToyEncoder) -> None:
    report = filled.add([photos])
    assert toy.encoded == 12
    assert (report.images_read, counts(report)) == (0, {"same size and time": 12})


def test_a_renamed_file_keeps_its_vector(filled: Library, photos: Path, toy: ToyEncoder) -> None:
    before = contents(filled, toy)
    (photos / "003.png").rename(photos / "renamed.png")
    (photos / "sub").mkdir()
    (photos / "004.png").rename(photos / "sub" / "004.png")
    report = filled.add([photos])
    assert toy.encoded == 12
    assert counts(report) == {"same size and time": 10, "moved": 2}
    after = contents(filled, toy)
    assert {key: rest for key, (_, rest) in after.items()} == {
        key: rest for key, (_, rest) in before.items()
    }
    assert states(filled, photos)["renamed.png"] == (State.MOVED, Reason.MOVED)
    assert "003.png" not in states(filled, photos)


def test_a_renamed_folder_keeps_all_vectors(filled: Library, photos: Path, toy: ToyEncoder) -> None:
    photos.rename(photos.parent / "new")
    filled.add([photos.parent / "new"])
    assert toy.encoded == len(filled) == 12
    assert all(not row.path.startswith(str(photos)) for row in filled.ledger())


def test_a_changed_file_is_encoded_again(filled: Library, photos: Path, toy: ToyEncoder) -> None:
    picture(99).save(photos / "000.png")
    assert counts(filled.add([photos])) == {"same size and time": 11, "changed": 1}
    assert toy.encoded == 13
    assert len(filled) == 12


def test_a_gone_file_comes_back_without_being_encoded(
    filled: Library, photos: Path, toy: ToyEncoder
) -> None:
    kept = (photos / "000.png").read_bytes()
    (photos / "000.png").unlink()
    assert counts(filled.add([photos]))["not found"] == 1
    assert len(filled) == 11
    (photos / "000.png").write_bytes(kept)
    assert counts(filled.add([photos]))["back again"] == 1
    assert (len(filled), toy.encoded) == (12, 12)


def test_a_swap_of_two_names_is_noticed(filled: Library, photos: Path, toy: ToyEncoder) -> None:
    a, b = photos / "000.png", photos / "001.png"
    before = {hit.paths[0]: hit.id for hit in filled.search(a, 12, include_self=True).hits}
    contents_a, contents_b = a.read_bytes(), b.read_bytes()
    a.write_bytes(contents_b)
    b.write_bytes(contents_a)
    filled.add([photos])
    after = {hit.paths[0]: hit.id for hit in filled.search(a, 12, include_self=True).hits}
    assert (after[str(a)], after[str(b)]) == (before[str(b)], before[str(a)])
    assert toy.encoded == 12


def test_prune_forgets_what_is_gone(filled: Library, photos: Path) -> None:
    (photos / "000.png").unlink()
    report = filled.add([photos], IndexOptions(prune=True))
    assert report.forgotten == 1
    assert "000.png" not in states(filled, photos)
    assert filled.add([photos], IndexOptions(prune=True)).forgotten == 0


def test_duplicates_are_one_record(library: Library, photos: Path, toy: ToyEncoder) -> None:
    (photos / "copy.png").write_bytes((photos / "000.png").read_bytes())
    assert counts(library.add([photos])) == {"new": 12, "same content as another file": 1}
    assert len(library) == 12


def test_a_library_of_several_segments_answers_as_one_of_a_single(
    filled: Library, photos: Path, toy: ToyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lookalike.stores.segments.SEGMENT_ROWS", 3)
    with Library.open(filled.folder.parent / "parts", create=True, encoder=toy) as parts:
        parts.add([photos], IndexOptions(commit_batch=2))
        assert len(list((parts.folder / "vectors" / "toy").glob("*.f16"))) == 3
        assert contents(parts, toy) == contents(filled, toy)
        asked = [photos / "004.png", photos / "005.png"]
        for by in ("meaning", "colour", "mix"):
            assert parts.search(asked, 99, Method(by)) == filled.search(asked, 99, Method(by))
        reduced = [each.search(asked, 99, Method("pca", dims=5)).hits for each in (parts, filled)]
        assert [hit.id for hit in reduced[0]] == [hit.id for hit in reduced[1]]


def test_a_limit_stops_after_so_many_images_and_makes_none_gone(
    filled: Library, photos: Path
) -> None:
    (photos / "000.png").unlink()
    filled.add([photos], IndexOptions(limit=3))
    assert (State.GONE, Reason.NOT_FOUND) not in states(filled, photos).values()


def test_a_limit_takes_the_first_images(library: Library, photos: Path) -> None:
    library.add([photos], IndexOptions(limit=3))
    assert list(states(library, photos)) == ["000.png", "001.png", "002.png"]


def test_a_limit_does_not_make_a_later_folder_look_empty(library: Library, tmp_path: Path) -> None:
    for name, seeds in (("a", range(5)), ("b", range(5, 10))):
        fill(tmp_path / name, seeds)
    library.add([tmp_path / "a", tmp_path / "b"])
    report = library.add([tmp_path / "a", tmp_path / "b"], IndexOptions(limit=2))
    assert counts(report) == {"same size and time": 2}


def test_files_that_cannot_be_read_are_noted_with_a_reason_and_the_run_goes_on(
    library: Library, photos: Path
) -> None:
    whole = encoded(picture(50, (200, 200)), "PNG")
    (photos / "empty.png").touch()
    (photos / "text.jpg").write_text("no picture")
    (photos / "cut.png").write_bytes(whole[: len(whole) // 2])
    picture(51, (200, 200)).save(photos / "large.png")
    library.add([photos], IndexOptions(limits=Limits(megapixels=0.03)))
    found = states(library, photos)
    assert found["empty.png"] == (State.UNREADABLE, Reason.ZERO_BYTES)
    assert found["text.jpg"] == (State.UNREADABLE, Reason.NOT_AN_IMAGE)
    assert found["large.png"] == (State.UNREADABLE, Reason.TOO_MANY_PIXELS)
    assert found["cut.png"][0] == State.UNREADABLE
    assert len(library) == 12


def test_an_unreadable_file_is_read_again_only_if_asked(library: Library, photos: Path) -> None:
    (photos / "text.jpg").write_text("no picture")
    assert library.add([photos]).images_read == 13
    assert library.add([photos]).images_read == 0
    assert library.add([photos], IndexOptions(retry=True)).images_read == 1


def test_a_file_over_a_limit_is_read_again_when_the_limit_is_raised(
    library: Library, photos: Path
) -> None:
    picture(51, (200, 200)).save(photos / "large.png")
    library.add([photos], IndexOptions(limits=Limits(megapixels=0.03)))
    library.add([photos])
    assert states(library, photos)["large.png"] == (State.INDEXED, Reason.NEW)


def test_a_file_that_becomes_unreadable_leaves_the_searches(filled: Library, photos: Path) -> None:
    (photos / "000.png").write_text("overwritten")
    filled.add([photos])
    assert states(filled, photos)["000.png"][0] == State.UNREADABLE
    assert len(filled) == 11
    assert filled.search(photos / "001.png", 99).searched == 10


def test_a_file_that_vanishes_while_it_is_indexed_is_a_read_error(
    library: Library, photos: Path, toy: ToyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(total: int) -> None:
        (photos / "011.png").unlink()

    library.add([photos], progress=Telling(vanish))
    assert states(library, photos)["011.png"] == (State.UNREADABLE, Reason.READ_ERROR)
    assert len(library) == 11


class Telling:
    """A Progress that does something when pictures are about to be read, and counts."""

    def __init__(self, start: Any = lambda _total: None) -> None:
        self.total, self.done, self.closed = 0, 0, 0
        self.stages: list[str] = []
        self._start = start

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def start(self, total: int) -> None:
        self.total = total
        self._start(total)

    def advance(self, count: int) -> None:
        self.done += count

    def close(self) -> None:
        self.closed += 1


def test_progress_is_told_of_every_picture(library: Library, photos: Path) -> None:
    told = Telling()
    library.add([photos], IndexOptions(commit_batch=5), told)
    assert (told.total, told.done, told.closed) == (12, 12, 1)


def test_progress_is_closed_when_a_run_fails(tmp_path: Path, photos: Path) -> None:
    told = Telling()
    broken = Library.open(tmp_path / "broken", create=True, encoder=ToyEncoder(fail_after=3))
    with broken, pytest.raises(CrashError):
        broken.add([photos], progress=told)
    assert told.closed == 1


# -- refusals --------------------------------------------------------------------------------------


def test_when_a_commit_fails_no_thread_is_left_that_uses_the_store(
    filled: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is closed then; a thread that still asked it something would end the process."""
    busy: list[str] = []

    def failing(*_: object) -> None:
        raise LibraryError("the disk is full")

    def closed(self: SqliteStore) -> None:
        busy.extend(one.name for one in threading.enumerate() if one.name.startswith("index"))
        close(self)

    close = SqliteStore.close
    monkeypatch.setattr("lookalike.stores.run.SqliteRun.put", failing)
    monkeypatch.setattr(SqliteStore, "close", closed)
    fill(tmp_path / "more", range(100, 108))
    with pytest.raises(LibraryError, match="the disk is full"):
        filled.add([tmp_path / "more"], IndexOptions(commit_batch=1))
    assert busy == []


def test_a_missing_path_is_refused_before_anything_is_done(library: Library, photos: Path) -> None:
    with pytest.raises(InputError, match="nonesuch: no such file or folder"):
        library.add([photos, photos / "nonesuch"])
    assert not library.folder.exists()
    with pytest.raises(InputError, match="nothing to index"):
        library.add([])


def test_a_folder_without_images_is_refused_and_no_library_is_left(
    library: Library, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingDoneError, match="no images found"):
        library.add([tmp_path / "empty"])
    assert [path.name for path in library.folder.iterdir()] == ["writer.lock"]


def test_a_run_that_fails_deletes_nothing_that_it_did_not_make(
    tmp_path: Path, toy: ToyEncoder
) -> None:
    """A folder chosen by mistake may hold folders whose names a library uses as well."""
    mine = tmp_path / "mine" / "vectors" / "drawing.svg"
    mine.parent.mkdir(parents=True)
    mine.write_text("<svg/>")
    (tmp_path / "empty").mkdir()
    with (
        Library.open(tmp_path / "mine", create=True, encoder=toy) as library,
        pytest.raises((NothingDoneError, InputError)),
    ):
        library.add([tmp_path / "empty"])
    assert mine.read_text() == "<svg/>"


def test_a_folder_with_other_files_is_not_made_a_library(
    photos: Path, tmp_path: Path, toy: ToyEncoder
) -> None:
    with (
        Library.open(photos, create=True, encoder=toy) as library,
        pytest.raises(InputError, match="not a library and not empty"),
    ):
        library.add([photos])
    assert sorted(path.name for path in photos.iterdir())[0] == "000.png"
    assert len(list(photos.iterdir())) == 12


def test_if_no_image_can_be_read_the_run_says_why(library: Library, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_text("no picture")
    (tmp_path / "bad" / "b.jpg").touch()
    with pytest.raises(NothingDoneError, match="1 not an image, 1 zero bytes"):
        library.add([tmp_path / "bad"])
    assert set(states(library, tmp_path)) == {"bad/a.jpg", "bad/b.jpg"}


def test_an_empty_mount_point_is_refused_unless_believed(
    filled: Library, photos: Path, tmp_path: Path
) -> None:
    photos.rename(tmp_path / "unmounted")
    photos.mkdir()
    with pytest.raises(NothingDoneError, match="--allow-empty"):
        filled.add([photos])
    assert len(filled) == 12
    assert counts(filled.add([photos], IndexOptions(allow_empty=True))) == {"not found": 12}
    assert len(filled) == 0


def test_a_folder_that_cannot_be_listed_does_not_make_its_files_gone(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "photos", range(3))
    fill(tmp_path / "photos" / "shut", range(3, 6))
    library.add([tmp_path / "photos"])
    list_folder = os.scandir

    def refuse(folder: Any) -> Any:
        if str(folder).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return list_folder(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    report = library.add([tmp_path / "photos"], IndexOptions(prune=True))
    assert len(library) == 6
    assert counts(report)["no permission"] == 1
    monkeypatch.undo()
    assert counts(library.add([tmp_path / "photos"]))["same size and time"] == 6


def test_a_mended_folder_is_no_longer_called_unreadable(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "photos" / "shut", range(3))
    fill(tmp_path / "photos", range(3, 6))
    list_folder = os.scandir

    def refuse(folder: Any) -> Any:
        if str(folder).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return list_folder(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    library.add([tmp_path / "photos"])
    monkeypatch.undo()
    library.add([tmp_path / "photos"])
    assert len(library) == 6
    assert list(library.ledger(State.UNREADABLE)) == []


def test_vectors_of_other_weights_are_not_mixed_in(filled: Library, photos: Path) -> None:
    other = ToyEncoder()
    other.spec = type(other.spec)(**{**spec_fields(other), "weights_digest": "1" * 64})
    with (
        Library.open(filled.folder, encoder=other) as again,
        pytest.raises(LibraryError, match="cannot be mixed"),
    ):
        again.add([photos])


def test_no_record_is_hidden_from_searches_by_an_encoder_of_another_name(
    filled: Library, photos: Path, toy: ToyEncoder
) -> None:
    """Whether such an encoder is refused or makes a second space, searches find every record."""
    picture(70).save(photos / "new.png")
    with (
        Library.open(filled.folder, encoder=ToyEncoder("other")) as again,
        contextlib.suppress(LibraryError, InputError),
    ):
        again.add([photos])
    filled.add([photos])
    assert filled.search(photos / "new.png", 99).searched == len(filled) - 1 == 12


def spec_fields(toy: ToyEncoder) -> dict[str, Any]:
    return {name: getattr(toy.spec, name) for name in type(toy.spec).__dataclass_fields__}


# -- interruptions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fail_after", [1, 4, 7, 11])
@pytest.mark.parametrize("commit_batch", [1, 4])
def test_a_resumed_run_equals_an_uninterrupted_one(
    tmp_path: Path, photos: Path, fail_after: int, commit_batch: int
) -> None:
    (photos / "copy.png").write_bytes((photos / "002.png").read_bytes())
    (photos / "bad.png").write_text("no picture")
    options = IndexOptions(workers=2, encode_batch=2, commit_batch=commit_batch)
    with (
        Library.open(
            tmp_path / "resumed", create=True, encoder=ToyEncoder(fail_after=fail_after)
        ) as broken,
        pytest.raises(CrashError),
    ):
        broken.add([photos], replace(options, workers=1))  # so that it is known which batch fails
    toy = ToyEncoder()
    with (
        Library.open(tmp_path / "resumed", create=True, encoder=toy) as resumed,
        Library.open(tmp_path / "fresh", create=True, encoder=toy) as fresh,
    ):
        report = resumed.add([photos], options)
        encoded_after_the_crash = toy.encoded
        assert report.counts == fresh.add([photos], options).counts
        assert contents(resumed, toy) == contents(fresh, toy)
        assert list(resumed.ledger()) == list(fresh.ledger())
        for by in ("000.png", "copy.png"):
            assert resumed.search(photos / by, 20) == fresh.search(photos / by, 20)
    committed = max(0, (fail_after // 2 * 2 // commit_batch) * commit_batch)
    assert encoded_after_the_crash <= 13 - committed


def test_what_was_committed_before_a_crash_is_searched(tmp_path: Path, photos: Path) -> None:
    options = IndexOptions(workers=1, encode_batch=1, commit_batch=2)
    broken = Library.open(tmp_path / "broken", create=True, encoder=ToyEncoder(fail_after=7))
    with broken:
        with pytest.raises(CrashError):
            broken.add([photos], options)
        assert len(broken) == 6
        assert broken.search(photos / "000.png", 9).searched == 5


# -- the machinery ---------------------------------------------------------------------------------


def test_results_come_in_order_and_few_are_begun_early() -> None:
    begun, most, taken, guard = 0, 0, 0, threading.Lock()

    def source() -> Iterator[int]:
        nonlocal begun, most
        for number in range(60):
            with guard:
                begun += 1
                most = max(most, begun - taken)
            yield number

    def slow(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number

    found = []
    with ThreadPoolExecutor(4) as pool:
        for result in ordered_map(pool, slow, source(), ahead=5):
            found.append(result)
            taken += 1
    assert found == list(range(60))
    assert most <= 6


def test_an_error_in_a_thread_ends_the_map_and_cancels_the_rest() -> None:
    done = []

    def fail(number: int) -> int:
        if number == 3:
            raise CrashError
        done.append(number)
        return number

    with ThreadPoolExecutor(1) as pool, pytest.raises(CrashError):
        list(ordered_map(pool, fail, range(1_000), ahead=4))
    assert len(done) <= 8


@pytest.mark.parametrize(
    ("count", "workers", "size"), [(0, 2, 1), (1, 2, 1), (40, 8, 2), (40, 2, 5), (10_000, 8, 32)]
)
def test_few_pictures_are_shared_by_all_threads(count: int, workers: int, size: int) -> None:
    assert batch_size(count, IndexOptions(workers=workers)) == size


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_batches_hold_everything_in_order(size: int) -> None:
    batches = list(batched(range(7), size))
    assert [n for batch in batches for n in batch] == list(range(7))
    assert all(len(batch) == size for batch in batches[:-1])


def test_the_highest_logits_are_kept_with_ties_by_class() -> None:
    found = highest_logits(np.array([1, 5, 3, 5, 0], dtype=np.float32), keep=4)
    assert found.classes.tolist() == [1, 3, 2, 0]
    assert found.logits.tolist() == [5, 5, 3, 1]
    assert found.classes.dtype == np.uint16
    assert highest_logits(np.zeros(3, dtype=np.float32)).classes.tolist() == [0, 1, 2]
