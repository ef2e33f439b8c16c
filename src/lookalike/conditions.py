"""Conditions that narrow a search: a small language over what is known of a picture.

::

    condition    =  conjunction {"or" conjunction}
    conjunction  =  negation {"and" negation}
    negation     =  {"not"} predicate
    predicate    =  "(" condition ")"  |  "under" text  |  rows  |  column test
    rows         =  "some" table ["(" condition ")"]
    column       =  name  |  table "." name
    test         =  sign value
                 |  ["not"] "like" text
                 |  ["not"] "in" "(" value {"," value} ")"
                 |  ["not"] "between" value "and" value
                 |  "is" ["not"] "null"
    sign         =  "="  |  "!="  |  "<>"  |  "<"  |  "<="  |  ">"  |  ">="
    value        =  number  |  text
    text         =  "'" characters, a quote among them doubled "'"
    name         =  letters, digits and _  |  '"' characters, such a quote among them doubled '"'

Words are taken in either case. Columns are ``COLUMNS``. Examples: ``width >= 3000 and format =
'jpeg'``, ``taken between '2020-05' and '2020-06' or taken is null``, ``under '~/Pictures' and not
name like 'IMG%'``.

- A comparison with something unknown (null) is neither true nor false, as in SQL: only what is
  true is found, and ``not`` leaves unknown what was.
- ``like``: ``%`` stands for any characters, ``_`` for one; nothing takes these meanings away.
  Letters a to z match in either case. Other comparisons of text distinguish case and go by code
  points.
- ``taken`` is compared as far as the value goes: ``taken = '2020-05'`` and ``taken <= '2020-05'``
  both hold for all of May 2020.
- ``format`` has its names in capitals; the parser writes them so, and reads ``jpg``, ``tif`` and
  ``heic`` as JPEG, TIFF and HEIF.
- ``label``: a picture may have several labels. A test holds if it does for one of them, ``!=`` if
  none is equal; it is never unknown.
- ``id`` is a record's id, written as a UUID; several stand in ``id in (...)``. ``foreign_id`` is
  what another table calls the picture, null if none does.
- ``path`` is the absolute path; ``folder`` and ``name`` are its two parts, in which bytes that are
  no text are written as backslash escapes. ``path like`` looks at these.
- ``conversions.keyword`` is a column of a side table, whose key says to which picture a row
  belongs. A test holds if it does for one of the picture's rows, ``!=`` if no row is equal, ``is
  null`` if no row has a value there. It is never unknown, not of pictures without rows either.
- ``some conversions (keyword = 'bee' and country = 'DE')`` holds if one row makes the whole
  condition true, in which columns are the table's; ``some conversions`` if there is any row.
- ``under`` holds for files in that folder or below it; ``~`` and relative folders are made
  absolute.

Conditions on ``path``, ``folder``, ``name``, ``foreign_id`` and ``under`` speak of one file: a
record with several is found if one of them makes the whole condition true.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, NoReturn, TypeGuard, get_args

from lookalike.errors import InputError
from lookalike.places import absolute
from lookalike.types import ColumnKind, SideTable

Value = int | float | str
Operator = Literal["=", "!=", "<", "<=", ">", ">="]


class Kind(StrEnum):
    """What values a column has."""

    NUMBER = "a number"
    TEXT = "a text"
    TIME = "a time"
    """A text as well: ISO 8601 to the second, without time zone."""
    ID = "an id"
    """A text as well: a UUID in small letters."""
    OTHER = "of a side table"
    """What the table says that it is: a number or a text."""


COLUMNS: Mapping[str, Kind] = {
    "bytes": Kind.NUMBER,
    "camera": Kind.TEXT,
    "folder": Kind.TEXT,
    "foreign_id": Kind.TEXT,
    "format": Kind.TEXT,
    "height": Kind.NUMBER,
    "id": Kind.ID,
    "label": Kind.TEXT,
    "latitude": Kind.NUMBER,
    "longitude": Kind.NUMBER,
    "megapixels": Kind.NUMBER,
    "name": Kind.TEXT,
    "path": Kind.TEXT,
    "taken": Kind.TIME,
    "width": Kind.NUMBER,
}
"""The columns by name. megapixels is width * height / 1e6; camera, latitude, longitude and taken
may be null. label is any of the labels that were given to a picture; null if there is none."""

LABEL = "label"
"""The one column of which a picture may have several values."""

FILE_COLUMNS = frozenset({"folder", "foreign_id", "name", "path"})
"""Columns of a file; the others are of its record."""

MAX_NESTING = 12
"""Levels of parentheses and ``not``: SQLite's parser takes about seventeen."""
MAX_TESTS = 500
"""Tests in a condition: SQLite takes chains of about a thousand."""
MAX_VALUES = 30_000
"""Values in a condition: SQLite takes 32,766, PostgreSQL 65,535."""
MAX_LENGTH = 4_096
"""Characters of a text, no less than a path can have."""
MAX_DIGITS = 40
"""Characters of a number, without its sign."""

