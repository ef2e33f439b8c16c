"""Tables as streams of rows: formats, parts, kinds, and files that are not what they seem."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.errors import InputError
from lookalike.rows import Table, open_table
from lookalike.rows.base import BATCH_ROWS, MOST_LINE_BYTES

INT64 = 2**63


def rows_of(table: Table) -> list[tuple[Any, ...]]:
    return [row for batch in table.batches() for row in zip(*batch, strict=True)]


def kinds_of(table: Table) -> dict[str, str]:
    return {column.name: column.kind.value for column in table.columns}


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return written


def column_kind(write: Any, values: Sequence[str]) -> tuple[str, list[Any]]:
    table = open_table([write("one.tsv", "\n".join(["id\tvalue", *(f"x\t{v}" for v in values)]))])
    return kinds_of(table)["value"], [row[1] for row in rows_of(table)]


# -- kinds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind", "read"),
    [
        (["1", "-2", "0"], "integer", [1, -2, 0]),
        (["1", "", "3"], "integer", [1, None, 3]),
        (["9223372036854775807", "-9223372036854775808"], "integer", [INT64 - 1, -INT64]),
        (["9223372036854775808"], "text", ["9223372036854775808"]),
        (["1", "2.50"], "real", [1.0, 2.5]),
        (["1.5", "2e-05"], "real", [1.5, 2e-05]),
        (["007", "12"], "text", ["007", "12"]),
        (["1e5", "12"], "text", ["1e5", "12"]),
        (["nan", "1.5"], "text", ["nan", "1.5"]),
        (["Infinity"], "text", ["Infinity"]),
        (["1.5e999"], "text", ["1.5e999"]),
        (["-0"], "text", ["-0"]),
        (["+1"], "text", ["+1"]),
        ([" 1"], "text", [" 1"]),
        (["1_000"], "text", ["1_000"]),
        (["٣"], "text", ["٣"]),
        (["true", "false"], "text", ["true", "false"]),
        (["", ""], "text", [None, None]),
    ],
)
def test_kind_is_the_narrowest_that_keeps_what_was_written(
    write: Any, values: list[str], kind: str, read: list[Any]
) -> None:
    assert column_kind(write, values) == (kind, read)


def test_one_word_after_many_numbers_makes_a_column_text(write: Any) -> None:
    values = [str(n) for n in range(3 * BATCH_ROWS)]
    assert column_kind(write, [*values, "abc"]) == ("text", [*values, "abc"])


def test_one_word_in_the_last_part_makes_a_column_text(write: Any) -> None:
    write("t.tsv000", "n\n1\n2\n")
    last = write("t.tsv001", "n\nx\n")
    assert rows_of(open_table([f"{last[:-3]}*"])) == [("1",), ("2",), ("x",)]


def test_columns_are_text_if_that_is_asked_for(write: Any) -> None:
    table = open_table([write("t.csv", "id,n\n12,34\n")], texts=["id"])
    assert (kinds_of(table), rows_of(table)) == ({"id": "text", "n": "integer"}, [("12", 34)])


@given(st.lists(st.one_of(st.integers(), st.floats(), st.text("0123456789.eE+-naif ")), min_size=1))
def test_every_kind_gives_back_the_number_that_was_written(
    tmp_path_factory: Any, values: list[Any]
) -> None:
    path = tmp_path_factory.mktemp("kinds") / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["a", "b"], *(["x", value] for value in values)])
    table = open_table([path])
    read = [row[1] for row in rows_of(table)]
    written = [str(value) or None for value in values]
    match kinds_of(table)["b"]:
        case "integer":
            assert [None if one is None else str(one) for one in read] == written
        case "real":
            assert read == [None if one is None else float(one) for one in written]
        case _:
            assert read == written


# -- formats ---------------------------------------------------------------------------------------


def test_tabs_commas_and_semicolons_are_told_from_the_first_line_of_csv(write: Any) -> None:
    for delimiter in "\t,;":
        path = write("t.csv000", f"a{delimiter}b\n1{delimiter}x\n")
        assert rows_of(open_table([path])) == [(1, "x")]


def test_quotation_byte_order_mark_and_line_ends_of_all_systems(write: Any) -> None:
    for end in ("\n", "\r\n", "\r"):
        text = f'\ufeffa\tb{end}"x ""y"""\t"one\ntwo"{end}{end}5" disk\tz{end}'
        rows = rows_of(open_table([write("t.tsv", text)]))
        assert rows == [('x "y"', "one\ntwo"), ('5" disk', "z")]


