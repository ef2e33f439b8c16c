"""Pictures of the map's page for the documents, taken in headless Chromium.

    python tools/draw_map_page.py LIBRARY [FOLDER] [--png]

Writes map-*.jpg into FOLDER, by default docs/images. LIBRARY has Caltech-101; its maps (t-SNE in
the plane, UMAP in space) are made if there are none.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from lookalike.maps import MapOptions
from lookalike.web.app import create_app

FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PLANE = MapOptions()
SPACE = MapOptions(method="umap", dims=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/images"))
    parser.add_argument("--png", action="store_true", help="as the browser shows it")
    options = parser.parse_args()

    def save(page: Page, name: str) -> None:
        settle(page)
        data = page.screenshot()
        place = options.folder / f"map-{name}.{'png' if options.png else 'jpg'}"
        if options.png:
            place.write_bytes(data)
        else:
            Image.open(io.BytesIO(data)).convert("RGB").save(place, quality=80, optimize=True)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), headless=True, args=FLAGS
        )
        with served(options.library, PLANE) as address:
            for name, steps in PICTURES.items():
                page = opened(browser, address, "dark" if name in DARK else "light", name == "hand")
                steps(page)
                save(page, name)
                page.context.close()
        with served(options.library, SPACE) as address:
            page = opened(browser, address, "dark")
            page.evaluate(
                "lookalikeMap.map.fly({target: [-0.05, -0.15, 0], zoom: 2.2, yaw: 0.9, pitch: 0.3})"
            )
            save(page, "space")
        browser.close()


@contextmanager
def served(library: Path, options: MapOptions) -> Iterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(create_app(library, [options]), port=0, log_level="error")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/map"
    server.should_exit = True
    thread.join()


def opened(browser: Browser, address: str, scheme: str, small: bool = False) -> Page:
    size = {"width": 390, "height": 780} if small else {"width": 1280, "height": 800}
    context = browser.new_context(
        viewport=size,
        color_scheme=scheme,
        reduced_motion="reduce",  # type: ignore[arg-type]
    )
    page = context.new_page()
    page.goto(address)
    until(page, "window.lookalikeMap && lookalikeMap.map.stats.firstPicture")
    return page


def until(page: Page, expression: str) -> None:
    end = time.monotonic() + 120
    while not page.evaluate(f"!!({expression})"):
        if time.monotonic() > end:
            sys.exit(f"{expression}: does not come true")
        page.wait_for_timeout(50)


def settle(page: Page) -> None:
    """Until nothing is drawn or loaded any more."""
    last = -1
    while last != (now := page.evaluate("lookalikeMap.map.stats.frames")):
        last = now
        page.wait_for_timeout(700)
    page.wait_for_load_state("networkidle")


# -- what is shown ---------------------------------------------------------------------------------


def whole(page: Page) -> None:
    settle(page)


def closer(page: Page) -> None:
    page.evaluate("lookalikeMap.map.zoomAt(520, 520, 3.4)")


def row_named(page: Page, name: str, number: int = 20) -> int:
    """A row in the cluster whose name begins so."""
    row: int = page.evaluate(
        """([name, number]) => { const {legend, codes} = lookalikeMap.colouring;
        const code = legend.findIndex(({label}) => label.toLowerCase().startsWith(name));
        return [...codes.keys()].filter((row) => codes[row] === code)[number]; }""",
        [name, number],
    )
    return row


def alike(page: Page) -> None:
    row = row_named(page, "leopard")
    page.evaluate(f"lookalikeMap.map.flyTo({row}, 5)")
    page.evaluate(f"lookalikeMap.openPicture({row})")
    until(page, "document.querySelectorAll('#panel .hits button').length >= 24")
    until(page, "[...document.querySelectorAll('#panel .hits img')].slice(0, 9)"
                ".every((one) => one.complete)")  # fmt: skip


def selection(page: Page) -> None:
    settle(page)
    row = row_named(page, "watch", 0)
    x, y = page.evaluate(
        f"(() => {{ const at = lookalikeMap.map.place({row}); return [at.x, at.y]; }})()"
    )
    page.keyboard.press("l")
    page.mouse.move(x - 70, y - 60)
    page.mouse.down()
    for dx, dy in ((0, -85), (70, -50), (85, 20), (40, 75), (-40, 70), (-80, 10)):
        page.mouse.move(x + dx, y + dy, steps=3)
    page.mouse.up()
    until(page, "document.getElementById('condition')")


def search(page: Page) -> None:
    page.fill("#query", "elephant")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('#panel .hits button').length >= 20")


def hover(page: Page) -> None:
    page.evaluate("lookalikeMap.map.zoomAt(520, 520, 2.2)")
    settle(page)
    x, y = page.evaluate(
        "(() => { const one = lookalikeMap.map.placed.filter((p) => p.halfWidth > 0"
        " && p.x > 500 && p.x < 800 && p.y > 250 && p.y < 500)[0]; return [one.x, one.y]; })()"
    )
    page.mouse.move(x, y)
    until(page, "!document.getElementById('card').hidden")


PICTURES = {
    "light": whole,
    "dark": whole,
    "closer": closer,
    "alike": alike,
    "selection": selection,
    "search": search,
    "hover": hover,
    "hand": alike,
}
DARK = {"dark", "search", "hover"}


if __name__ == "__main__":
    main()
