"""The map's page in a real browser: what it draws, and what it does when it is touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike import Library
from lookalike.maps import Level, MapOptions, PictureMap, Tree, packets, sheets
from lookalike.web.document import document
from tests.web.conftest import PICTURES, Opener, Tab, colour, scattered, served

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

LIGHT, DARK = (250, 250, 248), (16, 17, 20)
ROWS = 20_000
MIDDLE = (500, 350)


@pytest.fixture(scope="module")
def address(toys: Path) -> Iterator[str]:
    with served(toys, make=scattered(ROWS)) as found:
        yield found


@pytest.fixture(scope="module")
def chart(toys: Path) -> PictureMap:
    with Library.open(toys) as library:
        return scattered(ROWS)(library, MapOptions())


def unlike(pixels: Any, ground: tuple[int, int, int], by: int = 24) -> Any:
    """Which pixels are not the ground's colour."""
    return (np.abs(pixels.astype(int) - ground).max(axis=2)) > by


def number_of(toys: Path, tab: Tab, row: int) -> int:
    """The number of the toy picture of a row."""
    path = tab.page.evaluate(f"lookalikeMap.factsOf({row}).then((facts) => facts.paths[0])")
    return int(Path(path).stem)


def close_up(tab: Tab) -> None:
    """Zoom into the first group, far enough for thumbnails."""
    tab.map("flyToBox([0.62, -0.08], [0.78, 0.08])")
    tab.rest()
    tab.until("lookalikeMap.map.stats.thumbnails > 20")
    tab.rest()


# -- drawing ---------------------------------------------------------------------------------------


def test_points_are_drawn_where_the_map_has_them(
    tab: Opener, address: str, chart: PictureMap
) -> None:
    found = tab(address, color_scheme="light")
    pixels = found.pixels()
    drawn = unlike(pixels, LIGHT)
    assert 0.02 < drawn.mean() < 0.6
    hits = 0
    for row in range(0, 400, 10):
        x, y = found.place(row)
        hits += bool(drawn[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].any())
    assert hits >= 39
    corner = drawn[470:520, 480:560]  # between the groups there is nearly nothing
    assert corner.mean() < 0.05


def test_light_and_dark_follow_the_system_and_the_button(tab: Opener, address: str) -> None:
    found = tab(address, color_scheme="dark")
    assert tuple(found.pixels()[690, 620]) == DARK
    found.page.click("#theme")
    found.rest()
    assert tuple(found.pixels()[690, 620]) == LIGHT
    found.page.reload()
    found.until("window.lookalikeMap")
    found.rest()
    assert tuple(found.pixels()[690, 620]) == LIGHT  # what was chosen stays


def test_zooming_in_shows_the_pictures_themselves(tab: Opener, address: str, toys: Path) -> None:
    found = tab(address, color_scheme="light")
    assert found.sheets == 0
    close_up(found)
    pixels = found.pixels().astype(int)
    shown = found.page.evaluate(
        "lookalikeMap.map.placed.filter((one) => one.halfWidth > 0)"
        ".map((one) => [one.row, one.x, one.y])"
    )
    inside = [one for one in shown if 300 < one[1] < 900 and 120 < one[2] < 380]
    assert len(inside) > 12
    right = 0
    for row, x, y in inside:
        patch = pixels[int(y) - 4 : int(y) + 5, int(x) - 4 : int(x) + 5].reshape(-1, 3)
        right += np.abs(np.median(patch, axis=0) - colour(number_of(toys, found, row))).max() < 14
    assert right >= 0.85 * len(inside)  # names and rings may lie over a few


def test_names_never_lie_over_each_other(tab: Opener, address: str) -> None:
    found = tab(address)
    seen = set()
    for zoom in (1, 2, 3, 8):
        found.map(f"fly({{target: [0.4, 0.2, 0], zoom: {zoom}, yaw: 0, pitch: 0}})")
        found.rest()
        boxes = found.map("nameBoxes")
        seen.add(len(boxes))
        assert boxes or zoom == 8
        for i, one in enumerate(boxes):
            for other in boxes[i + 1 :]:
                apart = (
                    one["right"] <= other["left"] or other["right"] <= one["left"]
                    or one["bottom"] <= other["top"] or other["bottom"] <= one["top"]
                )  # fmt: skip
                assert apart, (one, other)
    assert len(seen) > 1  # levels differ


