"""One statement of a user: calls of ``similar`` in it, and the table that it changes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, NoReturn

from lookalike.errors import InputError
from lookalike.sql.rows import HIT_COLUMNS, HitRow, expression
from lookalike.sql.tokens import Dialect, Token, name_value, string_value, tokens
from lookalike.types import Column

DEFAULT_K = 10

READING = ("SELECT", "WITH", "VALUES", "EXPLAIN")
"""Words with which a statement begins that only reads."""
CHANGING = ("INSERT", "REPLACE", "UPDATE", "DELETE")

_TABLE_FOLLOWS = ("FROM", "JOIN")
_ENDS_TABLES = (
    "SELECT", "WHERE", "PREWHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "WINDOW", "UNION", "EXCEPT",
    "INTERSECT", "SET", "VALUES", "RETURNING", "WITH", "QUALIFY",
)  # fmt: skip
_NO_ALIAS = {
    *_ENDS_TABLES, *_TABLE_FOLLOWS, "ON", "USING", "LEFT", "RIGHT", "FULL", "INNER", "OUTER",
    "CROSS", "NATURAL", "OFFSET", "FETCH", "FOR", "INDEXED", "NOT", "TABLESAMPLE", "FINAL",
    "SAMPLE", "ARRAY", "ANY", "ALL", "ASOF", "SEMI", "ANTI", "GLOBAL", "SETTINGS", "FORMAT",
}  # fmt: skip
_FORM = (
    "it is written like similar('cat.jpg', 10) or similar('2*a.jpg - b.jpg', 10, 'include_self')"
)


class Call(NamedTuple):
    """``similar(query, k, options...)``."""

    query: str
    k: int
    options: tuple[str, ...] = ()


class _Place(NamedTuple):
    """Where a call stands in the text, and whether a name of its own follows it."""

    call: Call
    start: int
    end: int
    named: bool


class Statement:
    """A statement, read as far as needed; the engine that runs it reads the rest.

    Raises InputError for several statements, for none, and for calls of ``similar`` that cannot be
    understood or stand where no table is asked for.
    """

    def __init__(self, text: str, dialect: Dialect) -> None:
        self._dialect: Dialect = dialect
        self.text = text
        """What an engine is given; it knows no ``similar``: see ``answered``."""
        self._tokens = _one_statement(tokens(text, dialect))
        self._places = list(_places(self._tokens))

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls in it, each once."""
        return tuple(dict.fromkeys(place.call for place in self._places))

    @property
    def reads(self) -> bool:
        """Whether it begins as one that only reads. What it does is for the engine to say."""
        return self._tokens[0].is_word(*READING)

    def require_reading(self) -> None:
        """Raise InputError for a statement that does more than read."""
        if not self.reads:
            raise InputError(
                "statement: only SELECT, WITH, VALUES and EXPLAIN read; --write lets others change"
                " a side table"
            )

    def words(self) -> set[str]:
        """All names and words in it, in small letters."""
        return {name_value(one).lower() for one in self._tokens if one.kind in ("word", "quoted")}

    def columns_named(self, known: Mapping[str, Sequence[Column]]) -> str:
        """The columns of those tables that it names, for messages; empty if it names none."""
        words = self.words()
        named = [
            f"{name} has {', '.join(column.name for column in columns)}"
            for name, columns in known.items()
            if name in words
        ]
        if "similar" in words or "lookalike_similar_1" in words:
            named.append(f"similar has {', '.join(HIT_COLUMNS)}")
        return "; ".join(named)

    def answered(self, hits: Mapping[Call, Sequence[HitRow]]) -> Statement:
        """The statement with rows in place of its calls."""
        if not self._places:
            return self
        names = {call: f"lookalike_similar_{n}" for n, call in enumerate(self.calls, start=1)}
        edits = [
            (one.start, one.end, names[one.call] + ("" if one.named else ' AS "similar"'))
            for one in self._places
        ]
        edits += self._qualified()
        rows = ", ".join(expression(names[call], hits[call], self._dialect) for call in names)
        return Statement(_edited(self.text, [*edits, self._with(rows)]), self._dialect)

    def _qualified(self) -> Iterator[tuple[int, int, str]]:
        """Edits of ``similar.rank``: PostgreSQL has a word ``similar`` that is no name unquoted."""
        for token, follows in itertools.pairwise(self._tokens):
            if token.is_word("SIMILAR") and follows.text == ".":
                yield token.start, token.end, '"similar"'

    def _with(self, expressions: str) -> tuple[int, int, str]:
        """The edit that puts common table expressions before those that there are."""
        first = next(
            (n for n, one in enumerate(self._tokens) if one.is_word(*READING[:3], *CHANGING)), 0
        )
        token = self._tokens[first]
        if not token.is_word("WITH"):
            return token.start, token.start, f"WITH {expressions} "
        follows = self._tokens[first + 1 : first + 2]
        after = follows[0] if follows and follows[0].is_word("RECURSIVE") else token
        return after.end, after.end, f" {expressions},"

    def target(self) -> str | None:
        """The table that it inserts into, updates or deletes from, or None."""
        found = self._target()
        return None if found is None else name_value(found[0])

    def retargeted(self, stored: str) -> str:
        """Its text with another table as the target, which is still called as it was."""
        found = self._target()
        assert found is not None  # who asks has looked
        token, follows = found
        named = follows is not None and follows.is_word("AS")
        alias = "" if named else f" AS {token.text}"
        return _edited(self.text, [(token.start, token.end, stored + alias)])

    def _target(self) -> tuple[Token, Token | None] | None:
        depth = 0
        for number, token in enumerate(self._tokens):
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            if depth == 0 and token.is_word(*CHANGING):
                return _target_after(self._tokens[number + 1 :])
        return None


