"""``lookalike evaluate`` as a user runs it: folders and a table of labels, table and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from .command import Command
from .gallery import photo

PARTS = (("astronaut.png", "person"), ("coffee.png", "cup"), ("chelsea.png", "cat"))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Four overlapping pieces of each of three photos, in a folder each, and a table."""
    folder = tmp_path_factory.mktemp("evaluate")
    lines = ["path,label"]
    for name, label in PARTS:
        whole = photo(name)
        (folder / "photos" / label).mkdir(parents=True)
        for number in range(4):
            at = 12 * number
            piece = whole.crop((at, at, at + 240, at + 240))
            piece.save(folder / "photos" / label / f"{number}.png")
            lines.append(f"photos/{label}/{number}.png,{label}")
    (folder / "labels.csv").write_text("\n".join([*lines, "photos/no.png,cat"]) + "\n")
    command = Command(folder / "library")
    command("index", folder / "photos").done()
    return command


def test_folders_as_labels_give_a_table_and_a_recommendation(labelled: Command) -> None:
    answer = labelled("evaluate", "--labels", "folders", "-k", "3", "--by", "meaning,colour").done()
    head, columns, *rows = answer.text.splitlines()
    assert head == "12 records with 3 labels, 12 queries"
    assert columns.split()[:5] == ["method", "P@3", "R@3", "mAP", "nDCG@3"]
    assert [row.split()[0].strip(",") for row in rows] == [
        "meaning", "colour", "colour", "colour", "colour", "recommended:",
    ]  # fmt: skip
    assert rows[0].split()[1:3] == ["1.000", "(1.000..1.000)"]
    assert "bytes a record" in rows[-1]
    assert "12 queries, chance" in rows[-1]
    assert any("meaning" in line for line in answer.talk)


def test_a_table_of_labels_gives_the_same_figures_as_json(
    labelled: Command, tmp_path: Path
) -> None:
    table = labelled.library.parent / "labels.csv"
    way = ("--by", "meaning,mix", "--weights", "0.2", "-k", "3")
    answer = labelled("evaluate", "--labels", table, *way, "--json", tmp_path / "out.json").done()
    assert any("1 paths are no picture" in line for line in answer.talk)
    written = json.loads((tmp_path / "out.json").read_text())
    assert (written["records"], written["unknown"], written["k"]) == (12, 1, 3)
    assert [row["by"] for row in written["methods"]] == ["meaning", "mix"]
    assert written["methods"][0]["precision"] == {"mean": 1, "low": 1, "high": 1}
    assert written["recommended"]["name"] in answer.text
    assert written["why"] in answer.text
    said = labelled("evaluate", "--labels", "folders", *way, "--json", "-").done().json()
    assert said["methods"][0]["precision"] == written["methods"][0]["precision"]


def test_a_plot_is_a_picture_of_all_methods(labelled: Command, tmp_path: Path) -> None:
    way = ("evaluate", "--labels", "folders", "--by", "meaning,colour", "--metrics", "intersection")
    labelled(*way, "--plot", tmp_path / "plot.svg").done()
    drawn = (tmp_path / "plot.svg").read_text()
    for name in ("meaning", "colour, intersection", "nDCG@5", "bytes a record"):
        assert f"<!-- {name} -->" in drawn
    labelled(*way, "--plot", tmp_path / "plot.png").done()
    with Image.open(tmp_path / "plot.png") as image:
        assert image.width == 11 * 150


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--labels", "no.csv"), ("no.csv", "folders")),
        (("--labels", "folders", "--dims", "ten"), ("--dims", "'ten'")),
        (("--labels", "folders", "--dims", "5,9999"), ("dims 9999", "11 components")),
        (("--labels", "folders", "--by", "smell"), ("smell", "meaning")),
        (("--labels", "folders", "--by", ""), ("by '': not known",)),
        (("--labels", "folders", "--metrics", "taste"), ("'taste'", "intersection")),
        (("--labels", "folders", "-k", "0"), ("k 0",)),
        (("--labels", "folders", "--plot", "plot.doc"), ("plot.doc", ".png or .svg")),
        ((), ("--labels",)),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    options: tuple[str, ...], words: tuple[str, ...], labelled: Command
) -> None:
    labelled("evaluate", *options).refused(2, *words)
