"""Rows by record, the indexes over one commit's tables, and files that can be made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.conditions import parse_condition
from lookalike.features.histogram import histogram
from lookalike.indexes import CompactIndex, ExactIndex, colour, compact
from lookalike.indexes.derived import DerivedFolder, digest
from lookalike.query import tables
from lookalike.query.tables import Tables
from lookalike.stores.base import HistogramTable, LogitTable, VectorTable
from lookalike.types import ID_DTYPE, Space
from tests.conftest import histogram_table, picture, record_ids, vector_table

# -- rows by record --------------------------------------------------------------------------------


def ids_of(records: list[UUID]) -> np.ndarray[Any, Any]:
    return np.frombuffer(b"".join(record.bytes for record in records), ID_DTYPE)


def table_of(records: list[UUID], live: list[bool] | None = None) -> VectorTable:
    flags = np.ones(len(records), bool) if live is None else np.array(live, bool)
    return VectorTable(ids_of(records), [np.zeros((len(records), 2), np.float16)], flags, 2)


def alike(first: int, last: int) -> UUID:
    """Records that share their first or their last eight bytes, often with many others."""
    return UUID(bytes=bytes([first] * 8 + [last] * 8))


few = st.builds(alike, st.sampled_from([0, 1, 127, 128, 255]), st.integers(0, 5))


@given(rows=st.lists(few, max_size=60), asked=st.lists(few, max_size=30), data=st.data())
def test_rows_are_those_of_live_records(
    rows: list[UUID], asked: list[UUID], data: st.DataObject
) -> None:
    last = {record: row for row, record in enumerate(rows)}  # of each record at most one row lives
    dead = data.draw(st.sets(st.sampled_from(rows))) if rows else set()
    live = [last[record] == row and record not in dead for row, record in enumerate(rows)]
    expected = [last[one] if one in last and one not in dead else -1 for one in asked]
    table = table_of(rows, live)
    assert table.rows_of(ids_of(asked)).tolist() == expected
    assert [table.row_of(one) for one in asked] == [n if n >= 0 else None for n in expected]
    mask = table.rows_with(ids_of(asked))
    assert (mask.dtype, len(mask)) == (bool, len(rows))
    assert set(np.flatnonzero(mask).tolist()) == set(expected) - {-1}


def test_many_ids_that_share_their_first_half_are_told_apart() -> None:
    records = [alike(9, last) for last in range(200)]
    order = np.random.default_rng(0).permutation(200).tolist()
    table = table_of([records[n] for n in order])
    assert table.rows_of(ids_of(records)).tolist() == np.argsort(order).tolist()
    assert table.rows_of(ids_of([alike(9, 200), alike(8, 0), alike(10, 0)])).tolist() == [-1] * 3


def test_an_id_of_zeros_is_an_id_like_any_other() -> None:
    zeros = UUID(int=0)
    assert table_of([alike(1, 1), zeros]).row_of(zeros) == 1
    assert table_of([alike(1, 1)]).row_of(zeros) is None


def test_of_two_rows_of_a_record_the_live_one_counts() -> None:
    twice = [alike(1, 1), alike(2, 2), alike(1, 1)]
    for live, row in (([True, True, False], 0), ([False, True, True], 2)):
        table = table_of(twice, live)
        assert table.row_of(alike(1, 1)) == row
        assert table.rows_of(ids_of([alike(1, 1)])).tolist() == [row]
        assert np.flatnonzero(table.rows_with(ids_of([alike(1, 1)]))).tolist() == [row]
    dead = table_of(twice, [False, True, False])
    assert dead.row_of(alike(1, 1)) is None
    assert dead.rows_of(ids_of(twice)).tolist() == [-1, 1, -1]


def test_an_empty_table_has_no_rows() -> None:
    table = table_of([])
    assert table.row_of(alike(1, 1)) is None
    assert table.rows_of(ids_of([alike(1, 1)])).tolist() == [-1]
    assert table.rows_with(ids_of([alike(1, 1)])).tolist() == []
    assert table_of([alike(1, 1)]).rows_of(ids_of([])).tolist() == []


def test_histograms_are_found_by_record_as_vectors_are() -> None:
    table = histogram_table([histogram(picture(seed)) for seed in range(5)], record_ids(5))
    record = UUID(bytes=table.ids[3].tobytes())
    assert table.row_of(record) == 3
    assert np.flatnonzero(table.rows_with(table.ids[[3, 1]])).tolist() == [1, 3]


# -- the indexes over one commit -------------------------------------------------------------------

ROWS = 200
SPACE = Space("toy", "0" * 64, "box-4", 20)
POINTS = np.random.default_rng(0).normal(size=(ROWS, 20))
HISTOGRAMS = [histogram(picture(seed)) for seed in range(ROWS)]
SHORT = parse_condition("width < 9")


class MemoryStore:
    """What tables ask of a store."""

    def __init__(self, rows: int = ROWS) -> None:
        ids = record_ids(ROWS)[:rows]
        self.vectors = vector_table(POINTS[:rows], ids)
        turned = np.arange(rows)[::-1]  # the rows of the two tables need not be in one order
        self.histograms = histogram_table([HISTOGRAMS[n] for n in turned], ids[turned], parts=2)
        self.asked = 0

    def tables(self, space: Space) -> tuple[VectorTable, HistogramTable]:
        assert space == SPACE
        return self.vectors, self.histograms

    def logits(self, space: Space) -> LogitTable:
        raise AssertionError("the toy space has no classes")

    def matching(self, condition: Any) -> np.ndarray[Any, Any]:
        assert condition == SHORT
        self.asked += 1
        return self.vectors.ids[[5, 7]]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of 100 rows are large."""
    monkeypatch.setattr(compact, "LEAST_ROWS", 100)
    monkeypatch.setattr(tables, "LEAST_ROWS", 100)
    monkeypatch.setattr(colour, "LONGEST_TAIL", 50)