def test_compressed_files_are_read(write: Any) -> None:
    for suffix, pack in ((".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)):
        assert rows_of(open_table([write(f"t.tsv{suffix}", pack(b"a\tb\n1\tx\n"))])) == [(1, "x")]


def test_a_table_of_names_alone_has_no_rows(write: Any) -> None:
    table = open_table([write("t.tsv", "a\tb")])
    assert (table.names, rows_of(table)) == (("a", "b"), [])


@pytest.mark.parametrize("rows", [0, 1, 199, 200, 201, 399, BATCH_ROWS - 1, BATCH_ROWS])
def test_no_row_is_lost_at_the_end_of_a_batch(write: Any, rows: int) -> None:
    table = open_table([write("t.tsv", "n\n" + "".join(f"{n}\n" for n in range(rows)))])
    assert rows_of(table) == [(n,) for n in range(rows)]


def test_json_lines_have_the_columns_of_all_objects(write: Any) -> None:
    lines = [
        {"id": "007", "n": 1, "x": True, "tags": ["a", "b"]},
        {"id": "8", "n": 2.5, "late": 3},
        {"id": None, "x": False, "late": "word"},
    ]
    path = write("t.jsonl", "\n".join(map(json.dumps, lines)) + "\n\n")
    table = open_table([path])
    assert kinds_of(table) == {
        "id": "text", "n": "real", "x": "integer", "tags": "text", "late": "text"
    }  # fmt: skip
    assert rows_of(table) == [
        ("007", 1.0, 1, '["a", "b"]', None),
        ("8", 2.5, None, None, "3"),
        (None, None, 0, None, "word"),
    ]


def test_parquet_keeps_its_kinds_and_times_become_text(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    import datetime

    import pyarrow.parquet as pq

    at = datetime.datetime(2020, 5, 31, 14, 30)
    table = pa.table({
        "id": ["007", None],
        "n": pa.array([1, None], pa.int32()),
        "r": [1.5, float("nan")],
        "flag": [True, False],
        "at": [at, None],
        "big": pa.array([2**64 - 1, 1], pa.uint64()),
        "list": [[1, 2], None],
        "word": pa.array(["a", "b"]).dictionary_encode(),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "t.parquet")
    read = open_table([tmp_path / "t.parquet"])
    assert list(kinds_of(read).values()) == [
        "text", "integer", "real", "integer", "text", "text", "text", "text"
    ]  # fmt: skip
    assert rows_of(read) == [
        ("007", 1, 1.5, 1, "2020-05-31T14:30:00", str(2**64 - 1), "[1, 2]", "a"),
        (None, None, None, 0, None, "1", None, "b"),
    ]


def test_text_of_some_columns_takes_one_pass(write: Any) -> None:
    table = open_table([write("t.tsv", "n\tid\tx\n1\t007\ta\n")])
    assert [list(map(list, batch)) for batch in table.texts(["id", "n"])] == [[["007"], ["1"]]]


def test_patterns_are_sorted_and_a_file_is_read_once(write: Any, tmp_path: Path) -> None:
    for number in (2, 0, 1):
        write(f"t.tsv00{number}", f"n\n{number}\n")
    table = open_table([str(tmp_path / "t.tsv*"), str(tmp_path / "t.tsv001")])
    assert rows_of(table) == [(0,), (1,), (2,)]


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.tsv", "", ["is empty"]),
        ("t.tsv", "\n\n", ["is empty"]),
        ("t.tsv", "a\tb\n1\t2\n\n3\n", ["line 4 has 1 cells and the first line 2"]),
        ("t.tsv", 'a\tb\n"1\n2"\t2\n3\t4\t5\n', ["line 4 has 3 cells"]),
        ("t.tsv", 'a\tb\n1\t2\n1\t"2\n3\t4\n', ["quotation"]),
        ("t.tsv", "a\tA\n", ["columns 1 and 2 are both called 'A'"]),
        ("t.tsv", "a\t\n", ["column 2 has no name"]),
        ("t.tsv", b"a\tb\n1\tx\0y\n", ["zero byte at 7"]),
        ("t.tsv", "a\tb\n".encode("utf-16"), ["UTF-16"]),
        ("t.tsv", b"a\tb\n1\tx\n2\tstra\xdfe\n", ["line 3 is not UTF-8", "0xdf at 7"]),
        ("t.tsv", b"\x89PNG\r\n\x1a\n" + bytes(100), ["t.tsv"]),
        ("t.tsv", "a\tb\n1\t" + "x" * 200_000 + "\n", ["a cell of more than 131,072 characters"]),
        ("t.tsv", "a\n" + "x" * (MOST_LINE_BYTES + 2**20), ["line of more than 4,194,304 bytes"]),
        ("t.tsv.gz", b"a\tb\n", ["not compressed"]),
        ("t.tsv.gz", gzip.compress(b"a\tb\n" * 9999, mtime=0)[:-20], ["is not whole"]),
        ("t.tsv.xz", b"a\tb\n", ["not compressed"]),
        ("t.jsonl", "", ["is empty"]),
        ("t.jsonl", '{"a": 1}\n{"a": \n', ["line 2 is no JSON"]),
        ("t.jsonl", '{"a": NaN}\n', ["line 1 is no JSON", "NaN"]),
        ("t.jsonl", "[1, 2]\n", ["line 1 is list and no object"]),
        ("t.jsonl", "[" * 100_000 + "\n", ["line 1 is no JSON"]),
        ("t.jsonl", '{"a": "\\ud800"}\n', ["line 1", "surrogate"]),
        ("t.jsonl", '{"a": 1, "A": 2}\n', ["both called"]),
        ("t.parquet", "PAR1", ["no Parquet file"]),
        ("t.xlsx", "PK", ["format", ".tsv"]),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(
    write: Any, name: str, content: str | bytes, words: list[str]
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    path = write(name, content)
    with pytest.raises(InputError) as caught:
        rows_of(open_table([path]))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(path)
    for word in words:
        assert word in message


def test_places_that_are_no_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tsv")
    for name, words in [
        ("", "is a folder"),
        ("pipe.tsv", "no regular file"),
        ("missing.tsv", "no such file"),
        ("missing*", "no file fits"),
    ]:
        with pytest.raises(InputError, match=words):
            open_table([tmp_path / name])
    with pytest.raises(InputError, match="no table is named"):
        open_table([])


def test_parts_with_other_columns_are_refused(write: Any, tmp_path: Path) -> None:
    write("t.tsv000", "a\tb\n1\t2\n")
    for header, words in [("a\tc", "has no column 'b' and has a column 'c'"), ("b\ta", "order")]:
        write("t.tsv001", header)
        with pytest.raises(InputError, match=words) as caught:
            assert open_table([tmp_path / "t.tsv*"]).names
        assert "t.tsv001" in str(caught.value)


def test_an_unknown_column_is_refused_with_those_that_there_are(write: Any) -> None:
    with pytest.raises(InputError, match="no column 'c'; columns are a, b"):
        list(open_table([write("t.tsv", "a\tb\n")]).texts(["c"]))


def test_a_file_that_changes_between_passes_is_refused(write: Any) -> None:
    table = open_table([write("t.tsv", "n\n1\n")])
    assert kinds_of(table) == {"n": "integer"}
    write("t.tsv", "n\nx\n")
    with pytest.raises(InputError, match="changed while it was read"):
        rows_of(table)


def test_parquet_without_pyarrow_names_the_extra(write: Any, monkeypatch: Any) -> None:
    import sys

    from lookalike.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"lookalike\[parquet\]"):
        assert open_table([write("t.parquet", "PAR1")]).names


def test_text_without_pyarrow_is_read(write: Any, monkeypatch: Any) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert rows_of(open_table([write("t.csv", "a,b\n1,x\n")])) == [(1, "x")]
