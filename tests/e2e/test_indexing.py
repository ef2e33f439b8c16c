"""Indexing again: what is new, moved, changed, gone and back."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from .command import Command
from .gallery import crops, photo, write_crops

PIECES = list(crops(12))


def search_all(command: Command, query: Path | str, *options: str) -> list[dict[str, object]]:
    """Every record's hit, the input's own too."""
    arguments = ("search", query, "-k", "1000", "--include-self", "--json", *options)
    hits: list[dict[str, object]] = command(*arguments).done().json()["hits"]
    return hits


def ids(command: Command) -> dict[str, str]:
    """Record ids by the names of their files."""
    return {os.path.basename(path): row["record"] for path, row in command.ledger().items()}


def test_second_run_reads_no_file_again(album: Path, command: Command) -> None:
    command("index", album).done()
    before = ids(command)
    for path in album.iterdir():  # other bytes, same size and time: only reading could tell
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert command("index", album).done().counts() == {("unchanged", "same size and time"): 6}
    assert ids(command) == before


def test_unreadable_file_is_read_again_only_when_it_changed_or_on_request(
    album: Path, command: Command
) -> None:
    broken = album / "0002.jpg"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:900])
    stamp = broken.stat().st_mtime_ns
    assert command("index", album).done().counts()["unreadable", "truncated"] == 1
    broken.write_bytes(bytes(900))
    os.utime(broken, ns=(stamp, stamp))
    assert command("index", album).done().counts()["unreadable", "truncated"] == 1
    retried = command("index", album, "--retry").done().counts()
    assert retried["unreadable", "not an image"] == 1
    broken.write_bytes(whole)
    assert command("index", album).done().counts()["indexed", "new"] == 1


def test_touched_file_with_the_same_content_is_unchanged(album: Path, command: Command) -> None:
    command("index", album).done()
    os.utime(album / "0001.jpg", (1, 1))
    counts = command("index", album).done().counts()
    assert counts == {("unchanged", "same size and time"): 5, ("unchanged", "same content"): 1}
    counts = command("index", album).done().counts()
    assert sum(counts.values()) == 6
    assert {state for state, _ in counts} == {"unchanged"}


@pytest.mark.parametrize("target", ["renamed.jpg", "inner/0001.jpg"])
def test_renamed_file_keeps_its_record_and_its_vector(
    target: str, album: Path, command: Command
) -> None:
    command("index", album).done()
    before, scores = ids(command), search_all(command, album / "0000.jpg")
    (album / target).parent.mkdir(exist_ok=True)
    (album / "0001.jpg").rename(album / target)
    assert command("index", album).done().counts()["moved", "moved"] == 1
    row = command.ledger()[str(album / target)]
    assert (row["state"], row["detail"]) == ("moved", f"from {album / '0001.jpg'}")
    assert row["record"] == before["0001.jpg"]
    assert str(album / "0001.jpg") not in command.ledger()
    after = search_all(command, album / "0000.jpg")
    assert [(hit["id"], hit["score"]) for hit in after] == [
        (hit["id"], hit["score"]) for hit in scores
    ]
    vectors = next((command.library / "vectors").glob("*/*.ids"))
    assert vectors.stat().st_size == 64 + 16 * 6


def test_renamed_folder_moves_every_file(album: Path, command: Command, tmp_path: Path) -> None:
    inner = album / "inner"
    inner.mkdir()
    for name in ("0000.jpg", "0001.jpg", "0002.jpg"):
        (album / name).rename(inner / name)
    command("index", album).done()
    before = ids(command)
    inner.rename(album / "other")
    assert command("index", album).done().counts()["moved", "moved"] == 3
    assert ids(command) == before


def test_two_files_that_swapped_names_swap_records(album: Path, command: Command) -> None:
    command("index", album).done()
    before = ids(command)
    one, two = album / "0000.jpg", album / "0001.jpg"
    one.rename(album / "aside")
    two.rename(one)
    (album / "aside").rename(two)
    for path in (one, two):
        os.utime(path)
    command("index", album).done()
    after = ids(command)
    assert (after["0000.jpg"], after["0001.jpg"]) == (before["0001.jpg"], before["0000.jpg"])
    assert len(search_all(command, one)) == 6


def test_file_renamed_behind_a_new_one_is_not_called_a_duplicate(
    album: Path, command: Command
) -> None:
    """As when a camera or a script numbers its pictures anew: 0.jpg becomes 1.jpg."""
    command("index", album).done()
    before = ids(command)
    (album / "0005.jpg").rename(album / "0006.jpg")
    (album / "0005.jpg").write_bytes(PIECES[11][1])
    command("index", album).done()
    row = command.ledger()[str(album / "0006.jpg")]
    assert row["record"] == before["0005.jpg"]
    assert row["reason"] != "same content as another file"


def test_changed_file_gets_another_record_and_the_old_one_is_not_found(
    album: Path, command: Command
) -> None:
    command("index", album).done()
    before = ids(command)
    (album / "0001.jpg").write_bytes(PIECES[9][1])
    counts = command("index", album).done().counts()
    assert counts == {("indexed", "changed"): 1, ("unchanged", "same size and time"): 5}
    after = ids(command)
    assert after["0001.jpg"] != before["0001.jpg"]
    found = {hit["id"] for hit in search_all(command, album / "0001.jpg")}
    assert found == set(after.values())


def test_file_that_became_unreadable_is_not_found_and_comes_back(
    album: Path, command: Command
) -> None:
    command("index", album).done()
    before = ids(command)
    broken = album / "0001.jpg"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:900])
    assert command("index", album).done().counts()["unreadable", "truncated"] == 1
    assert len(search_all(command, album / "0000.jpg")) == 5
    broken.write_bytes(whole)
    command("index", album).done()
    row = command.ledger()[str(broken)]
    assert (row["state"], row["record"]) == ("indexed", before["0001.jpg"])
    assert row["reason"] != "same content as another file"
    assert len(search_all(command, album / "0000.jpg")) == 6


def test_gone_file_stays_in_the_ledger_and_is_not_found(album: Path, command: Command) -> None:
    command("index", album).done()
    before = ids(command)
    (album / "0003.jpg").unlink()
    assert command("index", album).done().counts()["gone", "not found"] == 1
    assert command.ledger("--state", "gone").keys() == {str(album / "0003.jpg")}
    for by in ("meaning", "colour", "mix", "pca"):
        hits = search_all(command, album / "0000.jpg", "--by", by, "--dims", "3")
        assert before["0003.jpg"] not in {hit["id"] for hit in hits}
        assert len(hits) == 5
    command("search", before["0003.jpg"]).refused(2, before["0003.jpg"], "gone")


def test_gone_file_that_is_back_has_its_record_again(album: Path, command: Command) -> None:
    command("index", album).done()
    before, data = ids(command), (album / "0003.jpg").read_bytes()
    (album / "0003.jpg").unlink()
    command("index", album).done()
    (album / "0003.jpg").write_bytes(data)
    assert command("index", album).done().counts()["indexed", "back again"] == 1
    assert ids(command) == before
    assert len(search_all(command, album / "0000.jpg")) == 6


def test_prune_forgets_gone_files_for_good(album: Path, command: Command) -> None:
    command("index", album).done()
    before, data = ids(command), (album / "0003.jpg").read_bytes()
    (album / "0003.jpg").unlink()
    answer = command("index", album, "--prune").done()
    assert answer.text.splitlines()[-1].split() == ["forgotten", "--prune", "1"]
    assert str(album / "0003.jpg") not in command.ledger()
    command("search", before["0003.jpg"]).refused(2, "no record with this id")
    assert len(search_all(command, album / "0000.jpg")) == 5
    (album / "0003.jpg").write_bytes(data)
    assert command("index", album).done().counts()["indexed", "new"] == 1
    assert ids(command) == before
    hits = search_all(command, album / "0003.jpg")
    assert len(hits) == 6
    assert hits[0]["id"] == before["0003.jpg"]


def test_prune_keeps_a_record_that_still_lies_elsewhere(album: Path, command: Command) -> None:
    shutil.copyfile(album / "0003.jpg", album / "copy.jpg")
    command("index", album).done()
    (album / "0003.jpg").unlink()
    command("index", album, "--prune").done()
    (first, *_) = search_all(command, album / "copy.jpg")
    assert first["paths"] == [str(album / "copy.jpg")]


def test_both_places_of_a_duplicate_are_shown(album: Path, command: Command) -> None:
    twins = [str(album / "0003.jpg"), str(album / "twin.jpg")]
    shutil.copyfile(*twins)
    answer = command("index", album).done()
    assert answer.counts()["indexed", "same content as another file"] == 1
    assert answer.talk == [f"lookalike: 6 records in {command.library}"]
    query = ("search", twins[0], "--include-self", "-k", "1")
    assert command(*query, "--paths").done().paths == twins
    assert command(*query, "--json").done().json()["hits"][0]["paths"] == twins
    first, second, _ = command(*query).done().text.splitlines()[1:]
    assert first.split()[-1] == twins[0]
    assert second.split() == [twins[1]]


def test_copy_of_an_indexed_file_adds_a_place_and_no_record(album: Path, command: Command) -> None:
    command("index", album).done()
    shutil.copyfile(album / "0003.jpg", album / "twin.jpg")
    counts = command("index", album).done().counts()
    assert counts["indexed", "same content as another file"] == 1
    assert ids(command)["twin.jpg"] == ids(command)["0003.jpg"]
    assert len(search_all(command, album / "0003.jpg")) == 6


def test_limit_stops_early_and_calls_nothing_gone(album: Path, command: Command) -> None:
    assert command("index", album, "--limit", "4").done().counts() == {("indexed", "new"): 4}
    command("index", album).done()
    again = command("index", album, "--limit", "2", "--prune").done().counts()
    assert ("gone", "not found") not in again
    assert len(command.ledger()) == 6


def test_encoder_of_a_new_library_can_be_chosen_and_then_stays(
    album: Path, command: Command
) -> None:
    command("plan", album, "--encoder", "efficientnet-lite0-int8").done()
    command("index", album, "--limit", "3", "--encoder", "efficientnet-lite0-int8").done()
    command("index", album).done()  # with the library's own
    found = command("search", album / "0001.jpg", "--json", "--include-self").done().json()
    assert found["hits"][0]["score"] == pytest.approx(1, abs=5e-3)  # runtimes round differently
    refused = command("plan", album, "--encoder", "efficientnet-lite0")
    refused.refused(2, "this library has efficientnet-lite0-int8", "is not told beforehand")


def test_unknown_encoder_is_refused_before_a_library_is_made(album: Path, command: Command) -> None:
    for name in ("index", "plan"):
        answer = command(name, album, "--encoder", "nonesuch")
        answer.refused(2, "encoder 'nonesuch': not known; use one of: ", "efficientnet-lite0")
    command("ledger").refused(1, "no library")


def test_unknown_encoder_is_refused_before_anything_is_indexed(
    album: Path, command: Command
) -> None:
    command("index", album, "--limit", "3").done()
    refused = command("index", album, "--encoder", "nonesuch")
    refused.refused(2, "encoder 'nonesuch': not known")
    assert len(command("ledger").done().text.splitlines()) == 3


def test_one_file_and_several_folders_can_be_named(
    album: Path, command: Command, tmp_path: Path
) -> None:
    write_crops(tmp_path / "more", 9)
    (tmp_path / "name without suffix").write_bytes(PIECES[10][1])
    paths = (album / "0001.jpg", tmp_path / "more", tmp_path / "name without suffix")
    assert sum(command("index", *paths).done().counts().values()) == 11
    assert command("index", tmp_path / "more").done().counts() == {
        ("unchanged", "same size and time"): 9
    }


def test_same_file_named_in_three_ways_is_one_file(album: Path, command: Command) -> None:
    relative = os.path.relpath(album / "0001.jpg", album)
    answer = command("index", ".", relative, album, cwd=album).done()
    assert answer.counts() == {("indexed", "new"): 6}
    assert set(command.ledger()) == {str(path) for path in album.iterdir()}


def test_library_inside_the_folder_is_passed_over(album: Path) -> None:
    (album / "inner").mkdir()
    command = Command(album / "inner" / "library")
    command("index", album).done()
    counts = command("index", album).done().counts()
    assert counts["skipped", "a library's folder"] == 1
    assert counts["unchanged", "same size and time"] == 6


def test_default_library_lies_in_the_home_folder(album: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    command = Command(home / ".local/share/lookalike")
    environment = command.environment(HOME=str(home))
    del environment["LOOKALIKE_LIBRARY"]
    command("index", album, env=environment).done()
    assert len(command("ledger", env=environment).done().text.splitlines()) == 6
    assert (home / ".local/share/lookalike/catalog.sqlite").is_file()


def test_library_option_goes_before_the_environment(
    album: Path, command: Command, tmp_path: Path
) -> None:
    command("index", album, "--library", tmp_path / "other").done()
    assert (tmp_path / "other" / "catalog.sqlite").is_file()
    assert not command.library.exists()


@pytest.mark.parametrize("name", [b"a ?mode=rw&b#c%20d", "Ölbilder 写真".encode(), b"\xff\xe9"])
def test_library_may_have_any_name(name: bytes, album: Path, tmp_path: Path) -> None:
    command = Command(tmp_path / os.fsdecode(name))
    command("index", album).done()
    assert len(command("search", album / "0000.jpg", "--paths").done().paths) == 5
    assert (command.library / "catalog.sqlite").is_file()


@pytest.mark.parametrize("seconds", [-2_000_000_000, 15_000_000_000])
def test_file_of_any_age_has_its_line_in_the_ledger(
    seconds: int, album: Path, command: Command
) -> None:
    os.utime(album / "0001.jpg", (seconds, seconds))
    command("index", album).done()
    assert len(command.ledger()) == 6
    assert command("index", album).done().counts() == {("unchanged", "same size and time"): 6}


def test_emptied_folder_is_not_believed_without_a_word(album: Path, command: Command) -> None:
    command("index", album).done()
    for path in album.iterdir():
        path.unlink()
    command("index", album, "--prune").refused(1, str(album), "mounted", "--allow-empty")
    assert len(command.ledger("--state", "indexed")) == 6
    assert command("index", album, "--allow-empty").done().counts() == {("gone", "not found"): 6}


def test_bad_files_among_good_ones_do_not_fail_the_run(album: Path, command: Command) -> None:
    (album / "0001.jpg").write_text("no picture")
    (album / "0002.jpg").write_bytes(b"")
    answer = command("index", album).done()
    assert answer.counts() == {
        ("indexed", "new"): 4,
        ("unreadable", "not an image"): 1,
        ("unreadable", "zero bytes"): 1,
    }


def test_only_bad_files_fail_the_run(tmp_path: Path, command: Command) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.jpg").write_text("no picture")
    (bad / "b.jpg").write_bytes(b"")
    command("index", bad).refused(1, str(bad), "1 not an image", "1 zero bytes")
    assert len(command.ledger("--state", "unreadable")) == 2


def test_limits_can_be_raised_and_lowered(tmp_path: Path, command: Command) -> None:
    folder = tmp_path / "large"
    folder.mkdir()
    photo("rocket.jpg").resize((1500, 1000)).save(folder / "a.png")
    photo("coffee.png").save(folder / "b.png")
    first = command("index", folder, "--max-megapixels", "1").done().counts()
    assert first == {("indexed", "new"): 1, ("unreadable", "too many pixels"): 1}
    assert command("index", folder).done().counts()["indexed", "new"] == 1
    small = Command(tmp_path / "small")
    counts = small("index", folder, "--max-megabytes", "0.6").done().counts()
    assert counts == {("indexed", "new"): 1, ("unreadable", "too many bytes"): 1}


def test_number_of_workers_does_not_change_the_library(album: Path, tmp_path: Path) -> None:
    tables = []
    for workers in ("1", "7"):
        command = Command(tmp_path / f"library {workers}")
        command("index", album, "--workers", workers).done()
        tables.append(command("search", album / "0000.jpg", "-k", "9", "--json").done().out)
    assert tables[0] == tables[1]


def test_interrupt_ends_in_one_line_and_the_same_command_continues(
    command: Command, tmp_path: Path
) -> None:
    write_crops(tmp_path / "many", 510, 32)
    running = command.start("index", tmp_path / "many")
    deadline = time.monotonic() + 60
    while not list(command.library.glob("vectors/*/*.f16")):
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.005)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, b"")
    assert err.decode().splitlines() == [
        "lookalike: stopped; what was committed stays, the same command continues"
    ]
    assert command("index", tmp_path / "many").done().counts() == {("indexed", "new"): 510}
