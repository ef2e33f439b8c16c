"""Conditions: their grammar, their errors, and what SQLite makes of them."""

from __future__ import annotations

import contextlib
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.conditions import (
    COLUMNS,
    MAX_LENGTH,
    MAX_NESTING,
    MAX_TESTS,
    MAX_VALUES,
    And,
    Between,
    Compare,
    Condition,
    In,
    IsNull,
    Kind,
    Like,
    Not,
    Or,
    Some,
    Test,
    Under,
    Value,
    parse_condition,
    resolved,
    uses_files,
)
from lookalike.errors import InputError
from lookalike.stores import SqliteStore, schema
from lookalike.stores.run import display_path
from lookalike.types import Column, ColumnKind, SideTable

WIDE, TALL, OLD = Compare("width", ">", 3), Compare("height", ">", 4), Compare("taken", "<", "2001")


# -- the grammar -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("width > 3", WIDE),
        ("WIDTH>3", WIDE),
        (" \n width\t>\n3 ", WIDE),
        ("width = 3", Compare("width", "=", 3)),
        ("width != 3", Compare("width", "!=", 3)),
        ("width <> 3", Compare("width", "!=", 3)),
        ("width <= 3", Compare("width", "<=", 3)),
        ("width>=+3", Compare("width", ">=", 3)),
        ("latitude < -33.5", Compare("latitude", "<", -33.5)),
        ("latitude<-.5", Compare("latitude", "<", -0.5)),
        ("megapixels > 1.5e1", Compare("megapixels", ">", 15.0)),
        ("megapixels > 2.", Compare("megapixels", ">", 2.0)),
        ("camera = 'Toy 1'", Compare("camera", "=", "Toy 1")),
        ("camera = ''", Compare("camera", "=", "")),
        ("camera = 'it''s'", Compare("camera", "=", "it's")),
        ("camera = ''''", Compare("camera", "=", "'")),
        ("name = 'a or b'", Compare("name", "=", "a or b")),
        ("name like 'IMG%'", Like("name", "IMG%")),
        ("name not like 'IMG%'", Not(Like("name", "IMG%"))),
        ("width in (3)", In("width", (3,))),
        ("width in(3,4 , 5.5)", In("width", (3, 4, 5.5))),
        ("camera NOT IN ('a','b')", Not(In("camera", ("a", "b")))),
        ("width between 3 and 4", Between("width", 3, 4)),
        ("width not between 3 and 4", Not(Between("width", 3, 4))),
        ("camera is null", IsNull("camera")),
        ("camera Is Not Null", Not(IsNull("camera"))),
        ("under '/a/b'", Under("/a/b")),
        ("not under '/a/b/../c/'", Not(Under("/a/c"))),
        ("under '/'", Under("/")),
        ("Sales.n > 3", Compare("sales.n", ">", 3)),
        ("sales.Word = 'a'", Compare("sales.Word", "=", "a")),
        ("sales.and is null", IsNull("sales.and")),
        ('sales."a ""b"".c" in (1, \'x\')', In('sales.a "b".c', (1, "x"))),
        ("some sales", Some("sales")),
        ("not SOME Sales (n > 3)", Not(Some("sales", Compare("sales.n", ">", 3)))),
        (
            "some sales (word like 'a%' and not \"or\" = 2)",
            Some(
                "sales",
                And((Like("sales.word", "a%"), Not(Compare("sales.or", "=", 2)))),
            ),
        ),
        ("some sales (sales.width > 3)", Some("sales", Compare("sales.width", ">", 3))),
    ],
)
def test_a_test_is_a_column_an_operator_and_values(text: str, condition: Condition) -> None:
    assert parse_condition(text) == condition


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("width > 3 and height > 4", And((WIDE, TALL))),
        ("width > 3 or height > 4", Or((WIDE, TALL))),
        ("width > 3 and height > 4 and taken < '2001'", And((WIDE, TALL, OLD))),
        ("width > 3 or height > 4 and taken < '2001'", Or((WIDE, And((TALL, OLD))))),
        ("(width > 3 or height > 4) and taken < '2001'", And((Or((WIDE, TALL)), OLD))),
        ("(width > 3 and height > 4) and taken < '2001'", And((And((WIDE, TALL)), OLD))),
        ("not width > 3 and height > 4", And((Not(WIDE), TALL))),
        ("not (width > 3 and height > 4)", Not(And((WIDE, TALL)))),
        ("NOT not width > 3", Not(Not(WIDE))),
        ("((width > 3))", WIDE),
        (
            "width between 1 and 2 and height > 4",
            And((Between("width", 1, 2), TALL)),
        ),
    ],
)
def test_and_binds_closer_than_or_and_not_closest(text: str, condition: Condition) -> None:
    assert parse_condition(text) == condition


