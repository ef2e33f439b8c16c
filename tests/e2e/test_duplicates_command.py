"""``lookalike duplicates`` as a user runs it."""

from __future__ import annotations

import csv
import io
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from .command import Command


@pytest.fixture
def copied(command: Command, album: Path) -> Command:
    """A library of six photos, one of them twice, one saved again, one mirrored."""
    shutil.copyfile(album / "0000.jpg", album / "same.jpg")
    with Image.open(album / "0001.jpg") as image:
        image.convert("RGB").save(album / "again.jpg", quality=40)
    with Image.open(album / "0002.jpg") as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(album / "turned.jpg", quality=40)
    command("index", album).done()
    return command


def relations(command: Command, *options: str) -> dict[str, str]:
    groups = command("duplicates", "--json", *options).done().json()["groups"]
    return {Path(c["path"]).name: c["relation"] for group in groups for c in group["others"]}


def test_groups_are_printed_with_the_best_copy_first(copied: Command, album: Path) -> None:
    text = copied("duplicates").done().text
    first, again = (next(line for line in text.splitlines() if name in line)
                    for name in ("0001.jpg", "again.jpg"))  # fmt: skip
    assert first.startswith("best ")
    assert again.startswith("re-encoded ")
    assert text.splitlines()[-1].startswith("3 groups among 8 records; all but the best copies: 3")
    assert len(list(album.iterdir())) == 9  # nothing was deleted


def test_each_relation_can_be_asked_for_alone(copied: Command) -> None:
    assert relations(copied) | {"same.jpg": "", "0000.jpg": ""} == {
        "again.jpg": "re-encoded", "turned.jpg": "edited", "same.jpg": "", "0000.jpg": "",
    }  # fmt: skip
    assert relations(copied, "--relation", "re-encoded") == {"again.jpg": "re-encoded"}
    assert set(relations(copied, "--relation", "identical").values()) == {"identical"}
    assert relations(copied, "--relation", "burst") == {}
    assert relations(copied, "--where", "name = 'again.jpg'") == {}


def test_extra_paths_can_be_piped(copied: Command) -> None:
    lines = copied("duplicates", "--extra-paths", "--relation", "edited").done().paths
    assert [Path(line).name for line in lines] == ["turned.jpg"]
    out = copied("duplicates", "--extra-paths", "-z").done().out
    assert out.count(b"\0") == 3
    assert b"\n" not in out


def test_the_table_has_a_row_a_file(copied: Command, tmp_path: Path) -> None:
    answer = copied("duplicates", "--csv", tmp_path / "d.csv").done()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "d.csv").read_text())))
    assert len(rows) == 6
    assert [row["best"] for row in rows].count("yes") == 3
    assert {row["group"] for row in rows} == {"1", "2", "3"}
    assert "table: " in answer.talk[0]


def test_the_page_needs_nothing_else(copied: Command, tmp_path: Path) -> None:
    copied("duplicates", "--html", tmp_path / "d.html").done()
    page = (tmp_path / "d.html").read_text()
    assert page.count("<img ") == 6
    assert page.count('class="keep"') == 3
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "http" not in page


def test_a_decision_holds_until_it_is_forgotten(copied: Command) -> None:
    (group,) = copied("duplicates", "--json", "--relation", "edited").done().json()["groups"]
    ids = [group["best"]["id"], group["others"][0]["id"]]
    assert copied("duplicates", "--not", *ids).done().talk == [
        "lookalike: remembered: not a duplicate"
    ]
    assert relations(copied, "--relation", "edited") == {}
    assert set(copied("duplicates", "--decisions").done().text.split()) == set(ids)
    copied("duplicates", "--forget", *reversed(ids)).done()
    assert relations(copied, "--relation", "edited") == {"turned.jpg": "edited"}


def test_what_cannot_be_is_refused_in_one_line(copied: Command, tmp_path: Path) -> None:
    copied("duplicates", "--relation", "twin").refused(2, "twin", "re-encoded")
    copied("duplicates", "--min", "2").refused(2, "2", "from 0 to 1")
    copied("duplicates", "--not", "a", "b").refused(2, "not a record id")
    answer = copied("duplicates", "--html", tmp_path / "none" / "d.html")
    assert answer.status == 1
    assert "name another place" in answer.talk[-1]
