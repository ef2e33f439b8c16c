"""The grammar of a query's terms.

::

    term    =  [sign] [weight "*"] ["file:" | "id:" | "text:"] value [crop]
    sign    =  "+" | "-"
    crop    =  "[" left "," top "," width "," height "]"      fractions of the picture, 0..1

A path that exists is taken as it is, whatever it looks like, and so is a URL; the prefixes force a
reading. What is
neither a path nor a record's id, nor looks like a path, is words. ``id:`` also takes what another
table calls a picture (``files.foreign_id``). Examples: ``cat.jpg``, ``2*cat.jpg``,
``-dog.jpg``, ``a.jpg[0.1,0.2,0.5,0.4]``, ``id:6f1c...``, ``sports car``, ``text:tabby``.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from lookalike.errors import InputError
from lookalike.places import in_archive, is_remote
from lookalike.types import Crop

_PREFIXED = re.compile(r"(?P<sign>[+-])?(?:(?P<weight>\d+(?:\.\d+)?|\.\d+)\*)?(?P<rest>.*)", re.S)
_CROPPED = re.compile(r"(?P<value>.*)\[(?P<crop>[^\[\]]*)\]", re.S)
_RESERVED = ("colour:", "color:")
_LIKE_A_FILE = re.compile(r".*\.\w{2,5}", re.S)


@dataclass(frozen=True, slots=True)
class Term:
    """One weighted part of a query. ``value`` is a path, the text of an id, or words."""

    text: str
    kind: Literal["file", "id", "text"]
    value: str
    weight: float = 1.0
    crop: Crop | None = None


def parse_term(text: str, exists: Callable[[str], bool] = os.path.exists) -> Term:
    """One term; raises InputError if it is no existing file, no record id, and no words."""
    if _is_picture(text, exists):
        return Term(text, "file", text)
    match = _PREFIXED.fullmatch(text)
    assert match is not None  # the pattern matches any text
    weight = float(match["weight"] or 1) * (-1 if match["sign"] == "-" else 1)
    if not 0 < abs(weight) < 1e6:
        raise InputError(f"{text}: a weight must lie between 0 and a million, both not included")
    rest = match["rest"]
    if _is_picture(rest, exists):
        return Term(text, "file", rest, weight)
    rest, crop = _split_crop(text, rest, exists)
    return _forced(text, rest, weight, crop) or _guessed(text, rest, weight, crop, exists)


def _forced(text: str, rest: str, weight: float, crop: Crop | None) -> Term | None:
    """What a prefix says, or None without one."""
    if rest.startswith("file:"):
        return Term(text, "file", rest.removeprefix("file:"), weight, crop)
    if rest.startswith("id:"):
        return _id_term(text, rest.removeprefix("id:"), weight, crop)
    if rest.startswith("text:"):
        return _text_term(text, rest.removeprefix("text:"), weight, crop)
    if rest.startswith(_RESERVED):
        raise InputError(
            f"{text}: this version searches by pictures and words; give a file, an id or words"
        )
    return None


def _guessed(
    text: str, rest: str, weight: float, crop: Crop | None, exists: Callable[[str], bool]
) -> Term:
    if _is_uuid(rest):
        return _id_term(text, rest, weight, crop)
    if _is_picture(rest, exists) or is_remote(rest):
        return Term(text, "file", rest, weight, crop)
    if crop or os.sep in rest or _LIKE_A_FILE.fullmatch(rest):
        raise InputError(f"{text}: no such file, and not a record id; check the path")
    return _text_term(text, rest, weight, crop)


def _is_picture(value: str, exists: Callable[[str], bool]) -> bool:
    """Whether a text is a picture's place just as it stands: it may still have a crop if not.

    Nobody can tell whether a URL exists; one that ends like a crop has one.
    """
    if is_remote(value):
        return _CROPPED.fullmatch(value) is None
    member = in_archive(value)
    return exists(value) or (member is not None and exists(member[0]) and value[-1:] != "]")


def parse_expression(expression: str) -> list[Term]:
    """A whole query in one string: terms parted by spaces, quoted as in a shell.

    A sign may stand apart from its term: ``cat.jpg + 2*dog.jpg - fox.jpg``.
    """
    try:
        words = shlex.split(expression)
    except ValueError as error:
        raise InputError(f"{expression}: {error}; close the quotation") from error
    terms, sign = [], ""
    for word in words:
        if word in ("+", "-") and not sign:
            sign = word
            continue
        term = parse_term(word)
        terms.append(replace(term, weight=-term.weight, text=f"-{word}") if sign == "-" else term)
        sign = ""
    if sign or not terms:
        raise InputError(f"{expression!r}: a term is missing; give a file or a record id")
    return terms


def _split_crop(text: str, rest: str, exists: Callable[[str], bool]) -> tuple[str, Crop | None]:
    match = _CROPPED.fullmatch(rest)
    if match is None or exists(rest.removeprefix("file:")):
        return rest, None
    try:
        left, top, width, height = (float(part) for part in match["crop"].split(","))
    except ValueError as error:
        raise InputError(
            f"{text}: a crop is [left,top,width,height] in fractions, like [0.1,0.2,0.5,0.4]"
        ) from error
    inside = 0 <= left < 1 and 0 <= top < 1 and width > 0 and height > 0
    if not inside or left + width > 1.000001 or top + height > 1.000001:
        raise InputError(f"{text}: the crop leaves the picture; fractions lie between 0 and 1")
    return match["value"], (left, top, width, height)


def _text_term(text: str, value: str, weight: float, crop: Crop | None) -> Term:
    if crop or not value.strip():
        raise InputError(f"{text!r}: words are missing, or have a crop; write text:sports car")
    return Term(text, "text", value, weight)


def _id_term(text: str, value: str, weight: float, crop: Crop | None) -> Term:
    if not value.strip():
        raise InputError(
            f"{text}: the id is missing; ids look like 1b4e28ba-2fa1-5ad2-883f-0016d3cca427, or as"
            " the table has them that the pictures came from"
        )
    return Term(text, "id", value, weight, crop)


def record_id_of(value: str) -> UUID | None:
    """The record id that a text is, or None: then it is what another table calls a picture."""
    try:
        id_ = UUID(value)
    except ValueError:
        return None
    return id_ if str(id_) == value.lower() else None


def _is_uuid(value: str) -> bool:
    return record_id_of(value) is not None