def test_numbers_keep_their_kind() -> None:
    parsed = parse_condition("width in (3, 3.0, 1e3)")
    assert isinstance(parsed, In)
    assert [type(value) for value in parsed.values] == [int, float, float]


@pytest.mark.parametrize(
    ("given_format", "written"),
    [("jpeg", "JPEG"), ("Jpg", "JPEG"), ("tif", "TIFF"), ("PNG", "PNG")],
)
def test_formats_are_written_as_the_catalogue_has_them(given_format: str, written: str) -> None:
    assert parse_condition(f"format = '{given_format}'") == Compare("format", "=", written)
    assert parse_condition(f"format in ('{given_format}')") == In("format", (written,))


@pytest.mark.parametrize(
    "time",
    ["2020", "2020-05", "2020-05-31", "2020-05-31T14", "2020-05-31T14:30", "2020-05-31T14:30:59"],
)
def test_a_time_may_end_anywhere(time: str) -> None:
    assert parse_condition(f"taken >= '{time}'") == Compare("taken", ">=", time)
    assert parse_condition(f"taken >= '{time.replace('T', ' ')}'") == Compare("taken", ">=", time)


def test_an_id_is_whole_and_written_in_small_letters() -> None:
    text = "1B4E28BA-2FA1-5AD2-883F-0016D3CCA427"
    assert parse_condition(f"id = '{text}'") == Compare("id", "=", text.lower())
    assert parse_condition(f"id in ('{text}')") == In("id", (text.lower(),))
    for wrong, cure in [
        ("id = '1b4e28ba'", "ids look like"),
        (f"id = '{text.replace('-', '')}'", "ids look like"),
        ("id like '1b%'", "compares text, and id is an id"),
        ("id > 3", "quote it"),
    ]:
        with pytest.raises(InputError, match=cure):
            parse_condition(wrong)


def test_folders_are_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)
    assert parse_condition("under '~/Pictures/'") == Under("/home/me/Pictures")
    assert parse_condition("under 'trip'") == Under(str(tmp_path / "trip"))


