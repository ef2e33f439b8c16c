"""Words, categories, likeness and spaces through the real command, with the shipped encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from .command import Answer, Command


def names(answer: Answer) -> list[str]:
    return [Path(hit["paths"][0]).name for hit in answer.done().json()["hits"]]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["cat"], "cat 👩‍🚀.png"),
        (["Katze"], "cat 👩‍🚀.png"),
        (["a", "cup", "of", "espresso"], "coffee.png"),
        (["missile"], "rocket.jpg"),
        (["text:cat"], "cat 👩‍🚀.png"),
    ],
)
def test_words_find_what_they_name(indexed: Command, words: list[str], name: str) -> None:
    answer = indexed("search", *words, "-k", "1", "--json")
    assert answer.done().json()["hits"][0]["paths"][-1].endswith(name)
    assert any(line.startswith("lookalike: understood: ") for line in answer.talk)


def test_it_is_said_which_words_are_not_known(indexed: Command) -> None:
    answer = indexed("search", "blorptang cat", "--paths").done()
    assert answer.talk[0] == "lookalike: understood: cat (cat); not known: blorptang"


@pytest.mark.parametrize("nonsense", ["blorptang", "zorple of brimble", "text:wug"])
def test_nonsense_finds_nothing_and_says_so(indexed: Command, nonsense: str) -> None:
    indexed("search", nonsense).refused(2, "none of these words is known")


def test_words_have_no_colours(indexed: Command) -> None:
    indexed("search", "cat", "--by", "colour").refused(2, "words have no colours")


def test_nothing_is_like_noise(indexed: Command, tmp_path: Path) -> None:
    Image.effect_noise((300, 200), 80).convert("RGB").save(tmp_path / "noise.png")
    answer = indexed("search", tmp_path / "noise.png").done()
    assert answer.talk == ["lookalike: nothing here is like that"]
    kept = indexed("search", tmp_path / "noise.png", "--min", "maybe", "--paths").done()
    assert kept.paths == []


def test_hits_that_are_alike_stay(indexed: Command, photos: Path) -> None:
    query = ("search", photos / "originals/astronaut.png", "-k", "50", "--json")
    every = indexed(*query).done().json()["hits"]
    words = [hit["likeness"] for hit in every]
    assert words == sorted(words, key=["likely", "maybe", "unlikely"].index)
    likely = indexed(*query, "--min", "likely").done().json()["hits"]
    assert likely == [hit for hit in every if hit["likeness"] == "likely"]
    assert 0 < len(likely) < len(every)


def test_a_category_keeps_to_what_surely_shows_it(indexed: Command, photos: Path) -> None:
    query = ("search", photos / "originals/coffee.png", "-k", "99", "--json")
    found = indexed(*query, "--category", "cat").done().json()
    assert found["query"]["category"] == "cat"
    assert "chelsea.png" in {Path(path).name for hit in found["hits"] for path in hit["paths"]}
    assert {hit["label"]["name"] for hit in found["hits"]} <= {"tabby", "tiger cat", "Egyptian cat"}
    indexed(*query, "--category", "blorptang").refused(2, "lookalike categories lists")
    animals = indexed(*query, "--category", "Tier").done().json()["hits"]
    assert {hit["id"] for hit in found["hits"]} <= {hit["id"] for hit in animals}
    by_colour = indexed(*query, "--category", "cat", "--by", "colour").done().json()["hits"]
    assert {hit["id"] for hit in by_colour} == {hit["id"] for hit in found["hits"]}


def test_categories_are_a_tree_with_counts(indexed: Command) -> None:
    answer = indexed("categories").done()
    lines = dict(reversed(line.split(None, 1)) for line in answer.text.splitlines())
    assert int(lines["animal"]) == int(lines["Egyptian cat"]) == 2
    assert answer.talk[0].endswith("pictures are unsure")
    found = indexed("categories", "cat", "--json").done().json()
    (cat,) = found["categories"]
    assert (cat["name"], cat["count"]) == ("cat", 2)
    assert [below["name"] for below in cat["below"]] == ["Egyptian cat"]
    indexed("categories", "blorptang").refused(2, "blorptang", "not known")


def test_an_encoder_is_added_and_compared(album: Path, command: Command, tmp_path: Path) -> None:
    command("index", album).done()
    added = command("index", album, "--encoder", "efficientnet-lite0-int8").done()
    assert "space efficientnet-lite0-int8: 6 records got a vector" in added.talk[0]
    spaces = command("spaces", "--json").done().json()["spaces"]
    assert [(s["name"], s["records"], s["lacking"]) for s in spaces] == [
        ("efficientnet-lite0", 6, 0),
        ("efficientnet-lite0-int8", 6, 0),
    ]
    query = ("search", album / "0000.jpg", "--json")
    old = command(*query).done().json()
    new = command(*query, "--space", "efficientnet-lite0-int8").done().json()
    assert (old["query"]["space"], new["query"]["space"]) == (spaces[0]["name"], spaces[1]["name"])
    assert [hit["score"] for hit in old["hits"]] != [hit["score"] for hit in new["hits"]]
    sheet = tmp_path / "both.png"
    compared = command("compare", album / "0000.jpg", "-k", "3", "--sheet", sheet).done()
    assert compared.text.split()[:3] == ["rank", spaces[0]["name"], spaces[1]["name"]]
    assert "share" in compared.talk[-1]
    with Image.open(sheet) as drawn:
        assert drawn.height > drawn.width / 2
    assert command("spaces", "--use", "efficientnet-lite0-int8").done().text
    assert command(*query).done().json()["query"]["space"] == "efficientnet-lite0-int8"
    command(*query, "--space", "nonesuch").refused(2, "space 'nonesuch': this library has")


def test_new_files_get_vectors_in_every_space(album: Path, command: Command) -> None:
    command("index", album, "--limit", "4").done()
    command("index", album, "--encoder", "efficientnet-lite0-int8", "--limit", "4").done()
    command("index", album).done()
    spaces = command("spaces", "--json").done().json()["spaces"]
    assert [space["records"] for space in spaces] == [6, 6]
