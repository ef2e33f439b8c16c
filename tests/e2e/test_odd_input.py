"""What a stranger might type: names that are no text, places that cannot be written, odd files."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from .command import Command
from .gallery import crops, state_of


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


# -- files that are written ------------------------------------------------------------------------

WRITERS = (
    ("search", "{one}", "--sheet", "{place}"),
    ("compare", "{one}", "--sheet", "{place}"),
    ("why", "{one}", "{two}", "--sheet", "{place}"),
    ("evaluate", "--labels", "folders", "--plot", "{place}"),
    ("evaluate", "--labels", "folders", "--json", "{place}"),
    ("duplicates", "--csv", "{place}"),
    ("duplicates", "--html", "{place}"),
    ("ledger", "--csv", "{place}"),
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small photos, one of them a PNG, whose name a sheet may have. Only to be read."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, data in crops(3):
        (folder / name).write_bytes(data)
    with Image.open(folder / "0000.jpg") as image:
        image.save(folder / "picture.png")
    return folder


@pytest.fixture(scope="module")
def known(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command with a library of them."""
    command = Command(tmp_path_factory.mktemp("known") / "library")
    command("index", pictures).done()
    return command


@pytest.mark.parametrize("words", WRITERS)
def test_no_output_is_written_over_an_original(
    words: tuple[str, ...], known: Command, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "link.png").symlink_to(pictures / "picture.png")
    before = state_of(pictures)
    one, two = pictures / "0001.jpg", pictures / "0002.jpg"
    places = [pictures / "picture.png", *([tmp_path / "link.png"] if words[0] == "search" else [])]
    for place in places:
        asked = [word.format(one=one, two=two, place=place) for word in words]
        known(*asked).refused(2, str(place), "only read", "another file")
    assert state_of(pictures) == before


def test_no_output_is_written_over_an_input(known: Command, pictures: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.png"
    shutil.copyfile(pictures / "picture.png", new)
    table = tmp_path / "labels.png"
    table.write_text(f"path,label\n{new},x\n")
    before = new.read_bytes(), table.read_bytes()
    known("search", new, "--sheet", new).refused(2, str(new), "only read")
    known("why", pictures / "0001.jpg", new, "--sheet", new).refused(2, str(new), "only read")
    for option in ("--json", "--plot"):
        known("evaluate", "--labels", table, option, table).refused(2, str(table), "only read")
    assert (new.read_bytes(), table.read_bytes()) == before


@pytest.mark.parametrize("words", WRITERS)
def test_a_place_that_cannot_be_written_is_told_before_any_work(
    words: tuple[str, ...], known: Command, pictures: Path, tmp_path: Path
) -> None:
    one, two = pictures / "0001.jpg", pictures / "0002.jpg"
    ending = "html" if "--html" in words else "png"
    (tmp_path / f"folder.{ending}").mkdir()
    cases = [(f"no/x.{ending}", "No such file"), (f"folder.{ending}", "Is a directory")]
    for name, why in cases if words[0] == "search" else cases[:1]:
        asked = [word.format(one=one, two=two, place=tmp_path / name) for word in words]
        known(*asked).refused(1, f"{name}: ", f"cannot be written ({why}", "another place")


def test_a_folder_that_may_not_be_written_to_is_told_before_any_work(
    album: Path,
    tmp_path: Path,
    powerless: tuple[str, ...],
    protect: Callable[[Path, int], None],
) -> None:
    command = Command(tmp_path / "library", powerless)
    command("index", album).done()
    closed = tmp_path / "closed"
    closed.mkdir()
    protect(closed, 0o555)
    asked = ("search", album / "0001.jpg", "--sheet", closed / "x.png")
    command(*asked).refused(1, "x.png: the sheet cannot be written (Permission denied)")


# -- which picture is meant ------------------------------------------------------------------------


def test_a_file_named_like_an_id_is_a_file(command: Command, album: Path) -> None:
    command("index", album).done()
    name = "0123456789abcdef0123456789abcdef"
    shutil.copyfile(album / "0001.jpg", album / name)
    answer = command("label", "--as", "x", name, f"file:{name}", cwd=album).done()
    assert answer.talk == ["lookalike: labelled 'x': 1"]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("none.png", "none.png: no such file"),
        ("no words", "no words: no such file, and not a record id"),
        ("2*{one}", "leave weight and crop out"),
        ("{one}[0,0,0.5,0.5]", "leave weight and crop out"),
    ],
)
def test_what_is_no_whole_picture_has_no_labels(
    indexed: Command, photos: Path, word: str, told: str
) -> None:
    term = word.format(one=photos / "originals" / "coffee.png")
    indexed("categories", "--of", term).refused(2, told)
    indexed("label", "--as", "x", term).refused(2, told)


# -- files that are not what they should be --------------------------------------------------------


def test_a_model_s_file_nested_without_end_is_refused(command: Command, tmp_path: Path) -> None:
    nested = b"[" * 100_000
    weights = tmp_path / "deep.safetensors"
    weights.write_bytes(struct.pack("<Q", len(nested)) + nested)
    models = tmp_path / "models"
    env = command.environment(LOOKALIKE_MODELS=str(models))
    command("models", "add", "resnet50", weights, env=env).refused(1, "not a safetensors file")
    (models / "resnet50").mkdir(parents=True, exist_ok=True)
    (models / "resnet50" / "model.json").write_bytes(nested)
    assert "not readable" in command("models", "list", env=env).done().text
    command("models", "get", "resnet50", env=env).refused(1)


def test_a_list_without_names_is_refused_by_its_name(indexed: Command, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("# none\n\n")
    indexed("label", "--names", names).refused(2, f"{names}: no names in it")


def test_a_closed_stdout_is_no_fault(indexed: Command) -> None:
    script = 'exec "$0" -m lookalike spaces >&-'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable],
        env=indexed.environment(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_table_that_is_no_table_is_quoted_in_brief(indexed: Command, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_bytes(bytes(range(128, 256)) * 100)
    assert len(indexed("label", "--csv", table).refused(2, "no column path")) < 1_000