def test_conditions_on_files_are_told_from_those_on_records() -> None:
    assert uses_files(parse_condition("width > 3 and not (height > 4 or under '/a')"))
    assert uses_files(parse_condition("name like 'a%'"))
    assert not uses_files(parse_condition("width > 3 and not (height > 4 or camera is null)"))


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("width >> 3", "width >> 3: unexpected '>' at 8; width is compared with a number"),
        ("width", "ends too early at 6"),
        ("width >", "ends too early at 8"),
        ("width > 3 and", "ends too early at 14; here stands a column (bytes, camera,"),
        ("width > 3 height > 4", "unexpected 'height' at 11; go on with and or or"),
        ("(width > 3", "ends too early at 11; close the parenthesis"),
        ("width > 3)", "unexpected ')' at 10"),
        ("wdth > 3", "no column 'wdth' (at 1); columns are bytes, camera, folder, foreign_id"),
        ("3 > width", "unexpected '3' at 1; here stands a column"),
        ("width > height", "unexpected 'height' at 9; a column is compared with a value"),
        ("width = '3'", "width is a number and '3' at 9 is a text; write a number, without quotes"),
        ("camera = 5", "camera is a text and 5 at 10 is a number; quote it: '5'"),
        ("taken > 2020", "taken is a time and 2020 at 9 is a number; quote it: '2020'"),
        ("width in (1, 'x')", "width is a number and 'x' at 14"),
        ("width between 1 and 'x'", "width is a number and 'x' at 21"),
        ("width like '3%'", "like at 7 compares text, and width is a number; use ="),
        ("name like 3", "unexpected '3' at 11; like takes a pattern in single quotes"),
        ("name = cat", "unexpected 'cat' at 8; text stands in single quotes: 'cat'"),
        ('name = "cat"', "unexpected '\"cat\"' at 8; text stands in single quotes"),
        ("name = 'cat", 'unexpected "\'" at 8; close the quotation'),
        ("camera = null", "unexpected 'null' at 10; write camera is null"),
        ("camera is 'x'", "unexpected 'x' at 11; is asks for null"),
        ("width in 3", "in takes values in parentheses"),
        ("width in ()", "unexpected ')' at 11"),
        ("width in (3 4)", "unexpected '4' at 13; values are parted by commas"),
        ("width between 3, 4", "unexpected ',' at 16; between takes two values"),
        ("width not 3", "unexpected '3' at 11; here stands like, in or between"),
        ("width == 3", "unexpected '=' at 8"),
        ("width ! 3", "unexpected '!' at 7"),
        ("taken > '20.5.2020'", "'20.5.2020' at 9 is no time; write one like '2020'"),
        ("taken > '2020-05-31 14:30:00.5'", "is no time"),
        ("under 3", "under takes a folder"),
        ("under ''", "names no folder"),
        ("under", "ends too early"),
        ("width > 1e99", "too large"),
        (f"width > {2**63}", "too large"),
        (f"width > {'9' * 5000}", "too long"),
        (f"width > {'0' * 41}", "too long"),
        ("name = 'a\0b'", "has a character that no path or text can have"),
        ("name = '\ud800'", "has a character"),
        (f"name = '{'x' * (MAX_LENGTH + 1)}'", f"has {MAX_LENGTH + 1} characters"),
        ("(" * (MAX_NESTING + 1) + "width > 3", f"nests deeper than {MAX_NESTING}"),
        ("not " * (MAX_NESTING + 1) + "width > 3", f"nests deeper than {MAX_NESTING}"),
        ("(" * 100_000, "nests deeper"),
        (" or ".join(["width > 3"] * (MAX_TESTS + 1)), f"more than {MAX_TESTS} tests"),
        (f"width in (1{',1' * MAX_VALUES})", f"more than {MAX_VALUES} values"),
        ("some", "ends too early at 5; some takes the name of a side table"),
        ("some 'sales'", "unexpected 'sales' at 6; some takes the name"),
        ("some sales.n", "unexpected 'sales.n' at 6; some takes the name"),
        ("some sales ()", "unexpected ')' at 13; here stands a column"),
        ("some sales (n > 3", "ends too early at 18; close the parenthesis"),
        ("some sales (under '/')", "unexpected 'under' at 13; here stands a column of sales"),
        ("some sales (some sales)", "unexpected 'some' at 13; here stands a column of sales"),
        (
            "some sales (other.n > 3)",
            "unexpected 'other.n' at 13; here stands the name of a column",
        ),
        ('"n" > 3', "unexpected '\"n\"' at 1; here stands the name of a column of the picture"),
        ("sales.n > width", "unexpected 'width' at 11; a column is compared with a value"),
        ("width > sales.n", "unexpected 'sales.n' at 9; a column is compared with a value"),
        ("sales. > 3", "unexpected '.' at 6"),
        ('sales."a\nb" > 3', "the name at 1 is none"),
    ],
)
def test_what_is_no_condition_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_condition(text)
    message = str(caught.value)
    assert words in message
    assert message.isprintable()
    assert len(message) < 400


def test_a_long_condition_is_shown_where_it_fails() -> None:
    text = " or ".join(["width > 3", "hight > 4", *["width > 5"] * 100])
    text = f"{' or '.join(['width > 1'] * 50)} or {text}"
    with pytest.raises(
        InputError, match=r"^….* or width > 3 or hight > 4 or .*…: no column 'hight'"
    ):
        parse_condition(text)


# -- trees -----------------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.integers(-5, 5),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(-(2**62), 2**62),
)
TEXTS = st.text(
    st.one_of(st.sampled_from("ab'%_ \n\udcff\udc80é"), st.characters(exclude_characters="\0")),
    max_size=8,
).filter(lambda text: encodable(text))
TIMES = st.datetimes().map(lambda time: time.isoformat(timespec="seconds"))
CUT_TIMES = st.builds(lambda time, n: time[:n], TIMES, st.sampled_from([4, 7, 10, 13, 16, 19]))


def encodable(text: str) -> bool:
    with contextlib.suppress(UnicodeEncodeError):
        return bool(os.fsencode(text)) or not text
    return False


def any_values(column: str) -> st.SearchStrategy[Value]:
    if column == "format":
        return st.sampled_from(["JPEG", "PNG", "HEIF", "IT'S"])
    kinds: dict[Kind, st.SearchStrategy[Value]] = {
        Kind.NUMBER: NUMBERS,
        Kind.TEXT: TEXTS,
        Kind.TIME: CUT_TIMES,
        Kind.ID: st.uuids().map(str),
    }
    return kinds[COLUMNS[column]]


def any_folders() -> st.SearchStrategy[str]:
    return TEXTS.map(lambda text: os.path.abspath("/" + text))


