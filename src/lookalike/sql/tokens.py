"""The pieces of a statement, as far as one must know them to leave text and comments alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, NoReturn

from lookalike.errors import InputError

Dialect = Literal["sqlite", "postgresql", "clickhouse"]


class Token(NamedTuple):
    """A piece: ``text`` as it stands at ``start`` to ``end`` (characters from 0)."""

    kind: Literal["word", "quoted", "string", "number", "sign"]
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these words, in capitals here and in any case there."""
        return self.kind == "word" and self.text.upper() in words


_PLAIN, _ESCAPED = r"'(?:[^']|'')*'", r"'(?:[^'\\]|''|\\.)*'"
_NAMES = {
    "sqlite": r'"(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\]',
    "postgresql": r'"(?:[^"]|"")*"',
    "clickhouse": r'"(?:[^"\\]|""|\\.)*" | `(?:[^`\\]|``|\\.)*`',
}
_STRINGS = {
    "sqlite": _PLAIN,
    "postgresql": rf"(?<!\w)[eE]{_ESCAPED} | {_PLAIN} | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$",
    "clickhouse": rf"{_ESCAPED} | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$",
}
_COMMENTS = {
    "sqlite": r"--[^\n]* | /\*.*?(?:\*/|\Z)",  # SQLite's may be left open
    "postgresql": r"--[^\n]*",  # and /* */, which nest
    "clickhouse": r"--[^\n]* | \#[ !][^\n]* | /\*.*?\*/",
}
_PATTERNS = {
    dialect: re.compile(
        rf"""(?P<skipped>\s+ | {_COMMENTS[dialect]})
        | (?P<string>{_STRINGS[dialect]})
        | (?P<quoted>{_NAMES[dialect]})
        | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
        | (?P<word>[^\W\d][\w$]*)
        | (?P<sign>[^'"`])
        """,
        re.VERBOSE | re.DOTALL,
    )
    for dialect in _NAMES
}
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_GROUPS = ("skipped", "string", "quoted", "number", "word", "sign")
_NESTED = re.compile(r"/\*|\*/")


def tokens(text: str, dialect: Dialect) -> list[Token]:
    """The pieces of a statement, without blanks and comments.

    Raises InputError for a quotation or a comment that is not closed.
    """
    odd = _NO_TEXT.search(text)
    if odd is not None:
        _refuse(odd.start(), "there is a character that no text has", "leave it out")
    return list(_tokens(text, dialect))


def _tokens(text: str, dialect: Dialect) -> Iterator[Token]:
    position = 0
    while position < len(text):
        if dialect == "postgresql" and text.startswith("/*", position):
            position = _comment_end(text, position)
            continue
        match = _PATTERNS[dialect].match(text, position)
        if match is None:
            _refuse(position, f"a quotation {text[position]} is not closed", "close it")
        kind = next(name for name in _GROUPS if match[name] is not None)
        if kind == "sign" and text.startswith("/*", position):
            _refuse(position, "a comment is not closed", "close it with */")
        if kind != "skipped":
            yield Token(kind, match[0], position, match.end())  # type: ignore[arg-type]
        position = match.end()


def _comment_end(text: str, start: int) -> int:
    """Where a comment ends in which others may lie."""
    depth = 0
    for match in _NESTED.finditer(text, start):
        depth += 1 if match[0] == "/*" else -1
        if not depth:
            break
    else:
        _refuse(start, "a comment is not closed", "close it with */")
    return match.end()


def _refuse(position: int, problem: str, cure: str) -> NoReturn:
    raise InputError(f"statement: {problem} (at {position + 1}); {cure}")


def string_value(token: Token) -> str | None:
    """What a plain literal of text says; None for one with escapes or dollars."""
    if not token.text.startswith("'") or "\\" in token.text:
        return None
    return token.text[1:-1].replace("''", "'")


def name_value(token: Token) -> str:
    """The name that a word or a quoted name stands for, words in small letters."""
    if token.kind == "word":
        return token.text.lower()
    closing = "]" if token.text[0] == "[" else token.text[0]
    return token.text[1:-1].replace(closing * 2, closing)
