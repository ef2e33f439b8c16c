"""The real command with tables of URLs, tar shards and an archive of Unsplash's form."""

from __future__ import annotations

import csv
import shlex
import signal
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import encoded, picture

from . import unsplash
from .command import Command
from .gallery import write_crops
from .webserver import Site, served


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as running:
        yield running


def table(folder: Path, site: Site, names: list[str]) -> Path:
    path = folder / "photos.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["photo_id", "url"])
        rows.writerows([f"id{number}", site.url(name)] for number, name in enumerate(names))
    return path


FROM = ("--url-column", "url", "--id-column", "photo_id", "--gap", "0", "--retries", "0")


def test_a_table_of_urls_is_indexed_and_searched(
    command: Command, site: Site, tmp_path: Path
) -> None:
    names = [*(f"ok/{number}.png" for number in range(6)), "404/1.png", "html/1.png"]
    path = table(tmp_path, site, names)
    answer = command("index", "--from", path, *FROM, "--url-suffix", "?w=200").done()
    assert answer.counts() == {
        ("indexed", "new"): 6,
        ("unreadable", "refused by its server"): 1,
        ("unreadable", "not an image"): 1,
    }
    ledger = command.ledger("--state", "unreadable")
    assert ledger[site.url("404/1.png")]["detail"] == "404 Not Found"
    site.forget()
    found = command("search", "id:id3", "-k", "6", "--include-self", "--paths").done()
    assert found.paths[0] == site.url("ok/3.png")
    assert command("search", site.url("ok/3.png"), "--paths", "-k", "5").done().paths
    assert command("search", "id:id1", "--where", "foreign_id = 'id2'", "--paths").done().paths == [
        site.url("ok/2.png")
    ]
    assert site.requests == []
    again = command("index", "--from", path, *FROM, "--url-suffix", "?w=200").done()
    assert again.counts()["unchanged", "not modified"] == 6
    assert sum(site.sent.values()) == len(b"not here")


def test_what_does_not_go_together_is_one_line(
    command: Command, site: Site, tmp_path: Path
) -> None:
    path = table(tmp_path, site, ["ok/1.png"])
    command("index").refused(2, "nothing to index", "--from")
    command("index", tmp_path, "--from", path, *FROM).refused(2, "one after the other")
    command("index", "--from", path).refused(2, "--url-column", "photo_id, url")
    command("index", "--from", path, "--url-column", "link").refused(2, "no column 'link'")
    command("index", "--from", tmp_path / "no.csv", *FROM).refused(2, "no such file")
    command("index", tmp_path, "--id-column", "id").refused(2, "--id-column", "tar shards")
    command("index", tmp_path, "--keep-originals").refused(2, "--keep-originals", "--from")
    command("index", "--from", path, *FROM, "--per-host", "0").refused(2, "--per-host")
    command("index", "--from", path, *FROM, "--gap", "-1").refused(2, "--gap")
    assert not command.library.exists()


def test_rows_without_a_picture_are_told(command: Command, site: Site, tmp_path: Path) -> None:
    path = table(tmp_path, site, ["ok/1.png"])
    with path.open("a") as file:
        file.write(f"id7,\nid8,C:\\pictures\\a.png\nid9,{site.url('ok/1.png')}\n")
    answer = command("index", "--from", path, *FROM).done()
    (told,) = [line for line in answer.talk if "of 4 rows" in line]
    assert "1 without a URL" in told
    assert "1 with what is no URL of a picture" in told
    assert "1 with a URL for the second time" in told


def test_a_killed_run_continues_without_what_was_committed(
    command: Command, site: Site, tmp_path: Path
) -> None:
    site.hold_seconds = 0.05
    path = table(tmp_path, site, [f"ok/{number}.png" for number in range(400)])
    running = command.start("index", "--from", path, *FROM, "--per-host", "2")
    deadline = time.monotonic() + 60
    while len(site.requests) < 250:  # ticks of five seconds have passed at forty a second
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    site.hold_seconds = 0.0
    before = Counter(one.path for one in site.requests)
    site.forget()
    answer = command("index", "--from", path, *FROM).done()
    anew = sum("If-None-Match" not in one.headers for one in site.requests)
    assert answer.counts().get(("unchanged", "not modified"), 0) >= 80
    assert sum(answer.counts().values()) == 400
    assert len(before) >= 250
    assert anew <= 400 - 80
    final = command("index", "--from", path, *FROM).done()
    assert final.counts() == {("unchanged", "not modified"): 400}


def test_an_interrupt_ends_a_run_within_a_second(
    command: Command, site: Site, tmp_path: Path
) -> None:
    names = ["ok/1.png", *(f"stall/{number}.png" for number in range(40))]
    running = command.start("index", "--from", table(tmp_path, site, names), *FROM)
    deadline = time.monotonic() + 30
    while len(site.requests) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    since = time.monotonic()
    running.send_signal(signal.SIGINT)
    _, err = running.communicate()
    assert time.monotonic() - since < 1.5
    assert running.returncode == 130
    assert err.decode().splitlines()[-1].startswith("lookalike: stopped;")