NUMBER_COLUMNS, TEXT_COLUMNS = ("n", "Price", "and"), ("word", 'odd "x".y', "größe")
TABLES = {"sales": "foreign_id", "by_name": "name", "by_path": "path", "by_id": "id"}
"""Side tables and what their keys match; all have the columns above, and ``key``."""

SIDE_NUMBERS: list[Any] = [None, -1, 0, 2, 1000]
SIDE_TEXTS: list[Any] = [None, "", "bee", "Bee", "it's", "é"]


def row_leaves(table: str) -> st.SearchStrategy[Condition]:
    """Single tests of a side table's columns."""
    operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    numbers = st.sampled_from([-1, 0, 0.5, 2, 1000.0])
    texts = st.sampled_from([*SIDE_TEXTS[1:], "b"])

    def tests(name: str) -> st.SearchStrategy[Condition]:
        column = st.just(f"{table}.{name}")
        values: st.SearchStrategy[Any] = numbers if name in NUMBER_COLUMNS else texts
        several = st.lists(values, min_size=1, max_size=3).map(tuple)
        like = st.sampled_from(["b%", "%", "_ee", "IT'S"])
        return st.one_of(
            st.builds(Compare, column, operators, values),
            st.builds(Between, column, values, values),
            st.builds(In, column, several),
            st.builds(IsNull, column),
            *([] if name in NUMBER_COLUMNS else [st.builds(Like, column, like)]),
        )

    return st.sampled_from([*NUMBER_COLUMNS, *TEXT_COLUMNS]).flatmap(tests)


