"""Append-only files of numbers: what was committed is read back, the rest does not count."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookalike.errors import LibraryCorruptError
from lookalike.stores import segments as module
from lookalike.stores.segments import (
    HEADER,
    HISTOGRAM_COLUMNS,
    Segment,
    Series,
    vector_columns,
)
from lookalike.types import ID_DTYPE

DIM = 3
Batch = dict[str, np.ndarray]


def vectors(rows: int, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    ids = np.frombuffer(rng.bytes(16 * rows), dtype=ID_DTYPE)
    return {"f16": rng.normal(size=(rows, DIM)).astype(np.float16), "ids": ids}


def colours(rows: int, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    cells = rng.integers(1, 6, rows)
    return {
        "bins": rng.integers(0, 4096, cells.sum()).astype(np.uint16),
        "counts": rng.integers(1, 65_280, cells.sum()).astype(np.uint16),
        "ends": np.cumsum(cells).astype(np.uint64),
        "ids": np.frombuffer(rng.bytes(16 * rows), dtype=ID_DTYPE),
    }


def series(folder: Path, kind: str = "vectors") -> Series:
    return Series(folder, vector_columns(DIM) if kind == "vectors" else HISTOGRAM_COLUMNS)


def grown(folder: Path, *sizes: int) -> list[Segment]:
    """The segments after appending batches of vectors."""
    committed: list[Segment] = []
    for seed, size in enumerate(sizes):
        committed = series(folder).append(committed, vectors(size, seed))
    return committed


def rows_of(folder: Path, committed: list[Segment]) -> np.ndarray:
    return np.concatenate([part["f16"] for part in series(folder).read(committed)])


def expected_rows(*sizes: int) -> np.ndarray:
    return np.concatenate([vectors(size, seed)["f16"] for seed, size in enumerate(sizes)])


sizes = st.lists(st.integers(1, 7), min_size=1, max_size=6)


@settings(max_examples=25)  # every batch waits for the disk
@given(batches=sizes, limit=st.integers(1, 12))
def test_vectors_come_back_in_order(
    batches: list[int], limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("series")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SEGMENT_ROWS", limit)
        committed = grown(folder, *batches)
    np.testing.assert_array_equal(rows_of(folder, committed), expected_rows(*batches))
    assert sum(segment.rows for segment in committed) == sum(batches)
    assert all(segment.rows >= limit for segment in committed[:-1])


@settings(max_examples=25)  # every batch waits for the disk
@given(batches=sizes, limit=st.integers(1, 12))
def test_histograms_come_back_in_order(
    batches: list[int], limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("series")
    written, committed = [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SEGMENT_ROWS", limit)
        for seed, size in enumerate(batches):
            batch = colours(size, seed)
            committed = series(folder, "colours").append(committed, batch)
            bounds = [0, *batch["ends"].astype(int)]
            written += [
                (batch["bins"][a:b].tolist(), batch["counts"][a:b].tolist())
                for a, b in pairwise(bounds)
            ]
    read = []
    for part in series(folder, "colours").read(committed):
        bounds = [0, *part["ends"].astype(int)]
        read += [
            (part["bins"][a:b].tolist(), part["counts"][a:b].tolist()) for a, b in pairwise(bounds)
        ]
    assert read == written


@settings(max_examples=25)  # every batch waits for the disk
@given(batches=sizes, lost=st.integers(1, 9))
def test_what_was_not_committed_is_cut_off_and_written_again(
    batches: list[int], lost: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("series")
    committed = grown(folder, *batches)
    series(folder).append(committed, vectors(lost, 99))  # and then the process was killed
    np.testing.assert_array_equal(rows_of(folder, committed), expected_rows(*batches))
    series(folder).trim(committed)
    for column, width in (("f16", 2 * DIM), ("ids", 16)):
        size = (folder / f"000001.{column}").stat().st_size
        assert size == HEADER.size + sum(batches) * width
    after = series(folder).append(committed, vectors(4, len(batches)))
    np.testing.assert_array_equal(rows_of(folder, after), expected_rows(*batches, 4))


def test_appending_overwrites_what_was_not_committed(tmp_path: Path) -> None:
    committed = grown(tmp_path, 3)
    series(tmp_path).append(committed, vectors(9, 99))
    after = series(tmp_path).append(committed, vectors(2, 1))
    np.testing.assert_array_equal(rows_of(tmp_path, after), expected_rows(3, 2))


def test_a_new_segment_is_begun_when_one_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT_ROWS", 5)
    committed = grown(tmp_path, 3, 3, 2, 4, 1)
    assert committed == [Segment(1, 6, 0), Segment(2, 6, 0), Segment(3, 1, 0)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"00000{number}.{suffix}" for number in (1, 2, 3) for suffix in ("f16", "ids")
    ]


def test_a_segment_of_which_nothing_was_committed_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT_ROWS", 3)
    committed = grown(tmp_path, 3)
    series(tmp_path).append(committed, vectors(2, 9))
    (tmp_path / "000002.f16").write_bytes(b"LOO")  # killed while the header was written
    series(tmp_path).trim(committed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000001.f16", "000001.ids"]


def test_trimming_leaves_other_files_alone(tmp_path: Path) -> None:
    committed = grown(tmp_path, 2)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "x.f16").write_text("mine")
    series(tmp_path).trim(committed)
    assert (tmp_path / "notes.txt").exists()
    assert (tmp_path / "x.f16").exists()


def test_trimming_where_nothing_is_does_nothing(tmp_path: Path) -> None:
    series(tmp_path / "none").trim([])
    assert not (tmp_path / "none").exists()


def test_nothing_committed_gives_no_parts(tmp_path: Path) -> None:
    assert series(tmp_path).read([]) == []
    assert series(tmp_path).read([Segment(1, 0, 0)]) == []


@pytest.mark.parametrize("suffix", ["f16", "ids"])
def test_a_file_cut_short_is_corrupt(tmp_path: Path, suffix: str) -> None:
    committed = grown(tmp_path, 4)
    path = tmp_path / f"000001.{suffix}"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(LibraryCorruptError, match=rf"{suffix}: \d+ bytes, \d+ are expected"):
        series(tmp_path).read(committed)


@pytest.mark.parametrize("suffix", ["f16", "ids"])
def test_a_missing_file_is_corrupt(tmp_path: Path, suffix: str) -> None:
    committed = grown(tmp_path, 4)
    (tmp_path / f"000001.{suffix}").unlink()
    with pytest.raises(LibraryCorruptError, match=rf"000001\.{suffix}: missing"):
        series(tmp_path).read(committed)


@pytest.mark.parametrize("loss", ["cut short", "missing"])
def test_a_writer_does_not_fill_up_what_a_damaged_file_lost(tmp_path: Path, loss: str) -> None:
    """Rows of zeros in place of lost ones would never be noticed again."""
    committed = grown(tmp_path, 4)
    path = tmp_path / "000001.f16"
    if loss == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: HEADER.size + 2 * DIM])
    with pytest.raises(LibraryCorruptError):
        series(tmp_path).append(committed, vectors(2, 1))


@given(position=st.integers(0, HEADER.size - 1), value=st.integers(1, 255))
def test_any_changed_byte_of_a_header_is_noticed(
    position: int, value: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("series")
    committed = grown(folder, 2)
    path = folder / "000001.f16"
    data = bytearray(path.read_bytes())
    data[position] ^= value
    path.write_bytes(data)
    with pytest.raises(LibraryCorruptError, match="header"):
        series(folder).read(committed)


def test_vectors_of_another_dimension_are_noticed(tmp_path: Path) -> None:
    committed = grown(tmp_path, 2)
    with pytest.raises(LibraryCorruptError, match="header"):
        Series(tmp_path, vector_columns(DIM - 1)).read(committed)


def test_the_header_is_as_the_storage_format_says(tmp_path: Path) -> None:
    grown(tmp_path, 1)
    head = (tmp_path / "000001.f16").read_bytes()[:64]
    assert head == b"LOOKALIK" + b"\1\0\0\0" + b"f16 " + bytes([DIM, 0, 0, 0]) + bytes(44)