_FORMATS = {"JPG": "JPEG", "TIF": "TIFF", "HEIC": "HEIF"}
_TIME = re.compile(
    r"[0-9]{4}(-[0-9]{2}(-[0-9]{2}([T ][0-9]{2}(:[0-9]{2}(:[0-9]{2})?)?)?)?)?", re.IGNORECASE
)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_KEYWORDS = frozenset({"and", "between", "in", "is", "like", "not", "null", "or", "some", "under"})
_OF_TABLE = re.compile(r"[a-z_][a-z_0-9]*\.")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")


# -- the tree --------------------------------------------------------------------------------------
# Text of a condition parses back to an equal one.


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of ``parts`` holds; they are two or more."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return " or ".join(_bracketed(part, Or) for part in self.parts)


@dataclass(frozen=True, slots=True)
class And:
    """All of ``parts`` hold; they are two or more."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return " and ".join(_bracketed(part, And, Or) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    """``part`` is false."""

    part: Condition

    def __str__(self) -> str:
        return f"not {_bracketed(self.part, And, Or)}"


@dataclass(frozen=True, slots=True)
class Compare:
    """A column against a value."""

    column: str
    operator: Operator
    value: Value

    def __str__(self) -> str:
        return f"{_written(self.column)} {self.operator} {_literal(self.value)}"


@dataclass(frozen=True, slots=True)
class Like:
    """A text column matches a pattern."""

    column: str
    pattern: str

    def __str__(self) -> str:
        return f"{_written(self.column)} like {_literal(self.pattern)}"


@dataclass(frozen=True, slots=True)
class In:
    """A column equals one of ``values``, which are one or more."""

    column: str
    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"{_written(self.column)} in ({', '.join(map(_literal, self.values))})"


@dataclass(frozen=True, slots=True)
class Between:
    """A column is at least ``low`` and at most ``high``."""

    column: str
    low: Value
    high: Value

    def __str__(self) -> str:
        values = f"{_literal(self.low)} and {_literal(self.high)}"
        return f"{_written(self.column)} between {values}"


@dataclass(frozen=True, slots=True)
class IsNull:
    """A column is unknown."""

    column: str

    def __str__(self) -> str:
        return f"{_written(self.column)} is null"


@dataclass(frozen=True, slots=True)
class Under:
    """The file lies in ``folder``, an absolute path, or below it."""

    folder: str

    def __str__(self) -> str:
        return f"under {_literal(self.folder)}"


@dataclass(frozen=True, slots=True)
class Some:
    """One of the picture's rows in a side table makes ``condition`` true; None holds for any row.

    All tests in ``condition`` are of the table's columns.
    """

    table: str
    condition: Condition | None = None

    def __str__(self) -> str:
        within = "" if self.condition is None else f" ({_bare(self.condition)})"
        return f"some {self.table}{within}"


ColumnTest = Compare | Like | In | Between | IsNull
"""A test of one column, of the picture (``name``) or of a side table (``table.name``)."""
Test = ColumnTest | Under | Some
"""What is true, false or unknown of one picture by itself."""
Condition = And | Or | Not | Test


def _bracketed(part: Condition, *looser: type) -> str:
    return f"({part})" if isinstance(part, looser) else str(part)


def _literal(value: Value) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def _written(column: str) -> str:
    """A column as it is written in a condition."""
    if not is_of_table(column):
        return column
    table, _, name = column.partition(".")
    if _PLAIN_NAME.fullmatch(name) is None:
        name = '"' + name.replace('"', '""') + '"'
    return f"{table}.{name}"


def _bare(condition: Condition) -> Condition:
    """What stands within some: names of columns without their table's, as far as they can."""
    match condition:
        case And(parts):
            return And(tuple(map(_bare, parts)))
        case Or(parts):
            return Or(tuple(map(_bare, parts)))
        case Not(part):
            return Not(_bare(part))
        case Some() | Under():
            return condition
        case _:
            _, _, name = condition.column.partition(".")
            plain = _PLAIN_NAME.fullmatch(name) is not None and name.lower() not in _KEYWORDS
            return replace(condition, column=name) if plain else condition