def trees(tests: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    """Trees of up to seven levels, which never nest too deeply to be written."""

    def grown(parts: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
        several = st.lists(parts, min_size=2, max_size=3).map(tuple)
        return st.one_of(st.builds(Not, parts), st.builds(And, several), st.builds(Or, several))

    return st.recursive(tests, grown, max_leaves=12).filter(lambda tree: levels(tree) <= 7)


def levels(tree: Condition) -> int:
    if isinstance(tree, Not):
        return 1 + levels(tree.part)
    if isinstance(tree, Some):
        return 1 if tree.condition is None else 1 + levels(tree.condition)
    return 1 + max(map(levels, tree.parts)) if isinstance(tree, And | Or) else 1


SIDE_TESTS: st.SearchStrategy[Condition] = st.sampled_from(sorted(TABLES)).flatmap(
    lambda table: st.one_of(
        row_leaves(table),
        st.builds(Some, st.just(table), st.one_of(st.none(), trees(row_leaves(table)))),
    )
)


def leaves(
    values: Callable[[str], st.SearchStrategy[Value]],
    patterns: st.SearchStrategy[str],
    folders: st.SearchStrategy[str],
) -> st.SearchStrategy[Condition]:
    """Single tests of every kind."""
    columns = st.sampled_from(sorted(COLUMNS))
    texts = columns.filter(lambda column: COLUMNS[column] not in (Kind.NUMBER, Kind.ID))
    operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    return st.one_of(
        SIDE_TESTS,
        columns.flatmap(lambda c: st.builds(Compare, st.just(c), operators, values(c))),
        columns.flatmap(lambda c: st.builds(Between, st.just(c), values(c), values(c))),
        columns.flatmap(
            lambda c: st.builds(
                In, st.just(c), st.lists(values(c), min_size=1, max_size=4).map(tuple)
            )
        ),
        st.builds(Like, texts, patterns),
        st.builds(IsNull, columns),
        st.builds(Under, folders),
    )


@given(tree=trees(leaves(any_values, TEXTS, any_folders())))
def test_a_tree_parses_back_from_its_text(tree: Condition) -> None:
    parsed = parse_condition(str(tree))
    assert parsed == tree
    assert str(parsed) == str(tree)


WORDS = [
    "some",
    "sales",
    "sales.n",
    '"n"',
    "and",
    "or",
    "not",
    "like",
    "in",
    "between",
    "is",
    "null",
    "under",
    *COLUMNS,
]
SIGNS = ["=", "!=", "<", "<=", ">", ">=", "(", ")", ",", "-", ".", "1", "'x'", "'2020'"]


@given(
    text=st.one_of(
        st.text(max_size=40),
        st.text("'\"()<>=!,.-+e0 9\0\ud800width", max_size=40),
        st.lists(st.sampled_from([*WORDS, *SIGNS]), max_size=15).map(" ".join),
    )
)
def test_any_text_is_a_condition_or_an_input_error(text: str) -> None:
    parsed = None
    with contextlib.suppress(InputError):
        parsed = parse_condition(text)
    assert parsed is None or parse_condition(str(parsed)) == parsed


# -- SQLite against plain Python -------------------------------------------------------------------

Row = dict[str, Any]
"""A live file and its record by column; ``id`` is the record's."""


def holds(condition: Condition, row: Row) -> bool | None:
    """What a condition says of one file: true, false or unknown."""
    match condition:
        case And(parts):
            return both(*(holds(part, row) for part in parts))
        case Or(parts):
            return negated(both(*(negated(holds(part, row)) for part in parts)))
        case Not(part):
            return negated(holds(part, row))
        case _:
            return says(condition, row)


def says(test: Test, row: Row) -> bool | None:
    """What a single test says of one file."""
    match test:
        case Some(table, condition):
            return any(condition is None or holds_of(condition, one) for one in row["side"][table])
        case Under(folder):
            return Path(folder) in Path(row["path"]).parents
        case _ if "." in test.column:
            return says_of_rows(test, row["side"][test.column.partition(".")[0]])
        case _ if test.column == "label":
            return says_of_labels(test, row)
        case _:
            return says_of_value(test, row)


def says_of_value(test: Compare | Between | In | Like | IsNull, row: Row) -> bool | None:
    """What a test says of the one value that a column has."""
    match test:
        case Compare(column, operator, value):
            return compared(row, column, operator, value)
        case Between(column, low, high):
            return both(compared(row, column, ">=", low), compared(row, column, "<=", high))
        case In(column, values):
            equal = (compared(row, column, "=", value) for value in values)
            return negated(both(*map(negated, equal)))
        case Like(column, pattern):
            return liked(row, column, pattern)
        case IsNull(column):
            return row[column] is None


def holds_of(condition: Condition, one: Row) -> bool | None:
    """What a condition says of one row of a side table."""
    match condition:
        case And(parts):
            return both(*(holds_of(part, one) for part in parts))
        case Or(parts):
            return negated(both(*(negated(holds_of(part, one)) for part in parts)))
        case Not(part):
            return negated(holds_of(part, one))
        case Some() | Under():
            raise AssertionError(condition)
        case _:
            name = condition.column.partition(".")[2]
            column = "width" if name in NUMBER_COLUMNS else "camera"
            return says(replace(condition, column=column), {column: one[name]})


def says_of_rows(test: Compare | Between | In | Like | IsNull, rows: list[Row]) -> bool:
    """Of several rows one must fit, and none may if they are to differ from a value."""
    match test:
        case IsNull():
            return all(holds_of(test, one) for one in rows)
        case Compare(column, "!=", value):
            return not any(holds_of(Compare(column, "=", value), one) for one in rows)
        case _:
            return any(holds_of(test, one) for one in rows)


def says_of_labels(test: Compare | Between | In | Like | IsNull, row: Row) -> bool:
    """Of several labels one must fit, and none may if they are to differ from a value."""
    match test:
        case IsNull():
            return not row["label"]
        case Compare(_, "!=", value):
            return displayed(str(value)) not in row["label"]
        case _:
            return any(says(replace(test, column="camera"), {"camera": x}) for x in row["label"])


def both(*truths: bool | None) -> bool | None:
    if False in truths:
        return False
    return None if None in truths else True


def negated(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


def compared(row: Row, column: str, operator: str, value: Any) -> bool | None:
    have = row[column]
    if have is None:
        return None
    if column == "taken":
        have = have[: len(value)]
    elif column == "id":
        have = str(UUID(bytes=have))
    elif column == "path":
        have, value = os.fsencode(have), os.fsencode(value)
    elif COLUMNS[column] is Kind.TEXT:
        have, value = displayed(have), displayed(value)
    outcome: bool = {
        "=": have == value,
        "!=": have != value,
        "<": have < value,
        "<=": have <= value,
        ">": have > value,
        ">=": have >= value,
    }[operator]
    return outcome


def liked(row: Row, column: str, pattern: str) -> bool | None:
    have = row[column]
    if have is None:
        return None
    wild = {"%": ".*", "_": "."}
    expression = "".join(wild.get(c, re.escape(c)) for c in lowered(displayed(pattern)))
    return re.fullmatch(expression, lowered(displayed(have)), re.DOTALL) is not None


def lowered(text: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in text)


def displayed(text: str) -> str:
    return display_path(os.fsencode(text))


FOLDERS = ["/", "/a", "/a/b", "/a b", "/a-b", "/A", "/é", "/\udcff"]
NAMES = [
    "a",
    "A",
    "a.jpg",
    "ab.jpg",
    "É.jpg",
    "é.jpg",
    "it's",
    "\udcff.jpg",
    "\\xff.jpg",
    "%_",
    "\n",
]
TAKEN = ["2019-12-31T23:59:59", "2020-05-01T00:00:00", "2020-05-31T14:30:00", "2021-01-01T00:00:00"]
PLACES: dict[str, list[Any]] = {
    "width": [1, 2, 1000],
    "height": [1, 3, 2000],
    "bytes": [0, 7, 2**40],
    "format": ["JPEG", "PNG", "HEIF"],
    "taken": [None, *TAKEN],
    "camera": [None, "", "Toy 1", "toy 1", "Ünlü"],
    "latitude": [None, -33.5, 0.0, 90.0],
    "longitude": [None, -180.0, 151.25],
}


LABELS = ["cat", "dog", "it's", "Ünlü"]
FOREIGN = [None, "", "Qgb9urMZ8lw", "it's"]


def foreign_id_at(place: str, name: str) -> str | None:
    """What another table calls a file; equal for some."""
    return FOREIGN[len(place + name) % len(FOREIGN)]


def known_values(column: str) -> st.SearchStrategy[Value]:
    """Values that a catalogue of the above may have."""
    if column == "taken":
        return st.builds(
            lambda t, n: t[:n], st.sampled_from(TAKEN), st.sampled_from([4, 7, 10, 19])
        )
    if column == "megapixels":
        return st.sampled_from([1e-06, 2e-06, 0.002, 2, 2.0])
    files: dict[str, list[Any]] = {
        "folder": FOLDERS,
        "name": NAMES,
        "path": [os.path.join(folder, name) for folder in FOLDERS for name in NAMES],
        "foreign_id": FOREIGN,
        "label": LABELS,
        "id": [str(UUID(bytes=id_of(number))) for number in range(8)],
    }
    return st.sampled_from([v for v in {**PLACES, **files}[column] if v is not None])


PATTERNS = st.one_of(
    st.sampled_from(
        ["/_", "%", "%jpg", "%.JPG", "_", "a%", "/a/%", "2020-%", "toy_1", "é%", "\\xff%"]
    ),
    st.lists(st.sampled_from([*NAMES, *"%_/aé", "%"]), max_size=4).map("".join),
)
TESTS = leaves(known_values, PATTERNS, st.sampled_from(FOLDERS))

Files = dict[tuple[str, str], tuple[int, str]]
"""By folder and name: the number of the record, and the state."""


def drawn(seed: int) -> tuple[list[Row], Files]:
    """Six records and up to thirty files; records and files without each other among them."""
    rng = random.Random(seed)
    found = [{column: rng.choice(values) for column, values in PLACES.items()} for _ in range(6)]
    for record in found:
        record["label"] = rng.sample(LABELS, rng.randrange(3))
    states = ["indexed", "unchanged", "moved", "gone"]
    places = [(rng.choice(FOLDERS), rng.choice(NAMES)) for _ in range(30)]
    return found, {place: (rng.randrange(8), rng.choice(states)) for place in places}


def fill(folder: Path, found: list[Row], files: Files) -> list[Row]:
    """Write a catalogue; returns its live files."""
    columns = list(PLACES)
    stored = ", ".join("taken_at" if column == "taken" else column for column in columns)
    db = schema.connect_writer(folder)
    with schema.transaction(db):
        db.execute("INSERT INTO runs (started) VALUES ('now')")
        for number, record in enumerate(found):
            digest = bytes(31) + bytes([number])
            db.execute(
                f"INSERT INTO records (key, id, content_hash, phash, {stored})"
                f" VALUES (?, ?, ?, 0{', ?' * len(columns)})",
                (number, id_of(number), digest, *(record[column] for column in columns)),
            )
            db.executemany(
                "INSERT INTO labels VALUES (?, 'own', ?, NULL)",
                [(number, label) for label in record["label"]],
            )
        for (place, name), (number, state) in files.items():
            db.execute(
                "INSERT INTO files (path, folder, name, foreign_id, record, state, reason, run)"
                " VALUES (?, ?, ?, ?, ?, ?, '', 1)",
                (
                    os.fsencode(os.path.join(place, name)),
                    displayed(place),
                    displayed(name),
                    foreign_id_at(place, name),
                    number if number < len(found) else None,
                    state if number < len(found) else "unreadable",
                ),
            )
    db.close()
    return [
        {
            "id": id_of(number),
            "path": os.path.join(place, name),
            "folder": place,
            "name": name,
            "foreign_id": foreign_id_at(place, name),
            "megapixels": found[number]["width"] * found[number]["height"] / 1e6,
            **found[number],
        }
        for (place, name), (number, state) in files.items()
        if number < len(found) and state != "gone"
    ]


def add_side_tables(folder: Path, rows: list[Row], seed: int) -> None:
    """Write the side tables, and note in every file's row which of theirs belong to its record."""
    rng = random.Random(seed)
    key_of: dict[str, Callable[[Row], str | None]] = {
        "foreign_id": lambda row: row["foreign_id"],
        "name": lambda row: displayed(row["name"]),
        "path": lambda row: f"{displayed(row['folder']).rstrip('/')}/{displayed(row['name'])}",
        "id": lambda row: str(UUID(bytes=row["id"])),
    }
    names = ["key", *NUMBER_COLUMNS, *TEXT_COLUMNS]
    kinds = [ColumnKind.TEXT, ColumnKind.INTEGER, ColumnKind.REAL, ColumnKind.INTEGER]
    kinds += [ColumnKind.TEXT] * len(TEXT_COLUMNS)
    columns = tuple(Column(name, kind) for name, kind in zip(names, kinds, strict=True))
    with contextlib.closing(SqliteStore(folder, write=True)) as store:
        for table, matches in TABLES.items():
            keys = [key_of[matches](row) for row in rows] + [None, "other"]
            own = [
                dict.fromkeys(["key"], rng.choice(keys))
                | {name: rng.choice(SIDE_NUMBERS) for name in NUMBER_COLUMNS}
                | {name: rng.choice(SIDE_TEXTS) for name in TEXT_COLUMNS}
                for _ in range(rng.randrange(12))
            ]
            batch = [[one[name] for one in own] for name in names]
            store.put_table(SideTable(table, "key", matches, columns), [batch])
            for row in rows:
                mine = {key_of[matches](one) for one in rows if one["id"] == row["id"]} - {None}
                row.setdefault("side", {})[table] = [one for one in own if one["key"] in mine]


def id_of(number: int) -> bytes:
    """Ids that end in zero bytes and do not ascend with the number."""
    return bytes([number * 101 % 256, 128, *bytes(14)])


@given(
    seed=st.integers(0, 2**32),
    asked=st.lists(st.one_of(TESTS, trees(TESTS)), min_size=12, max_size=30),
)
def test_sqlite_finds_what_plain_python_finds(
    seed: int, asked: list[Condition], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("catalogue")
    rows = fill(folder, *drawn(seed))
    add_side_tables(folder, rows, seed)
    store = SqliteStore(folder)
    for condition in asked:
        expected = sorted({row["id"] for row in rows if holds(condition, row)})
        assert [id_.tobytes() for id_ in store.matching(condition)] == expected, str(condition)
    store.close()


def test_path_like_sees_one_slash_at_the_root(tmp_path: Path) -> None:
    record = {column: values[-1] for column, values in PLACES.items()} | {"label": ["cat", "pet"]}
    fill(tmp_path, [record], {("/", "a"): (0, "indexed")})
    with contextlib.closing(SqliteStore(tmp_path)) as store:
        assert len(store.matching(parse_condition("path like '/_'"))) == 1
        assert len(store.matching(parse_condition("path like '//%'"))) == 0


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[SqliteStore]:
    """One record, a file /a/b.jpg."""
    record = {column: values[-1] for column, values in PLACES.items()} | {"label": ["cat", "pet"]}
    fill(tmp_path, [record], {("/a", "b.jpg"): (0, "indexed")})
    with contextlib.closing(SqliteStore(tmp_path)) as store:
        yield store


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("taken = '2021'", True),
        ("taken <= '2021'", True),
        ("taken > '2021'", False),
        ("taken between '2020-12' and '2021-01'", True),
        ("taken in ('2020', '2021-01')", True),
        ("format = 'heic'", True),
        ("name like 'B.JPG'", True),
        ("name = 'B.JPG'", False),
        ("path like '/a/_.jpg'", True),
        ("path = '/a/b.jpg'", True),
        ("path in ('/a/b.jpg')", True),
        ("under '/'", True),
        ("under '/a/'", True),
        ("under '/a/b.jpg'", False),
        ("under '/a/b'", False),
        ("megapixels = 2", True),
        ("camera like 'Ü%'", True),
        ("camera like 'ü%'", False),
        ("name = '; drop table files; --'", False),
        ("label = 'pet'", True),
        ("label = 'dog'", False),
        ("label != 'pet'", False),
        ("not label = 'dog' and label like 'C%'", True),
        ("label in ('dog', 'pet')", True),
        ("label between 'd' and 'q'", True),
        ("label not between 'd' and 'q'", False),
        ("label is null", False),
        ("label is not null and name = 'b.jpg'", True),
    ],
)
def test_one_record_is_found_or_not(catalogue: SqliteStore, text: str, expected: bool) -> None:
    found = catalogue.matching(parse_condition(text))
    assert [UUID(bytes=id_.tobytes()) for id_ in found] == [UUID(bytes=id_of(0))] * expected


DEEPEST = [
    "width between 1 and 2000",
    "taken in ('2021', '2021-01', '2021-01-01')",
    "path not like '/a/%'",
    "under '/a'",
    "label != 'cat'",
]


@pytest.mark.parametrize("leaf", DEEPEST)
@pytest.mark.parametrize(
    ("level", "nests"),
    [("width = 1 or width = 2 and ({})", 1), ("width = 1 or width = 2 and not ({})", 2)],
)
def test_sqlite_takes_what_the_parser_takes(
    catalogue: SqliteStore, leaf: str, level: str, nests: int
) -> None:
    text = f"width = 1 or under '/a' and {leaf}"
    for _ in range(MAX_NESTING // nests):
        text = level.format(text)
    assert len(catalogue.matching(parse_condition(text))) == 0
    with pytest.raises(InputError):
        parse_condition(level.format(text))


def test_sqlite_takes_the_most_tests_and_values(catalogue: SqliteStore) -> None:
    for word in ("and", "or"):
        chain = f" {word} ".join(["under '/a'"] * (MAX_TESTS - 1) + ["not name = 'x'"])
        assert len(catalogue.matching(parse_condition(chain))) == 1
    values = ", ".join(map(str, range(1, MAX_VALUES + 1)))
    assert len(catalogue.matching(parse_condition(f"width in ({values})"))) == 1
    longest = "\udcff" * MAX_LENGTH
    assert len(catalogue.matching(parse_condition(f"name like '{longest}'"))) == 0


# -- side tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "sale.n = 3",
            "sale.n = 3: no side table 'sale'; tables are by_id, by_name, by_path, sales",
        ),
        ("some sale", "no side table 'sale'"),
        ("width > 3 or not some sale (n = 3)", "some sale (n = 3): no side table 'sale'"),
        ("sales.m = 3", "no column 'm' in sales; columns are key, n, Price, and, word"),
        ("some sales (m = 3)", "no column 'm' in sales"),
        ("sales.n = 'x'", "n is a number and 'x' is none; write it without quotes"),
        ("sales.word in ('x', 3)", "word is a text and 3 is none; quote it"),
        ("sales.n like '3%'", "n is a number and '3%' is none"),
        ("some sales (n between 1 and 'x')", "n is a number and 'x' is none"),
    ],
)
def test_conditions_on_side_tables_fit_them(tmp_path: Path, text: str, words: str) -> None:
    rows = fill(tmp_path, *drawn(0))
    add_side_tables(tmp_path, rows, 0)
    with contextlib.closing(SqliteStore(tmp_path)) as store:
        with pytest.raises(InputError) as caught:
            store.matching(parse_condition(text))
        assert words in str(caught.value)


def test_names_in_conditions_are_those_of_the_table_in_any_case(catalogue: SqliteStore) -> None:
    table = SideTable("sales", "key", "name", (Column("Key", ColumnKind.TEXT),))
    for text in ("sales.key = 'x'", "SALES.KEY = 'x'", "sales.\"kEY\" = 'x'"):
        assert resolved(parse_condition(text), [table]) == Compare("sales.Key", "=", "x")
    assert resolved(parse_condition("some sales (KEY = 'x')"), [table]) == Some(
        "sales", Compare("sales.Key", "=", "x")
    )
    with pytest.raises(InputError, match="tables are none yet"):
        catalogue.matching(parse_condition("sales.key = 'x'"))


def test_within_some_only_its_own_rows_are_spoken_of() -> None:
    table = SideTable("sales", "key", "name", (Column("key", ColumnKind.TEXT),))
    for inner in (Compare("width", ">", 3), Some("sales"), Under("/a"), Compare("x.key", "=", "y")):
        with pytest.raises(InputError, match=r"no side table 'x'|stands within some sales"):
            resolved(Some("sales", Not(inner)), [table])