# -- moving ----------------------------------------------------------------------------------------


def test_panning_asks_for_one_sheet_at_a_time_and_fewer_than_frames(
    tab: Opener, address: str
) -> None:
    found = tab(address)
    close_up(found)
    frames, before = found.map("stats.frames"), found.sheets
    found.page.mouse.move(*MIDDLE)
    found.page.mouse.down()
    for step in range(50):
        found.page.mouse.move(MIDDLE[0] - 5 * step, MIDDLE[1] + 2 * step)
        found.page.wait_for_timeout(12)
    found.page.mouse.up()
    found.rest()
    asked = found.sheets - before
    assert 1 <= asked <= 3  # once it rests, and if a hand rests on the way
    assert found.map("stats.frames") - frames > 3 * asked
    assert found.most_in_flight == 1
    held = found.sheets
    found.map("pan(20, 0)")
    found.rest()
    found.map("pan(-20, 0)")
    found.rest()
    assert found.sheets - held <= 1  # what was here is not asked for again


def test_keys_move_zoom_and_leave(tab: Opener, address: str) -> None:
    found = tab(address)
    found.page.focus("#stage")
    found.page.keyboard.press("+")
    found.page.keyboard.press("ArrowRight")
    assert found.map("camera.state.zoom") == pytest.approx(1.4)
    assert found.map("camera.state.target[0]") > 0
    found.page.keyboard.press("0")
    found.rest()
    assert found.map("camera.state") == {"target": [0, 0, 0], "zoom": 1, "yaw": 0.6, "pitch": 0.35}
    found.page.keyboard.press("/")
    assert found.page.evaluate("document.activeElement.id") == "query"
    found.page.keyboard.press("Escape")
    found.page.keyboard.press("l")
    assert found.page.get_attribute("[data-tool=lasso]:not(#stage)", "aria-pressed") == "true"
    found.page.keyboard.press("?")
    assert found.page.evaluate("document.getElementById('help').open")
    found.page.keyboard.press("Escape")
    found.page.focus("#stage")
    found.page.keyboard.press("Enter")
    found.until("!document.getElementById('panel').hidden")


def test_every_control_has_a_name(tab: Opener, address: str) -> None:
    found = tab(address)
    nameless = found.page.evaluate(
        "[...document.querySelectorAll('button, input, select, main, aside')].filter((one) =>"
        " !(one.getAttribute('aria-label') || one.textContent.trim()"
        " || (one.labels && one.labels.length))).map((one) => one.outerHTML)"
    )
    assert nameless == []


def test_a_hand_pinches_taps_and_rests(tab: Opener, address: str) -> None:
    found = tab(address, has_touch=True, viewport={"width": 400, "height": 760})
    hand = found.page.context.new_cdp_session(found.page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (180, 380), (220, 380))
    for step in range(1, 9):
        touch("touchMove", (180 - 10 * step, 380), (220 + 10 * step, 380))
    touch("touchEnd")
    assert found.map("camera.state.zoom") > 3
    found.map("home()")
    found.rest()
    x, y = found.place(3)
    touch("touchStart", (x, y))
    found.until("!document.getElementById('card').hidden")  # a long press
    touch("touchEnd")
    assert found.page.evaluate("document.getElementById('panel').hidden")
    found.page.touchscreen.tap(x, y)
    found.until("!document.getElementById('panel').hidden")
    stage = found.page.evaluate("document.getElementById('stage').clientHeight")
    assert 300 < stage < 500  # the panel leaves the map its half


# -- asking ----------------------------------------------------------------------------------------


