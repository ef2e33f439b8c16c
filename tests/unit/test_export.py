"""What leaves a library: names, types, values, and places where nothing may be written."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike import Library
from lookalike.decode import ReadFile, read
from lookalike.errors import InputError, StorageError
from lookalike.exchange.card import size_category
from lookalike.exchange.columns import feature
from lookalike.exchange.hub import check_name, push
from lookalike.exchange.selection import ExportOptions
from lookalike.exchange.table import safe_cell
from lookalike.pipeline import index
from lookalike.side_tables import TableOptions
from lookalike.sources import Source, Supplied
from lookalike.types import FileEntry, uuids
from lookalike.version import __version__
from tests.conftest import ToyEncoder, fill

WHOLE = ExportOptions().whole


class Named:
    """A Source of pictures on disk that another table calls by names of its own."""

    name, roots, places = "a table", (), ()

    def __init__(self, names: dict[str, Path]) -> None:
        self._names = names

    def found(self) -> Any:
        for name, path in self._names.items():
            entry = FileEntry.of(str(path), path.stat())
            yield FileEntry(entry.path, entry.bytes, entry.mtime_ns, name)

    def supply(self, entries: Any) -> Any:
        return (Supplied(entry, partial(self._read, entry)) for entry in entries)

    def _read(self, entry: FileEntry) -> ReadFile:
        return replace(read(entry.path), entry=entry)


@pytest.fixture
def named(tmp_path: Path, toy: ToyEncoder) -> Library:
    """A library of three pictures with foreign ids, two of which are of equal content."""
    from lookalike.stores import SqliteStore

    one, two = fill(tmp_path / "named", [0, 1])
    three = tmp_path / "named" / "copy.png"
    three.write_bytes(one.read_bytes())
    store = SqliteStore(tmp_path / "library", write=True)
    source: Source = Named({"A": one, "B": two, "C": three})
    index(store, toy, source)
    store.close()
    return Library.open(tmp_path / "library", encoder=toy)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(path).to_pylist())


# -- our own Parquet -------------------------------------------------------------------------------


def test_columns_have_the_types_that_the_page_says(filled: Library, tmp_path: Path) -> None:
    filled.export("parquet", tmp_path / "a.parquet", WHOLE)
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert schema.field("id").type == pa.string()
    assert schema.field("embedding").type == pa.list_(pa.float32(), 8)
    assert schema.field("phash").type == pa.uint64()
    assert schema.field("labels").type == pa.list_(pa.string())
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    assert schema.field("thumbnail").type == image
    about = json.loads(schema.metadata[b"lookalike"])
    assert about == {
        "format": 1,
        "version": __version__,
        "by": "records",
        "space": {
            "encoder": "toy",
            "weights_digest": "0" * 64,
            "preprocessing": "box-4",
            "dim": 8,
        },
    }


def test_values_are_those_of_the_library(filled: Library, tmp_path: Path) -> None:
    filled.export("parquet", tmp_path / "a.parquet", WHOLE)
    rows = rows_of(tmp_path / "a.parquet")
    assert len(rows) == 12
    table = filled._reader().vectors(filled.space)
    assert [row["id"] for row in rows] == [str(id_) for id_ in uuids(table.ids)]
    vectors = np.array([row["embedding"] for row in rows], np.float32)
    np.testing.assert_array_equal(vectors, table.vectors(np.arange(12)))
    for row in rows:
        (record,) = filled.get([_uuid(row["id"])])
        assert record is not None
        assert (row["width"], row["height"], row["format"]) == (48, 32, "PNG")
        assert row["path"] == record.paths[0]
        assert row["content_hash"] == record.content_hash.hex()
        assert row["phash"] == record.phash
        assert row["thumbnail"]["bytes"] == filled.thumbnails([record.id])[0]
        assert sum(row["histogram_counts"]) == 48 * 32


def _uuid(text: str) -> Any:
    from uuid import UUID

    return UUID(text)


def test_paths_pictures_and_colours_are_there_only_if_asked_for(
    filled: Library, tmp_path: Path
) -> None:
    filled.export("parquet", tmp_path / "a.parquet")
    names = set(pq.read_schema(tmp_path / "a.parquet").names)
    assert not names & {"path", "mtime_ns", "other_paths", "thumbnail", "histogram_bins"}
    assert str(tmp_path / "photos").encode() not in (tmp_path / "a.parquet").read_bytes()


def test_half_precision_is_what_is_kept(filled: Library, tmp_path: Path) -> None:
    filled.export("parquet", tmp_path / "a.parquet", ExportOptions(half=True))
    filled.export("parquet", tmp_path / "b.parquet")
    half = pq.read_table(tmp_path / "a.parquet").column("embedding")
    assert half.type == pa.list_(pa.float16(), 8)
    single = pq.read_table(tmp_path / "b.parquet").column("embedding")
    np.testing.assert_array_equal(
        np.array(half.to_pylist(), np.float32), np.array(single.to_pylist(), np.float32)
    )


def test_a_condition_narrows_and_nothing_left_is_refused(filled: Library, tmp_path: Path) -> None:
    report = filled.export(
        "parquet", tmp_path / "a.parquet", where="name in ('001.png', '002.png')"
    )
    assert report.rows == len(rows_of(tmp_path / "a.parquet")) == 2
    with pytest.raises(InputError, match="nothing to export"):
        filled.export("parquet", tmp_path / "b.parquet", where="name = 'none'")
    assert not (tmp_path / "b.parquet").exists()


def test_a_row_per_file_where_another_table_has_names_for_them(
    named: Library, tmp_path: Path
) -> None:
    report = named.export("parquet", tmp_path / "a.parquet", ExportOptions(paths=True))
    rows = rows_of(tmp_path / "a.parquet")
    assert (report.rows, report.by) == (3, "files")
    assert sorted(row["foreign_id"] for row in rows) == ["A", "B", "C"]
    by_name = {row["foreign_id"]: row for row in rows}
    assert by_name["A"]["id"] == by_name["C"]["id"] != by_name["B"]["id"]
    assert by_name["C"]["path"].endswith("copy.png")
    report = named.export("parquet", tmp_path / "b.parquet", ExportOptions("records", paths=True))
    assert (report.rows, report.by) == (2, "records")
    others = {row["path"]: row["other_paths"] for row in rows_of(tmp_path / "b.parquet")}
    assert sorted(len(paths) for paths in others.values()) == [0, 1]


@pytest.mark.parametrize("most", [1, 5, 7, 12, 13])
def test_parts_hold_all_rows_once_and_in_order(
    filled: Library, tmp_path: Path, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lookalike.exchange.selection.Selection.pieces.__defaults__", (5,))
    filled.export("parquet", tmp_path / "set", ExportOptions(rows_per_file=most))
    filled.export("parquet", tmp_path / "one.parquet")
    parts = sorted((tmp_path / "set" / "data").iterdir())
    count = -(-12 // most)
    assert [p.name for p in parts] == [
        f"train-{n:05d}-of-{count:05d}.parquet" for n in range(count)
    ]
    assert [pq.read_metadata(p).num_rows for p in parts[:-1]] == [most] * (count - 1)
    together = [row["id"] for part in parts for row in rows_of(part)]
    assert together == [row["id"] for row in rows_of(tmp_path / "one.parquet")]


def test_row_groups_are_bounded(filled: Library, tmp_path: Path) -> None:
    from lookalike.exchange.parquet import write_file
    from lookalike.exchange.selection import Selection

    selection = Selection(filled._reader(), filled.space, None, ExportOptions())
    pieces = selection.pieces
    selection.pieces = lambda size=5: pieces(5)  # type: ignore[method-assign]
    buffer = io.BytesIO()
    write_file(selection, buffer)
    metadata = pq.read_metadata(io.BytesIO(buffer.getvalue()))
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [5, 5, 2]


def test_features_are_written_as_the_datasets_library_reads_them() -> None:
    assert feature(pa.list_(pa.float32(), 8)) == {
        "feature": {"dtype": "float32", "_type": "Value"}, "length": 8, "_type": "Sequence"
    }  # fmt: skip
    assert feature(pa.list_(pa.string()))["feature"] == {"dtype": "string", "_type": "Value"}
    assert feature(pa.float16()) == {"dtype": "float16", "_type": "Value"}


def test_labels_have_their_sources(filled: Library, tmp_path: Path) -> None:
    (record,) = filled.matching("name = '003.png'")
    filled.label("mine", [record])
    filled.label_from("folders")
    filled.export("parquet", tmp_path / "a.parquet", where="name = '003.png'")
    (row,) = rows_of(tmp_path / "a.parquet")
    said = zip(row["labels"], row["label_sources"], row["label_confidences"], strict=True)
    assert set(said) == {("mine", "own", 1.0), ("photos", "folders", 1.0)}


# -- photos.parquet and conversions.parquet --------------------------------------------------------


def test_photos_and_conversions_have_the_columns_and_types_of_the_tutorial(
    named: Library, tmp_path: Path
) -> None:
    table = tmp_path / "conversions.tsv"
    table.write_text("when\tphoto_id\tkeyword\n1\tB\tbee\n2\tX\tcat\n3\tA\tbees\n4\tB\t\n")
    named.add_table("conversions", [table], TableOptions("photo_id"))
    named.export("photos", tmp_path / "out")
    photos = pq.read_table(tmp_path / "out" / "photos.parquet")
    # As PyArrow infers it from whole numbers, text, and lists of Python's floats.
    lists = [[0.5, 1.0], [1.0, 0.5]]
    texts = ["a", "b"]
    inferred = pa.Table.from_pydict({
        "id": [0, 1], "photo_id": texts, "photo_image_url": texts, "photo_embed": lists
    })  # fmt: skip
    assert [str(field.type) for field in inferred.schema] == [
        "int64", "string", "string", "list<item: double>"
    ]  # fmt: skip
    pq.write_table(inferred, tmp_path / "inferred.parquet")
    assert photos.schema.equals(pq.read_schema(tmp_path / "inferred.parquet"))
    rows = photos.to_pylist()
    assert [row["id"] for row in rows] == [0, 1, 2]
    assert sorted(row["photo_id"] for row in rows) == ["A", "B", "C"]
    np.testing.assert_allclose([np.linalg.norm(row["photo_embed"]) for row in rows], 1, atol=1e-3)
    conversions = pq.read_table(tmp_path / "out" / "conversions.parquet")
    assert [(field.name, str(field.type)) for field in conversions.schema] == [
        ("id", "int64"), ("photo_id", "string"), ("keyword", "string")
    ]  # fmt: skip
    assert conversions.to_pylist() == [
        {"id": 0, "photo_id": "B", "keyword": "bee"},
        {"id": 1, "photo_id": "A", "keyword": "bees"},
        {"id": 2, "photo_id": "B", "keyword": None},
    ]


def test_photos_without_a_table_have_no_conversions(filled: Library, tmp_path: Path) -> None:
    filled.export("photos", tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["photos.parquet"]
    first = rows_of(tmp_path / "out" / "photos.parquet")[0]
    assert first["photo_id"] == str(uuids(filled._reader().vectors(filled.space).ids)[0])


def test_a_table_of_conversions_without_keywords_is_refused(named: Library, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("photo_id,word\nA,b\n")
    named.add_table("conversions", [tmp_path / "c.csv"], TableOptions("photo_id"))
    with pytest.raises(InputError, match="no column keyword"):
        named.export("photos", tmp_path / "out")


# -- arrays and CSV --------------------------------------------------------------------------------


@pytest.mark.parametrize(("half", "dtype"), [(True, "<f2"), (False, "<f4")])
def test_arrays_are_read_without_pickle(
    filled: Library, tmp_path: Path, half: bool, dtype: str
) -> None:
    filled.export("npy", tmp_path / "out", ExportOptions(half=half))
    vectors = np.load(tmp_path / "out" / "vectors.npy", allow_pickle=False)
    ids = np.load(tmp_path / "out" / "ids.npy", allow_pickle=False)
    table = filled._reader().vectors(filled.space)
    assert vectors.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(vectors.astype(np.float32), table.vectors(np.arange(12)))
    assert [id_.decode() for id_ in ids] == [str(id_) for id_ in uuids(table.ids)]
    about = json.loads((tmp_path / "out" / "space.json").read_text())
    assert (about["encoder"], about["dim"], about["rows"]) == ("toy", 8, 12)


def test_clip_retrieval_gets_halves_and_a_row_of_metadata_for_each(
    filled: Library, tmp_path: Path
) -> None:
    filled.export("clip-retrieval", tmp_path / "out", ExportOptions(rows_per_file=1))
    vectors = sorted((tmp_path / "out" / "img_emb").iterdir())
    assert vectors[0].name == "img_emb_00.npy"  # twelve parts: two digits
    assert len(vectors) == 12
    assert np.load(vectors[3]).dtype == np.float16
    rows = rows_of(tmp_path / "out" / "metadata" / "metadata_03.parquet")
    assert [row["image_path"] for row in rows] == [str(tmp_path / "photos" / "003.png")]


def test_csv_is_rfc_4180(filled: Library, photos: Path, tmp_path: Path) -> None:
    awkward = photos / 'a "quoted", one.png'
    (photos / "000.png").rename(awkward)
    filled.add([photos])
    filled.export("csv", tmp_path / "a.csv", ExportOptions(paths=True))
    data = (tmp_path / "a.csv").read_bytes()
    assert data.count(b"\r\n") == data.count(b"\n") == 13
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert str(awkward) in [row["path"] for row in rows]
    assert {row["width"] for row in rows} == {"48"}
    assert {row["latitude"] for row in rows} == {""}


@given(st.text())
def test_no_cell_of_a_spreadsheet_begins_like_a_formula(text: str) -> None:
    cell = safe_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert cell.removeprefix("'") == text.removeprefix("'")


def test_formulas_in_labels_are_text_for_spreadsheets_alone(
    filled: Library, tmp_path: Path
) -> None:
    (record,) = filled.matching("name = '003.png'")
    filled.label("=1+1", [record])
    filled.export("csv", tmp_path / "a.csv", where="name = '003.png'")
    filled.export(
        "csv", tmp_path / "b.csv", ExportOptions(spreadsheet=True), where="name = '003.png'"
    )
    assert (tmp_path / "a.csv").read_text().endswith(",=1+1\n")
    assert (tmp_path / "b.csv").read_bytes().startswith(b"\xef\xbb\xbfid,")
    assert (tmp_path / "b.csv").read_text().endswith(",'=1+1\n")


# -- places ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_an_original_is_never_written_over(
    filled: Library, photos: Path, form: str, tmp_path: Path
) -> None:
    before = (photos / "000.png").read_bytes()
    link = tmp_path / "link.parquet"
    link.symlink_to(photos / "000.png")
    with pytest.raises(InputError, match="is a picture of the library"):
        filled.export(form, link)
    with pytest.raises(InputError, match=r"only read|no earlier export|is there and no folder"):
        filled.export(form, photos / "000.png")
    assert (photos / "000.png").read_bytes() == before


@pytest.mark.parametrize("form", ["parquet", "npy", "csv", "photos", "clip-retrieval"])
def test_nothing_is_written_into_a_library_or_in_its_place(filled: Library, form: str) -> None:
    len(filled)  # opens it
    before = sorted(filled.folder.rglob("*"))
    for place in (filled.folder, filled.folder / "out", filled.folder.parent):
        with pytest.raises(InputError, match=r"is or holds the library"):
            filled.export(form, place)
    assert sorted(filled.folder.rglob("*")) == before


@pytest.mark.parametrize("form", ["parquet", "npy", "photos", "clip-retrieval"])
def test_a_folder_with_other_things_in_it_stays(filled: Library, tmp_path: Path, form: str) -> None:
    filled.export(form, tmp_path / "out")
    filled.export(form, tmp_path / "out")  # an earlier export is replaced
    below = next(
        path for path in (tmp_path / "out").iterdir() if path.is_dir() or form != "parquet"
    )
    stranger = (below if below.is_dir() else tmp_path / "out") / "mine.txt"
    stranger.write_text("mine")
    with pytest.raises(InputError, match=r"no earlier export"):
        filled.export(form, tmp_path / "out")
    assert stranger.read_text() == "mine"


def test_a_pipe_and_a_link_to_one_stay_what_they_are(filled: Library, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with pytest.raises(InputError, match="is no regular file"):
            filled.export("csv", tmp_path / name)
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()


def test_what_breaks_off_leaves_what_was_there(
    filled: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.export("parquet", tmp_path / "set")
    filled.export("csv", tmp_path / "a.csv")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}

    def full(*_: object) -> object:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("lookalike.exchange.selection.Selection._piece", full)
    for form, out in (("parquet", "set"), ("csv", "a.csv"), ("npy", "new")):
        with pytest.raises(StorageError, match=r"cannot be written \(No space left"):
            filled.export(form, tmp_path / out)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    assert {k: v for k, v in after.items() if "library" not in str(k)} == {
        k: v for k, v in before.items() if "library" not in str(k)
    }


def test_forms_and_options_that_do_not_exist_are_named(filled: Library, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="use one of: parquet"):
        filled.export("xlsx", tmp_path / "a")
    with pytest.raises(InputError, match="use one of: records, files"):
        filled.export("csv", tmp_path / "a", ExportOptions(by="pages"))
    with pytest.raises(InputError, match="at least 1"):
        filled.export("parquet", tmp_path / "a", ExportOptions(rows_per_file=0))


# -- the Hub's card --------------------------------------------------------------------------------


def test_the_card_says_what_is_in_the_files(filled: Library, tmp_path: Path) -> None:
    filled.export("parquet", tmp_path / "set", ExportOptions(licence="cc-by-4.0"))
    card = (tmp_path / "set" / "README.md").read_text()
    _, front, body = card.split("---\n", 2)
    assert 'license: "cc-by-4.0"' in front
    assert "- n<1K" in front
    for field in pq.read_schema(next((tmp_path / "set" / "data").iterdir())):
        assert f"| `{field.name}` | " in body
    assert "| `labels` | list<string> |" in body
    assert "| `embedding` | list<float>[8] |" in body
    assert "`toy`, weights with SHA-256" in body
    filled.export("parquet", tmp_path / "set")
    card = (tmp_path / "set" / "README.md").read_text()
    assert "license" not in card.split("---\n")[1]
    assert "No licence was stated" in card


def test_sizes_have_the_words_of_the_hub() -> None:
    words = [size_category(rows) for rows in (0, 999, 1_000, 9_999, 500_000, 10**9)]
    assert words == ["n<1K", "n<1K", "1K<n<10K", "1K<n<10K", "100K<n<1M", "n>1B"]


@pytest.mark.parametrize("name", ["pictures", "a/b/c", "/b", "a/", "../x", "a/b c"])
def test_what_is_no_name_of_a_data_set_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="NAMESPACE/NAME"):
        check_name(name)


def test_a_token_is_never_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    from lookalike.errors import LookalikeError

    class Client:
        def __init__(self, **_: object) -> None: ...

        def create_repo(self, *_: object, **__: object) -> None:
            raise ValueError("Illegal header value b'Bearer hf_secret'")

    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(huggingface_hub, "HfApi", Client)
    with pytest.raises(LookalikeError, match=r"Bearer \*\*\*") as caught:
        push(tmp_path, "me/pictures", private=True)
    assert "hf_secret" not in str(caught.value)
