"""The steps of indexing as a cluster's workers do them, in this process and without Ray."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike import Library
from lookalike.cluster.blocks import (
    BLOCK,
    Recipe,
    analysed,
    block_size,
    blocks,
    encoded,
    outcomes_of,
)
from lookalike.cluster.indexing import index_into_parts
from lookalike.cluster.packing import pack, pack_entries, unpack, unpack_entries
from lookalike.cluster.parts import (
    DATA,
    LEDGER,
    Counts,
    Form,
    KnownPictures,
    PartsFolder,
    part_name,
    write_part,
    write_passed,
)
from lookalike.config import IndexOptions, Limits
from lookalike.errors import InputError, NothingDoneError, StorageError
from lookalike.pipeline import Analysed
from lookalike.sources import Source, source_of
from lookalike.sources.base import Kept
from lookalike.types import FileEntry, Outcome, PassedOver, Reason, State
from tests.conftest import CrashError, ToyEncoder, fill
from tests.e2e.contents import contents

parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
pytest.importorskip("fsspec", reason="the extra ray or objects is not installed")

TEXTS = st.text(st.characters(exclude_characters="\0"), max_size=20)  # half surrogates, too
NUMBERS = st.integers(-(2**63), 2**63 - 1)
ENTRIES = st.builds(
    FileEntry, TEXTS, NUMBERS, NUMBERS, st.none() | TEXTS, st.none() | TEXTS
)  # fmt: skip


def entries_in(source: Source) -> list[FileEntry]:
    return [item for item in source.found() if isinstance(item, FileEntry)]


class HereInstead:
    """Does what a cluster does, block by block in this process; each block ``times`` times."""

    def __init__(self, size: int = 5, times: int = 1, fail_after: int | None = None) -> None:
        self.size, self.times, self.fail_after = size, times, fail_after
        self.blocks = 0

    def outcomes(
        self,
        source: Source,
        entries: Any,
        count: int,
        encoder: ToyEncoder,
        options: IndexOptions,
    ) -> Iterator[Outcome | None]:
        for piece in self.pieces(source, entries, encoder, options):
            yield from outcomes_of(piece)

    def write_parts(
        self,
        source: Source,
        entries: Any,
        count: int,
        encoder: ToyEncoder,
        options: IndexOptions,
        folder: PartsFolder,
    ) -> Iterator[Counts]:
        form = Form(encoder.spec.space, True)
        for piece in self.pieces(source, entries, encoder, options):
            yield write_part(folder, outcomes_of(piece), form)

    def pieces(
        self, source: Source, entries: Any, encoder: ToyEncoder, options: IndexOptions
    ) -> Iterator[bytes]:
        recipe = Recipe.of(encoder, by_name=False)
        for some in blocks(entries, self.size):
            if self.fail_after is not None and self.blocks >= self.fail_after:
                raise CrashError
            self.blocks += 1
            made = []
            for _ in range(self.times):
                read = analysed(pack_entries(some), source, recipe, options.limits)
                made = [encoded(piece, recipe.encoder(1), 3) for piece in read]
            yield from made


# -- packing ---------------------------------------------------------------------------------------


@given(st.lists(ENTRIES, max_size=5))
def test_entries_come_back_as_they_were(entries: list[FileEntry]) -> None:
    assert unpack_entries(pack_entries(entries)) == entries


@given(ENTRIES, st.none() | st.binary(min_size=32, max_size=32), TEXTS, st.booleans())
def test_outcomes_without_features_come_back_as_they_were(
    entry: FileEntry, content_hash: bytes | None, detail: str, kept: bool
) -> None:
    outcome = Outcome(entry, content_hash, None, Reason.CORRUPT, detail, kept)
    assert unpack(pack([outcome])) == [outcome]


def test_a_picture_comes_back_bit_for_bit(photos: Path, toy: ToyEncoder) -> None:
    source = source_of([str(photos)])
    block = pack_entries(entries_in(source))
    recipe = Recipe.of(toy, by_name=False)
    (piece,) = analysed(block, source, recipe, Limits())
    items = unpack(piece)
    again = unpack(pack(items))
    assert len(items) == 12
    for one, other in zip(items, again, strict=True):
        assert isinstance(one, Analysed)
        assert isinstance(other, Analysed)
        assert one.pixels.shape == (4, 4, 3)
        assert np.array_equal(one.pixels, other.pixels)
        assert (one.facts, one.phash, one.thumbnail) == (other.facts, other.phash, other.thumbnail)
    (first, *_) = outcomes_of(encoded(piece, toy, 5))
    (again_first, *_) = outcomes_of(pack(outcomes_of(encoded(piece, toy, 12))))
    assert first.features is not None
    assert again_first.features is not None
    assert first.features.vector.tobytes() == again_first.features.vector.tobytes()
    assert first.features.logits is not None
    assert again_first.features.logits is not None
    assert first.features.logits.logits.tobytes() == again_first.features.logits.logits.tobytes()


# -- blocks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "processors", "size"), [(1, 8, 1), (100, 5, 5), (10**9, 1_000, BLOCK), (0, 2, 1)]
)
def test_blocks_are_small_where_there_are_few_pictures(
    count: int, processors: int, size: int
) -> None:
    assert block_size(count, processors) == size


@given(st.lists(st.integers(0, 9), unique=True), st.integers(1, 4))
def test_blocks_have_every_entry_once_in_its_order(numbers: list[int], size: int) -> None:
    entries = [FileEntry(f"/photos/{number}.jpg", 1, 1) for number in numbers]
    cut = list(blocks(entries, size))
    assert [entry for block in cut for entry in block] == entries
    assert all(len(block) <= size for block in cut)


@pytest.mark.parametrize(("mode", "sizes"), [("w", [5, 5, 2]), ("w:gz", [12])])
def test_a_packed_archive_is_one_block_and_a_plain_one_is_not(
    photos: Path, tmp_path: Path, toy: ToyEncoder, mode: Any, sizes: list[int]
) -> None:
    shard = tmp_path / "shard.tar"
    with tarfile.open(shard, mode) as archive:
        for path in sorted(photos.iterdir()):
            archive.add(path, path.name)
    source = source_of([str(shard)])
    cut = list(blocks(entries_in(source), 5))
    assert [len(block) for block in cut] == sizes
    recipe = Recipe.of(toy, by_name=False)
    read = [list(analysed(pack_entries(one), source, recipe, Limits(), 5)) for one in cut]
    paths = [item.entry.path for pieces in read for piece in pieces for item in unpack(piece)]
    assert paths == [f"{shard}/{number:03d}.png" for number in range(12)]


def test_pieces_are_in_the_order_of_their_entries_whatever_comes_first(
    photos: Path, toy: ToyEncoder
) -> None:
    source = source_of([str(photos)])
    entries = entries_in(source)

    class Backwards:
        def supply(self, some: Sequence[FileEntry]) -> Iterator[Any]:
            yield None
            yield from source.supply(some[::-1])

    recipe = Recipe.of(toy, by_name=False)
    (piece,) = analysed(pack_entries(entries), Backwards(), recipe, Limits())  # type: ignore[arg-type]
    assert [item.entry.path for item in unpack(piece)] == [entry.path for entry in entries]


def test_what_cannot_be_read_travels_with_its_reason(photos: Path, toy: ToyEncoder) -> None:
    (photos / "bad.jpg").write_bytes(b"no picture")
    (photos / "empty.jpg").write_bytes(b"")
    source = source_of([str(photos)])
    piece = next(
        analysed(pack_entries(entries_in(source)), source, Recipe.of(toy, by_name=False), Limits())
    )
    reasons = {
        Path(one.entry.path).name: one.reason
        for one in outcomes_of(encoded(piece, toy, 32))
        if one.features is None
    }
    assert reasons == {"bad.jpg": Reason.NOT_AN_IMAGE, "empty.jpg": Reason.ZERO_BYTES}


def test_what_is_kept_travels_as_kept(toy: ToyEncoder) -> None:
    entry = FileEntry("https://example.org/cat.jpg", 0, 0)

    class Unchanged:
        def supply(self, _entries: Any) -> Iterator[Any]:
            from lookalike.sources.base import Supplied

            def read() -> Any:
                raise Kept(Reason.NOT_MODIFIED)

            yield Supplied(entry, read)

    recipe = Recipe.of(toy, by_name=False)
    (piece,) = analysed(pack_entries([entry]), Unchanged(), recipe, Limits())  # type: ignore[arg-type]
    assert outcomes_of(piece) == [Outcome(entry, reason=Reason.NOT_MODIFIED, kept=True)]


# -- into a library --------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2])
def test_a_library_is_the_same_whoever_does_the_work(
    photos: Path, tmp_path: Path, toy: ToyEncoder, times: int
) -> None:
    (photos / "bad.jpg").write_bytes(b"no picture")
    (photos / "copy.png").write_bytes((photos / "003.png").read_bytes())
    for name, work in (("own", None), ("other", HereInstead(times=times).outcomes)):
        with Library.open(tmp_path / name, create=True, encoder=toy) as library:
            library.add_from(library.source([photos]), work=work)
            fill(photos, [20])
            library.add_from(library.source([photos]), work=work)
            (photos / "020.png").unlink()
            (photos / "000.png").rename(photos / "moved.png")
            library.add_from(library.source([photos]), work=work)
            (photos / "moved.png").rename(photos / "000.png")
    assert contents(tmp_path / "own") == contents(tmp_path / "other")


# -- into parts ------------------------------------------------------------------------------------


def indexed(folder: Path, source: Source, toy: ToyEncoder, **how: Any) -> dict[Any, int]:
    cluster: Any = HereInstead(**how)
    return index_into_parts(PartsFolder(str(folder)), cluster, toy, source).counts


def paths_in(folder: Path, kind: str = DATA) -> list[str]:
    files = sorted((folder / kind).glob("*.parquet"))
    return [path for file in files for path in parquet.read_table(file)["path"].to_pylist()]


@pytest.mark.parametrize("times", [1, 3])
def test_parts_have_every_picture_once_however_often_its_block_is_done(
    photos: Path, tmp_path: Path, toy: ToyEncoder, times: int
) -> None:
    (photos / "bad.jpg").write_bytes(b"no picture")
    (photos / "note.txt").write_text("no picture")
    counts = indexed(tmp_path / "parts", source_of([str(photos)]), toy, times=times)
    assert counts == {
        (State.INDEXED, Reason.NEW): 12,
        (State.UNREADABLE, Reason.NOT_AN_IMAGE): 1,
        (State.SKIPPED, Reason.OTHER_NAME): 1,
    }
    names = [f"{number:03d}.png" for number in range(12)]
    assert sorted(paths_in(tmp_path / "parts")) == [str(photos / name) for name in names]
    told = sorted(paths_in(tmp_path / "parts", LEDGER))
    assert told == [str(photos / "bad.jpg"), str(photos / "note.txt")]


def test_parts_are_taken_in_by_import_as_if_indexed_here(
    photos: Path, tmp_path: Path, toy: ToyEncoder
) -> None:
    indexed(tmp_path / "parts", source_of([str(photos)]), toy)
    with Library.open(tmp_path / "own", create=True, encoder=toy) as library:
        library.add([photos])
    with Library.open(tmp_path / "other", create=True, encoder=toy) as library:
        assert library.import_([tmp_path / "parts"]).added == 12
        report = library.add([photos])
        assert report.counts == {(State.UNCHANGED, Reason.SAME_STAT): 12}
    own, other = contents(tmp_path / "own"), contents(tmp_path / "other")
    for part in ("vectors", "histograms", "thumbnails", "logits", "facts"):
        assert getattr(own, part) == getattr(other, part)


def test_a_run_that_stopped_is_continued_and_reads_only_what_is_left(
    photos: Path, tmp_path: Path, toy: ToyEncoder
) -> None:
    (photos / "bad.jpg").write_bytes(b"no picture")
    source = [str(photos)]
    with pytest.raises(CrashError):
        indexed(tmp_path / "parts", source_of(source), toy, fail_after=2)
    assert toy.encoded == 10
    counts = indexed(tmp_path / "parts", source_of(source), toy, size=4)
    assert toy.encoded == 12
    assert counts[State.UNCHANGED, Reason.SAME_STAT] == 10
    assert len(paths_in(tmp_path / "parts")) == len({*paths_in(tmp_path / "parts")}) == 12
    counts = indexed(tmp_path / "parts", source_of(source), toy)
    assert counts == {(State.UNCHANGED, Reason.SAME_STAT): 13}
    assert toy.encoded == 12


def test_a_block_that_gives_something_else_the_second_time_leaves_nothing_of_the_first(
    photos: Path, tmp_path: Path, toy: ToyEncoder
) -> None:
    folder = PartsFolder(str(tmp_path / "parts"))
    folder.begin()
    source = source_of([str(photos)])
    recipe = Recipe.of(toy, by_name=False)
    (piece,) = analysed(pack_entries(entries_in(source)), source, recipe, Limits())
    read = outcomes_of(encoded(piece, toy, 32))
    refused = [Outcome(one.entry, reason=Reason.NOT_REACHED) for one in read]
    form = Form(toy.spec.space, True)
    assert part_name(read) == part_name(refused[::-1]) != part_name(refused[1:])
    write_part(folder, refused, form)
    assert len(paths_in(tmp_path / "parts", LEDGER)) == 12
    write_part(folder, read, form)
    assert paths_in(tmp_path / "parts", LEDGER) == []
    assert len(paths_in(tmp_path / "parts")) == 12
    write_part(folder, refused, form)
    assert paths_in(tmp_path / "parts") == []


def test_what_a_scan_passed_over_replaces_what_an_earlier_one_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lookalike.cluster.parts.PASSED_ROWS", 2)
    folder = PartsFolder(str(tmp_path))
    folder.begin()
    passed = [PassedOver(f"/{n}.txt", State.SKIPPED, Reason.OTHER_NAME) for n in range(5)]
    write_passed(folder, passed)
    assert paths_in(tmp_path, LEDGER) == [one.path for one in passed]
    assert write_passed(folder, passed[:1]) == {(State.SKIPPED, Reason.OTHER_NAME): 1}
    assert paths_in(tmp_path, LEDGER) == ["/0.txt"]


def test_parts_of_another_encoder_are_not_mixed(
    photos: Path, tmp_path: Path, toy: ToyEncoder
) -> None:
    indexed(tmp_path / "parts", source_of([str(photos)]), toy)
    with pytest.raises(InputError, match=r"parts have vectors of toy .* name another folder"):
        indexed(tmp_path / "parts", source_of([str(photos)]), ToyEncoder("other"))


def test_a_folder_of_something_else_is_refused(
    photos: Path, tmp_path: Path, toy: ToyEncoder
) -> None:
    import pyarrow

    (tmp_path / "parts" / DATA).mkdir(parents=True)
    parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "parts" / DATA / "x.parquet")
    with pytest.raises(InputError, match="is no part of lookalike's"):
        indexed(tmp_path / "parts", source_of([str(photos)]), toy)


def test_a_place_where_parts_cannot_be_written_is_told_in_one_line(
    photos: Path, tmp_path: Path, toy: ToyEncoder
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"parts cannot be written .*; name another place"):
        indexed(tmp_path / "file" / "parts", source_of([str(photos)]), toy)


def test_no_pictures_at_all_is_told(tmp_path: Path, toy: ToyEncoder) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingDoneError, match="no images found"):
        indexed(tmp_path / "parts", source_of([str(tmp_path / "empty")]), toy)


def test_parts_may_lie_in_an_object_store(photos: Path, tmp_path: Path, toy: ToyEncoder) -> None:
    place = PartsFolder("memory://of-parts/parts")
    cluster: Any = HereInstead()
    for left in (12, 0):
        report = index_into_parts(place, cluster, toy, source_of([str(photos)]))
        assert report.images_read == left
    assert len(place.files(DATA)) == 3
    known = KnownPictures(place, toy.spec.space)
    assert all(entry in known for entry in entries_in(source_of([str(photos)])))
    known.close()
    system, root = place.filesystem()
    system.rm(root, recursive=True)  # the store is the process's


def test_known_pictures_are_those_of_the_same_size_and_time(
    photos: Path, tmp_path: Path, toy: ToyEncoder
) -> None:
    indexed(tmp_path / "parts", source_of([str(photos)]), toy)
    known = KnownPictures(PartsFolder(str(tmp_path / "parts")), toy.spec.space)
    (entry, *_) = entries_in(source_of([str(photos)]))
    assert entry in known
    assert FileEntry(entry.path, entry.bytes + 1, entry.mtime_ns) not in known
    assert FileEntry(entry.path, entry.bytes, entry.mtime_ns + 1) not in known
    known.close()
