"""``search --where`` and ``--exact`` through the real command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from .command import Answer, Command
from .gallery import write_crops


def found(answer: Answer) -> dict[str, Any]:
    result: dict[str, Any] = answer.done().json()
    return result


def paths_of(result: dict[str, Any]) -> list[str]:
    return [path for hit in result["hits"] for path in hit["paths"]]


# -- --where ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["meaning", "pca", "colour", "mix"])
def test_only_records_for_which_the_condition_holds_are_found(
    by: str, indexed: Command, photos: Path
) -> None:
    way = ("--by", by, "--dims", "8", "-k", "6", "--json")
    where = f"width >= 400 and format = 'png' and under '{photos}'"
    result = found(indexed("search", photos / "originals/coffee.png", *way, "--where", where))
    assert result["query"]["where"] == (f"width >= 400 and format = 'PNG' and under '{photos}'"), (
        "the condition as it was understood"
    )
    assert len(result["hits"]) == 6, "if it holds for so many, so many come back"
    for hit in result["hits"]:
        with Image.open(hit["paths"][0]) as picture:
            assert (picture.format, picture.width >= 400) == ("PNG", True)


def test_a_folder_given_from_here_narrows_as_an_absolute_one_does(
    indexed: Command, photos: Path
) -> None:
    query = ("search", photos / "originals/chelsea.png", "-k", "99", "--paths", "--where")
    relative = indexed(*query, "under 'variants'", cwd=photos).done()
    absolute = indexed(*query, f"under '{photos / 'variants'}'").done()
    assert relative.out == absolute.out
    assert {os.path.dirname(path) for path in relative.paths} == {str(photos / "variants")}
    inside = [row for path, row in indexed.ledger().items() if f"{photos}/variants/" in path]
    assert len(relative.paths) == len({row["record"] for row in inside} - {""})


def test_a_record_is_found_by_any_of_its_places(indexed: Command, photos: Path) -> None:
    query = ("search", photos / "originals/coffee.png", "-k", "99", "--json", "--where")
    result = found(indexed(*query, "name = 'twin b.png'"))
    assert len(result["hits"]) == 1
    assert str(photos / "twins/twin b.png") in paths_of(result)
    assert len(paths_of(result)) == 3, "all places of the record are shown"


def test_a_condition_that_holds_for_few_gives_all_of_these_and_says_so(
    indexed: Command, photos: Path
) -> None:
    query = ("search", photos / "originals/coffee.png", "--where", "format = 'webp'")
    answer = indexed(*query).done()
    assert answer.talk == [
        "lookalike: -k 5: only 1 records can be compared; showing all",
        "lookalike: nothing here is like that",
    ]
    header, hit, compared = answer.text.splitlines()
    assert header.split()[0] == "rank"
    assert hit.endswith("astronaut.webp")
    assert compared == "exact: the nearest of 1 record for which the condition holds"
    none = indexed("search", photos / "originals/coffee.png", "--paths", "--where", "width < 0")
    assert none.done().paths == []


def test_one_record_is_left_out_by_not(indexed: Command, photos: Path) -> None:
    query = ("search", photos / "originals/coffee.png", "-k", "99", "--paths")
    every = indexed(*query).done().paths
    rest = indexed(*query, "--where", "not name = 'rocket.jpg'").done().paths
    assert [path for path in every if not path.endswith("/rocket.jpg")] == rest


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("", ("empty",)),
        ("widht > 3", ("no column 'widht' (at 1)", "columns are bytes")),
        ("width > '3'", ("write a number, without quotes",)),
        ("name = cat", ("text stands in single quotes: 'cat'",)),
        ("width > 3 and", ("ends too early at 14",)),
        ("taken > '31.5.2020'", ("is no time",)),
        ("name = 'a\nb", ("close the quotation",)),
    ],
)
def test_what_is_no_condition_is_refused_in_one_line(
    where: str, words: tuple[str, ...], indexed: Command
) -> None:
    indexed("search", "--random", "--where", where).refused(2, *words)


# -- --exact ---------------------------------------------------------------------------------------

AS_IF_LARGE = """
import sys
from lookalike.cli.main import main
from lookalike.indexes import compact
from lookalike.query import tables

compact.LEAST_ROWS = tables.LEAST_ROWS = 20
compact.Effort.of = classmethod(lambda cls, k: cls(25, 20))
sys.exit(main(sys.argv[1:]))
"""
"""The command, to which twenty records are many."""


def test_a_search_is_exact_if_asked_for_and_says_which_it_was(
    tmp_path: Path, command: Command
) -> None:
    write_crops(tmp_path / "crops", 40)
    command.script(AS_IF_LARGE, "index", tmp_path / "crops").done()
    assert (command.library / "derived" / "compact").is_dir()
    query = ("search", tmp_path / "crops" / "0003.jpg", "-k", "3")
    nearly = found(command.script(AS_IF_LARGE, *query, "--json"))
    exactly = found(command.script(AS_IF_LARGE, *query, "--json", "--exact"))
    assert (nearly["query"]["exact"], exactly["query"]["exact"]) == (False, True)
    assert nearly["query"]["searched"] == exactly["query"]["searched"] == 39
    assert exactly == found(command(*query, "--json")), "as where no index is used"
    few = ("--where", "name < '0015.jpg'")
    assert found(command.script(AS_IF_LARGE, *query, *few, "--json"))["query"]["exact"]
    last = [
        command.script(AS_IF_LARGE, *query, *more).done().text.splitlines()[-1]
        for more in ((), ("--exact",))
    ]
    assert last == [
        "nearly exact: from an index of 39 records; --exact compares with every one",
        "exact: the nearest of 39 records",
    ]
    colour = found(command.script(AS_IF_LARGE, *query, "--by", "colour", "--json"))
    assert colour["query"]["exact"]
    checkup = command.script(AS_IF_LARGE, "doctor", "--queries", "9", "--json").done().json()
    assert checkup["library"]["index"] == "ready"
    assert [trial["exact"] for trial in checkup["searches"]] == [False, True, True, True, True]
