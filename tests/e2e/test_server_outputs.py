"""Pictures and pages of a library on a server are drawn as those of one in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from lookalike import Library
from lookalike.cli.main import main
from lookalike.web.app import create_app
from tests.servers import chdb_library, postgres_library

from .gallery import crops

PLACES = {"postgresql": postgres_library, "clickhouse": chdb_library}


@pytest.fixture(scope="module", params=PLACES)
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library of twelve pictures on a server."""
    place = tmp_path_factory.mktemp("outputs")
    (place / "photos").mkdir()
    for name, data in crops(12):
        (place / "photos" / name).write_bytes(data)
    address = PLACES[request.param](place)
    with Library.open(address, create=True) as library:
        library.add([place / "photos"])
    return address


def test_a_sheet_and_a_chart_are_drawn(address: str, tmp_path: Path) -> None:
    sheet, chart = tmp_path / "sheet.png", tmp_path / "chart.png"
    search = ["search", "--random", "--seed", "1", "-k", "3", "--sheet", str(sheet)]
    assert main([*search, "--library", address]) == 0
    sql = ["sql", "SELECT id, width FROM images ORDER BY id LIMIT 3", "--plot", str(chart)]
    assert main([*sql, "--library", address]) == 0
    for file in (sheet, chart):
        with Image.open(file) as image:
            assert min(image.size) > 100


def test_pairs_are_shown_on_a_page(address: str, tmp_path: Path) -> None:
    page = tmp_path / "pairs.html"
    assert main(["duplicates", "--html", str(page), "--library", address]) == 0
    assert page.read_text(encoding="utf-8").startswith("<!")


def test_nothing_is_drawn_over_a_picture_or_among_the_librarys_own_files(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Library.open(address) as library:
        own, path = (
            library.own_folder,
            library.search([library.random_record()], 1).hits[0].paths[0],
        )
    before = Path(path).read_bytes()
    own.mkdir(parents=True, exist_ok=True)
    for place in (own / "sheet.png", Path(path)):
        arguments = ["search", "--random", "--sheet", str(place), "--library", address]
        assert main(arguments) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert Path(path).read_bytes() == before
    assert not (own / "sheet.png").exists()


def test_the_web_app_opens_a_library_by_its_address(address: str) -> None:
    with TestClient(create_app(address), base_url="http://127.0.0.1") as client:
        answer = client.get("/api/map")
        (shown,) = answer.json()
        facts = client.get(f"/api/map/{shown['name']}").json()
    assert facts["n"] == 12