def opened(folder: Path, rows: int = ROWS) -> Tables:
    return Tables(MemoryStore(rows), SPACE, folder)  # type: ignore[arg-type]


def test_every_index_is_made_once(tmp_path: Path) -> None:
    own = opened(tmp_path)
    own.refresh()
    for exact in (True, False):
        assert own.meaning(exact=exact) is own.meaning(exact=exact)
        model, index = own.reduced("linear", 5, exact=exact)
        again, same = own.reduced("linear", 5, exact=exact)
        assert again is model
        assert same is index
    assert own.colour("correlation") is own.colour("correlation")
    assert own.colour("correlation") is not own.colour("intersection")
    assert own.coarse is own.coarse


def test_meaning_is_compact_only_if_codes_are_there_and_exactness_is_not_asked(
    tmp_path: Path,
) -> None:
    own = opened(tmp_path)
    assert isinstance(own.meaning(exact=False), ExactIndex)
    assert own.wants_index("meaning")
    assert own.refresh()
    assert isinstance(own.meaning(exact=False), CompactIndex)  # found while the tables are in use
    assert not own.wants_index("meaning")
    assert own.meaning(exact=True) is own.exact
    assert isinstance(opened(tmp_path).meaning(exact=False), CompactIndex)


def test_reduced_vectors_get_codes_when_they_are_asked_for(tmp_path: Path) -> None:
    own = opened(tmp_path)
    _, index = own.reduced("linear", 5, exact=False)
    assert isinstance(index, CompactIndex)
    _, exact = own.reduced("linear", 5, exact=True)
    assert index.exact is exact
    assert own.reduced("linear", 6, exact=False)[1] is not index


def test_small_tables_are_searched_exactly(tmp_path: Path) -> None:
    own = opened(tmp_path, rows=99)
    own.refresh()
    assert own.meaning(exact=False) is own.exact
    assert isinstance(own.reduced("linear", 5, exact=False)[1], ExactIndex)
    assert not own.wants_index("meaning")


@pytest.mark.parametrize("by", ["colour", "pca", "mix"])
def test_only_searches_by_meaning_want_an_index(tmp_path: Path, by: str) -> None:
    assert not opened(tmp_path).wants_index(by)


def test_a_set_of_another_version_goes_when_a_new_one_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "compact" / SPACE.name
    folder.mkdir(parents=True)
    (folder / "v1-200-200-abc.groups.npy").write_bytes(b"old")
    own = opened(tmp_path)
    own.refresh()
    assert not list(folder.glob("v1-*"))
    assert list(folder.glob("v2-*"))


def test_refreshing_makes_codes_and_coarse_rows_once(tmp_path: Path) -> None:
    assert opened(tmp_path).refresh()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["colour", "compact"]
    assert [path.name for path in (tmp_path / "compact").iterdir()] == ["toy"]
    assert not opened(tmp_path).refresh()


