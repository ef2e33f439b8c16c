"""``lookalike label`` through the real command, with the shipped encoder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .command import Command


@pytest.fixture
def labelled(indexed: Command, tmp_path: Path) -> Command:
    """A copy of the library of the gallery, which a test may label."""
    shutil.copytree(indexed.library, tmp_path / "library")
    return Command(tmp_path / "library")


def test_names_are_chosen_and_found_by_a_condition(labelled: Command, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("Katze\nespresso\nblorptang\n")
    answer = labelled("label", "--names", names).done()
    found = dict(line.split(None, 1)[::-1] for line in answer.text.splitlines())
    assert set(found) == {"Katze", "espresso"}
    assert answer.talk[-1] == f"lookalike: {names}: 1 names not known: blorptang"
    hits = labelled("search", "cat", "--where", "label = 'Katze'", "--json").done().json()["hits"]
    assert len(hits) == int(found["Katze"])
    assert {label["name"] for label in hits[0]["labels"]} == {"Katze"}
    table = labelled("search", "cat", "-k", "1").done().text
    assert "Katze · " in table


def test_labels_by_hand_by_folder_and_back(labelled: Command, photos: Path) -> None:
    astronaut = photos / "originals/astronaut.png"
    answer = labelled("label", "--as", "Eileen", astronaut, "--where", "name = 'coffee.png'")
    assert answer.done().talk == ["lookalike: labelled 'Eileen': 2"]
    labelled("label", "--folders").done()
    listed = labelled("label", "--json").done().json()["labels"]
    assert {"source": "own", "label": "Eileen", "records": 2} in listed
    assert any(one["source"] == "folders" and one["label"] == "originals" for one in listed)
    forgotten = labelled("label", "--forget", "own", "--only", "Eileen").done()
    assert forgotten.talk == ["lookalike: labels forgotten: 2"]
    assert "Eileen" not in labelled("label").done().text


def test_a_table_labels_what_it_names(labelled: Command, photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(f"path,label\n{photos / 'originals/coffee.png'},drink\nnowhere.png,x\n")
    answer = labelled("label", "--csv", table, "--json").done()
    assert answer.json()["labels"] == [{"label": "drink", "records": 1}]
    assert answer.json()["unknown"] == [str(tmp_path / "nowhere.png")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--csv", "none.csv"], "none.csv: cannot be read"),
        (["--names", "none.txt"], "none.txt: cannot be read as a list of names"),
        (["--as", "x"], "no picture is named"),
        (["--as", "x", "--where", "width < 0"], "the condition holds for none"),
        (["--as", "x", "none.png"], "none.png: no such file"),
        (["cat.png"], "only --as takes them"),
        (["--only", "cat"], "--forget SOURCE"),
        (["--folders", "--only", "cat"], "--forget SOURCE"),
        (["--folders", "--least", "0.9"], "--names FILE"),
        (["--as", "x", "--space", "y"], "--names FILE"),
        (["--where", ""], "only --as takes them"),
        (["--forget", "mine"], "invalid choice"),
    ],
)
def test_what_cannot_be_done_is_refused(indexed: Command, arguments: list[str], words: str) -> None:
    indexed("label", *arguments).refused(2, words)


def test_a_library_without_labels_says_so(indexed: Command) -> None:
    answer = indexed("label").done()
    assert answer.talk == ["lookalike: no labels were given yet; see: lookalike label --help"]