def test_resting_on_a_point_shows_its_picture_and_facts(
    tab: Opener, address: str, toys: Path
) -> None:
    found = tab(address)
    close_up(found)
    row, x, y = found.page.evaluate(
        "lookalikeMap.map.placed.filter((one) => one.halfWidth > 0 && one.x > 320 && one.y > 150)"
        ".map((one) => [one.row, one.x, one.y])[0]"
    )
    found.page.mouse.move(x + 1, y + 1)
    found.until("!document.getElementById('card').hidden")
    assert found.page.evaluate("document.getElementById('card').dataset.row") == str(row)
    text = found.page.inner_text("#card")
    assert f"{number_of(toys, found, row):03d}.png" in text
    assert "60 × 40" in text
    assert found.page.evaluate("document.querySelector('#card img').naturalWidth") == 60


def test_a_click_lights_up_look_alikes_on_the_map_and_beside_it(tab: Opener, address: str) -> None:
    found = tab(address)
    before = unlike(found.pixels(), LIGHT, 60).sum()
    found.page.mouse.click(*found.place(40))
    found.until("document.querySelectorAll('#panel .hits button').length >= 24")
    source = found.map("marks.source")
    hits = found.map("marks.hits")
    listed = found.page.evaluate(f"lookalikeMap.source.alike({source}, 24)")["hits"]
    assert hits == [one["row"] for one in listed]
    found.rest()
    assert unlike(found.pixels()[:, :600], LIGHT, 60).sum() < before  # the others are faint
    found.page.click("#panel .hits li:nth-child(2) button")
    found.rest()
    x, y = found.place(hits[1])
    width = found.map("camera.width")
    assert abs(x - width / 2) < 3
    assert abs(y - 350) < 3
    found.page.keyboard.press("Escape")
    assert found.map("marks") == {"source": -1, "hits": [], "hover": -1}


def test_a_picture_is_followed_to_a_search_and_the_address_keeps_it(
    tab: Opener, address: str
) -> None:
    found = tab(address)
    found.page.mouse.click(*found.place(7))
    found.until("document.querySelectorAll('#panel .hits button').length >= 24")
    found.page.click("text=Search with this picture")
    found.until("document.querySelector('#panel h2')?.textContent.includes('hits')")
    asked = found.page.input_value("#query")
    assert asked.startswith("id:")
    assert len(found.map("marks.hits")) == PICTURES - 1
    again = tab(found.page.url)
    again.until("document.querySelector('#panel h2')?.textContent.includes('hits')")
    assert again.page.input_value("#query") == asked


def test_a_search_that_fails_says_why(tab: Opener, address: str) -> None:
    found = tab(address)
    found.page.fill("#query", "no-such.jpg")
    found.page.keyboard.press("Enter")
    found.until("document.querySelector('#panel [role=alert]')")
    assert "no such file" in found.page.inner_text("#panel")
    found.problems.clear()  # the browser's own line about the status


@pytest.mark.parametrize("tool", ["box", "lasso"])
def test_a_selection_becomes_a_condition_an_export_and_a_label(
    tab: Opener, address: str, toys: Path, chart: PictureMap, tool: str
) -> None:
    found = tab(address)
    left, top, right, bottom = 600, 100, 760, 330
    if tool == "lasso":
        found.page.click("button[data-tool=lasso]")
    else:
        found.page.keyboard.down("Shift")
    found.page.mouse.move(left, top)
    found.page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom)):
        if tool == "lasso" or (x, y) == (right, bottom):
            found.page.mouse.move(x, y, steps=6)
    found.page.mouse.up()
    found.page.keyboard.up("Shift")
    found.until("document.getElementById('condition')")
    places = 350 + np.array([1, -1]) * chart.positions * 350 * 0.92 + (150, 0)
    within = (places > (left, top)).all(axis=1) & (places < (right, bottom)).all(axis=1)
    told = int(found.page.inner_text("#panel h2").split()[0].replace(",", ""))
    assert told == pytest.approx(int(within.sum()), abs=2)  # half a pixel at the edge
    assert told > 500
    wanted = {id_.tobytes() for id_ in chart.ids[within]}
    if told <= 1000:
        with Library.open(toys) as library:
            condition = found.page.inner_text("#condition")
            ids = library.matching(condition.removesuffix(" …")) if "…" not in condition else []
            assert {id_.bytes for id_ in ids} <= wanted
    with found.page.expect_download() as saved:
        found.page.click("#panel >> text=Paths")
    lines = Path(saved.value.path()).read_text().splitlines()
    assert {Path(line).suffix for line in lines} == {".png"}
    found.page.fill("#label-name", f"my {tool}")
    found.page.click("#panel form >> text=Label")
    found.until("document.getElementById('label-condition')")
    with Library.open(toys) as library:
        labelled = library.matching(found.page.inner_text("#label-condition"))
    assert {id_.bytes for id_ in labelled} == wanted


