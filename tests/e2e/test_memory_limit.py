"""``index --memory-limit``: too little is refused, enough gives the same library."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from .command import Command
from .contents import contents
from .gallery import photo


@pytest.fixture
def mixed(album: Path) -> Path:
    """The album with two larger pictures, which wait for each other under a limit."""
    for number, side in enumerate((1_500, 2_000)):
        photo("coffee.png").resize((side, side)).save(album / f"large {number}.png")
    return album


def test_too_small_a_limit_is_refused_in_one_line_and_leaves_no_library(
    mixed: Path, command: Command
) -> None:
    line = command("index", mixed, "--memory-limit", "20MB").refused(2, "memory limit 20 MB")
    assert re.search(r"indexing takes about \d+ MB", line)
    assert line.endswith("raise it")
    command("ledger").refused(1, "no library here")


def test_a_modest_limit_gives_the_library_that_none_gives(
    mixed: Path, command: Command, tmp_path: Path
) -> None:
    line = command("index", mixed, "--memory-limit", "20MB").refused(2, "memory limit")
    told = re.search(r"about (\d+) MB", line)
    assert told is not None
    modest = f"{int(told[1]) + 50}MB"
    limited = Command(tmp_path / "limited" / "library")
    assert (
        limited("index", mixed, "--memory-limit", modest).done().counts()
        == command("index", mixed).done().counts()
        == {("indexed", "new"): 8}
    )
    assert contents(limited.library) == contents(command.library)


def test_a_picture_that_exceeds_the_limit_by_itself_is_named_and_the_rest_indexed(
    mixed: Path, command: Command
) -> None:
    line = command("index", mixed, "--memory-limit", "20MB").refused(2, "memory limit")
    told = re.search(r"about (\d+) MB", line)
    assert told is not None
    Image.new("RGB", (7_000, 6_000), "navy").save(mixed / "huge.png", compress_level=1)
    answer = command("index", mixed, "--memory-limit", f"{int(told[1])}MB").done()
    assert answer.counts()["indexed", "new"] >= 6
    row = command.ledger()[str(mixed / "huge.png")]
    assert row["state"] == "unreadable"
    assert "memory" in row["detail"]
    again = command("index", mixed, "--retry").done()
    assert ("unreadable", row["reason"]) not in again.counts()
    assert command.ledger()[str(mixed / "huge.png")]["state"] == "indexed"


@pytest.mark.parametrize("size", ["0", "-1GB", "much", "2XB", ""])
def test_what_is_no_size_is_refused_in_one_line(size: str, mixed: Path, command: Command) -> None:
    command("index", mixed, f"--memory-limit={size}").refused(2, "a size like 2GB")
