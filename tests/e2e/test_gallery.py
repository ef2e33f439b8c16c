"""Every format is found again, and every other thing has its line in the ledger."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .command import Command
from .gallery import NAMES, ORIGINALS, UNDECODABLE, VARIANTS, state_of

RAW = UNDECODABLE.decode("utf-8", "backslashreplace")

LEDGER = {
    **{f"originals/{name}": ("indexed", "new") for name in ORIGINALS},
    **{f"variants/{name}": ("indexed", "new") for name in VARIANTS},
    **{f"names/{name}": ("indexed", "new") for name in (*NAMES, RAW)},
    "twins/twin a.png": ("indexed", "same content as another file"),
    "twins/twin b.png": ("indexed", "same content as another file"),
    "damaged/corrupt.png": ("unreadable", "corrupt"),
    "damaged/corrupt.jpg": ("unreadable", "corrupt"),
    "damaged/corrupt.gif": ("unreadable", "corrupt"),
    "damaged/truncated.avif": ("unreadable", "truncated"),
    "damaged/truncated.bmp": ("unreadable", "truncated"),
    "damaged/truncated.gif": ("unreadable", "truncated"),
    "damaged/truncated.jpg": ("unreadable", "truncated"),
    "damaged/truncated.png": ("unreadable", "truncated"),
    "damaged/truncated.tif": ("unreadable", "truncated"),
    "damaged/truncated.heic": ("unreadable", "truncated"),
    "damaged/truncated.webp": ("unreadable", "corrupt"),  # the decoder does not tell the two apart
    "damaged/header only.jpg": ("unreadable", "truncated"),
    "damaged/empty.jpg": ("unreadable", "zero bytes"),
    "damaged/huge.png": ("unreadable", "too many pixels"),
    "damaged/large.png": ("unreadable", "too many pixels"),
    "damaged/text.jpg": ("unreadable", "not an image"),
    "damaged/zeros.jpg": ("unreadable", "not an image"),
    "odd/layers.psd": ("unreadable", "unsupported"),
    "odd/layers.jpg": ("unreadable", "unsupported"),
    "odd/really a png.jpg": ("indexed", "new"),
    "odd/really a jpeg.PNG": ("indexed", "new"),
    "odd/notes.txt": ("skipped", "not an image's name"),
    "odd/.hidden.jpg": ("skipped", "hidden"),
    "odd/loop": ("skipped", "link to a folder already seen"),
    "odd/broken.jpg": ("skipped", "broken link"),
    "odd/ring.jpg": ("unreadable", "read error"),
    "odd/fifo.jpg": ("skipped", "not a regular file"),
}


@pytest.fixture(scope="module")
def ledger(indexed: Command, photos: Path) -> dict[str, dict[str, str]]:
    rows = indexed.ledger()
    return {os.path.relpath(path, photos): row for path, row in rows.items()}


@pytest.mark.parametrize("name", LEDGER)
def test_ledger_says_what_became_of(name: str, ledger: dict[str, dict[str, str]]) -> None:
    row = ledger[name]
    assert (row["state"], row["reason"]) == LEDGER[name], row["detail"]
    assert bool(row["record"]) == (row["state"] == "indexed")


def test_ledger_knows_every_file_of_the_gallery_and_no_other(
    ledger: dict[str, dict[str, str]],
) -> None:
    assert sorted(ledger) == sorted(LEDGER)


def test_ledger_gives_size_and_time_of_indexed_files(
    ledger: dict[str, dict[str, str]], photos: Path
) -> None:
    row = ledger["originals/coffee.png"]
    assert int(row["bytes"]) == (photos / "originals/coffee.png").stat().st_size
    assert row["modified"].endswith("+00:00")


@pytest.mark.parametrize("name", ["damaged/huge.png", "damaged/large.png"])
def test_too_large_a_picture_names_the_limit_and_the_option(
    name: str, ledger: dict[str, dict[str, str]]
) -> None:
    size = "3600 MP" if "huge" in name else "150 MP"
    assert ledger[name]["detail"] == f"{size} exceeds 100 MP; raise --max-megapixels"


@pytest.mark.parametrize("state", ["indexed", "unreadable", "skipped", "moved"])
def test_ledger_of_one_state_lists_only_that_state(indexed: Command, state: str) -> None:
    rows = indexed.ledger("--state", state)
    assert sum(wanted == state for wanted, _ in LEDGER.values()) == len(rows)
    assert all(row["state"] == state for row in rows.values())


def test_printed_ledger_has_one_line_per_file_even_with_newlines_in_names(
    indexed: Command,
) -> None:
    lines = indexed("ledger").done().text.splitlines()
    assert len(lines) == len(LEDGER)
    assert any(line.endswith("names/new\\nline.jpg  (new)") for line in lines)


def test_ledger_as_a_csv_file_is_the_same_as_on_stdout(indexed: Command, tmp_path: Path) -> None:
    answer = indexed("ledger", "--csv", tmp_path / "ledger.csv").done()
    assert answer.out == b""
    assert (tmp_path / "ledger.csv").read_bytes() == indexed("ledger", "--csv", "-").done().out


def test_csv_that_cannot_be_written_is_refused_in_one_line(
    indexed: Command, tmp_path: Path
) -> None:
    indexed("ledger", "--csv", tmp_path / "none" / "l.csv").refused(1, "l.csv", "another place")


def test_summary_counts_what_the_ledger_lists(photos: Path, command: Command) -> None:
    answer = command("index", photos).done()
    expected: dict[tuple[str, str], int] = {}
    for state_and_reason in LEDGER.values():
        expected[state_and_reason] = expected.get(state_and_reason, 0) + 1
    assert answer.counts() == expected
    refused = sum(count for (state, _), count in expected.items() if state == "unreadable")
    assert any(f"{refused} files could not be read" in line for line in answer.talk)


def test_png_original_finds_all_its_variants_before_anything_else(
    indexed: Command, photos: Path
) -> None:
    query = photos / "originals/astronaut.png"
    found = indexed("search", query, "-k", str(len(VARIANTS)), "--paths").done().paths
    assert {os.path.relpath(path, photos / "variants") for path in found} == set(VARIANTS)


def test_upright_and_rotated_by_exif_are_nearly_the_same(indexed: Command, photos: Path) -> None:
    query = photos / "originals/astronaut.png"
    answer = indexed("search", query, "-k", "20", "--json").done().json()
    score = {os.path.basename(hit["paths"][0]): hit["score"] for hit in answer["hits"]}
    assert score["astronaut-rotated.jpg"] > 0.98
    assert score["astronaut-16bit.png"] > 0.9999
    assert score["astronaut.bmp"] > 0.9999


def test_first_frame_of_an_animation_counts(indexed: Command, photos: Path) -> None:
    animation = photos / "variants/astronaut-animated.gif"
    first = indexed("search", animation, "-k", "1", "--paths").done().paths[0]
    assert "astronaut" in os.path.basename(first)


@pytest.mark.parametrize("name", [*(os.fsencode(name) for name in NAMES), UNDECODABLE])
def test_odd_names_come_out_byte_for_byte_and_go_in_again(
    name: bytes, indexed: Command, photos: Path
) -> None:
    path = os.path.join(os.fsencode(photos), b"names", name)
    answer = indexed("search", path, "--include-self", "-k", "1", "--paths").done()
    assert answer.out == path + b"\n"


def test_paths_can_be_piped_to_xargs(indexed: Command, photos: Path) -> None:
    query = os.path.join(os.fsencode(photos), b"names", UNDECODABLE)
    answer = indexed("search", query, "--include-self", "-k", "3", "--paths").done()
    listed = subprocess.run(
        ["xargs", "-d", "\n", "stat", "-c", "%s"], input=answer.out, capture_output=True, check=True
    )
    sizes = [int(line) for line in listed.stdout.split()]
    assert sizes == [os.stat(path).st_size for path in answer.out.split(b"\n")[:-1]]
    assert len(sizes) >= 3


def test_json_carries_undecodable_names_without_loss(indexed: Command, photos: Path) -> None:
    path = os.path.join(os.fsencode(photos), b"names", UNDECODABLE)
    answer = indexed("search", path, "--include-self", "-k", "1", "--json").done()
    assert answer.out.isascii()
    assert [os.fsencode(found) for found in answer.json()["hits"][0]["paths"]] == [path]


def test_names_the_terminal_cannot_show_do_not_break_the_table(
    indexed: Command, photos: Path
) -> None:
    environment = indexed.environment(PYTHONIOENCODING="ascii")
    for arguments in (["search", photos / "names" / NAMES[1], "--include-self"], ["ledger"]):
        answer = indexed(*arguments, env=environment).done()
        assert answer.out.isascii()


def test_csv_has_the_names_whatever_the_terminal_can_show(indexed: Command) -> None:
    answer = indexed("ledger", "--csv", "-", env=indexed.environment(PYTHONIOENCODING="ascii"))
    assert len(answer.done().out) > 1000


def test_everything_is_read_and_nothing_is_written_among_the_photos(
    photos: Path, command: Command, tmp_path: Path
) -> None:
    before = state_of(photos)
    command("index", photos, "--hidden").done()
    command("index", photos, "--retry", "--prune").done()
    query = photos / "originals/coffee.png"
    for by in ("meaning", "pca", "colour", "mix"):
        how = ("--by", by, "--dims", "8", "--sheet", tmp_path / "sheet.png")
        command("search", query, *how).done()
    assert state_of(photos) == before


def test_hidden_files_are_taken_when_asked_for(photos: Path, command: Command) -> None:
    command("index", photos / "odd", "--hidden").done()
    row = command.ledger()[str(photos / "odd/.hidden.jpg")]
    assert (row["state"], row["reason"]) == ("indexed", "new")


def test_file_without_permission_is_refused_and_read_once_it_is_allowed(
    album: Path, tmp_path: Path, powerless: tuple[str, ...]
) -> None:
    locked = album / "0003.jpg"
    locked.chmod(0)
    command = Command(tmp_path / "library", powerless)
    assert command("index", album).done().counts()["unreadable", "no permission"] == 1
    locked.chmod(0o644)
    assert command("index", album).done().counts()["indexed", "new"] == 1
    assert command.ledger()[str(locked)]["state"] == "indexed"


def test_folder_without_permission_is_refused_and_its_files_are_not_called_gone(
    album: Path, tmp_path: Path, powerless: tuple[str, ...]
) -> None:
    inner = album / "inner"
    inner.mkdir()
    (album / "0003.jpg").rename(inner / "0003.jpg")
    command = Command(tmp_path / "library", powerless)
    command("index", album).done()
    inner.chmod(0)
    try:
        counts = command("index", album, "--prune").done().counts()
    finally:
        inner.chmod(0o755)
    assert counts["unreadable", "no permission"] == 1
    assert ("gone", "not found") not in counts
    assert command.ledger()[str(inner / "0003.jpg")]["state"] == "indexed"
