"""``lookalike map`` through the real command, with the shipped encoder."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from .command import Command
from .gallery import crops, write_crops

FIRST, LATER = 60, 15


@pytest.fixture
def photos_library(tmp_path: Path) -> Command:
    """A library of sixty small photos, with a folder for more."""
    write_crops(tmp_path / "photos", FIRST)
    command = Command(tmp_path / "library")
    command("index", tmp_path / "photos").done()
    return command


def clusters_of(answer: Any) -> list[dict[str, Any]]:
    return list(answer["clusters"]["levels"][-1])


def test_a_map_is_made_kept_followed_and_made_anew(photos_library: Command, tmp_path: Path) -> None:
    command = photos_library
    first = command("map", "--json").done()
    assert first.talk[:2] == ["lookalike: neighbours", "lookalike: layout"]
    facts = first.json()
    assert (facts["records"], facts["placed"]) == (FIRST, 0)
    assert facts["layout"]["engine"]
    assert all(one["name"] and one["exemplars"] for one in clusters_of(facts))
    kept = command("map", "--json").done()
    assert (kept.json(), kept.talk) == (facts, [])

    for name, data in [*crops(FIRST + LATER)][FIRST:]:
        (tmp_path / "photos" / name).write_bytes(data)
    command("index", tmp_path / "photos").done()
    waiting = command("doctor").done().text
    assert f"{FIRST} records, 0 placed, {LATER} to be placed" in waiting
    grown = command("map", "--json").done()
    assert grown.talk == ["lookalike: placing what is new"]
    assert (grown.json()["records"], grown.json()["placed"]) == (FIRST + LATER, LATER)
    assert f"placed by their neighbours: {LATER}" in command("map").done().text

    next((tmp_path / "photos").rglob("*.jpg")).unlink()
    command("index", tmp_path / "photos").done()
    assert command("map", "--json").done().json()["records"] == FIRST + LATER - 1
    again = command("map", "--refit", "--json").done().json()
    assert (again["records"], again["placed"]) == (FIRST + LATER - 1, 0)


def test_clusters_and_conditions_are_chosen(photos_library: Command) -> None:
    asked = ["map", "--clusters", "kmeans", "--count", "4", "--json"]
    facts = photos_library(*asked).done().json()
    assert len(clusters_of(facts)) == 4
    assert sum(one["size"] for one in clusters_of(facts)) == FIRST
    names = [one["name"] for one in clusters_of(facts)]
    assert len({*names}) == 4
    some = photos_library("map", "--where", "name like '%1%'", "--json").done().json()
    assert 0 < some["records"] < FIRST
    colours = photos_library("map", "--by", "colour", "--dims", "3", "--json").done().json()
    assert len(clusters_of(colours)[0]["centre"]) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--where", "name = 'nothing'"], "no record for a map"),
        (["--where", "size > 3"], "size"),
        (["--count", "5"], "hdbscan finds the number of clusters itself"),
        (["--seed", "-1"], "seed -1"),
        (["--space", "none"], "space 'none'"),
        (["--serve", "--port", "70000"], "port 70000"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    indexed: Command, arguments: list[str], words: str
) -> None:
    indexed("map", *arguments).refused(2, words)


def test_the_page_is_served_until_it_is_interrupted(photos_library: Command) -> None:
    process = photos_library.start("map", "--serve")
    assert process.stderr is not None
    for line in process.stderr:
        if b"the map: " in line:
            break
    address = line.decode().split("the map: ")[1].split()[0]
    with urllib.request.urlopen(address, timeout=20) as page:
        assert b"<canvas" in page.read()
    api = address.replace("/map", "/api/map")
    with urllib.request.urlopen(api, timeout=60) as answer:
        assert len(json.load(answer)) == 1
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said == b""
