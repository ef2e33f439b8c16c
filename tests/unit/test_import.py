"""What comes into a library: the same as went out, and nothing that is not sound."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike import Library
from lookalike.errors import InputError, LookalikeError, NothingDoneError
from lookalike.exchange.incoming import (
    ImportOptions,
    place_of,
    stand_in_hash,
    unit_vectors,
)
from lookalike.exchange.selection import ExportOptions
from lookalike.places import is_url
from lookalike.query.search import Method
from lookalike.types import Space, State
from tests.conftest import CrashError, ToyEncoder, encoded, fill, picture
from tests.e2e.contents import contents
from tests.servers import chdb_library, postgres_library
from tests.unit.test_export import Named

WHOLE = ExportOptions().whole
TOY = ImportOptions("toy", "0" * 64, "box-4")

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def parquet(filled: Library, tmp_path: Path) -> Path:
    """Everything of the twelve pictures, with labels."""
    filled.label("mine", filled.matching("name in ('003.png', '004.png')"))
    filled.export("parquet", tmp_path / "whole.parquet", WHOLE)
    return tmp_path / "whole.parquet"


@pytest.fixture
def other(tmp_path: Path, toy: ToyEncoder) -> Library:
    """A library elsewhere, still empty."""
    return Library.open(tmp_path / "other", create=True, encoder=toy)


def rewritten(file: Path, **columns: Any) -> Path:
    """The same file with other columns; None takes one away."""
    table = pq.read_table(file)
    for name, made in columns.items():
        place = table.schema.get_field_index(name)
        if made is None:
            table = table.remove_column(place)
            continue
        values = made(table.column(name)) if callable(made) else made
        table = table.set_column(place, table.schema.field(place).with_type(values.type), values)
    pq.write_table(table, file)
    return file


def answers(library: Library) -> list[Any]:
    """All that a few searches say, by every method."""
    ids = sorted(library.matching("width > 0"), key=str)
    methods = (
        Method(), Method("pca", dims=3), Method("colour"), Method("mix", colour_weight=0.5),
        Method("shortlist", shortlist=4),
    )  # fmt: skip
    return [
        [
            (hit.id, hit.score, hit.distance, hit.paths, hit.labels, hit.likeness)
            for hit in library.search(id_, 5, method).hits
        ]
        for method in methods
        for id_ in ids[:4]
    ]


# -- there and back --------------------------------------------------------------------------------


def test_another_library_answers_the_same(filled: Library, parquet: Path, other: Library) -> None:
    report = other.import_([parquet])
    assert (report.rows, report.added, report.known, report.left) == (12, 12, 0, 0)
    assert answers(other) == answers(filled)
    ours, theirs = contents(filled.folder), contents(other.folder)
    for part in ("vectors", "histograms", "thumbnails", "logits", "facts"):
        assert getattr(theirs, part) == getattr(ours, part)
    assert {path: row[2] for path, row in theirs.files.items()} == {
        path: row[2] for path, row in ours.files.items()
    }
    assert {row[:2] for row in theirs.files.values()} == {("indexed", "imported")}


def test_the_same_again_adds_nothing(parquet: Path, other: Library) -> None:
    other.import_([parquet])
    before = contents(other.folder)
    report = other.import_([parquet])
    assert (report.added, report.known) == (0, 12)
    assert contents(other.folder) == before


def test_what_went_out_of_an_import_is_what_came_in(
    parquet: Path, other: Library, tmp_path: Path
) -> None:
    other.import_([parquet])
    other.export("parquet", tmp_path / "again.parquet", WHOLE)
    assert pq.read_table(tmp_path / "again.parquet").equals(pq.read_table(parquet))


def test_a_folder_of_parts_comes_in(filled: Library, tmp_path: Path, other: Library) -> None:
    options = ExportOptions(rows_per_file=5, half=True).whole
    filled.export("parquet", tmp_path / "set", options)
    assert other.import_([tmp_path / "set"]).added == 12
    assert answers(other) == answers(filled)


def test_files_of_equal_content_are_one_record_again(
    tmp_path: Path, toy: ToyEncoder, other: Library
) -> None:
    from lookalike.pipeline import index
    from lookalike.stores import SqliteStore

    one, two = fill(tmp_path / "named", [0, 1])
    (copy := tmp_path / "named" / "copy.png").write_bytes(one.read_bytes())
    store = SqliteStore(tmp_path / "library", write=True)
    index(store, toy, Named({"A": one, "B": two, "C": copy}))
    store.close()
    with Library.open(tmp_path / "library", encoder=toy) as library:
        library.export("parquet", tmp_path / "files.parquet", WHOLE)
        library.export("parquet", tmp_path / "records.parquet", ExportOptions("records").whole)
    # Nothing lies where the files lay: paths of another machine are kept all the same.
    for path in (one, two, copy):
        path.unlink()
    other.import_([tmp_path / "files.parquet"])
    assert len(other) == 2
    assert other.record_called("A") == other.record_called("C") != other.record_called("B")
    assert sorted(row.path for row in other.ledger()) == sorted(map(str, (one, two, copy)))
    with Library.open(tmp_path / "third", create=True, encoder=toy) as third:
        third.import_([tmp_path / "records.parquet"])
        assert len(third) == 2
        assert sorted(row.path for row in third.ledger()) == sorted(map(str, (one, two, copy)))


def test_labels_come_with_their_sources(parquet: Path, other: Library) -> None:
    other.import_([parquet])
    assert [(c.source, c.label, c.records) for c in other.label_counts()] == [("own", "mine", 2)]


def test_pictures_that_lie_where_they_lay_are_not_read_again(
    parquet: Path, other: Library, photos: Path, toy: ToyEncoder
) -> None:
    other.import_([parquet])
    before = toy.encoded
    report = other.add([photos])
    assert toy.encoded == before
    assert report.images_read == 0
    assert report.total(State.UNCHANGED) == 12


def test_facts_alone_make_records_without_paths_pictures_and_colours(
    filled: Library, tmp_path: Path, other: Library
) -> None:
    filled.export("parquet", tmp_path / "bare.parquet")
    other.import_([tmp_path / "bare.parquet"])
    record = filled.matching("name = '003.png'")[0]
    assert [hit.id for hit in other.search(record, 3).hits] == [
        hit.id for hit in filled.search(record, 3).hits
    ]
    (row,) = [row for row in other.ledger() if row.record == record]
    assert row.path == f"imported:bare.parquet/{record}"
    assert other.thumbnails([record]) == [None]


def test_a_further_space_comes_to_records_that_are_here(
    filled: Library, photos: Path, tmp_path: Path
) -> None:
    with Library.open(tmp_path / "b", create=True, encoder=ToyEncoder("other")) as second:
        second.add([photos])
        second.export("parquet", tmp_path / "b.parquet", WHOLE)
        expected = [hit.id for hit in second.search(photos / "001.png", 4).hits]
    report = filled.import_([tmp_path / "b.parquet"])
    assert (report.added, report.known, report.extended) == (0, 12, 12)
    assert [space.name for space in filled.spaces()] == ["toy", "other"]
    hits = filled.search(photos / "001.png", 4, space="other").hits
    assert [hit.id for hit in hits] == expected
    assert filled.import_([tmp_path / "b.parquet"]).extended == 0


def test_a_path_at_which_the_library_has_another_picture_stays(
    filled: Library, parquet: Path, photos: Path, tmp_path: Path, toy: ToyEncoder
) -> None:
    with Library.open(tmp_path / "other", create=True, encoder=toy) as other:
        picture(99).save(photos / "003.png")
        other.add([photos])
        before = contents(other.folder)
        report = other.import_([parquet])
        assert (report.added, report.known, report.left) == (0, 11, 1)
        assert contents(other.folder) == before


@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_import_that_was_killed_is_continued(
    parquet: Path, other: Library, filled: Library, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lookalike.stores.run import SqliteRun

    put, calls = SqliteRun.put, itertools.count()

    def dying(self: SqliteRun, outcomes: Any) -> None:
        if next(calls) == after:
            raise CrashError
        put(self, outcomes)

    with monkeypatch.context() as patch:
        patch.setattr("lookalike.exchange.tables.AT_ONCE", 4)
        patch.setattr(SqliteRun, "put", dying)
        with pytest.raises(CrashError):
            other.import_([parquet])
    report = other.import_([parquet])
    assert (report.added, report.known) == (12 - 4 * after, 4 * after)
    assert answers(other) == answers(filled)


@pytest.mark.parametrize("address", [postgres_library, chdb_library])
def test_a_library_on_a_server_takes_in_and_gives_out_the_same(
    filled: Library, parquet: Path, tmp_path: Path, toy: ToyEncoder, address: Callable[[Path], str]
) -> None:
    foreign(tmp_path / "photos.parquet")
    with Library.open(address(tmp_path), create=True, encoder=toy) as server:
        assert server.import_([parquet]).added == 12
        assert server.import_([parquet]).added == 0
        server.export("parquet", tmp_path / "again.parquet", WHOLE)
        tables = (pq.read_table(path) for path in (parquet, tmp_path / "again.parquet"))
        came, went = (table.sort_by("id") for table in tables)
        assert went.equals(came)
        for library in (filled, server):
            library.import_([tmp_path / "photos.parquet"], TOY)
        record = filled.matching("name = '003.png'")[0]
        for by in ("meaning", "colour", "mix", "shortlist"):
            ours, theirs = (
                [hit.id for hit in library.search(record, 30, Method(by, shortlist=30)).hits]
                for library in (filled, server)
            )
            assert ours == theirs
            assert len(ours) == (23 if by == "meaning" else 11)


# -- what is not sound -----------------------------------------------------------------------------


def _with_row(place: int, value: Any) -> Callable[[Any], Any]:
    def change(column: Any) -> Any:
        values = column.to_pylist()
        values[place] = value
        return pa.array(values, column.type)

    return change


def _vectors(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def made(column: Any) -> Any:
        vectors = np.array(column.to_pylist(), np.float32)
        changed = change(vectors)
        return pa.array(list(map(list, changed)), pa.list_(pa.float32(), changed.shape[1]))

    return made


def _put(row: int, value: float) -> Callable[[Any], Any]:
    def change(vectors: Any) -> Any:
        vectors[row] = value
        return vectors

    return change


UNSOUND: dict[str, tuple[dict[str, Any], str]] = {
    "NaN": ({"embedding": _vectors(_put(7, np.nan))}, r"row 7 has numbers that are not finite"),
    "infinite": ({"embedding": _vectors(_put(7, np.inf))}, r"row 7 has numbers that are not"),
    "zeros": ({"embedding": _vectors(_put(2, 0.0))}, r"row 2 is all zeros"),
    "long": ({"embedding": _vectors(lambda v: 2 * v)}, r"row 0 has length 2, not 1; add --norm"),
    "wrong dimension": ({"embedding": _vectors(lambda v: v[:, :7])}, r"is not a list of 8 numbers"),
    "no vectors": ({"embedding": None}, r"has no column 'embedding'"),
    "no hashes": ({"content_hash": None}, r"has no column 'content_hash'"),
    "another's id": ({"id": _with_row(3, str(UUID(int=1)))}, r"row 3: its id does not follow"),
    "a hash of nothing": ({"content_hash": _with_row(3, None)}, r"row 3: its id does not"),
    "a short hash": ({"content_hash": _with_row(3, "ab")}, r"row 3: its id does not follow"),
    "a picture that is none": (
        {"thumbnail": _with_row(1, {"bytes": b"GIF89a", "path": None})}, r"is no JPEG"
    ),
    "a negative width": ({"width": _with_row(1, -1)}, r"row 1: width is -1"),
    "no size": ({"bytes": _with_row(1, None)}, r"row 1: bytes is None"),
    "a place off the earth": ({"latitude": _with_row(5, 91.0)}, r"row 5: latitude is 91"),
    "an empty histogram": ({"histogram_bins": _with_row(4, [])}, r"row 4: its histogram is none"),
    "bins beyond": (
        {
            "histogram_bins": _with_row(4, [4096]), "histogram_counts": _with_row(4, [1])
        }, r"row 4: its histogram is none",
    ),
    "bins twice": (
        {
            "histogram_bins": _with_row(4, [1, 1]), "histogram_counts": _with_row(4, [1, 1])
        }, r"row 4: its histogram is none",
    ),
    "other logits": (
        {"classes": _with_row(4, [1]), "logits": _with_row(4, [1.0])}, r"row 4: its classes"
    ),
    "a share above one": ({"label_confidences": _with_row(3, [2.0])}, r"label .* confidence 2"),
    "labels without sources": ({"label_sources": _with_row(3, [])}, r"row 3: labels, sources"),
    "a zero in a path": ({"path": _with_row(6, "/a\0b")}, r"row 6: path: .* is no clean text"),
    "a path without end": ({"path": _with_row(6, "/" + "a" * 70_000)}, r"a text of 70,001"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSOUND)
def test_what_is_not_sound_is_refused_whole(parquet: Path, other: Library, name: str) -> None:
    columns, said = UNSOUND[name]
    rewritten(parquet, **columns)
    with pytest.raises(InputError, match=said) as caught:
        other.import_([parquet])
    assert "\n" not in str(caught.value)
    assert not other.folder.exists()


def test_directions_alone_are_taken_if_that_is_said(
    filled: Library, parquet: Path, other: Library
) -> None:
    rewritten(parquet, embedding=_vectors(lambda vectors: 3 * vectors))
    other.import_([parquet], ImportOptions(normalise=True))
    record = filled.matching("name = '003.png'")[0]
    ours, theirs = (library.search(record, 11).hits for library in (filled, other))
    np.testing.assert_allclose(
        [hit.score for hit in theirs], [hit.score for hit in ours], atol=2e-3
    )


def _about(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[b"lookalike"])
    change(about)
    metadata = {**table.schema.metadata, b"lookalike": json.dumps(about).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda about: about.update(format=2), "written by a newer lookalike"),
        (lambda about: about.pop("space"), "does not say soundly who made"),
        (lambda about: about["space"].update(dim=-1), "does not say soundly"),
        (lambda about: about["space"].update(dim=9), "is not a list of 9 numbers"),
        (lambda about: about["space"].update(encoder="../../etc"), "letters, digits"),
        (lambda about: about["space"].update(encoder=7), "does not say soundly"),
        (lambda about: about["space"].update(more=1), "does not say soundly"),
    ],
)
def test_a_space_that_is_none_is_refused(
    parquet: Path, other: Library, change: Edit, said: str
) -> None:
    _about(parquet, change)
    with pytest.raises(InputError, match=said):
        other.import_([parquet])
    assert not other.folder.exists()


def test_vectors_of_other_weights_are_not_mixed(filled: Library, parquet: Path) -> None:
    _about(parquet, lambda about: about["space"].update(weights_digest="1" * 64))
    before = contents(filled.folder)
    with pytest.raises(InputError, match="cannot be compared, import into another --library"):
        filled.import_([parquet])
    assert contents(filled.folder) == before


def test_damaged_files_are_named(parquet: Path, other: Library, tmp_path: Path) -> None:
    whole = parquet.read_bytes()
    for name, data in {
        "cut.parquet": whole[: len(whole) // 2],
        "empty.parquet": b"",
        "other.parquet": b"PAR1 and nothing else PAR1",
        "text.parquet": b"id,path\n",
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=rf"{name}: is no sound Parquet file") as caught:
            other.import_([tmp_path / name])
        assert "\n" not in str(caught.value)


@given(data=st.data())
def test_flipped_bytes_never_do_worse_than_one_line(
    data: st.DataObject, tmp_path_factory: Any
) -> None:
    place = tmp_path_factory.getbasetemp() / "flips"
    source = place / "source.parquet"
    if not source.exists():
        with Library.open(place / "library", create=True, encoder=ToyEncoder()) as library:
            fill(place / "photos", range(3))
            library.add([place / "photos"])
            library.export("parquet", source, WHOLE)
    bytes_ = bytearray(source.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(bytes_) - 1))
        bytes_[at] ^= data.draw(st.integers(1, 255))
    (place / "flipped.parquet").write_bytes(bytes_)
    number = len(list(place.glob("into*")))
    with Library.open(place / f"into{number}", create=True, encoder=ToyEncoder()) as into:
        try:
            into.import_([place / "flipped.parquet"])
        except LookalikeError as error:
            told = str(error)
        else:
            return
    assert "\n" not in told
    assert not (place / f"into{number}").exists()


def test_a_file_that_blows_up_is_refused_before_it_does(tmp_path: Path, other: Library) -> None:
    import resource

    rows, long = 100_000, "x" * 50_000_000
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([long]))
    one = np.zeros(8, np.float32)
    one[0] = 1.0
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.tile(one, rows)), 8)
    table = pa.table({"photo_id": same, "photo_embed": vectors})
    pq.write_table(table, tmp_path / "bomb.parquet", store_schema=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"which no pictures have|a value of 50,000,000 bytes"):
        other.import_([tmp_path / "bomb.parquet"], TOY)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KB
    table = table.slice(0, 1_000)
    pq.write_table(table, tmp_path / "bomb.parquet", store_schema=False)
    with pytest.raises(InputError, match=r"a value of 50,000,000 bytes; at most 65,536"):
        other.import_([tmp_path / "bomb.parquet"], TOY)


def test_what_is_not_known_is_named(tmp_path: Path, other: Library) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    for path, said in {
        "a.parquet": "is neither an export of lookalike nor",
        "nothing.parquet": "no such file",
        ".": "has no Parquet files and no img_emb",
    }.items():
        if path == ".":
            (tmp_path / "a.parquet").unlink()
        with pytest.raises(InputError, match=said):
            other.import_([tmp_path / path])
    with pytest.raises(InputError, match="nothing to import"):
        other.import_([])


# -- vectors alone ---------------------------------------------------------------------------------


def foreign(path: Path, count: int = 12, dim: int = 8, **columns: Any) -> Any:
    """A photos.parquet as pandas makes it; returns its vectors."""
    vectors = np.random.default_rng(5).normal(size=(count, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = {
        "id": range(count),
        "photo_id": [f"p{number}" for number in range(count)],
        "photo_image_url": [f"https://images.example/p{number}" for number in range(count)],
        "photo_embed": [row.tolist() for row in vectors],
        **columns,
    }
    pq.write_table(pa.table(table), path)
    return vectors


@pytest.fixture
def photos_parquet(tmp_path: Path) -> Path:
    foreign(tmp_path / "photos.parquet")
    return tmp_path / "photos.parquet"


def test_photos_come_in_under_their_ids_and_urls(
    photos_parquet: Path, other: Library, tmp_path: Path
) -> None:
    vectors = foreign(photos_parquet)
    assert other.import_([photos_parquet], TOY).added == 12
    assert other.space == Space("toy", "0" * 64, "box-4", 8)
    record = other.record_called("p3")
    assert record is not None
    hits = other.search("id:p3", 11).hits
    cosines = vectors @ vectors[3]
    nearest = [f"https://images.example/p{n}" for n in np.argsort(-cosines)[1:]]
    assert [hit.paths[0] for hit in hits] == nearest
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(cosines)[::-1][1:], atol=2e-3)
    other.export("photos", tmp_path / "out")
    again = pq.read_table(tmp_path / "out" / "photos.parquet")
    came = pq.read_table(photos_parquet)
    assert again.drop(["photo_embed"]).equals(came.drop(["photo_embed"]))
    np.testing.assert_allclose(np.array(again["photo_embed"].to_pylist()), vectors, atol=1e-3)


def test_whose_vectors_they_are_must_be_said(photos_parquet: Path, other: Library) -> None:
    with pytest.raises(InputError, match=r"does not say which encoder .* 8 numbers; add --encoder"):
        other.import_([photos_parquet])
    with pytest.raises(InputError, match=r"has vectors of 8 numbers, clip-vit-b32 makes 512"):
        other.import_([photos_parquet], ImportOptions("clip-vit-b32"))
    with pytest.raises(InputError, match=r"letters, digits"):
        other.import_([photos_parquet], ImportOptions("../x"))


def test_weights_that_are_not_here_have_no_digest(
    tmp_path: Path, other: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKALIKE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HOME", str(tmp_path))
    foreign(tmp_path / "photos.parquet", dim=512)
    with pytest.raises(LookalikeError, match="lookalike models get clip-vit-b32"):
        other.import_([tmp_path / "photos.parquet"], ImportOptions("clip-vit-b32"))
    other.import_([tmp_path / "photos.parquet"], ImportOptions("clip-vit-b32", "ab" * 32))
    assert other.space == Space("clip-vit-b32", "ab" * 32, "shortest-224-224-bicubic", 512)


@pytest.mark.parametrize("by", ["colour", "mix", "shortlist"])
def test_what_has_no_colours_is_not_searched_by_them(
    photos_parquet: Path, other: Library, by: str
) -> None:
    other.import_([photos_parquet], TOY)
    with pytest.raises(InputError, match=rf"--by {by}: no picture here has colours"):
        other.search("id:p3", method=Method(by))


def test_vectors_alone_and_pictures_are_searched_side_by_side(
    filled: Library, photos_parquet: Path, photos: Path
) -> None:
    everything = len(filled) + 12
    filled.import_([photos_parquet], TOY)
    assert filled.search(photos / "003.png", 99).searched == everything - 1
    for by in ("colour", "mix", "shortlist"):
        result = filled.search(photos / "003.png", 99, Method(by, shortlist=99))
        assert result.searched == len(result.hits) == 11
        assert not [hit for hit in result.hits if hit.paths[0].startswith("https:")]
        with pytest.raises(InputError, match="was imported as a vector alone"):
            filled.search("id:p3", method=Method(by))
    filled.add([photos])  # nothing of it is gone
    assert len(filled) == everything


def test_a_copy_is_not_looked_for_in_pictures_that_nobody_saw(
    tmp_path: Path, other: Library
) -> None:
    vectors = foreign(tmp_path / "photos.parquet")
    vectors[:] = vectors[0]
    foreign(tmp_path / "photos.parquet", photo_embed=[row.tolist() for row in vectors])
    other.import_([tmp_path / "photos.parquet"], TOY)
    assert not other.duplicates().groups


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_stand_in_is_the_same_each_time_and_another_for_each_name(one: str, two: str) -> None:
    space = Space("toy", "0" * 64, "box-4", 8)
    assert (stand_in_hash(space, one) == stand_in_hash(space, two)) == (one == two)
    assert stand_in_hash(space, one) != stand_in_hash(Space("toy", "1" * 64, "box-4", 8), one)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("https://a.example/b.jpg", "https://a.example/b.jpg"),
        ("/a/b.jpg", "/a/b.jpg"),
        ("b.jpg", "imported:t.parquet/n"),
        ("", "imported:t.parquet/n"),
        (None, "imported:t.parquet/n"),
        ("file:///etc/passwd", "imported:t.parquet/n"),
        ("s3://bucket/b.jpg", "s3://bucket/b.jpg"),
        ("zip://b.jpg::s3://bucket/a.zip", "imported:t.parquet/n"),
    ],
)
def test_paths_are_whole_or_name_where_a_row_came_from(where: str | None, expected: str) -> None:
    assert place_of(where, "n", Path("/tmp/t.parquet")) == expected
    assert is_url(expected) == expected.startswith("https:")


@given(st.integers(1, 6), st.integers(2, 9))
def test_unit_vectors_stay_what_they_are(rows: int, dim: int) -> None:
    made = np.random.default_rng(rows * 10 + dim).normal(size=(rows, dim))
    made = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16)
    np.testing.assert_array_equal(
        unit_vectors(made, "t", 0, normalise=False), made.astype(np.float32)
    )
    again = unit_vectors(7 * made.astype(np.float32), "t", 0, normalise=True)
    np.testing.assert_allclose(again, made.astype(np.float32), atol=1e-3)


# -- clip-retrieval --------------------------------------------------------------------------------


def clip_folder(folder: Path, rows: list[tuple[str, str]], parts: int = 2) -> Any:
    """As clip-retrieval writes it: ``image_path`` and ``caption``, float16."""
    (folder / "img_emb").mkdir(parents=True)
    (folder / "metadata").mkdir()
    vectors = np.random.default_rng(3).normal(size=(len(rows), 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    for number, own in enumerate(np.array_split(np.arange(len(rows)), parts)):
        np.save(folder / "img_emb" / f"img_emb_{number}.npy", vectors[own])
        paths, captions = zip(*(rows[place] for place in own), strict=True)
        table = pa.table({"image_path": paths, "caption": captions})
        pq.write_table(table, folder / "metadata" / f"metadata_{number}.parquet")
    return vectors


def test_clip_retrieval_comes_in_with_the_pictures_that_lie_here(
    tmp_path: Path, other: Library
) -> None:
    paths = fill(tmp_path / "photos", range(3))
    rows = [(str(path), "a") for path in paths] + [(f"0000{n}", "b") for n in range(4)]
    vectors = clip_folder(tmp_path / "out", rows)
    report = other.import_([tmp_path / "out"], TOY)
    assert report.added == 7
    hits = other.search(paths[0], 6).hits
    nearest = np.argsort(-(vectors.astype(np.float64) @ vectors[0].astype(np.float64)))[1:]
    names = [str(paths[n]) if n < 3 else f"imported:out/0000{n - 3}" for n in nearest]
    assert [hit.paths[0] for hit in hits] == names
    assert len(other.search(paths[0], 9, Method("colour")).hits) == 2
    assert other.import_([tmp_path / "out"], TOY).added == 0


def test_clip_retrieval_there_and_back(
    filled: Library, photos: Path, tmp_path: Path, other: Library
) -> None:
    filled.export("clip-retrieval", tmp_path / "out", ExportOptions(rows_per_file=5))
    other.import_([tmp_path / "out"], TOY)
    ours, theirs = contents_but_logits(filled), contents_but_logits(other)
    assert theirs == ours


def contents_but_logits(library: Library) -> list[Any]:
    store = library._reader()
    vectors, colours = store.tables(library.space)
    order = np.argsort(vectors.ids)
    rows = colours.rows_of(vectors.ids[order])
    return [
        vectors.ids[order].tobytes(),
        vectors.vectors(order).tobytes(),
        [colours.histogram(int(row)).counts.tobytes() for row in rows],
        library.thumbnails([UUID(bytes=id_.tobytes()) for id_ in vectors.ids[order]]),
    ]


def test_clip_retrieval_in_one_folder_and_with_urls(tmp_path: Path, other: Library) -> None:
    vectors = np.eye(8, dtype=np.float16)[:2]
    np.save(tmp_path / "img_emb_0.npy", vectors)
    table = pa.table({"url": ["https://a.example/1", "https://a.example/2"]})
    pq.write_table(table, tmp_path / "metadata_0.parquet")
    other.import_([tmp_path], TOY)
    assert sorted(row.path for row in other.ledger()) == table["url"].to_pylist()


def test_unsound_folders_of_clip_retrieval_are_refused(tmp_path: Path, other: Library) -> None:
    clip_folder(tmp_path / "out", [("a", ""), ("b", "")], parts=1)
    array = tmp_path / "out" / "img_emb" / "img_emb_0.npy"
    metadata = tmp_path / "out" / "metadata" / "metadata_0.parquet"
    sound, told = array.read_bytes(), metadata.read_bytes()

    def refused(said: str) -> None:
        with pytest.raises(InputError, match=said) as caught:
            other.import_([tmp_path / "out"], TOY)
        assert "\n" not in str(caught.value)
        array.write_bytes(sound)
        metadata.write_bytes(told)

    np.save(array, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused("is no NumPy file of vectors .*Python objects")
    array.write_bytes(sound[:100])
    refused("is no NumPy file of vectors")
    np.save(array, np.zeros(3))
    refused("is no NumPy file of vectors")
    np.save(array, np.eye(8)[:1])
    refused("has 2 rows, img_emb_0.npy 1")
    pq.write_table(pa.table({"caption": ["a", "b"]}), metadata)
    refused("has neither image_path nor url")
    pq.write_table(pa.table({"image_path": ["a", None]}), metadata)
    refused("row 1: has neither image_path nor url")
    metadata.unlink()
    refused("missing, and img_emb_0.npy alone")
    assert not other.folder.exists()


def test_a_pipe_among_paths_is_not_waited_for(tmp_path: Path, other: Library) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    clip_folder(tmp_path / "out", [(str(tmp_path / "pipe"), "")], parts=1)
    assert other.import_([tmp_path / "out"], TOY).added == 1  # as a vector alone


# -- rclip -----------------------------------------------------------------------------------------


def rclip(path: Path, rows: list[tuple[Any, ...]], version: int | None = 4) -> None:
    """A database as rclip makes it: (filepath, size, vector, deleted) each."""
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TABLE images (id INTEGER PRIMARY KEY, deleted BOOLEAN,"
            " filepath TEXT NOT NULL UNIQUE, modified_at DATETIME NOT NULL, size INTEGER NOT NULL,"
            " vector BLOB NOT NULL)"
        )
        if version is not None:
            database.execute("CREATE TABLE db_version (version INTEGER)")
            database.execute("INSERT INTO db_version VALUES (?)", (version,))
        database.executemany(
            "INSERT INTO images (filepath, modified_at, size, vector, deleted)"
            " VALUES (?, 0, ?, ?, ?)",
            rows,
        )
        database.commit()


def rclip_vectors(count: int) -> Any:
    vectors = np.random.default_rng(9).normal(size=(count, 512)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("version", "name"),
    [
        (None, "rclip-openai-vit-b-32"), (2, "rclip-openai-vit-b-32"),
        (3, "rclip-datacomp-vit-b-32-256"), (4, "rclip-datacomp-vit-b-32-256"),
    ],
)  # fmt: skip
def test_rclip_comes_in_with_the_pictures_that_are_as_it_knew_them(
    tmp_path: Path, other: Library, version: int | None, name: str
) -> None:
    paths = fill(tmp_path / "photos", range(5))
    vectors = rclip_vectors(5)
    rows: list[tuple[Any, ...]] = [
        (str(path), path.stat().st_size, vector.tobytes(), None)
        for path, vector in zip(paths, vectors, strict=True)
    ]
    rows[1] = (*rows[1][:3], 1)  # deleted
    rows[2] = (rows[2][0], rows[2][1] + 1, *rows[2][2:])  # changed since
    paths[3].unlink()
    rclip(tmp_path / "db.sqlite3", rows, version)
    before = (tmp_path / "db.sqlite3").read_bytes()
    report = other.import_([tmp_path / "db.sqlite3"])
    assert (report.rows, report.added) == (4, 2)
    assert report.skipped == {"not found": 1, "another size than rclip knew": 1}
    assert other.space.name == name
    (hit,) = other.search(paths[0], 5).hits
    assert hit.paths == (str(paths[4]),)
    assert hit.score == pytest.approx(float(vectors[0] @ vectors[4]), abs=1e-3)
    assert other.search(paths[0], 5, Method("colour")).hits[0].paths == hit.paths
    assert (tmp_path / "db.sqlite3").read_bytes() == before
    assert other.import_([tmp_path / "db.sqlite3"]).added == 0


def test_where_nothing_lies_any_more_nothing_is_made(tmp_path: Path, other: Library) -> None:
    vector = rclip_vectors(1)[0].tobytes()
    rclip(tmp_path / "db.sqlite3", [(str(tmp_path / name), 9, vector, None) for name in "ab"])
    with pytest.raises(NothingDoneError, match=r"none of the 2 rows .* \(2 not found\)"):
        other.import_([tmp_path / "db.sqlite3"])
    assert not (other.folder / "catalog.sqlite").exists()


def test_unsound_databases_are_refused(tmp_path: Path, other: Library) -> None:
    good = rclip_vectors(1)[0]
    cases: dict[str, tuple[list[tuple[Any, ...]], int, str]] = {
        "newer": ([("/a", 1, good.tobytes(), None)], 5, "version 5 .* is not known"),
        "none": ([], 4, "has no pictures"),
        "short": ([("/a", 1, good.tobytes()[:-4], None)], 4, "row 0: its vector is not 512"),
        "nan": ([("/a", 1, (good * np.nan).tobytes(), None)], 4, "row 0 has numbers that are not"),
        "long": ([("/a", 1, (2 * good).tobytes(), None)], 4, "row 0 has length 2"),
        "blob": ([(b"/a", 1, good.tobytes(), None)], 4, "row 0: has no path"),
    }
    for name, (rows, version, said) in cases.items():
        rclip(tmp_path / f"{name}.sqlite3", rows, version)
        with pytest.raises(InputError, match=said):
            other.import_([tmp_path / f"{name}.sqlite3"])
    with closing(sqlite3.connect(tmp_path / "other.sqlite3")) as database:
        database.execute("CREATE TABLE t (a)")
        database.commit()
    with pytest.raises(InputError, match="is no sound Parquet file"):
        other.import_([tmp_path / "other.sqlite3"])
    assert not other.folder.exists()


def test_a_picture_that_cannot_be_read_is_passed_over(tmp_path: Path, other: Library) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture at all")
    (tmp_path / "b.png").write_bytes(encoded(picture(1), "PNG"))
    vectors = rclip_vectors(2)
    rows = [
        (str(path), path.stat().st_size, vector.tobytes(), None)
        for path, vector in zip((tmp_path / "a.png", tmp_path / "b.png"), vectors, strict=True)
    ]
    rclip(tmp_path / "db.sqlite3", rows)
    report = other.import_([tmp_path / "db.sqlite3"])
    assert (report.added, dict(report.skipped)) == (1, {"not an image": 1})