def test_originals_are_kept_on_request(command: Command, site: Site, tmp_path: Path) -> None:
    path = table(tmp_path, site, ["ok/1.png", "ok/2.png"])
    command("index", "--from", path, *FROM, "--keep-originals").done()
    kept = list((command.library / "originals").glob("??/*.png"))
    assert {one.read_bytes() for one in kept} == {site.body("1.png"), site.body("2.png")}
    command("index", "--from", path, *FROM, "--keep-originals").done()  # the folder is its own
    site.forget()
    command("index", "--from", path, *FROM, "--tiles").done()
    assert sum(site.sent.values()) == 0


def test_shards_are_indexed_beside_folders(command: Command, album: Path, tmp_path: Path) -> None:
    for number in range(2):
        folder = tmp_path / f"shard{number}"
        folder.mkdir()
        for seed in range(3):
            name = f"{number}{seed:03d}"
            (folder / f"{name}.png").write_bytes(encoded(picture(10 * number + seed), "PNG"))
            (folder / f"{name}.json").write_text(f'{{"uid": "u{name}"}}')
        with tarfile.open(tmp_path / f"{number}.tar", "w") as archive:
            for path in sorted(folder.iterdir()):
                archive.add(path, path.name)
    shards = [tmp_path / "0.tar", tmp_path / "1.tar"]
    answer = command("index", *shards, album, "--id-column", "uid").done()
    assert answer.counts()["indexed", "new"] == 6 + len(list(album.iterdir()))
    found = command("search", "id:u1002", "--include-self", "-k", "1", "--paths").done()
    assert found.paths == [f"{shards[1]}/1002.png"]
    again = command("index", *shards, album, "--id-column", "uid").done()
    assert set(again.counts()) == {("unchanged", "same size and time")}


# -- unsplash --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An archive of thirty photos, while a server gives all but the first."""
    folder = tmp_path_factory.mktemp("unsplash")
    write_crops(folder / "photos", 30, 96)
    own = unsplash.photos_in(folder / "photos")
    with unsplash.served(own[1:]) as address:
        unsplash.write_archive(folder, own, address, conversions=600)
        yield folder


def test_an_unsplash_archive_is_prepared_whole(command: Command, archive: Path) -> None:
    answer = command("unsplash", archive, "--gap", "0", "--limit", "12").done()
    assert sum(answer.counts().values()) == 12
    assert answer.counts()["unreadable", "refused by its server"] == 1
    assert answer.counts()["indexed", "new"] >= 9
    told = [line.removeprefix("lookalike: ") for line in answer.talk]
    assert any(line.startswith("conversions: 600 rows") for line in told)
    search, downloads, keywords = (
        shlex.split(line.strip()) for line in told if line.startswith("  lookalike ")
    )
    assert len(command(*search[1:], "--paths").done().paths) >= 8
    counts = list(csv.DictReader(command(*downloads[1:], "--csv").done().text.splitlines()))
    sold = Counter[str]()
    words = Counter[tuple[str, str]]()
    with (archive / "conversions.tsv000").open() as file:
        for row in csv.DictReader(file, dialect="excel-tab"):
            sold[row["photo_id"]] += 1
            words[row["photo_id"], row["keyword"]] += 1
    assert [int(row["downloads"]) for row in counts] == [sold[row["photo_id"]] for row in counts]
    assert [int(row["downloads"]) for row in counts] == sorted(
        (int(row["downloads"]) for row in counts), reverse=True
    )
    best = counts[0]["photo_id"]
    top = list(csv.DictReader(command(*keywords[1:], "--csv").done().text.splitlines()))
    expected = sorted(
        ((count, word) for (photo, word), count in words.items() if photo == best),
        key=lambda one: (-one[0], one[1]),
    )[:5]
    assert [(int(row["downloads"]), row["keyword"]) for row in top] == expected
    again = command("unsplash", archive, "--gap", "0", "--limit", "12").done()
    assert again.counts()["unchanged", "not modified"] == answer.counts()["indexed", "new"] + (
        answer.counts().get(("indexed", "same content as another file"), 0)
    )


def test_a_folder_that_is_no_archive_is_one_line(command: Command, tmp_path: Path) -> None:
    command("unsplash", tmp_path / "none").refused(2, "no such folder")
    command("unsplash", tmp_path).refused(2, "no photos.tsv000")
    (tmp_path / "photos.tsv000").write_text("photo_id\tphoto_image_url\na\thttp://h/a\n")
    command("unsplash", tmp_path).refused(2, "no conversions.tsv000")
    (tmp_path / "conversions.tsv000").write_text("photo_id\tword\na\tb\n")
    command("unsplash", tmp_path).refused(2, "no column 'keyword'", "photo_id, word")
    assert not command.library.exists()