def test_colours_follow_the_legend_and_a_group_can_be_lit_up(tab: Opener, address: str) -> None:
    found = tab(address)
    before = found.pixels()
    found.page.select_option("#colour-by", "folder")
    found.until("document.getElementById('legend-title').textContent === 'Folder'")
    found.rest()
    assert (found.pixels() != before).any(axis=2).mean() > 0.01
    names = [text.split("\n")[0] for text in found.page.locator("#entries li").all_inner_texts()]
    assert sorted(names) == ["f0", "f1", "f2"]
    strong = unlike(found.pixels()[:, 300:600], LIGHT, 60).sum()
    found.page.click("#entries li:nth-child(2) button")
    found.until("document.getElementById('condition')")
    found.rest()
    assert unlike(found.pixels()[:, 300:600], LIGHT, 60).sum() < 0.7 * strong


def test_the_number_of_clusters_is_a_slider_where_there_is_a_tree(tab: Opener, toys: Path) -> None:
    asked = []

    def with_tree(library: Library, options: MapOptions) -> PictureMap:
        made = scattered(500)(library, options)
        leaf = np.maximum(made.clustering.finest.of, 0)
        merges = np.array([[2.0 * n, 2.0 * n + 1, n, 2.0] for n in range(11)])
        return replace(made, clustering=replace(made.clustering, tree=Tree(leaf, merges)))

    def cut(library: Library, chart: PictureMap, count: int) -> Level:
        asked.append(count)
        of = (np.arange(len(chart)) % count).astype(np.int32)
        first = chart.clustering.finest.clusters[0]
        return Level(of, tuple(replace(first, name=f"cut {n}") for n in range(count)))

    with served(toys, make=with_tree, cutter=cut) as address:
        found = tab(address)
        assert found.page.is_visible("#count")
        found.page.focus("#count")
        found.page.keyboard.press("Home")
        found.until("document.getElementById('legend-title').textContent === '2 clusters'")
        assert found.page.inner_text("#count-now") == "2"
        names = found.page.locator("#entries span").all_inner_texts()
        assert names == ["cut 0", "cut 1"]
        assert asked == [2]


# -- what may go wrong -----------------------------------------------------------------------------


def test_a_lost_device_comes_back_with_everything_on_it(tab: Opener, address: str) -> None:
    found = tab(address)
    close_up(found)
    state, before = found.map("camera.state"), found.pixels()
    found.page.evaluate(
        "window.lost = lookalikeMap.map.gl.getExtension('WEBGL_lose_context'); lost.loseContext()"
    )
    found.until("lookalikeMap.map.gl.isContextLost()")
    found.map("pan(0, 0)")
    found.page.evaluate("lost.restoreContext()")
    found.until("!lookalikeMap.map.gl.isContextLost()")
    found.rest()
    found.until("lookalikeMap.map.stats.thumbnails > 20")
    found.rest()
    assert found.map("camera.state") == state
    same = np.abs(found.pixels().astype(int) - before.astype(int)).max(axis=2) < 24
    assert same[:620].mean() > 0.97


def test_two_million_points_are_drawn_and_moved(tab: Opener, toys: Path) -> None:
    with served(toys, make=scattered(2_000_000)) as address:
        found = tab(address)
        assert unlike(found.pixels(), LIGHT).mean() > 0.05
        assert found.map("stats.firstPicture") < 30_000
        frames = found.map("stats.frames")
        found.page.mouse.move(*MIDDLE)
        found.page.mouse.down()
        found.page.mouse.move(300, 300, steps=10)
        found.page.mouse.up()
        found.rest()
        assert found.map("stats.frames") > frames + 3
        assert found.map("camera.state.target[0]") > 0.5
        found.map("flyToBox([0.697, -0.003], [0.703, 0.003])")
        found.rest()
        found.until("lookalikeMap.map.stats.thumbnails > 20")


