"""From words to categories: WordNet's English names, and a short list of German and other ones."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lookalike.categories.tree import Category, category_tree, data_lines

LONGEST = 4
"""Words of a name at most, like "great white heron"."""

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")

_SMALL = frozenset(
    (  # noqa: SIM905
        "a an the of on in at by with and or to from for some my your its their this that these"
        " ein eine einen einem einer der die das den dem des und oder mit von vom auf im am an zu"
        " zum zur bei beim für mein meine"
    ).split()
)
"""Words that say nothing of a picture, English and German."""

_ENDINGS = (  # of plurals and cases, and what stands in their place
    ("ies", "y"), ("ves", "f"), ("ves", "fe"), ("men", "man"), ("mice", "mouse"),
    ("geese", "goose"), ("es", ""), ("s", ""), ("nen", ""), ("en", ""), ("er", ""), ("n", ""),
    ("e", ""),
)  # fmt: skip

_UMLAUTS = str.maketrans("äöü", "aou")


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that were understood, and the categories they name."""

    words: str
    categories: tuple[Category, ...]

    @property
    def classes(self) -> tuple[int, ...]:
        """Numbers of all classes that are meant, ascending."""
        return tuple(sorted({number for one in self.categories for number in one.classes}))


@dataclass(frozen=True, slots=True)
class Understanding:
    """What a text says: phrases that name categories, and words that name none.

    ``wider``: for words that name none, the name of something wider that is known.
    """

    phrases: tuple[Phrase, ...]
    unknown: tuple[str, ...]
    wider: dict[str, str]


def understand(text: str) -> Understanding:
    """Read a text, English or German; the longest names first."""
    words = _WORD.findall(text.casefold())
    phrases: list[Phrase] = []
    unknown: list[str] = []
    wider: dict[str, str] = {}
    at = 0
    while at < len(words):
        length = _longest(words[at:])
        if length:
            name = words[at : at + length]
            phrases.append(Phrase(" ".join(name), _meant(name)))
        elif words[at] not in _SMALL:
            unknown.append(words[at])
            wider.update((words[at], one.name) for one in _wider(words[at]))
        at += max(1, length)
    return Understanding(tuple(phrases), tuple(unknown), wider)


def _longest(words: Sequence[str]) -> int:
    """How many of the first words are a name, the most that are; 0 if none is."""
    for length in range(min(LONGEST, len(words)), 0, -1):
        if words[length - 1] not in _SMALL and words[0] not in _SMALL and _meant(words[:length]):
            return length
    return 0


def _meant(words: Sequence[str]) -> tuple[Category, ...]:
    for name in _spellings(words):
        if meant := categories_named(name):
            return meant
    return ()


def _wider(word: str) -> tuple[Category, ...]:
    tree, known = category_tree(), _wordnet()
    found = (known[name] for name in _spellings([word]) if name in known)
    return next(((tree[id_],) for _sign, id_ in found), ())


def categories_named(name: str) -> tuple[Category, ...]:
    """The categories that a name stands for, in small letters; none if it is not known.

    Our own list comes first; in WordNet the commonest sense that is in the tree counts.
    """
    own = _own().get(name)
    if own:
        return tuple(one for value in own for one in _of_value(value))
    sign, id_ = _wordnet().get(name, ("~", ""))
    return () if sign == "~" else (category_tree()[id_],)


def _of_value(value: str) -> tuple[Category, ...]:
    """What a name in our own list stands for: an id, WordNet's word, or a category's name."""
    tree = category_tree()
    if (one := tree.get(value)) is not None:
        return (one,)
    sign, id_ = _wordnet().get(value.casefold(), ("~", ""))
    return (tree[id_],) if sign != "~" else tuple(tree.named(value))


def _spellings(words: Sequence[str]) -> Iterator[str]:
    """Ways of writing a name: as it is, hyphenated or in one, and its last word without ending."""
    for last in _forms(words[-1]):
        whole = [*words[:-1], last]
        yield " ".join(whole)
        if len(words) > 1:
            yield "-".join(whole)
            yield "".join(whole)
        elif "-" in last:
            yield last.replace("-", " ")
            yield last.replace("-", "")


def _forms(word: str) -> Iterator[str]:
    """A word, and what it may be the plural of."""
    yield word
    for ending, instead in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2 - len(instead):
            yield stem + instead
            if instead == "" and stem != (plain := stem.translate(_UMLAUTS)):
                yield plain
    if word != (plain := word.translate(_UMLAUTS)):
        yield plain


@functools.cache
def _wordnet() -> dict[str, tuple[str, str]]:
    """How WordNet's words are known (= a name, < a kind of, ~ something wider), and their ids."""
    rows = (line.split("\t") for line in data_lines("lexicon.tsv"))
    return {word: (sign, id_) for word, sign, id_ in rows}


@functools.cache
def _own() -> dict[str, tuple[str, ...]]:
    """Our own list: German words, and English ones that WordNet has elsewhere."""
    rows = (line.split("\t") for line in data_lines("words.tsv"))
    own: dict[str, tuple[str, ...]] = {}
    for _language, word, values in rows:
        own.setdefault(word, tuple(values.split("|")))  # German comes first in the file
    return own
