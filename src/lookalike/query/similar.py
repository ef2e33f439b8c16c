"""``similar('a.jpg - b.jpg', 10, 'by=colour')`` in a statement: a search; its hits are rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lookalike.errors import InputError
from lookalike.query.search import Method
from lookalike.query.terms import parse_expression
from lookalike.sql import Call, HitRow, Statement
from lookalike.stores import Store
from lookalike.types import SearchResult, SqlResult, as_text

Search = Callable[..., SearchResult]
"""``Library.search``."""

_METHOD = {
    "by": str,
    "dims": int,
    "pca_method": str,
    "metric": str,
    "colour_weight": float,
    "shortlist": int,
}
_SEARCH = {"where": "where", "space": "space", "category": "category", "combine": "combine"}
_FLAGS = ("include_self", "exact")
OPTIONS = (*_FLAGS, *(f"{name}=..." for name in (*_METHOD, *_SEARCH, "min")))

_TRIES = 3


def run_sql(store: Store, search: Search, text: str) -> SqlResult:
    """Answer a statement that reads; the calls in it see the same commit as its tables do."""
    statement = Statement(text, store.dialect)
    for _ in range(_TRIES):
        version = store.version()
        result = store.sql(_answered(statement, search))
        if not statement.calls or store.version() == version:
            break
        result.close()  # somebody wrote meanwhile: hits and tables may be of two commits
    return result


def change_by_sql(store: Store, search: Search, text: str) -> int:
    """Let a statement change a side table; returns the number of rows."""
    return store.change(_answered(Statement(text, store.dialect), search))


def _answered(statement: Statement, search: Search) -> Statement:
    return statement.answered({call: rows_of(call, search) for call in statement.calls})


def rows_of(call: Call, search: Search) -> list[HitRow]:
    """The hits of a call. Raises InputError for options that are not known, as a search does."""
    result = search(parse_expression(call.query), call.k, **_options(call.options))
    return [
        HitRow(
            hit.rank,
            str(hit.id),
            float(hit.score),
            float(hit.distance),
            hit.likeness.value if hit.likeness else None,
            as_text(hit.paths[0]) if hit.paths else "",
        )
        for hit in result.hits
    ]


def _options(options: Sequence[str]) -> dict[str, Any]:
    """What ``Library.search`` takes."""
    method: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for option in options:
        name, equals, value = option.partition("=")
        name = name.strip().lower().replace("-", "_").replace("color", "colour")
        if name in _FLAGS and not equals:
            found[name] = True
        elif name in _METHOD and equals:
            method[name] = _number(option, _METHOD[name], value)
        elif name in _SEARCH and equals:
            found[_SEARCH[name]] = value.strip()
        elif name == "min" and equals:
            found["least"] = value.strip()
        else:
            raise InputError(f"similar: {option!r} is no option; use {', '.join(OPTIONS)}")
    return {**found, "method": Method(**method)}


def _number(option: str, kind: Callable[[str], Any], value: str) -> Any:
    try:
        return kind(value.strip())
    except ValueError as error:
        raise InputError(f"similar: {option!r} has no number; write one behind =") from error