def test_one_picture_is_a_map(tab: Opener, toys: Path) -> None:
    with served(toys, make=scattered(1)) as address:
        found = tab(address)
        found.until("lookalikeMap.map.stats.thumbnails === 1")
        found.page.mouse.click(*found.place(0))
        found.until("document.querySelectorAll('#panel .hits img').length === 24")
        found.until("[...document.querySelectorAll('#panel img')].every((one) => one.complete)")
        assert found.map("marks.hits") == []  # none of them is on this map


def test_a_map_in_space_turns_and_shows_pictures(tab: Opener, toys: Path) -> None:
    options = MapOptions(method="umap", dims=3)
    with served(toys, options, scattered(3_000)) as address:
        found = tab(address)
        before, yaw = found.pixels(), found.map("camera.state.yaw")
        found.page.mouse.move(520, 380)
        found.page.mouse.down()
        found.page.mouse.move(640, 420, steps=5)
        found.page.mouse.up()
        found.rest()
        assert found.map("camera.state.yaw") != yaw
        assert (found.pixels() != before).any(axis=2).mean() > 0.02
        found.map("flyTo(5)")
        found.rest()
        found.until("lookalikeMap.map.stats.thumbnails > 5")
        row = found.map("pictureRows[0]")
        assert found.map(f"pick(...(({{x, y}}) => [x, y])(lookalikeMap.map.place({row})))") >= 0


def test_without_webgl_the_page_says_so(tab: Opener, address: str) -> None:
    found = tab(address)
    page = found.page
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.reload()
    page.wait_for_selector("[role=alert]")
    assert "WebGL2" in page.inner_text("[role=alert]")


def test_a_document_works_without_a_server(
    tab: Opener, toys: Path, chart: PictureMap, tmp_path: Path
) -> None:
    with Library.open(toys) as library:
        small = scattered(200)(library, MapOptions())
        ids = [str(id_) for id_ in map(_uuid, small.ids)]
        jpegs = library.thumbnails([_uuid(id_) for id_ in small.ids])
        paths = [record.paths[0] for record in library.get([_uuid(i) for i in small.ids]) if record]
    parts = {"points": packets.points(small)}
    for number, (level, title) in enumerate(
        zip(small.clustering.levels, packets.level_titles(small), strict=True)
    ):
        name = packets.level_name(number)
        parts[f"colouring-{name}"] = packets.level_colouring(level, name, title)
    parts["neighbours"] = packets.neighbours((np.arange(200)[:, None] + [1, 2, 3]) % 200)
    for number in range(2):
        rows = range(100 * number, 100 * number + 100)
        packet = sheets.sheet_packet(rows, [jpegs[row] for row in rows], 64)
        parts[f"sheet-{number}"] = packet
    records = {"ids": ids, "paths": paths, "captions": [""] * 200}
    place = tmp_path / "map.html"
    place.write_text(document(packets.facts(small, []), records, parts))
    found = tab(place.as_uri())
    found.until("lookalikeMap.map.stats.thumbnails > 20")
    found.page.fill("#query", "005.png")
    found.page.keyboard.press("Enter")
    found.until("document.querySelectorAll('#panel .hits button').length > 0")
    assert found.map("marks.hits") == [r for r, path in enumerate(paths) if "005.png" in path]
    found.page.keyboard.press("Escape")
    found.page.keyboard.press("Escape")
    found.page.evaluate("lookalikeMap.openPicture(10)")
    found.until("document.querySelectorAll('#panel .hits button').length === 3")
    assert found.map("marks.hits") == [11, 12, 13]


def _uuid(id_: Any) -> Any:
    from uuid import UUID

    return UUID(bytes=id_.tobytes() if hasattr(id_, "tobytes") else id_)
