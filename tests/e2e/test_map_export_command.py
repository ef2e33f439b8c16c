"""``lookalike map export`` and ``lookalike map study`` as a user runs them."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import CHROMIUM

from .command import Command
from .conftest import Disk
from .gallery import NAMES, UNDECODABLE, crops, photo

PHOTOS = 60
SCRIPT = "<script>document.title='run'<!--.jpg"
FORMS = {
    "tensorboard": "logs",
    "csv": "map.csv",
    "parquet": "map.parquet",
    "png": "map.png",
    "html": "map.html",
    "plotly": "map-by-plotly.html",
}


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """A library of sixty small photos, some with odd names, and its map. Only to be read."""
    home = tmp_path_factory.mktemp("mapped")
    folder = home / "photos"
    folder.mkdir()
    odd = [os.fsencode(name) for name in (*NAMES, SCRIPT)] + [UNDECODABLE]
    for number, (name, data) in enumerate(crops(PHOTOS)):
        own = odd[number] if number < len(odd) else os.fsencode(name)
        with open(os.path.join(os.fsencode(folder), own), "wb") as file:
            file.write(data)
    command = Command(home / "library")
    command("index", folder).done()
    command("map").done()
    return command


FORMS_BUT_FOLDERS = ("csv", "png", "html")


@pytest.mark.parametrize("form", FORMS_BUT_FOLDERS)
def test_a_folder_is_told_before_any_work(mapped: Command, tmp_path: Path, form: str) -> None:
    (tmp_path / "a.png").mkdir()
    mapped("map", "--seed", "9", "export", form, "--out", tmp_path / "a.png").refused(
        1, "Is a directory"
    )


def test_a_line_is_no_file(mapped: Command, tmp_path: Path) -> None:
    answer = mapped("map", "export", "csv", "--out", "-", cwd=tmp_path)
    answer.refused(2, "-: an export is a file")
    assert not (tmp_path / "-").exists()


@pytest.mark.parametrize("form", ["csv", "tensorboard"])
def test_the_library_itself_is_never_written_over(mapped: Command, form: str) -> None:
    place = mapped.library / ("catalog.sqlite" if form == "csv" else "derived/new")
    mapped("map", "export", form, "--out", place).refused(2, "lies in the library itself")
    mapped("map", "study", "--out", mapped.library / "x").refused(2, "lies in the library itself")
    mapped("doctor").done()


@pytest.mark.parametrize(
    ("name", "command"),
    [("sprite.jpg", ("export", "tensorboard")), ("overview.png", ("study",))],
)
def test_a_folder_with_a_picture_of_the_library_is_never_replaced(
    mapped: Command, tmp_path: Path, name: str, command: tuple[str, ...]
) -> None:
    other = mapped.copy(tmp_path / "copy")
    (tmp_path / "mine").mkdir()
    photo("coffee.png").resize((90, 60)).save(tmp_path / "mine" / name)
    other("index", tmp_path / "mine").done()
    other("map", *command, "--out", tmp_path / "mine").refused(2, name, "only read")
    assert (tmp_path / "mine" / name).exists()


@pytest.mark.parametrize(
    "option",
    [("--seed", "9" * 23), ("--clusters", "kmeans", "--count", "9" * 23)],
    ids=["seed", "count"],
)
def test_huge_numbers_are_refused(mapped: Command, option: tuple[str, ...]) -> None:
    mapped("map", *option).refused(2, option[-2].strip("-"), "9999", "to ")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_written_and_told(mapped: Command, tmp_path: Path, form: str) -> None:
    place = tmp_path / FORMS[form]
    answer = mapped("map", "export", form, "--out", place).done()
    assert answer.out == b""
    shown = answer.talk[-1]
    assert f"lookalike: export: {place}" in answer.talk
    assert shown.endswith(f" of {PHOTOS} records")
    assert form == "png" or shown == f"lookalike: {PHOTOS} of {PHOTOS} records"
    assert [path.name for path in tmp_path.iterdir()] == [place.name]


def test_what_is_said_of_the_map_before_the_form_holds(mapped: Command, tmp_path: Path) -> None:
    for number, words in enumerate(
        (
            ("map", "--clusters", "kmeans", "--count", "3", "export", "csv"),
            ("map", "export", "csv", "--clusters", "kmeans", "--count", "3"),
            ("map", "--count", "5", "export", "csv", "--clusters", "kmeans", "--count", "3"),
        )
    ):
        mapped(*words, "--out", tmp_path / f"{number}.csv").done()
    one, two, three = ((tmp_path / f"{number}.csv").read_bytes() for number in range(3))
    assert one == two == three
    with (tmp_path / "0.csv").open(encoding="utf-8", newline="") as file:
        assert {row["cluster"] for row in csv.DictReader(file)} == {"0", "1", "2"}


def test_a_form_may_have_fewer_rows(mapped: Command, tmp_path: Path) -> None:
    answer = mapped("map", "export", "csv", "--rows", "7", "--out", tmp_path / "a.csv").done()
    assert answer.talk[-1] == f"lookalike: 7 of {PHOTOS} records"
    fewer = ("map", "export", "csv", "--out", tmp_path / "b.csv", "--rows")
    mapped(*fewer, "none").refused(2, "none: a whole number, or all")
    mapped(*fewer, "-3").refused(2, "-3: at least 1")
    mapped("map", "export", "csv", "--rows", "0", "--out", tmp_path / "b.csv").refused(2)


@pytest.mark.parametrize("form", sorted({*FORMS} - {"tensorboard"}))
def test_a_folder_is_no_place_for_a_file(mapped: Command, tmp_path: Path, form: str) -> None:
    folder = tmp_path / FORMS[form]
    folder.mkdir()
    unmade = ("map", "--seed", "77", "export")  # a map that would take a while
    mapped(*unmade, form, "--out", folder).refused(1, "cannot be written (Is a directory)")


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_of_the_library_is_never_written_over(mapped: Command, form: str) -> None:
    picture = mapped.library.parent / "photos" / "0020.jpg"
    before = picture.read_bytes()
    mapped("map", "export", form, "--out", picture).refused(2, str(picture))
    assert picture.read_bytes() == before


@pytest.mark.parametrize("form", FORMS)
def test_a_place_that_is_not_there_is_told_in_a_line(
    mapped: Command, tmp_path: Path, form: str
) -> None:
    place = tmp_path / "nowhere" / FORMS[form]
    mapped("map", "export", form, "--out", place).refused(1, "No such file", str(place))


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_is_told_in_a_line_and_leaves_nothing(
    mapped: Command, disk: Disk, form: str
) -> None:
    place = disk.folder / FORMS[form]
    stuffing = disk.fill()
    answer = mapped("map", "export", form, "--out", place)
    assert answer.refused(1, "No space left on device") == (
        f"lookalike: {place}: the export cannot be written (No space left on device); name another"
        " place"
    )
    assert list(disk.folder.iterdir()) == [stuffing]


def test_options_of_posters_are_checked_before_any_work(mapped: Command, tmp_path: Path) -> None:
    export = ("map", "export", "png", "--out")
    mapped(*export, tmp_path / "a.gif").refused(2, "ending in .png")
    mapped(*export, tmp_path / "a.png", "--paper", "b7").refused(2, "paper 'b7'")
    mapped(*export, tmp_path / "a.png", "--dpi", "9000").refused(2, "MP exceed")
    scatter = ("--poster", "scatter", "--cell", "9")
    mapped(*export, tmp_path / "a.png", *scatter).refused(2, "--cell 9")
    assert not list(tmp_path.iterdir())


def test_a_poster_has_the_size_that_was_asked_for(mapped: Command, tmp_path: Path) -> None:
    for poster in ("mosaic", "scatter"):
        page = ("--paper", "120x80", "--dpi", "127", "--theme", "dark", "--poster", poster)
        mapped("map", "export", "png", *page, "--out", tmp_path / "map.png").done()
        with Image.open(tmp_path / "map.png") as image:
            assert image.size == (600, 400)


def test_a_condition_that_nothing_meets_makes_no_export(mapped: Command, tmp_path: Path) -> None:
    where = ("--where", "width > 5000")
    answer = mapped("map", "export", "csv", *where, "--out", tmp_path / "map.csv")
    answer.refused(2, "no record")
    assert not list(tmp_path.iterdir())


def test_a_study_is_printed_and_written(mapped: Command, tmp_path: Path) -> None:
    tried = ("--methods", "tsne,umap", "--clusters", "kmeans,agglomerative", "--count", "3")
    answer = mapped("map", "study", *tried, "--out", tmp_path / "study").done()
    lines = answer.text.splitlines()
    assert lines[0] == f"{PHOTOS} records, 0 with a label"
    assert [line.split("  ")[0] for line in lines[2:6]] == [
        "t-SNE with k-means", "t-SNE with agglomerative", "UMAP with k-means",
        "UMAP with agglomerative",
    ]  # fmt: skip
    assert lines[6].startswith("take ")
    figures = json.loads((tmp_path / "study" / "scores.json").read_text())
    assert [one["scores"]["clusters"] for one in figures["trials"]] == [3, 3, 3, 3]
    again = mapped("map", "study", *tried, "--json", "--out", tmp_path / "study").done()
    assert again.json() == figures


def test_a_study_scores_by_labels(mapped: Command, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    photos = sorted((mapped.library.parent / "photos").glob("00*.jpg"))
    lines = [f"{path},{'odd' if number % 2 else 'even'}" for number, path in enumerate(photos)]
    table.write_text("\n".join(["path,label", *lines]))
    tried = ("--methods", "tsne", "--clusters", "kmeans", "--labels", table)
    answer = mapped("map", "study", *tried, "--json", "--out", tmp_path / "study").done()
    study = answer.json()
    assert study["labelled"] == len(photos)
    assert 0 <= study["trials"][0]["scores"]["nmi"] <= 1
    assert study["trials"][0]["scores"]["purity"] is not None


def test_what_cannot_be_tried_is_refused(mapped: Command, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "study")
    mapped("map", "study", "--methods", "pca", *out).refused(2, "methods: 'pca'")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "dear.txt").touch()
    mapped("map", "study", *out).refused(2, "no earlier study")


@pytest.mark.long
@pytest.mark.parametrize("form", ["html", "plotly"])
def test_a_page_draws_in_a_browser_and_asks_for_nothing(
    mapped: Command, tmp_path: Path, form: str, playwright: Any
) -> None:
    mapped("map", "export", form, "--out", tmp_path / "map.html").done()
    asked: list[str] = []
    wrong: list[str] = []
    flags = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"]
    browser = playwright.chromium.launch(
        executable_path=CHROMIUM, args=[*flags, "--enable-unsafe-swiftshader"]
    )
    page: Any = browser.new_page(viewport={"width": 900, "height": 700})
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((tmp_path / "map.html").as_uri())
    page.wait_for_timeout(4_000)
    page.screenshot(path=tmp_path / "seen.png")
    title = page.title()
    browser.close()
    assert not wrong
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [
        (tmp_path / "map.html").as_uri()
    ]
    assert title != "run"
    with Image.open(tmp_path / "seen.png") as seen:
        middle = seen.convert("RGB").crop((300, 100, 800, 600))
        colours = middle.getcolors(250_000)
    assert colours is not None
    vivid = sum(count for count, (r, g, b) in colours if max(r, g, b) - min(r, g, b) > 60)
    assert vivid > 100
