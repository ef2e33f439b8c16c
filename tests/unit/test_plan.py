"""What indexing would take, told beforehand, with the toy encoder."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lookalike import IndexOptions, Library
from lookalike import plan as plan_module
from lookalike.cli import plan as command
from lookalike.config import Limits
from lookalike.errors import InputError, NothingDoneError
from lookalike.features.encoders import Encoded
from lookalike.plan import (
    INDEX_BYTES_PER_RECORD,
    WARM_UP,
    KnownFiles,
    Plan,
    Sample,
    Survey,
    estimate,
    measure,
    plan_paths,
)
from lookalike.sources import Supplied
from lookalike.stores import SqliteStore
from lookalike.stores import run as store_run
from lookalike.types import FileEntry, PassedOver, Reason, State
from tests.conftest import ToyEncoder, encoded, fill, picture

ONE_WORKER = IndexOptions(workers=1)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where no library is yet."""
    return tmp_path / "library"


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder below one: its size and time, but for SQLite's shared memory."""
    return {
        str(path.relative_to(folder)): (status.st_size, status.st_mtime_ns)
        for path in folder.rglob("*")
        if path.suffix not in (".sqlite-shm", ".sqlite-wal") and (status := path.stat())
    }


def surveyed(images: int, keep: int = 4) -> Survey:
    """A survey that found so many new images of 1,000 bytes, their paths 10 bytes long."""
    survey = Survey(KnownFiles(None, retry=False), keep)
    survey.note(FileEntry(f"/{number:05d}.png", 1_000, number) for number in range(images))
    return survey


# -- what lies there -------------------------------------------------------------------------------


def test_images_and_what_is_passed_over_are_counted(
    photos: Path, place: Path, toy: ToyEncoder
) -> None:
    (photos / "notes.txt").write_text("no picture")
    (photos / ".hidden.png").write_bytes(b"")
    (photos / "raw.cr2").write_bytes(b"")
    found = plan_paths(place, [photos], encoder=toy)
    pictures = sum(path.stat().st_size for path in photos.glob("0*.png"))
    assert (found.images, found.new, found.sampled) == (12, 12, 12)
    assert (found.bytes, found.new_bytes) == (pictures, pictures)
    assert found.passed_over == {Reason.OTHER_NAME: 1, Reason.HIDDEN: 1, Reason.UNSUPPORTED: 1}
    assert found.unreadable_share == 0.0
    assert plan_paths(place, [photos], IndexOptions(hidden=True), encoder=toy).images == 13


def test_unreadable_files_are_a_share_of_the_sample_and_take_no_room_but_a_row(
    photos: Path, place: Path, toy: ToyEncoder
) -> None:
    whole = plan_paths(place, [photos], encoder=toy)
    for number in range(4):
        (photos / f"broken{number}.jpg").write_bytes(b"no picture")
    found = plan_paths(place, [photos], encoder=toy)
    assert (found.images, found.unreadable_share, found.known_share) == (16, 0.25, 0.0)
    assert found.disk.vectors == whole.disk.vectors
    assert found.disk.thumbnails == whole.disk.thumbnails
    assert found.disk.catalogue > whole.disk.catalogue


def test_folder_of_nothing_but_unreadable_files_has_a_plan(place: Path, toy: ToyEncoder) -> None:
    folder = place.parent / "broken"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.jpg").write_bytes(b"no picture")
    found = plan_paths(place, [folder], encoder=toy)
    assert (found.images, found.new, found.unreadable_share) == (20, 20, 1.0)
    assert (found.disk.vectors, found.disk.histograms, found.disk.thumbnails) == (0, 0, 0)
    assert found.seconds > 0


def test_limits_hold_for_the_sample(photos: Path, place: Path, toy: ToyEncoder) -> None:
    tiny = IndexOptions(limits=Limits(megapixels=0.0001))
    assert plan_paths(place, [photos], tiny, encoder=toy).unreadable_share == 1.0


def test_limit_plans_for_so_many_images(photos: Path, place: Path, toy: ToyEncoder) -> None:
    assert plan_paths(place, [photos], IndexOptions(limit=5), encoder=toy).images == 5