def is_of_table(column: str) -> bool:
    """Whether a column is one of a side table: ``table.name``."""
    return _OF_TABLE.match(column) is not None


def uses_files(condition: Condition) -> bool:
    """Whether a condition speaks of files, or of records alone."""
    match condition:
        case And(parts) | Or(parts):
            return any(map(uses_files, parts))
        case Not(part):
            return uses_files(part)
        case Under():
            return True
        case Some():
            return False
        case _:
            return condition.column in FILE_COLUMNS


# -- side tables -----------------------------------------------------------------------------------


def resolved(
    condition: Condition, tables: Sequence[SideTable], within: str | None = None
) -> Condition:
    """The same with columns of side tables spelled as the tables have them.

    ``within``: the table of whose rows it speaks. Raises InputError for tables and columns that do
    not exist, and values that do not fit.
    """
    match condition:
        case And(parts):
            return And(tuple(resolved(part, tables, within) for part in parts))
        case Or(parts):
            return Or(tuple(resolved(part, tables, within) for part in parts))
        case Not(part):
            return Not(resolved(part, tables, within))
        case Some(name, inner) if within is None:
            table = _table(condition, name, tables)
            own = None if inner is None else resolved(inner, tables, table.name)
            return Some(table.name, own)
        case Some() | Under():
            return condition if within is None else _out_of_place(condition, within)
        case _ if is_of_table(condition.column):
            return _resolved_test(condition, tables, within)
        case _:
            return condition if within is None else _out_of_place(condition, within)


def _out_of_place(condition: Condition, within: str) -> NoReturn:
    problem = f"speaks of the picture, and stands within some {within}"
    raise InputError(f"{condition}: {problem}; move it out")


def _table(condition: Condition, name: str, tables: Sequence[SideTable]) -> SideTable:
    found = next((table for table in tables if table.name == name.lower()), None)
    if found is None:
        known = ", ".join(table.name for table in tables) or "none yet (lookalike table add)"
        _fail(str(condition), 1, f"no side table {name!r}", f"tables are {known}")
    return found


def _resolved_test(test: ColumnTest, tables: Sequence[SideTable], within: str | None) -> ColumnTest:
    name, _, wanted = test.column.partition(".")
    table = _table(test, name, tables)
    if within is not None and table.name != within:
        _out_of_place(test, within)
    column = table.column(wanted)
    if column is None:
        names = ", ".join(one.name for one in table.columns)
        _fail(str(test), 1, f"no column {wanted!r} in {table.name}", f"columns are {names}")
    text = column.kind is ColumnKind.TEXT
    kind, cure = (Kind.TEXT, "quote it") if text else (Kind.NUMBER, "write it without quotes")
    for value in _values(test):
        if isinstance(value, str) is not text:
            problem = f"{column.name} is {kind} and {_shown(_literal(value))} is none"
            _fail(str(test), 1, problem, cure)
    return replace(test, column=f"{table.name}.{column.name}")


def _values(test: ColumnTest) -> tuple[Value, ...]:
    match test:
        case Compare(_, _, value) | Like(_, value):
            return (value,)
        case In(_, values):
            return values
        case Between(_, low, high):
            return (low, high)
        case IsNull():
            return ()


# -- from text -------------------------------------------------------------------------------------


def parse_condition(text: str) -> Condition:
    """The condition that ``text`` states.

    Raises InputError, in one line, for text that is none; for columns that do not exist and values
    that do not fit them; and for what exceeds the limits above.
    """
    return _Parser(text).whole()


