"""What every store promises (stores/base.py)."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.conditions import parse_condition
from lookalike.errors import LibraryLockedError, LibraryMissingError
from lookalike.scan import scan
from lookalike.stores import SqliteStore, Store
from lookalike.stores.base import RecordParts, record_id
from lookalike.types import (
    ID_DTYPE,
    LIVE_STATES,
    ClassLogits,
    Column,
    ColumnKind,
    Features,
    FileEntry,
    ImageFacts,
    Outcome,
    PassedOver,
    Reason,
    SideTable,
    Space,
    State,
)
from tests.conftest import sparse
from tests.servers import open_chdb, open_postgres

STORES: dict[str, Callable[..., Store]] = {
    "sqlite": SqliteStore,
    "postgresql": open_postgres,
    "clickhouse": open_chdb,
}
SERVERS = [name for name in STORES if name != "sqlite"]
SPACE = Space("toy", "0" * 64, "box-4", 8)

Open = Callable[..., Store]


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the library in ``tmp_path``, again and again; everything is closed at the end."""
    opened: list[Store] = []

    def open_one(*, write: bool = False) -> Store:
        opened.append(STORES[request.param](tmp_path / "library", write=write))
        return opened[-1]

    yield open_one
    for store in reversed(opened):
        store.close()


@pytest.fixture
def store(open_store: Open) -> Store:
    return open_store(write=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def id_of(content: bytes) -> UUID:
    return record_id(digest(content))


def features(content: bytes) -> Features:
    """Numbers that depend on the content alone."""
    rng = np.random.default_rng(list(digest(content)))
    vector = rng.normal(size=SPACE.dim)
    bins = rng.choice(4096, int(rng.integers(1, 9)), replace=False)
    return Features(
        ImageFacts(640, 480, "PNG", "2020-01-02T03:04:05", "Toy 1", -33.5, 151.25),
        sparse({int(b): int(rng.integers(1, 65_280)) for b in bins}),
        int(rng.integers(0, 2**64, dtype=np.uint64)),
        b"JPEG of " + content,
        (vector / np.linalg.norm(vector)).astype(np.float32),
        ClassLogits(np.array([2, 0, 1], np.uint16), np.array([3.0, 2.0, 1.0], np.float32)),
    )


def outcome(entry: FileEntry) -> Outcome:
    content = Path(entry.path).read_bytes()
    if not content:
        return Outcome(entry, reason=Reason.ZERO_BYTES)
    return Outcome(entry, digest(content), features(content))


def index(store: Store, folder: Path, *, retry: bool = False, complete: bool = True) -> dict:
    """One run over a folder whose files' bytes stand for pictures; returns the counts."""
    run = store.run(SPACE)
    run.note(scan([str(folder)]))
    run.settle(retry=retry)
    run.put([outcome(entry) for entry in run.to_read()])
    run.finish([str(folder)], complete=complete)
    return run.counts()


def write(folder: Path, **contents: bytes) -> None:
    """Files named KEY.jpg."""
    for name, content in contents.items():
        (folder / f"{name}.jpg").write_bytes(content)


def test_a_record_is_its_content(store: Store, folder: Path) -> None:
    write(folder, a=b"one", b=b"one", c=b"two")
    counts = index(store, folder)
    (record,) = store.get([id_of(b"one")])
    assert store.count() == 2
    assert record is not None
    assert record.paths == (str(folder / "a.jpg"), str(folder / "b.jpg"))
    assert counts == {
        (State.INDEXED, Reason.NEW): 2,
        (State.INDEXED, Reason.DUPLICATE): 1,
    }


def test_an_id_is_the_uuid_of_the_hash_of_the_bytes() -> None:
    namespace = uuid.uuid5(uuid.NAMESPACE_OID, "lookalike record")
    assert id_of(b"one") == uuid.uuid5(namespace, hashlib.sha256(b"one").hexdigest())


def test_a_record_comes_back_as_it_was_put(store: Store, folder: Path) -> None:
    write(folder, a=b"one")
    index(store, folder)
    (record,) = store.get([id_of(b"one")])
    given_features = features(b"one")
    assert record is not None
    assert record.facts == given_features.facts
    assert record.phash == given_features.phash
    assert (record.content_hash, record.bytes) == (digest(b"one"), 3)
    assert store.thumbnails([record.id]) == [b"JPEG of one"]


def test_get_keeps_the_order_asked_for(store: Store, folder: Path) -> None:
    contents = [b"one", b"two", b"three"]
    write(folder, **dict(zip("abc", contents, strict=True)))
    index(store, folder)
    asked = [id_of(c) for c in (b"three", b"one", b"unknown", b"two", b"one")]
    found = store.get(asked)
    assert [record and record.id for record in found] == [*asked[:2], None, *asked[3:]]
    assert store.thumbnails(asked)[2:4] == [None, b"JPEG of two"]
    places = [(), *((str(folder / f"{name}.jpg"),) for name in "abc")]
    assert store.paths(asked) == [places[n] for n in (3, 1, 0, 2, 1)]
    assert store.get([]) == store.paths([]) == []


def test_vectors_and_histograms_come_back_by_id(store: Store, folder: Path) -> None:
    contents = [f"picture {n}".encode() for n in range(7)]
    for n, content in enumerate(contents):
        write(folder, **{f"n{n}": content})
        index(store, folder)  # seven runs: seven appends
    vectors, colours = store.vectors(SPACE), store.histograms()
    for content in contents:
        row, other = vectors.row_of(id_of(content)), colours.row_of(id_of(content))
        assert row is not None
        assert other is not None
        put = features(content)
        np.testing.assert_array_equal(
            vectors.vectors(np.array([row]))[0], put.vector.astype(np.float16)
        )
        found = colours.histogram(other)
        np.testing.assert_array_equal(found.bins, put.histogram.bins)
        np.testing.assert_array_equal(found.counts, put.histogram.counts)


def test_an_empty_store_answers(store: Store) -> None:
    assert store.count() == 0
    assert store.spaces() == []
    assert list(store.ledger()) == []
    assert len(store.histograms().ids) == 0
    assert store.find_content(digest(b"one")) is None
    assert store.delete() == 0


def test_there_is_nothing_to_read_where_nothing_was_written(open_store: Open) -> None:
    with pytest.raises(LibraryMissingError):
        open_store()


def test_find_content_knows_what_was_put(store: Store, folder: Path) -> None:
    write(folder, a=b"one")
    index(store, folder)
    assert store.find_content(digest(b"one")) == id_of(b"one")
    assert store.find_content(digest(b"two")) is None


def test_find_path_believes_only_an_unchanged_file(store: Store, folder: Path) -> None:
    write(folder, a=b"one")
    index(store, folder)
    path = str(folder / "a.jpg")
    assert store.find_path(path) == (id_of(b"one"), digest(b"one"))
    assert store.find_path(str(folder / "b.jpg")) is None
    os.utime(path, ns=(1, 1))
    assert store.find_path(path) is None


def test_a_second_run_has_nothing_to_read(store: Store, folder: Path) -> None:
    write(folder, a=b"one", b=b"two")
    index(store, folder)
    run = store.run(SPACE)
    assert run.note(scan([str(folder)])) == 2
    assert run.settle(retry=False) == 0
    assert list(run.to_read()) == []
    run.finish([str(folder)], complete=True)
    assert run.counts() == {(State.UNCHANGED, Reason.SAME_STAT): 2}


def test_a_touched_file_is_unchanged_by_its_content(store: Store, folder: Path) -> None:
    write(folder, a=b"one")
    index(store, folder)
    os.utime(folder / "a.jpg", ns=(1, 1))
    assert index(store, folder) == {(State.UNCHANGED, Reason.SAME_CONTENT): 1}
    assert index(store, folder) == {(State.UNCHANGED, Reason.SAME_STAT): 1}


def test_a_changed_file_is_another_record(store: Store, folder: Path) -> None:
    write(folder, a=b"one")
    index(store, folder)
    write(folder, a=b"another")
    assert index(store, folder) == {(State.INDEXED, Reason.CHANGED): 1}
    old, new = store.get([id_of(b"one"), id_of(b"another")])
    assert new is not None
    assert new.paths == (str(folder / "a.jpg"),)
    assert old is None or old.paths == ()
    assert store.count() == 1


def test_a_renamed_file_is_moved(store: Store, folder: Path) -> None:
    write(folder, a=b"one", b=b"two")
    index(store, folder)
    (folder / "a.jpg").rename(folder / "z.jpg")
    counts = index(store, folder)
    assert counts == {(State.MOVED, Reason.MOVED): 1, (State.UNCHANGED, Reason.SAME_STAT): 1}
    (record,) = store.get([id_of(b"one")])
    assert record is not None
    assert record.paths == (str(folder / "z.jpg"),)
    assert [row.path for row in store.ledger()] == [str(folder / f"{n}.jpg") for n in "bz"]


def test_a_gone_file_hides_its_record_until_it_is_back(store: Store, folder: Path) -> None:
    write(folder, a=b"one", b=b"two")
    index(store, folder)
    (folder / "a.jpg").unlink()
    assert index(store, folder)[State.GONE, Reason.NOT_FOUND] == 1
    assert store.count() == 1
    assert store.vectors(SPACE).row_of(id_of(b"one")) is None
    assert store.find_path(str(folder / "a.jpg")) is None
    write(folder, a=b"one")
    assert index(store, folder)[State.INDEXED, Reason.BACK] == 1
    assert store.count() == 2
    assert store.vectors(SPACE).row_of(id_of(b"one")) is not None


def test_a_record_with_another_file_left_stays(store: Store, folder: Path) -> None:
    write(folder, a=b"one", b=b"one")
    index(store, folder)
    (folder / "a.jpg").unlink()
    index(store, folder)
    (record,) = store.get([id_of(b"one")])
    assert record is not None
    assert record.paths == (str(folder / "b.jpg"),)
    assert store.delete() == 1
    assert store.count() == 1


def test_an_incomplete_scan_makes_nothing_gone(store: Store, folder: Path) -> None:
    write(folder, a=b"one", b=b"two")
    index(store, folder)
    (folder / "a.jpg").unlink()
    assert (State.GONE, Reason.NOT_FOUND) not in index(store, folder, complete=False)
    assert store.count() == 2


def test_only_files_under_the_roots_become_gone(store: Store, folder: Path) -> None:
    for name in ("in", "in-side"):  # a root's name is no prefix of its neighbour's files
        (folder / name).mkdir()
        write(folder / name, a=name.encode())
        index(store, folder / name)
        (folder / name / "a.jpg").unlink()
    index(store, folder / "in")
    assert store.get([id_of(b"in")])[0].paths == ()  # type: ignore[union-attr]
    assert store.paths([id_of(b"in")]) == [()]
    assert store.get([id_of(b"in-side")])[0].paths  # type: ignore[union-attr]


def test_delete_forgets_files_that_are_gone_and_records_without_files(
    store: Store, folder: Path
) -> None:
    write(folder, a=b"one", b=b"two")
    index(store, folder)
    (folder / "a.jpg").unlink()
    index(store, folder)
    assert store.delete() == 1
    assert store.delete() == 0
    assert store.get([id_of(b"one"), id_of(b"two")])[0] is None
    assert store.thumbnails([id_of(b"one")]) == [None]
    assert store.find_content(digest(b"one")) is None
    assert [row.path for row in store.ledger()] == [str(folder / "b.jpg")]
    assert int(store.vectors(SPACE).live.sum()) == int(store.histograms().live.sum()) == 1


def test_what_was_deleted_can_be_put_again(store: Store, folder: Path) -> None:
    write(folder, a=b"one", b=b"two")
    index(store, folder)
    (folder / "a.jpg").unlink()
    index(store, folder)
    store.delete()
    write(folder, a=b"one")
    index(store, folder)
    table = store.vectors(SPACE)
    row = table.row_of(id_of(b"one"))
    assert row is not None
    assert int(table.live.sum()) == store.count() == 2
    np.testing.assert_array_equal(
        table.vectors(np.array([row]))[0], features(b"one").vector.astype(np.float16)
    )


def test_an_unreadable_file_is_read_again_only_when_changed_or_asked(
    store: Store, folder: Path
) -> None:
    write(folder, a=b"", b=b"two")
    assert index(store, folder)[State.UNREADABLE, Reason.ZERO_BYTES] == 1
    run = store.run(SPACE)
    run.note(scan([str(folder)]))
    assert run.settle(retry=False) == 0
    run = store.run(SPACE)
    run.note(scan([str(folder)]))
    assert run.settle(retry=True) == 1
    write(folder, a=b"one")
    index(store, folder)
    assert store.count() == 2


def test_the_ledger_has_every_path_in_order(store: Store, folder: Path) -> None:
    write(folder, b=b"two", a=b"", c=b"three")
    (folder / "notes.txt").write_text("no picture")
    index(store, folder)
    rows = list(store.ledger())
    assert [(Path(row.path).name, row.state) for row in rows] == [
        ("a.jpg", State.UNREADABLE),
        ("b.jpg", State.INDEXED),
        ("c.jpg", State.INDEXED),
        ("notes.txt", State.SKIPPED),
    ]
    assert [row.record for row in rows] == [None, id_of(b"two"), id_of(b"three"), None]
    assert [row.path for row in store.ledger(State.UNREADABLE)] == [rows[0].path]


def test_a_name_that_is_no_text_keeps_its_bytes(store: Store, folder: Path) -> None:
    path = os.path.join(os.fsencode(folder), b"\xff\n.jpg")
    with open(path, "wb") as file:
        file.write(b"one")
    index(store, folder)
    (record,) = store.get([id_of(b"one")])
    assert record is not None
    assert [os.fsencode(p) for p in record.paths] == [path]
    assert [os.fsencode(row.path) for row in store.ledger()] == [path]


def test_an_unlistable_folder_keeps_its_files(store: Store, folder: Path) -> None:
    (folder / "inner").mkdir()
    write(folder, a=b"one")
    write(folder / "inner", b=b"two")
    index(store, folder)
    run = store.run(SPACE)
    shut = PassedOver(str(folder / "inner"), State.UNREADABLE, Reason.NO_PERMISSION)
    run.note([*scan([str(folder / "a.jpg")]), shut])
    run.settle(retry=False)
    run.finish([str(folder)], complete=True)
    assert store.count() == 2


def test_thousands_of_undecoded_pictures_do_not_stop_a_run(store: Store, folder: Path) -> None:
    write(folder, a=b"one")
    raws = [
        PassedOver(str(folder / f"{n}.cr2"), State.UNREADABLE, Reason.UNSUPPORTED)
        for n in range(2_500)
    ]
    run = store.run(SPACE)
    run.note([*scan([str(folder)]), *raws])
    run.settle(retry=False)
    run.put([outcome(entry) for entry in run.to_read()])
    run.finish([str(folder)], complete=True)
    assert run.counts()[State.UNREADABLE, Reason.UNSUPPORTED] == 2_500


def test_a_batch_that_fails_leaves_no_trace(store: Store, folder: Path) -> None:
    write(folder, a=b"one", b=b"two")
    run = store.run(SPACE)
    run.note(scan([str(folder)]))
    run.settle(retry=False)
    good, bad = list(run.to_read())
    with pytest.raises(ValueError, match="neither features"):
        run.put([outcome(good), Outcome(bad, digest(b"never seen"))])
    assert store.count() == 0
    assert list(store.ledger()) == []
    run.put([outcome(good), outcome(bad)])
    assert store.count() == 2
    assert len(store.vectors(SPACE).ids) == len(store.histograms().ids) == 2


def test_what_was_put_is_there_after_opening_again(open_store: Open, folder: Path) -> None:
    write(folder, a=b"one", b=b"two")
    writer = open_store(write=True)
    run = writer.run(SPACE)
    run.note(scan([str(folder)]))
    run.settle(retry=False)
    run.put([outcome(entry) for entry in run.to_read()])  # and then never finished
    writer.close()
    reader = open_store()
    assert reader.count() == 2
    assert reader.spaces() == [SPACE]
    assert int(reader.vectors(SPACE).live.sum()) == 2


def test_readers_see_the_last_commit(open_store: Open, folder: Path) -> None:
    writer = open_store(write=True)
    reader = open_store()
    run = writer.run(SPACE)
    write(folder, a=b"one", b=b"two")
    run.note(scan([str(folder)]))
    run.settle(retry=False)
    for number, entry in enumerate(list(run.to_read()), start=1):
        assert reader.count() == number - 1
        run.put([outcome(entry)])
        assert reader.count() == number
        assert len(reader.vectors(SPACE).ids) == len(reader.histograms().ids) == number


def test_a_second_writer_is_refused_and_a_reader_is_not(open_store: Open) -> None:
    first = open_store(write=True)
    with pytest.raises(LibraryLockedError, match=str(os.getpid())):
        open_store(write=True)
    open_store().close()
    first.close()
    open_store(write=True)


def test_closing_twice_is_harmless(store: Store) -> None:
    store.close()
    store.close()


@pytest.mark.parametrize(
    "name", ["sqlite", *(pytest.param(name, marks=pytest.mark.long) for name in SERVERS)]
)
@given(data=st.data())
def test_any_sequence_of_changes_ends_as_a_fresh_run_would(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Add, overwrite, rename and remove files at random; the store agrees with the disk."""
    base = tmp_path_factory.mktemp("changes")
    photos = base / "photos"
    photos.mkdir()
    store = STORES[name](base / "library", write=True)
    steps = st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from([None, b"one", b"two", b"three"])),
        max_size=4,
    )
    for changes in data.draw(st.lists(steps, min_size=1, max_size=4)):
        for file, content in changes:
            if content is not None:
                write(photos, **{file: content})
            elif (photos / f"{file}.jpg").exists():
                (photos / f"{file}.jpg").unlink()
        for age, path in enumerate(sorted(photos.iterdir())):
            # Times are set by content, so that a file of equal size and other content is noticed.
            os.utime(path, ns=(0, age + 1_000_000 * sum(path.read_bytes())))
        index(store, photos)
        if data.draw(st.booleans()):
            store.delete()
    on_disk = {str(path): id_of(path.read_bytes()) for path in photos.iterdir()}
    live = {row.path: row.record for row in store.ledger() if row.state in LIVE_STATES}
    assert live == on_disk
    assert store.count() == len(set(on_disk.values()))
    for table in (store.vectors(SPACE), store.histograms()):
        found = sorted(id_.tobytes() for id_ in table.ids[table.live])
        assert found == sorted(id_.bytes for id_ in set(on_disk.values()))
    store.close()


def matching(store: Store, text: str) -> list[UUID]:
    found = store.matching(parse_condition(text))
    assert (found.dtype, found.ndim) == (ID_DTYPE, 1)
    return [UUID(bytes=id_.tobytes()) for id_ in found]


def test_matching_gives_ids_ascending(store: Store, folder: Path) -> None:
    contents = [f"picture {n}".encode() for n in range(20)]
    write(folder, **{f"n{n}": content for n, content in enumerate(contents)})
    index(store, folder)
    everything = sorted(id_of(content) for content in contents)
    assert matching(store, "width = 640") == everything
    assert matching(store, "name like 'n%'") == everything
    assert matching(store, "megapixels > 0.3 and bytes < 100 and latitude < 0") == everything


def test_matching_may_find_nothing(store: Store, folder: Path) -> None:
    assert matching(store, "width > 0") == matching(store, "name like '%'") == []
    write(folder, a=b"one")
    index(store, folder)
    assert matching(store, "width > 640") == matching(store, "name = 'b.jpg'") == []
    assert matching(store, "camera is null") == []


def test_a_record_matches_if_one_of_its_files_does(store: Store, folder: Path) -> None:
    for place in ("left", "right"):
        (folder / place).mkdir()
        write(folder / place, **{place: b"one", f"{place}2": b"one"})
    index(store, folder)
    assert matching(store, f"under '{folder}'") == [id_of(b"one")]  # once, not four times
    assert matching(store, f"under '{folder / 'left'}'") == [id_of(b"one")]
    assert matching(store, "not name like 'left%'") == [id_of(b"one")]
    # The file must meet all of the condition; two files do not do so together.
    assert matching(store, f"under '{folder / 'left'}' and name like 'right%'") == []


def test_files_that_are_gone_do_not_match(store: Store, folder: Path) -> None:
    write(folder, a=b"one", b=b"one", c=b"two")
    index(store, folder)
    for name in "ac":
        (folder / f"{name}.jpg").unlink()
    index(store, folder)
    assert matching(store, "width > 0") == [id_of(b"one")]
    assert matching(store, "name = 'b.jpg'") == [id_of(b"one")]
    assert matching(store, "name in ('a.jpg', 'c.jpg')") == []


def test_under_a_folder_is_not_under_its_neighbour(store: Store, folder: Path) -> None:
    for name in ("in", "in-side", "in/deep"):
        (folder / name).mkdir()
        write(folder / name, a=name.encode())
    index(store, folder)
    inner = sorted([id_of(b"in"), id_of(b"in/deep")])
    assert matching(store, f"under '{folder / 'in'}'") == inner
    assert matching(store, f"under '{folder}' and not under '{folder / 'in'}'") == [
        id_of(b"in-side")
    ]
    assert matching(store, f"under '{folder / 'i'}'") == []
    assert matching(store, f"path = '{folder / 'in' / 'a.jpg'}'") == [id_of(b"in")]
    assert matching(store, f"folder = '{folder / 'in'}'") == [id_of(b"in")]


def test_matching_reads_the_last_commit(open_store: Open, folder: Path) -> None:
    writer = open_store(write=True)
    reader = open_store()
    assert matching(reader, "width > 0") == []
    write(folder, a=b"one")
    index(writer, folder)
    assert matching(reader, "width > 0") == [id_of(b"one")]


def test_facts_are_of_the_records_that_have_a_file(store: Store, folder: Path) -> None:
    write(folder, a=b"one", b=b"two", c=b"one")
    index(store, folder)
    (folder / "b.jpg").unlink()
    index(store, folder)
    facts = store.facts()
    assert [UUID(bytes=id_.tobytes()) for id_ in facts.ids] == [id_of(b"one")]
    (record,) = store.get([id_of(b"one")])
    assert record is not None
    assert facts.pixels.tolist() == [record.facts.width * record.facts.height]
    assert facts.bytes.tolist() == [record.bytes]
    assert facts.files.tolist() == [2]
    assert facts.row_of(id_of(b"one")) == 0


def test_each_path_comes_with_its_record(store: Store, folder: Path) -> None:
    write(folder, a=b"one", b=b"two", c=b"one", d=b"gone")
    index(store, folder)
    (folder / "d.jpg").unlink()
    index(store, folder)
    found: dict[UUID, list[str]] = {}
    for id_, path in store.each_path():
        found.setdefault(UUID(bytes=id_), []).append(path)
    ids = [id_of(b"one"), id_of(b"two")]
    assert list(map(tuple, (found[one] for one in ids))) == store.paths(ids)
    assert found.keys() == set(ids)


def test_each_thumbnail_comes_with_its_id(store: Store, folder: Path) -> None:
    write(folder, a=b"one", b=b"two")
    index(store, folder)
    found = {UUID(bytes=id_): jpeg for id_, jpeg in store.each_thumbnail()}
    ids = [id_of(b"one"), id_of(b"two")]
    assert found == dict(zip(ids, store.thumbnails(ids), strict=True))


def test_files_come_with_the_oldest_first(store: Store, folder: Path) -> None:
    write(folder, a=b"one", b=b"one", c=b"one")
    for name, age in (("a", 3), ("b", 1), ("c", 2)):
        os.utime(folder / f"{name}.jpg", (10**9 + age, 10**9 + age))
    index(store, folder)
    files, none = store.files([id_of(b"one"), id_of(b"unknown")])
    assert [Path(file.path).stem for file in files] == ["b", "c", "a"]
    assert none == ()


def test_decisions_outlive_opening_and_are_taken_back(open_store: Open, folder: Path) -> None:
    store = open_store(write=True)
    one, two = sorted((id_of(b"one"), id_of(b"two")), key=lambda id_: id_.bytes)
    assert store.decide(two, one)
    assert not store.decide(one, two)
    store.close()
    reader = open_store()
    assert reader.decisions() == [(one, two)]
    reader.close()
    store = open_store(write=True)
    assert store.forget(two, one)
    assert not store.forget(two, one)
    assert store.decisions() == []


def test_labels_are_kept_by_source_and_replaced_or_added_to(open_store: Open, folder: Path) -> None:
    store = open_store(write=True)
    write(folder, a=b"one", b=b"two")
    index(store, folder)
    one, two = id_of(b"one"), id_of(b"two")
    store.put_labels("own", [(one, "cat", 1.0), (id_of(b"unknown"), "x", 1.0)], replace=False)
    store.put_labels("own", [(one, "pet", 1.0), (two, "cat", 1.0)], replace=False)
    store.put_labels("names", [(two, "dog", 0.75)], replace=True)
    store.put_labels("names", [(one, "dog", 0.5)], replace=True)
    store.close()
    reader = open_store()
    of_two, of_one, none = reader.labels([two, one, id_of(b"unknown")])
    assert [(x.source, x.name, x.confidence) for x in of_one] == [
        ("names", "dog", 0.5),
        ("own", "cat", 1.0),
        ("own", "pet", 1.0),
    ]
    assert [x.name for x in of_two] == ["cat"]
    assert none == ()
    assert [(c.source, c.label, c.records) for c in reader.label_counts()] == [
        ("names", "dog", 1),
        ("own", "cat", 2),
        ("own", "pet", 1),
    ]
    reader.close()
    store = open_store(write=True)
    assert store.delete_labels("own", "cat") == 2
    assert store.delete_labels("own", "cat") == 0
    assert store.delete_labels("names") == 1
    assert [c.label for c in store.label_counts()] == ["pet"]


def test_labels_are_all_put_or_none(store: Store, folder: Path) -> None:
    write(folder, a=b"one")
    index(store, folder)
    store.put_labels("own", [(id_of(b"one"), "cat", 1.0)], replace=True)

    def failing() -> Iterator[tuple[UUID, str, float]]:
        yield id_of(b"one"), "dog", 1.0
        raise KeyError

    with pytest.raises(KeyError):
        store.put_labels("own", failing(), replace=True)
    assert [c.label for c in store.label_counts()] == ["cat"]


def test_parts_are_kept_by_record(open_store: Open, folder: Path) -> None:
    store = open_store(write=True)
    write(folder, a=b"one", b=b"two", c=b"three")
    index(store, folder)
    logits = ClassLogits(np.array([5, 7], np.uint16), np.array([2.5, 1.0], np.float32))
    crop = (0.0, 0.25, 0.5, 0.5)
    assert [one.record for one in store.lacking_parts(SPACE)] == [
        id_of(b"one"), id_of(b"two"), id_of(b"three")
    ]  # fmt: skip
    store.put_parts(SPACE, [RecordParts(id_of(b"two"), [(crop, logits), (crop, logits)])])
    store.put_parts(SPACE, [RecordParts(id_of(b"one"), [(crop, logits)])])
    assert [one.record for one in store.lacking_parts(SPACE)] == [id_of(b"three")]
    assert list(store.lacking_parts(SPACE, [str(folder / "a.jpg")])) == []
    store.close()
    reader = open_store()
    table = reader.parts(SPACE)
    assert [UUID(bytes=id_.tobytes()) for id_ in table.ids] == [
        id_of(b"one"), id_of(b"two"), id_of(b"two")
    ]  # fmt: skip
    assert table.crops.tolist() == [list(crop)] * 3
    assert table.classes.tolist() == [[5, 7]] * 3
    assert table.logits.tolist() == [[2.5, 1.0]] * 3
    reader.close()
    store = open_store(write=True)
    (folder / "b.jpg").unlink()
    index(store, folder)
    assert len(store.parts(SPACE).ids) == 1
    store.delete()
    assert [one.record for one in store.lacking_parts(SPACE)] == [id_of(b"three")]


def test_a_path_is_read_from_whatever_its_file_was_when_it_was_last_seen(
    store: Store, folder: Path
) -> None:
    write(folder, a=b"one", b=b"two", c=b"")
    (folder / "d.txt").write_bytes(b"no picture")
    index(store, folder)
    index(store, folder)  # a and b are unchanged now
    (folder / "b.jpg").rename(folder / "e.jpg")
    index(store, folder)
    read = {name: store.reads_path(str(folder / name)) for name in ("a.jpg", "c.jpg", "e.jpg")}
    assert read == {"a.jpg": True, "c.jpg": True, "e.jpg": True}
    assert not store.reads_path(str(folder / "d.txt"))
    assert not store.reads_path(str(folder / "new.jpg"))


# -- pictures that are not in folders --------------------------------------------------------------

URL = "https://pictures.example/a"


def index_url(store: Store, *outcomes: Outcome, foreign_id: str | None = None) -> dict:
    """One run over what a table of one URL names; returns the counts."""
    run = store.run(SPACE)
    run.note([FileEntry(URL, 0, 0, foreign_id)])
    run.settle(retry=False)
    assert [entry.path for entry in run.to_read()] == [URL]
    run.put(outcomes)
    run.finish([], complete=True)
    return run.counts()


def downloaded(content: bytes, **facts: str) -> Outcome:
    return Outcome(FileEntry(URL, len(content), 7, **facts), digest(content), features(content))


def test_a_picture_has_what_another_table_calls_it(store: Store) -> None:
    index_url(store, downloaded(b"one", foreign_id="Qgb9urMZ8lw"), foreign_id="Qgb9urMZ8lw")
    assert store.find_foreign("Qgb9urMZ8lw") == id_of(b"one")
    assert store.find_foreign("another") is None
    ((entry,),) = store.files([id_of(b"one")])
    assert (entry.path, entry.foreign_id) == (URL, "Qgb9urMZ8lw")
    found = store.matching(parse_condition("foreign_id like 'Qgb%'"))
    assert found.tobytes() == id_of(b"one").bytes


def test_what_another_table_calls_a_picture_may_change(store: Store) -> None:
    index_url(store, downloaded(b"one", foreign_id="old"), foreign_id="old")
    kept = Outcome(FileEntry(URL, 0, 0), reason=Reason.NOT_MODIFIED, kept=True)
    index_url(store, kept, foreign_id="new")
    assert (store.find_foreign("old"), store.find_foreign("new")) == (None, id_of(b"one"))


def test_a_picture_that_was_not_modified_is_kept(store: Store) -> None:
    index_url(store, downloaded(b"one", validator='"etag"'))
    run = store.run(SPACE)
    run.note([FileEntry(URL, 0, 0)])
    run.settle(retry=False)
    (entry,) = run.to_read()
    assert entry.validator == '"etag"'
    run.put([Outcome(entry, reason=Reason.NOT_MODIFIED, kept=True)])
    run.finish([], complete=True)
    assert run.counts() == {(State.UNCHANGED, Reason.NOT_MODIFIED): 1}
    assert store.count() == 1
    assert list(store.run(SPACE).to_read()) == []


def test_a_picture_that_is_not_reached_is_kept_if_it_is_known(store: Store) -> None:
    failure = Outcome(FileEntry(URL, 0, 0), reason=Reason.NOT_REACHED, detail="503", kept=True)
    assert index_url(store, failure) == {(State.UNREADABLE, Reason.NOT_REACHED): 1}
    assert index_url(store, downloaded(b"one")) == {(State.INDEXED, Reason.NEW): 1}
    assert index_url(store, failure) == {(State.UNCHANGED, Reason.NOT_REACHED): 1}
    assert store.count() == 1
    (row,) = store.ledger()
    assert row.detail == "503"


def test_a_url_that_another_run_does_not_name_stays(store: Store, folder: Path) -> None:
    index_url(store, downloaded(b"one"))
    write(folder, a=b"two")
    index(store, folder)
    assert store.count() == 2


# -- imported records ------------------------------------------------------------------------------


def imported(path: str, content: bytes, **without: None) -> Outcome:
    entry = FileEntry(path, len(content), 7, f"{content.decode()} there")
    own = replace(features(content), **without)  # type: ignore[arg-type]
    return Outcome(entry, digest(content), own, Reason.IMPORTED)


def bring(store: Store, *outcomes: Outcome) -> dict[str, tuple[str, str, UUID | None]]:
    """One import; returns the ledger."""
    run = store.run(SPACE)
    run.put(outcomes)
    run.finish((), complete=False)
    return {row.path: (row.state.value, row.reason, row.record) for row in store.ledger()}


def test_an_imported_record_keeps_all_its_paths_though_nothing_lies_there(store: Store) -> None:
    here = ("indexed", "imported", id_of(b"one"))
    places = [imported(path, b"one") for path in ("/no/a.jpg", "/no/b.jpg", "imported:x/c")]
    expected = dict.fromkeys(("/no/a.jpg", "/no/b.jpg", "imported:x/c"), here)
    assert bring(store, *places) == expected
    assert bring(store, *places) == expected  # again: nothing new
    assert bring(store, places[0], imported("/no/d.jpg", b"one"))["/no/d.jpg"] == here
    assert store.count() == 1
    assert store.has_foreign()
    assert store.find_foreign("one there") == id_of(b"one")
    (files,) = store.files([id_of(b"one")])
    assert {(one.bytes, one.mtime_ns) for one in files} == {(3, 7)}


def test_nothing_is_imported_over_a_file_that_the_library_has(store: Store, folder: Path) -> None:
    write(folder, a=b"one")
    index(store, folder)
    assert not store.has_foreign()
    path = str(folder / "a.jpg")
    ledger = bring(store, imported(path, b"another"), imported("/no/b.jpg", b"two"))
    assert ledger[path] == ("indexed", "new", id_of(b"one"))
    assert store.find_content(digest(b"another")) is None
    assert store.count() == 2
    ledger = bring(store, imported("/no/c.jpg", b"one"))
    assert ledger[path][2] == ledger["/no/c.jpg"][2] == id_of(b"one")


def test_a_record_may_be_imported_as_a_vector_alone(store: Store, folder: Path) -> None:
    write(folder, a=b"one")
    index(store, folder)
    bring(store, imported("https://a.example/b", b"two", histogram=None, thumbnail=None))
    vectors, colours = store.tables(SPACE)
    assert vectors.live.sum() == 2
    assert vectors.row_of(id_of(b"two")) is not None
    assert colours.row_of(id_of(b"two")) is None
    assert colours.row_of(id_of(b"one")) is not None
    assert store.thumbnails([id_of(b"two"), id_of(b"one")]) == [None, b"JPEG of one"]
    assert [id_ for id_, _ in store.each_thumbnail()] == [id_of(b"one").bytes]
    (record,) = store.get([id_of(b"two")])
    assert record is not None
    assert record.paths == ("https://a.example/b",)


# -- side tables -----------------------------------------------------------------------------------

SALES = SideTable(
    "sales",
    "photo",
    "name",
    (
        Column("photo", ColumnKind.TEXT),
        Column("n", ColumnKind.INTEGER),
        Column("price", ColumnKind.REAL),
        Column('odd "name"', ColumnKind.TEXT),
    ),
    source="sales.tsv",
    added="2026-01-02T03:04:05+00:00",
)
SOLD = [
    [["a.jpg", "a.jpg", "b.jpg"], [1, None, 2**63 - 1], [1.5, 2.0, None], ["x", "007", None]],
    [["gone.jpg", None], [-(2**63), 0], [0.1, -0.0], ["", "it's"]],
]


def test_a_side_table_is_there_for_all_after_it_was_put(open_store: Open) -> None:
    store = open_store(write=True)
    put = store.put_table(SALES, SOLD)
    assert put == replace(SALES, rows=5)
    assert store.side_tables() == open_store().side_tables() == [put]
    assert store.drop_table("sales")
    assert not store.drop_table("sales")
    assert store.side_tables() == []


def test_rows_of_side_tables_match_live_files(store: Store, folder: Path) -> None:
    write(folder, a=b"one", b=b"two")
    index(store, folder)
    table = store.put_table(SALES, SOLD)
    assert store.rows_matched(table) == 3
    assert store.find_keys("name", ["a.jpg", "x", "b.jpg"]) == 2
    path = str(folder / "a.jpg")
    assert store.find_keys("path", [path, "a.jpg"]) == 1
    assert store.find_keys("id", [str(id_of(b"two")), str(id_of(b"three"))]) == 1
    assert store.find_keys("foreign_id", ["a.jpg"]) == 0
    (folder / "b.jpg").unlink()
    index(store, folder)
    assert store.rows_matched(table) == 2


def test_a_side_table_that_cannot_be_read_to_its_end_leaves_the_old_one(store: Store) -> None:
    def broken() -> Iterator[list[list[Any]]]:
        yield SOLD[0]
        raise ValueError

    old = store.put_table(SALES, SOLD[:1])
    with pytest.raises(ValueError):  # noqa: PT011
        store.put_table(SALES, broken())
    assert store.side_tables() == [old]
    assert store.put_table(SALES, SOLD).rows == 5
    assert [table.rows for table in store.side_tables()] == [5]


def test_a_side_table_may_have_no_rows(store: Store) -> None:
    assert store.put_table(SALES, []).rows == 0
    assert store.rows_matched(SALES) == 0


@pytest.mark.parametrize("name", SERVERS)
def test_what_is_discarded_leaves_nothing_of_its_own_and_all_of_others(
    name: str, tmp_path: Path
) -> None:
    store = STORES[name](tmp_path / "library", write=True)
    store.add_space(SPACE)
    store.engine.execute("CREATE VIEW of_another AS SELECT 1 AS one")  # type: ignore[attr-defined]
    store.discard()  # type: ignore[attr-defined]
    with pytest.raises(LibraryMissingError):
        STORES[name](tmp_path / "library")
    again = STORES[name](tmp_path / "library", write=True)
    assert again.spaces() == []
    assert again.engine.rows("SELECT one FROM of_another") == [(1,)]  # type: ignore[attr-defined]
    again.close()


def test_an_unreadable_url_is_asked_for_again_if_it_is_asked_otherwise(store: Store) -> None:
    refusal = Outcome(FileEntry(URL, 0, 0, validator="small"), reason=Reason.NOT_AN_IMAGE)
    index_url(store, refusal)
    for asked, to_read in (("small", 0), ("large", 1)):
        run = store.run(SPACE)
        run.note([FileEntry(URL, 0, 0, validator=asked)])
        assert run.settle(retry=False) == to_read
        run.finish([], complete=True)


def test_a_url_is_found_and_read_again_as_it_was_asked_for(store: Store) -> None:
    index_url(store, downloaded(b"one", validator="small"), foreign_id="a")
    found = store.find_path(URL)
    assert found == (id_of(b"one"), digest(b"one"))
    (lacking,) = store.lacking(Space("other", "0" * 64, "box-4", 8), ["https:/"])
    assert (lacking.entry.path, lacking.entry.validator) == (URL, "small")
    assert list(store.lacking(Space("other", "0" * 64, "box-4", 8), ["/home"])) == []
    assert store.original(digest(b"one")) is None


def test_members_of_an_archive_are_known_by_their_archive(store: Store, folder: Path) -> None:
    archive = folder / "a.tar"
    archive.write_bytes(b"stands for an archive")
    time = FileEntry.of("", os.stat(archive)).mtime_ns
    entries = [FileEntry(f"{archive}/{name}.png", 3, time) for name in ("one", "two", "copy")]

    def again(*names: FileEntry) -> dict[tuple[State, Reason], int]:
        run = store.run(SPACE, [str(archive)])
        run.note(names)
        run.settle(retry=False)
        content = {entries[0].path: b"one", entries[1].path: b"two", entries[2].path: b"one"}
        for entry in list(run.to_read()):
            own = content.get(entry.path, b"two")
            run.put([Outcome(entry, digest(own), features(own))])
        run.finish([str(archive)], complete=True)
        return run.counts()

    assert again(*entries) == {
        (State.INDEXED, Reason.NEW): 2,
        (State.INDEXED, Reason.DUPLICATE): 1,
    }
    assert store.find_path(entries[0].path) == (id_of(b"one"), digest(b"one"))
    assert store.reads_path(str(archive))
    renamed = FileEntry(f"{archive}/renamed.png", 3, time)
    assert again(entries[0], entries[2], renamed) == {
        (State.UNCHANGED, Reason.SAME_STAT): 2,
        (State.MOVED, Reason.MOVED): 1,
    }
    os.utime(archive, ns=(1, time + 10**9))
    assert store.find_path(entries[0].path) is None