def _target_after(following: Sequence[Token]) -> tuple[Token, Token | None] | None:
    """The table's name behind INSERT [OR ...] INTO, UPDATE [OR ...], DELETE FROM."""
    at = 2 if following and following[0].is_word("OR") else 0
    if following[at : at + 1] and following[at].is_word("INTO", "FROM"):
        at += 1
    names, follows = following[at : at + 1], following[at + 1 : at + 2]
    if not names or names[0].kind not in ("word", "quoted") or (follows and follows[0].text == "."):
        return None
    return names[0], follows[0] if follows else None


def _one_statement(found: list[Token]) -> list[Token]:
    while found and found[-1].text == ";":
        found.pop()
    if not found:
        raise InputError("statement: is empty; write one like SELECT * FROM images LIMIT 10")
    for token in found:
        if token.text == ";":
            problem = f"several statements, the second after {token.start + 1}"
            raise InputError(f"statement: {problem}; run them one by one")
    return found


def _places(found: Sequence[Token]) -> Iterator[_Place]:
    """Calls of ``similar``, which stand where tables do."""
    clauses = _Clauses()
    for number, token in enumerate(found):
        before = found[number - 1] if number else None
        follows = found[number + 1] if number + 1 < len(found) else None
        is_call = token.is_word("SIMILAR") and follows is not None and follows.text == "("
        if is_call and not (before is not None and before.text == "."):
            if not clauses.table_position:
                problem = f"similar at {token.start + 1} stands where no table can"
                raise InputError(
                    f"statement: {problem}; it is a table: FROM similar('cat.jpg', 10)"
                )
            yield _place(found, number)
        clauses.pass_over(token)


class _Clauses:
    """Whether a table can stand at a place: behind FROM, JOIN or a comma among tables."""

    def __init__(self) -> None:
        self._among_tables = [False]
        self.table_position = False

    def pass_over(self, token: Token) -> None:
        """Go on behind a token."""
        level = self._among_tables
        if token.text == "(":
            level.append(self.table_position)
        elif token.text == ")":
            self.table_position = False
            if len(level) > 1:
                level.pop()
        elif token.is_word(*_TABLE_FOLLOWS):
            level[-1] = self.table_position = True
        elif token.is_word(*_ENDS_TABLES):
            level[-1] = self.table_position = False
        else:
            self.table_position = level[-1] and (token.text == "," or token.is_word("LATERAL"))


def _place(found: Sequence[Token], number: int) -> _Place:
    """The call whose name is a token; its arguments are literals."""
    call = found[number]
    values: list[Token] = []
    for token in found[number + 2 :]:
        if token.text == ")":
            break
        values.append(token)
    else:
        _refuse(call, "is not closed")
    end = number + 2 + len(values)
    arguments = values[::2]
    if not arguments or len(values) % 2 == 0 or any(one.text != "," for one in values[1::2]):
        _refuse(call, "has no arguments" if not values else "has arguments that are no literals")
    follows = found[end + 1] if end + 1 < len(found) else None
    return _Place(_call(call, arguments), call.start, found[end].end, _is_name(follows))


def _is_name(token: Token | None) -> bool:
    if token is None or token.kind not in ("word", "quoted"):
        return False
    return token.kind == "quoted" or token.text.upper() not in _NO_ALIAS


def _call(call: Token, arguments: Sequence[Token]) -> Call:
    query = _string(call, arguments[0])
    k, rest = DEFAULT_K, arguments[1:]
    if rest and rest[0].kind == "number":
        if not rest[0].text.isdigit() or not 0 < int(rest[0].text[:10]) < 10**9:
            _refuse(call, f"asks for {rest[0].text} hits, which must be a number from 1 on")
        k, rest = int(rest[0].text), rest[1:]
    return Call(query, k, tuple(_string(call, one) for one in rest))


def _string(call: Token, token: Token) -> str:
    value = string_value(token) if token.kind == "string" else None
    if value is None:
        _refuse(call, f"has {token.text[:40]!r} where a text in single quotes stands")
    return value


def _refuse(call: Token, problem: str) -> NoReturn:
    raise InputError(f"statement: similar at {call.start + 1} {problem}; {_FORM}")


def _edited(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    """Text with other text in some places, which do not overlap."""
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text