def test_where_nothing_can_be_written_searches_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    own = opened(tmp_path / "file" / "derived")
    assert not own.refresh()
    query = POINTS[3]
    assert own.meaning(exact=False).nearest(query, 3).rows[0] == 3
    model, index = own.reduced("linear", 5, exact=False)
    reduced = model.transform(query[None], 5)[0].astype(np.float64)
    assert index.nearest(reduced, 3).rows[0] == 3
    asked = HISTOGRAMS[3].dense()
    assert own.colour("intersection").nearest(asked, 1).rows.tolist() == [ROWS - 1 - 3]


def test_a_condition_is_asked_of_the_store_once_for_both_tables(tmp_path: Path) -> None:
    own, store = opened(tmp_path), MemoryStore()
    for _ in range(2):
        vectors = own.matching(store, SHORT, colour=False)  # type: ignore[arg-type]
        histograms = own.matching(store, SHORT, colour=True)  # type: ignore[arg-type]
    assert np.flatnonzero(vectors).tolist() == [5, 7]
    assert np.flatnonzero(histograms).tolist() == [ROWS - 1 - 7, ROWS - 1 - 5]
    assert store.asked == 1


# -- files that can be made anew -------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError, ValueError, KeyboardInterrupt])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, error: type[BaseException]
) -> None:
    folder = DerivedFolder(tmp_path)
    assert folder.keep_array("a.npy", np.arange(3))

    def fail(path: Path) -> None:
        path.write_bytes(b"half of")
        raise error

    if error is OSError:
        assert not folder.keep("a.npy", fail, older="*")
    else:
        with pytest.raises(error):
            folder.keep("a.npy", fail, older="*")
    assert folder.array("a.npy").tolist() == [0, 1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_a_file_is_there_under_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    folder, seen = DerivedFolder(tmp_path / "new" / "folder"), []

    def write(path: Path) -> None:
        path.write_bytes(b"half")
        seen.append((folder.folder / "a.txt").exists())
        with open(path, "ab") as file:
            file.write(b" of it")

    assert folder.keep("a.txt", write)
    assert seen == [False]
    assert (folder.folder / "a.txt").read_bytes() == b"half of it"


def test_older_files_go_when_the_new_one_is_there(tmp_path: Path) -> None:
    folder = DerivedFolder(tmp_path)
    for name in ("v1-1.npy", "v1-2.npy", "other.npy"):
        assert folder.keep_array(name, np.zeros(1))
    assert folder.keep_array("v1-3.npy", np.ones(2), older="v1-*")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.npy", "v1-3.npy"]


def test_objects_are_neither_kept_nor_read(tmp_path: Path) -> None:
    folder = DerivedFolder(tmp_path)
    with pytest.raises(ValueError, match="allow_pickle"):
        folder.keep_array("a.npy", np.array([{}], dtype=object))
    assert list(tmp_path.iterdir()) == []
    np.save(tmp_path / "b.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="object"):
        folder.array("b.npy")


def test_a_digest_depends_on_every_id_their_order_and_what_else_is_given() -> None:
    ids, numbers = record_ids(50), np.arange(6, dtype=np.float32)
    digests = {
        digest(ids), digest(ids[:-1]), digest(ids[::-1]), digest(ids[1:]),
        digest(ids, numbers), digest(ids, numbers + 1), digest(ids[:0]),
    }  # fmt: skip
    assert len(digests) == 7
    assert digest(ids) == digest(ids.copy())
    assert all(len(one) == 16 for one in digests)


def mapped_memory() -> int:
    """Bytes of mapped files that this process has in memory."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssFile:")[2].split()[0]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells")
def test_vectors_that_were_let_go_take_no_memory_and_are_read_anew(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).normal(size=(20_000, 256)).astype(np.float16)
    whole.tofile(tmp_path / "vectors")
    mapped = np.memmap(tmp_path / "vectors", np.float16, "r", shape=whole.shape)
    table = VectorTable(record_ids(3), [mapped, whole[:2]], np.ones(3, bool), 256)
    rows = np.array([0, 19_999, 20_001])
    before = table.vectors(rows)
    assert float(mapped.sum(dtype=np.float64)) == pytest.approx(float(whole.sum(dtype=np.float64)))
    full = mapped_memory()
    table.release()
    assert mapped_memory() < full - whole.nbytes / 2
    np.testing.assert_array_equal(table.vectors(rows), before)
