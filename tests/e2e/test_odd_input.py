"""What a stranger might type: names that are no text, places that cannot be written, odd files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .command import Command


@pytest.fixture
def small(command: Command, album: Path) -> Command:
    """The command with a library of six photos, one in a folder whose name is not UTF-8."""
    odd = os.path.join(os.fsencode(album), b"caf\xe9")
    os.mkdir(odd)
    os.rename(album / "0000.jpg", os.path.join(odd, b"\xff.jpg"))
    command("index", album).done()
    return command


# -- labels that are no text -----------------------------------------------------------------------


def test_a_folder_whose_name_is_not_utf8_is_a_label_with_escapes(small: Command) -> None:
    small("label", "--folders").done()
    counts = {
        one["label"]: one["records"] for one in small("label", "--json").done().json()["labels"]
    }
    assert counts == {"album": 5, r"caf\xe9": 1}
    hits = small("search", "--random", "--include-self", "--where", r"label = 'caf\xe9'", "--json")
    assert len(hits.done().json()["hits"]) == 1
    forgotten = small("label", "--forget", "folders", "--only", r"caf\xe9").done()
    assert forgotten.talk == ["lookalike: labels forgotten: 1"]


@pytest.mark.parametrize(
    ("name", "words"),
    [(b"caf\xe9", "not UTF-8"), ("x" * 5_000, "5,000 characters"), (" ", "is empty")],
)
def test_a_label_that_is_no_short_text_is_refused_and_changes_nothing(
    small: Command, album: Path, tmp_path: Path, name: str | bytes, words: str
) -> None:
    small("label", "--as", "kept", album / "0001.jpg").done()
    before = small("label").done().out
    small("label", "--as", name, album / "0001.jpg").refused(2, words)
    small("label", "--forget", "own", "--only", name).refused(2, words)
    table = tmp_path / "labels.csv"
    table.write_bytes(b"path,label\n" + os.fsencode(album / "0001.jpg") + b"," + os.fsencode(name))
    line = small("label", "--csv", table).refused(2, str(table), "entry 2")
    assert words in line or "has no label" in line
    assert small("label").done().out == before