def test_every_new_image_is_equally_likely_to_be_drawn() -> None:
    keep, images = 2_000, 8_000
    drawn = surveyed(images, keep).drawn()
    quarters = Counter(int(entry.path[1:6]) * 4 // images for entry in drawn)
    assert len({entry.path for entry in drawn}) == keep
    assert all(400 < quarters[quarter] < 600 for quarter in range(4))
    early = Counter(int(entry.path[1:6]) * 4 // images for entry in drawn[:500])
    assert all(80 < early[quarter] < 170 for quarter in range(4))  # the first are a sample too


# -- what is new -----------------------------------------------------------------------------------


def test_known_files_are_not_counted_again(filled: Library, photos: Path, toy: ToyEncoder) -> None:
    read_before = toy.encoded
    found = plan_paths(filled.folder, [photos], encoder=toy)
    assert (found.images, found.new, found.sampled, found.seconds) == (12, 0, 0, 0.0)
    assert found.disk.total == 0
    assert toy.encoded == read_before


def test_new_changed_and_returned_files_are_new(
    filled: Library, photos: Path, toy: ToyEncoder
) -> None:
    fill(photos, [20, 21])
    (photos / "003.png").write_bytes(encoded(picture(30), "PNG") + b"longer")
    os.utime(photos / "004.png", ns=(0, 1_000_000_000))
    found = plan_paths(filled.folder, [photos], encoder=toy)
    assert (found.images, found.new, found.sampled) == (14, 4, 4)
    assert found.known_share == 0.25  # 004.png has only another time
    (photos / "005.png").rename(photos.parent / "away.png")
    filled.add([photos])
    (photos.parent / "away.png").rename(photos / "005.png")
    assert plan_paths(filled.folder, [photos], encoder=toy).new == 1


def test_moved_folder_is_read_but_takes_no_room(
    filled: Library, photos: Path, toy: ToyEncoder
) -> None:
    moved = photos.rename(photos.parent / "elsewhere")
    found = plan_paths(filled.folder, [moved], encoder=toy)
    assert (found.new, found.known_share) == (12, 1.0)
    assert (found.disk.vectors, found.disk.thumbnails) == (0, 0)


@pytest.mark.parametrize("retry", [False, True])
def test_plan_counts_as_new_what_the_indexer_reads(
    library: Library, photos: Path, toy: ToyEncoder, retry: bool
) -> None:
    for name, data in {"zero.jpg": b"", "not.jpg": b"no picture", "raw.cr2": b""}.items():
        (photos / name).write_bytes(data)
    fill(photos, [40])
    picture(41, (400, 300)).save(photos / "large.png")
    small = IndexOptions(limits=Limits(megapixels=0.1), retry=retry)
    library.add([photos], small)
    (photos / "007.png").unlink()
    found = plan_paths(library.folder, [photos], small, encoder=toy)
    assert found.new == library.add([photos], small).images_read == (3 if retry else 1)


def test_reasons_that_last_are_those_of_the_store() -> None:
    assert plan_module.FINAL_REASONS is store_run.FINAL_REASONS


def test_known_files_of_another_size_or_time_are_not_held(filled: Library, photos: Path) -> None:
    status = (photos / "000.png").stat()
    entry = FileEntry.of(str(photos / "000.png"), status)
    store = SqliteStore(filled.folder)
    known = KnownFiles(store, retry=False)
    store.close()
    others = [
        dataclasses.replace(entry, bytes=entry.bytes + 1),
        dataclasses.replace(entry, mtime_ns=entry.mtime_ns + 1),
        dataclasses.replace(entry, path=entry.path + "x"),
        PassedOver(entry.path, State.SKIPPED, Reason.HIDDEN),
    ]
    assert known.holds([entry, *others]) == [True, False, False, False, False]
    assert KnownFiles(None, retry=False).holds([entry]) == [False]


# -- nothing is written ----------------------------------------------------------------------------


def test_no_library_is_made(photos: Path, place: Path, toy: ToyEncoder) -> None:
    before = listing(place.parent)
    found = plan_paths(place / "deep" / "down", [place.parent], encoder=toy)
    assert found.disk.free > 0
    assert listing(place.parent) == before


def test_library_stays_as_it_is(filled: Library, photos: Path, toy: ToyEncoder) -> None:
    fill(photos, range(20, 30))
    rows = list(filled.ledger())
    filled.close()
    before = listing(photos.parent)
    assert plan_paths(filled.folder, [photos], encoder=toy).new == 10
    assert listing(photos.parent) == before
    assert list(filled.ledger()) == rows


# -- the sample ------------------------------------------------------------------------------------


def test_sample_is_as_large_as_asked_for(photos: Path, place: Path, toy: ToyEncoder) -> None:
    for sample, read in ((1, 1), (5, 5), (12, 12), (1_000, 12)):
        before = toy.encoded
        assert plan_paths(place, [photos], sample=sample, encoder=toy).sampled == read
        assert toy.encoded - before == read + min(WARM_UP, 12 - read or 12)


def test_nothing_is_begun_after_the_budget(
    photos: Path, toy: ToyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(1_000))
    monkeypatch.setattr(plan_module, "perf_counter", lambda: float(next(seconds)))
    entries = [FileEntry.of(str(p), p.stat()) for p in sorted(photos.iterdir())]
    options = IndexOptions(workers=1, encode_batch=2)
    assert measure(entries, None, toy, options, 0.0).files == 2  # the first batch
    assert measure(entries, None, toy, options, 3.5).files == 4  # a look for each, and each lap
    assert measure(entries, None, toy, options, 1e9).files == 12


def test_the_budget_holds_with_several_threads(photos: Path) -> None:
    class Slow(ToyEncoder):
        def encode(self, pixels: np.ndarray) -> Encoded:
            time.sleep(0.05)
            return super().encode(pixels)

    entries = 20 * [FileEntry.of(str(p), p.stat()) for p in sorted(photos.iterdir())]
    # 8 pictures a batch, two batches a thread wait while the clock is looked at
    options = IndexOptions(workers=2)
    assert measure(entries, None, Slow(), options, 0.2).files < len(entries) // 2


def test_laps_are_the_seconds_a_file_in_each_batch(
    photos: Path, toy: ToyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [FileEntry.of(str(p), p.stat()) for p in sorted(photos.iterdir())]
    times = iter([100.0, 104.0, 105.0, 106.0])
    monkeypatch.setattr(plan_module, "perf_counter", lambda: next(times))
    monkeypatch.setattr(plan_module, "outcomes", fake_outcomes)
    monkeypatch.setattr(plan_module.itertools, "takewhile", lambda _condition, items: items)
    measured = measure(entries[:6], None, toy, IndexOptions(workers=1), 10.0)
    assert (measured.files, measured.seconds, measured.laps) == (6, 6.0, (2.0, 0.5, 0.5))


def fake_outcomes(pictures: Iterator[Supplied], *_others: object, ahead: int) -> Iterator[object]:
    for one in pictures:
        yield plan_module.Outcome(one.entry, reason=Reason.CORRUPT)


# -- from the sample to all ------------------------------------------------------------------------

MEASURED = Sample(
    files=10,
    records=8,
    unreadable=1,
    seconds=0.2,
    laps=(0.01, 0.02, 0.03),
    cells=800,
    thumbnail_bytes=80_000,
    decoding_bytes=50_000_000,
)


def test_estimate_is_the_mean_of_the_sample_times_the_count(place: Path) -> None:
    found = estimate(surveyed(2_000), MEASURED, 8, ONE_WORKER, place)
    records = 1_600
    assert found.seconds == pytest.approx(2_000 * (0.02 + plan_module._COMMIT_SECONDS))
    assert found.disk.vectors == records * (2 * 8 + 16)
    assert found.disk.histograms == records * (100 * 4 + 24)
    assert found.disk.thumbnails == pytest.approx(records * 10_000 * 1.07)
    assert found.disk.index == records * INDEX_BYTES_PER_RECORD
    assert (found.unreadable_share, found.known_share) == (0.1, pytest.approx(0.1))
    twice = estimate(surveyed(4_000), MEASURED, 8, ONE_WORKER, place)
    assert twice.seconds == pytest.approx(2 * found.seconds)
    assert twice.disk.thumbnails == 2 * found.disk.thumbnails


def test_range_of_the_time_is_two_standard_errors_of_the_batches(place: Path) -> None:
    found = estimate(surveyed(2_000), MEASURED, 8, ONE_WORKER, place)
    margin = 2 * (0.01 / 3**0.5) / 0.02  # a standard deviation of 0.01 about 0.02
    assert found.seconds_low == pytest.approx(found.seconds * (1 - margin))
    assert found.seconds_high == pytest.approx(found.seconds * (1 + margin))


@pytest.mark.parametrize(
    ("laps", "margin"), [((0.02, 0.02), 0.1), ((0.02,), 0.5), ((1e-9, 1.0), 1.0), ((0.0, 0.0), 0.1)]
)
def test_range_is_never_too_sure_and_never_below_zero(
    laps: tuple[float, ...], margin: float, place: Path
) -> None:
    sample = dataclasses.replace(MEASURED, laps=laps)
    found = estimate(surveyed(10), sample, 8, ONE_WORKER, place)
    assert found.seconds_low == pytest.approx(found.seconds * (1 - margin))
    assert found.seconds_high == pytest.approx(found.seconds * (1 + margin))


def test_memory_is_what_is_held_and_the_largest_picture_in_every_worker(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "resident_bytes", lambda: 200_000_000)
    for workers in (1, 3):
        found = estimate(surveyed(10), MEASURED, 8, IndexOptions(workers=workers), place)
        held = 200_000_000 + plan_module._RUN_BYTES
        assert found.memory_bytes == held + workers * 50_000_000


def test_largest_picture_counts_and_jpeg_is_decoded_smaller(
    place: Path, toy: ToyEncoder, tmp_path: Path
) -> None:
    def decoding_bytes(name: str) -> int:
        path = tmp_path / name
        picture(1, (2_400, 1_200)).save(path)
        entry = FileEntry.of(str(path), path.stat())
        return measure([entry], None, toy, ONE_WORKER, 10.0).decoding_bytes - entry.bytes

    assert decoding_bytes("large.png") == 12 * 2_400 * 1_200
    assert decoding_bytes("large.jpg") == 12 * 1_200 * 600


def test_disk_of_a_real_library_is_estimated_within_a_quarter(
    library: Library, tmp_path: Path, toy: ToyEncoder
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for seed in range(300):
        picture(seed, (60 + seed % 7 * 40, 80)).save(folder / f"{seed:03d}.jpg")
    disk = plan_paths(library.folder, [folder], encoder=toy).disk
    library.add([folder])
    library.close()
    sizes = {
        part: sum(p.stat().st_size for p in library.folder.rglob(pattern) if p.is_file())
        for part, pattern in {
            "vectors": "vectors/*/*",
            "histograms": "histograms/*",
            "catalogue": "catalog.sqlite",
        }.items()
    }
    assert disk.vectors == pytest.approx(sizes["vectors"], rel=0.05)
    assert disk.histograms == pytest.approx(sizes["histograms"], rel=0.25)
    assert disk.thumbnails + disk.catalogue == pytest.approx(sizes["catalogue"], rel=0.25)
    assert disk.total - disk.index == pytest.approx(sum(sizes.values()), rel=0.25)


def test_disk_suffices_if_all_of_it_fits(place: Path) -> None:
    disk = estimate(surveyed(2_000), MEASURED, 8, ONE_WORKER, place).disk
    assert disk.free == pytest.approx(shutil.disk_usage(place.parent).free, rel=0.1)
    assert dataclasses.replace(disk, free=disk.total).suffices
    assert not dataclasses.replace(disk, free=disk.total - 1).suffices


# -- errors ----------------------------------------------------------------------------------------


def test_missing_path_is_refused_before_anything_is_read(
    photos: Path, place: Path, toy: ToyEncoder
) -> None:
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        plan_paths(place, [photos, photos / "nowhere"], encoder=toy)
    assert toy.encoded == 0


def test_values_that_cannot_be_used_are_refused(photos: Path, place: Path, toy: ToyEncoder) -> None:
    with pytest.raises(InputError, match="sample 0: at least 1"):
        plan_paths(place, [photos], sample=0, encoder=toy)
    with pytest.raises(InputError, match="at least one file or folder"):
        plan_paths(place, [], encoder=toy)


def test_folder_without_images_is_refused_with_what_is_in_it(place: Path, toy: ToyEncoder) -> None:
    folder = place.parent / "papers"
    folder.mkdir()
    with pytest.raises(NothingDoneError, match=r"no images found \(passed over: nothing\)"):
        plan_paths(place, [folder], encoder=toy)
    (folder / "a.txt").write_text("no picture")
    with pytest.raises(NothingDoneError, match="1 not an image's name"):
        plan_paths(place, [folder], encoder=toy)


# -- the command -----------------------------------------------------------------------------------


def run_command(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    command.add_commands(parser.add_subparsers())
    options = parser.parse_args(["plan", *map(str, arguments)])
    status: int = options.run(options)
    return status


def shown(**changes: object) -> str:
    """What the command prints of a plan."""
    disk = plan_module.Disk(10**9, 4 * 10**8, 7 * 10**9, 3 * 10**8, 2 * 10**8, 79 * 10**9)
    plan = Plan(
        images=444_668,
        bytes=7_600_000_000,
        new=437_000,
        new_bytes=7_500_000_000,
        passed_over={Reason.OTHER_NAME: 1_204},
        sampled=64,
        sample_seconds=0.93,
        unreadable_share=0.03,
        known_share=0.0,
        seconds=2_000.0,
        seconds_low=1_860.0,
        seconds_high=2_160.0,
        workers=2,
        disk=disk,
        memory_bytes=610_000_000,
    )
    return command.text(dataclasses.replace(plan, **changes))  # type: ignore[arg-type]


def test_plan_is_shown_in_five_lines() -> None:
    assert shown().splitlines() == [
        "images  444,668 images (7.6 GB), 437,000 new or changed (7.5 GB)",
        "others  1,204 not an image's name",
        "time    about 31 to 36 minutes on 2 workers",
        "disk    8.9 GB of 79 GB free: vectors 1.0 GB, histograms 400 MB, thumbnails 7.0 GB,"
        " catalogue 300 MB, index 200 MB",
        "memory  about 0.6 GB",
        "sample  64 pictures read in 0.9 s, 3% unreadable",
    ]


def test_plan_says_if_nothing_is_to_be_done_or_the_disk_is_too_small() -> None:
    assert shown(new=0, passed_over={}) == (
        "images  444,668 images (7.6 GB), none of them new or changed: nothing to do"
    )
    small = plan_module.Disk(10**9, 0, 0, 0, 0, 10**6)
    assert "1.0 GB of 1.0 MB free, NOT ENOUGH; choose another --library" in shown(disk=small)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.1, 0.4, "less than a second"),
        (3.21, 4.0, "about 3.2 to 4 seconds"),
        (3.96, 4.04, "about 4 seconds"),
        (100.0, 130.0, "about 1.7 to 2.2 minutes"),
        (6_000.0, 9_000.0, "about 1.7 to 2.5 hours"),
    ],
)
def test_time_is_told_in_a_fitting_unit(low: float, high: float, words: str) -> None:
    assert f"{words} on 1 worker\n" in shown(seconds_low=low, seconds_high=high, workers=1)


def test_command_prints_one_json_object(
    photos: Path,
    place: Path,
    toy: ToyEncoder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan_module, "encoder_of", lambda _store, _parallel, _name: toy)
    (photos / "notes.txt").write_text("no picture")
    options = ("--library", place, "--sample", "5", "--workers", "1", "--json")
    assert run_command(photos, *options) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert (found["images"], found["sampled"], found["workers"]) == (12, 5, 1)
    assert found["passed_over"] == {"not an image's name": 1}
    assert found["disk"]["suffices"] is True
    assert found["disk"]["total"] == sum(
        found["disk"][name]
        for name in ("vectors", "histograms", "thumbnails", "catalogue", "index")
    )
    assert run_command(photos, "--library", place) == 0
    assert capsys.readouterr().out.startswith("images  12 images (")
    assert not place.exists()