@dataclass(frozen=True, slots=True)
class _Token:
    """A piece of text. ``position`` counts characters from 1; the end is a token of its own."""

    kind: Literal["word", "name", "text", "number", "sign", "end"]
    text: str
    position: int

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.lower() in words


_TOKEN = re.compile(
    r"""\s+
    | (?P<text>'(?:[^']|'')*')
    | (?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<name>(?:[A-Za-z_][A-Za-z_0-9]*\.)?"(?:[^"]|"")+"
        | [A-Za-z_][A-Za-z_0-9]*\.[A-Za-z_][A-Za-z_0-9]*)
    | (?P<word>[A-Za-z_][A-Za-z_0-9]*)
    | (?P<sign><=|>=|<>|!=|[=<>(),])
    """,
    re.VERBOSE,
)


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            character = text[position]
            cure = "close the quotation" if character == "'" else "text stands in single quotes"
            _fail(text, position + 1, f"unexpected {_shown(character)!r} at {position + 1}", cure)
        if match.lastgroup is not None:
            yield _Token(match.lastgroup, match[0], position + 1)  # type: ignore[arg-type]
        position = match.end()
    yield _Token("end", "", len(text) + 1)


class _Parser:
    """Recursive descent, a method for each line of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0
        self._nesting = self._tests = self._values = 0
        self._within: str | None = None
        """The side table whose rows are spoken of."""

    # -- the grammar -----------------------------------------------------------------------------

    def whole(self) -> Condition:
        if self._peek().kind == "end":
            raise InputError("a condition is empty; write one like width >= 3000")
        condition = self._condition()
        if self._peek().kind != "end":
            self._unexpected("go on with and or or, or end here")
        return condition

    def _condition(self) -> Condition:
        parts = [self._conjunction()]
        while self._took("or"):
            parts.append(self._conjunction())
        return Or(tuple(parts)) if len(parts) > 1 else parts[0]

    def _conjunction(self) -> Condition:
        parts = [self._negation()]
        while self._took("and"):
            parts.append(self._negation())
        return And(tuple(parts)) if len(parts) > 1 else parts[0]

    def _negation(self) -> Condition:
        before = self._nesting
        while self._peek().is_word("not"):
            self._descend()
        negations = self._nesting - before
        condition = self._predicate()
        for _ in range(negations):
            condition = Not(condition)
        self._nesting = before
        return condition

    def _predicate(self) -> Condition:
        if self._peek().text == "(":
            self._descend()
            condition = self._condition()
            self._nesting -= 1
            self._expect(")", "close the parenthesis")
            return condition
        self._tests += 1
        if self._tests > MAX_TESTS:
            self._refuse(self._peek(), f"more than {MAX_TESTS} tests", "use in (...) for many")
        if self._peek().is_word("under", "some") and self._within is not None:
            self._unexpected(f"here stands a column of {self._within}, not or (")
        if self._took("under"):
            return self._under()
        return self._some() if self._took("some") else self._test(self._column())

    def _some(self) -> Condition:
        token = self._peek()
        if token.kind != "word" or token.is_word(*_KEYWORDS):
            self._unexpected("some takes the name of a side table")
        table, condition = self._take().text.lower(), None
        if self._peek().text == "(":
            self._descend()
            self._within = table
            condition = self._condition()
            self._within = None
            self._nesting -= 1
            self._expect(")", "close the parenthesis")
        return Some(table, condition)

    def _test(self, column: str) -> Condition:
        if self._peek().kind == "sign" and self._peek().text not in ("(", ")", ","):
            return self._comparison(column)
        if self._took("is"):
            negated = self._took("not")
            self._expect("null", "is asks for null: is null, is not null")
            return Not(IsNull(column)) if negated else IsNull(column)
        negated = self._took("not")
        if self._took("like"):
            condition: Condition = self._like(column)
        elif self._took("in"):
            condition = self._in(column)
        elif self._took("between"):
            condition = self._between(column)
        else:
            wanted = "like, in or between" if negated else "= != < <= > >=, like, in, between or is"
            self._unexpected(f"here stands {wanted}")
        return Not(condition) if negated else condition

    def _comparison(self, column: str) -> Condition:
        sign = self._take().text
        operator = "!=" if sign == "<>" else sign
        assert _is_operator(operator)  # the pattern has no other
        return Compare(column, operator, self._value(column))

    def _like(self, column: str) -> Condition:
        kind = self._kind(column)
        if kind in (Kind.NUMBER, Kind.ID):
            word = self._tokens[self._next - 1]
            problem = f"like at {word.position} compares text, and {column} is {kind}"
            self._refuse(word, problem, "use = != < <= > >=, in or between")
        return Like(column, self._string("like takes a pattern in single quotes, like 'IMG%'"))

    def _in(self, column: str) -> Condition:
        self._expect("(", "in takes values in parentheses")
        values = [self._value(column)]
        while self._took(","):
            values.append(self._value(column))
        self._expect(")", "values are parted by commas and end with a parenthesis")
        return In(column, tuple(values))

    def _between(self, column: str) -> Condition:
        low = self._value(column)
        self._expect("and", "between takes two values: between LOW and HIGH")
        return Between(column, low, self._value(column))

    def _under(self) -> Condition:
        token = self._peek()
        folder = self._string("under takes a folder in single quotes")
        if not folder:
            self._refuse(token, f"under '' at {token.position} names no folder", "'.' is this one")
        return Under(absolute(os.path.expanduser(folder)))

    def _column(self) -> str:
        token = self._peek()
        name = token.text.lower()
        if token.kind == "name":
            return self._column_of_table()
        if self._within is not None and token.kind == "word" and name not in _KEYWORDS:
            return f"{self._within}.{self._take().text}"
        if token.kind != "word" or name in _KEYWORDS:
            self._unexpected(f"here stands a column ({', '.join(COLUMNS)}), not, under or (")
        if name not in COLUMNS:
            problem = f"no column {token.text!r} (at {token.position})"
            self._refuse(token, problem, f"columns are {', '.join(COLUMNS)}")
        self._take()
        return name

    def _column_of_table(self) -> str:
        """``table.name``, or within some a name in double quotes."""
        token = self._peek()
        dotted = not token.text.startswith('"')
        table, _, name = token.text.partition(".") if dotted else (self._within, "", token.text)
        if table is None or self._within not in (None, table.lower()):
            whose = "of the picture" if self._within is None else f"of {self._within}"
            self._unexpected(f"here stands the name of a column {whose}")
        if name.startswith('"'):
            name = name[1:-1].replace('""', '"')
        if not name.isprintable() or len(name) > MAX_LENGTH:
            problem = f"the name at {token.position} is none"
            self._refuse(token, problem, "write it as the table does")
        self._take()
        return f"{table.lower()}.{name}"

    @staticmethod
    def _kind(column: str) -> Kind:
        return Kind.OTHER if is_of_table(column) else COLUMNS[column]

    # -- values ----------------------------------------------------------------------------------

    def _value(self, column: str) -> Value:
        """A value that fits the column."""
        token, kind = self._peek(), self._kind(column)
        if token.kind not in ("number", "text"):
            self._unexpected(_value_cure(token, column, kind))
        self._values += 1
        if self._values > MAX_VALUES:
            self._refuse(token, f"more than {MAX_VALUES} values", "ask in several searches")
        if kind is Kind.OTHER:
            return self._number() if token.kind == "number" else self._string("")
        if (token.kind == "number") is not (kind is Kind.NUMBER):
            shown = f"{_shown(token.text)} at {token.position}"
            problem = f"{column} is {kind} and {shown} is a {token.kind}"
            number = kind is Kind.NUMBER
            cure = "write a number, without quotes" if number else f"quote it: '{token.text}'"
            self._refuse(token, problem, cure)
        if kind is Kind.NUMBER:
            return self._number()
        value = self._string("")
        if kind is Kind.TIME:
            return self._time(token, value)
        if kind is Kind.ID:
            return self._id(token, value)
        return _FORMATS.get(value.upper(), value.upper()) if column == "format" else value

    def _number(self) -> int | float:
        token = self._take()
        digits = token.text.lstrip("+-")
        value: int | float = float(token.text)
        if digits.isdigit() and len(digits) <= MAX_DIGITS:
            value = int(token.text)
        if len(digits) > MAX_DIGITS or abs(value) >= 2**63:
            problem = f"the number at {token.position} is too long or too large"
            self._refuse(token, problem, f"write at most {MAX_DIGITS} characters, below 2^63")
        return value

    def _string(self, cure: str) -> str:
        token = self._peek()
        if token.kind != "text":
            self._unexpected(cure)
        value = self._take().text[1:-1].replace("''", "'")
        if len(value) > MAX_LENGTH:
            problem = f"the text at {token.position} has {len(value)} characters"
            self._refuse(token, problem, f"{MAX_LENGTH} are allowed")
        if "\0" in value or not _is_encodable(value):
            problem = f"the text at {token.position} has a character that no path or text can have"
            self._refuse(token, problem, "leave it out")
        return value

    def _time(self, token: _Token, value: str) -> str:
        if _TIME.fullmatch(value) is None:
            problem = f"{_shown(token.text)} at {token.position} is no time"
            self._refuse(token, problem, "write one like '2020', '2020-05-31', '2020-05-31T14:30'")
        return value.upper().replace(" ", "T")

    def _id(self, token: _Token, value: str) -> str:
        if _ID.fullmatch(value) is None:
            problem = f"{_shown(token.text)} at {token.position} is no id"
            self._refuse(token, problem, "ids look like '1b4e28ba-2fa1-5ad2-883f-0016d3cca427'")
        return value.lower()

    # -- tokens ----------------------------------------------------------------------------------

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _took(self, text: str) -> bool:
        """Whether the next token is this word or sign; if so it is taken."""
        token = self._peek()
        if token.kind not in ("word", "sign") or token.text.lower() != text:
            return False
        self._next += 1
        return True

    def _expect(self, text: str, cure: str) -> None:
        if not self._took(text):
            self._unexpected(cure)

    def _descend(self) -> None:
        """Take a parenthesis or ``not``, which nests what follows."""
        token = self._take()
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            problem = f"{token.text!r} at {token.position} nests deeper than {MAX_NESTING}"
            self._refuse(token, problem, "leave out parentheses that are not needed")

    def _unexpected(self, cure: str) -> NoReturn:
        token = self._peek()
        what = "ends too early" if token.kind == "end" else f"unexpected {_quoted(token)}"
        self._refuse(token, f"{what} at {token.position}", cure)

    def _refuse(self, token: _Token, problem: str, cure: str) -> NoReturn:
        _fail(self._text, token.position, problem, cure)


def _is_operator(sign: str) -> TypeGuard[Operator]:
    return sign in get_args(Operator)


def _is_encodable(value: str) -> bool:
    """Whether a path can have this text: lone surrogates stand only for undecodable bytes."""
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return True


def _value_cure(token: _Token, column: str, kind: Kind) -> str:
    """What to write where a value is missing."""
    if token.is_word("null"):
        return f"write {column} is null or {column} is not null"
    if token.kind == "name" and token.text.startswith('"'):
        return "text stands in single quotes"
    if token.kind == "name" or token.is_word(*COLUMNS):
        return "a column is compared with a value, not with a column"
    if kind is Kind.NUMBER:
        return f"{column} is compared with a number"
    example = token.text if token.kind == "word" and token.text.lower() not in _KEYWORDS else "text"
    return f"text stands in single quotes: '{_shown(example)}'"


def _fail(text: str, position: int, problem: str, cure: str) -> NoReturn:
    raise InputError(f"{_around(text, position)}: {problem}; {cure}")


def _around(text: str, position: int) -> str:
    """The text for an error, if it is long what lies around a position."""
    if len(text) <= 100:
        return _shown(text, 100)
    start = max(0, min(position - 60, len(text) - 100))
    end = start + 100
    return f"{'…' if start else ''}{_shown(text[start:end], 100)}{'…' if end < len(text) else ''}"


def _quoted(token: _Token) -> str:
    return _shown(token.text) if token.kind == "text" else f"'{_shown(token.text)}'"


def _shown(text: str, longest: int = 40) -> str:
    """Text in one line: what cannot be printed is a blank."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(c if c.isprintable() else " " for c in cut)
