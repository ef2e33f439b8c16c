"""Statements of users on a server: what they see, and what they may call.

A statement runs where nothing can be written. What it could still do is call functions that read
files of the server, reach other servers, or change settings; so only functions that are known to
compute may be called, and the store's own tables and the server's catalogue are not to be named.
"""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Generator, Iterable, Iterator
from typing import Any, NoReturn

from lookalike.errors import InputError
from lookalike.sql import Dialect, Statement
from lookalike.sql.tokens import Token, name_value, tokens
from lookalike.stores.server.engine import Row
from lookalike.types import Cell

_PATH = "concat(trim(TRAILING '/' FROM folder), '/', name)"


def view_statements(text: str, first: str, seconds: str) -> Iterator[tuple[str, str]]:
    """Names and definitions of the views, in words that engines share.

    ``text``: the type that ids are cast to; ``first``: of a column of a record's files the one of
    the first path, ``{}`` being the column; ``seconds``: ``mtime_ns`` as a time in words.
    """
    own = (
        f"SELECT record, count(*) AS files, {first.format(_PATH)} AS first_path,"
        f" {first.format('foreign_id')} AS first_foreign_id FROM _files WHERE live GROUP BY record"
    )
    yield (
        "images",
        (
            f"SELECT CAST(r.id AS {text}) AS id, r.width AS width, r.height AS height,"
            " r.width * r.height / 1000000.0 AS megapixels, r.format AS format,"
            " r.taken_at AS taken, r.camera AS camera, r.latitude AS latitude,"
            " r.longitude AS longitude, r.bytes AS bytes,"
            " o.files AS files, o.first_path AS path,"
            " o.first_foreign_id AS foreign_id"
            f" FROM _records AS r JOIN ({own}) AS o ON o.record = r.id"
        ),
    )
    yield (
        "files",
        (
            f"SELECT CAST(record AS {text}) AS id, foreign_id, {_PATH} AS path, folder, name,"
            f" bytes, {seconds} AS modified FROM _files WHERE live"
        ),
    )
    yield (
        "labels",
        (
            f"SELECT CAST(record AS {text}) AS id, label, source, confidence FROM _labels"
            " WHERE record IN (SELECT record FROM _files WHERE live)"
        ),
    )


# -- what may be called ----------------------------------------------------------------------------

_EVERYWHERE = """
abs acos any array_agg asin atan atan2 avg bool_and bool_or cast ceil ceiling char_length coalesce
concat concat_ws corr cos count covar_pop covar_samp cume_dist date_part date_trunc degrees
dense_rank div every exp extract first_value floor greatest initcap last_value lag lead least left
length ln log log10 lower lpad ltrim max median min mod now ntile nullif octet_length overlay
percent_rank pi position power quantile radians random rank regexp_replace repeat replace reverse
right round row_number rpad rtrim sign sin split_part sqrt stddev stddev_pop stddev_samp string_agg
strpos substr substring sum tan to_char to_date to_timestamp translate trim trunc upper var_pop
var_samp variance width_bucket char decimal numeric varchar
"""
_POSTGRESQL = """
age array_length array_position array_to_string btrim cardinality generate_series grouping
json_agg json_build_object jsonb_agg jsonb_build_object make_date mode percentile_cont
percentile_disc regexp_count regexp_like regexp_match regexp_matches starts_with string_to_array
string_to_table to_json to_jsonb unnest cosine_distance l1_distance l2_distance inner_product
"""
_CLICKHOUSE = """
anyheavy anylast argmax argmin array arrayconcat arraycount arraydistinct arrayelement arrayexists
arrayfilter arrayfirst arrayjoin arraymap arraymax arraymin arrayreverse arrayslice arraysort
arraysum avgweighted bar cosinedistance countif countdistinct dateadd datediff datetrunc distance
dotproduct empty entropy formatdatetime format formatreadablequantity formatreadablesize
grouparray groupuniqarray has hasall hasany histogram if ifnull indexof intdiv isnull isnotnull
l1distance l2distance lengthutf8 like lowerutf8 match maxif minif multiif multisearchany
naturaljoin ngramdistance notempty parsedatetimebesteffort plus quantileexact quantiles rand
rownumberinallblocks splitbychar startswith endswith stddevpop stddevsamp sumif sumwithoverflow
todate todatetime tofloat32 tofloat64 tohour toint32 toint64 tomonth tonullable tostartofmonth
tostring touint32 touint64 touuid toyear tuple uniq uniqexact uppercase upperutf8 varpop varsamp
topk topkweighted toyyyymm transform values
"""
FUNCTIONS = {
    "postgresql": frozenset((_EVERYWHERE + _POSTGRESQL).split()),
    "clickhouse": frozenset((_EVERYWHERE + _CLICKHOUSE).split()),
}
"""Functions that compute, and touch nothing."""

_BEFORE_PARENTHESIS = frozenset((
    "ALL", "AND", "ANY", "ARRAY", "AS", "ASOF", "BETWEEN", "BY", "CASE", "CUBE", "DISTINCT", "ELSE",
    "END", "EXCEPT", "EXISTS", "FILTER", "FROM", "GLOBAL", "GROUP", "GROUPING", "HAVING", "ILIKE",
    "IN", "INTERSECT", "INTERVAL", "IS", "JOIN", "LATERAL", "LIKE", "LIMIT", "MATERIALIZED", "NOT",
    "OFFSET", "ON", "OR", "ORDER", "OVER", "PARTITION", "PREWHERE", "RECURSIVE", "ROLLUP", "ROW",
    "SELECT", "SETS", "SOME", "THEN", "UNION", "USING", "VALUES", "WHEN", "WHERE", "WINDOW", "WITH",
    "WITHIN",
))  # fmt: skip
_REFUSED_WORDS = frozenset(("INTO", "OUTFILE", "SETTINGS", "FORMAT", "COPY", "CALL", "DO"))
_BEFORE_COLUMN = (
    "AND", "BETWEEN", "BY", "CASE", "DISTINCT", "ELSE", "HAVING", "ILIKE", "LIKE", "NOT", "ON",
    "OR", "PREWHERE", "SELECT", "THEN", "WHEN", "WHERE",
)  # fmt: skip
_REFUSED_PREFIXES = ("_", "pg_")
_REFUSED_NAMES = frozenset(("information_schema", "system"))


def checked(statement: Statement, dialect: Dialect) -> set[str]:
    """Raise InputError for a statement that asks for more than it may.

    Returns what it names in the database ``default``, where chDB has every file of the machine:
    only tables may be named there.
    """
    found = tokens(statement.text, dialect)
    for number, token in enumerate(found):
        if token.kind not in ("word", "quoted"):
            continue
        follows = found[number + 1] if number + 1 < len(found) else None
        before = found[number - 1] if number else None
        _check_name(token, before, follows)
        if follows is not None and follows.text == "(":
            _check_call(token, dialect)
    return {
        name_value(name)
        for database, point, name in zip(found, found[1:], found[2:], strict=False)
        if database.kind in ("word", "quoted")
        and name_value(database) == "default"
        and point.text == "."
    }


def _check_name(token: Token, before: Token | None, follows: Token | None) -> None:
    if token.kind == "word" and token.text.upper() in _REFUSED_WORDS:
        called = follows is not None and follows.text == "("
        if not called and not (before is not None and _names(token, before)):
            _refuse(f"{token.text.upper()} writes, or sets what it may not", token)
    name = name_value(token).lower()
    if name.startswith(_REFUSED_PREFIXES) or name in _REFUSED_NAMES:
        _refuse(f"{name!r} is not for statements", token)


def _names(token: Token, before: Token) -> bool:
    """Whether a refused word is a name here and no clause; ``images`` has a column ``format``."""
    if before.text in (".", "AS"):
        return True
    column = before.kind == "sign" and before.text not in (")", "]")
    return token.is_word("FORMAT") and (column or before.is_word(*_BEFORE_COLUMN))


def _check_call(token: Token, dialect: Dialect) -> None:
    if token.kind == "word" and token.text.upper() in _BEFORE_PARENTHESIS:
        return
    name = name_value(token).lower()
    if name.startswith("lookalike_similar_"):
        return  # the hits of a call of similar, as a common table expression
    if name not in FUNCTIONS[dialect]:
        _refuse(f"the function {name!r} is not among those that may be called", token)


def _refuse(problem: str, token: Token) -> NoReturn:
    raise InputError(
        f"statement: {problem} (at {token.start + 1}); docs/sql.md has what statements may use on"
        " a server"
    )


# -- what comes back -------------------------------------------------------------------------------


def readable(rows: Iterable[Row]) -> Generator[tuple[Cell, ...], None, None]:
    """Rows with cells that are numbers, text or None."""
    for row in rows:
        yield tuple(map(_cell, row))


def _cell(value: Any) -> Cell:
    match value:
        case bool():
            return int(value)
        case None | str() | int() | float():
            return value
        case decimal.Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case bytes():
            return value.hex()
        case datetime.date() | datetime.time():
            return value.isoformat()
        case list() | tuple() | dict():
            return json.dumps(value, default=str)
        case _:  # a UUID, an interval
            return str(value)
