"""The map's page in headless Chromium with software GL: first picture, frames, bytes, requests.

    python benchmarks/viewer.py [LIBRARY] [--rows 50000 150000 444668 1000000 2000000] [--short]
                                [--deck DIST.MIN.JS] [--own]

Maps are made up: 220 groups of very different sizes and 6 % noise; thumbnails are LIBRARY's, or
those of a small library of its own. The server is another process. A first picture is there when
all points are drawn and the device has finished. Frames are counted while a drag of 40 steps moves
the whole map, and sheets while one moves a view that shows thumbnails. ``--deck`` is the built
bundle of the npm package deck.gl, which then draws the same points by a ScatterplotLayer. ``--own``
shows the map of LIBRARY instead, which ``lookalike map`` must have made: result viewer-own.json.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import common
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from lookalike import Library
from lookalike.maps import Cluster, Clustering, Level, MapOptions, PictureMap
from lookalike.types import ID_DTYPE

ROWS = [50_000, 150_000, 444_668, 1_000_000, 2_000_000]
RUNS = 3
DECK_ROWS = 444_668
"""Rows that deck.gl is given at most, once: in software it takes minutes for more."""

GROUPS, NOISE = 220, 0.06
SIZE = {"width": 1280, "height": 800}
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--use-gl=angle",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]  # fmt: skip

DECK = """<!doctype html><style>body{margin:0}</style><div id="c"></div>
<script src="deck.js"></script>
<script>
(async () => {
  const data = await (await fetch("points.bin")).arrayBuffer();
  const n = %d, at = new Float32Array(data, 0, 2 * n), colour = new Uint8Array(data, 8 * n, 4 * n);
  const layer = () => new deck.ScatterplotLayer({
    id: "points", data: {length: n, attributes: {
      getPosition: {value: at, size: 2}, getFillColor: {value: colour, size: 4, normalized: true}}},
    radiusUnits: "pixels", getRadius: 0.7, pickable: false,
  });
  window.frames_drawn = 0;
  window.own = new deck.Deck({
    parent: document.getElementById("c"), width: 1280, height: 800, useDevicePixels: false,
    views: new deck.OrthographicView({}), controller: true, layers: [layer()],
    initialViewState: {target: [0, 0, 0], zoom: Math.log2(368)},
    onAfterRender: ({gl}) => {
      window.frames_drawn++;
      if (window.first) return;
      gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
      window.first = performance.now();
    },
  });
})();
</script>"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--deck", type=Path)
    parser.add_argument("--own", action="store_true")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    common.add_short(parser)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.library, options.serve)
        return
    if options.short:
        options.rows, runs = [5_000], 1
    else:
        runs = RUNS
    if shutil.which("chromium") is None:
        sys.exit("chromium: not on the PATH; this needs a browser")
    result: dict[str, Any] = {"provenance": common.provenance(), "size": SIZE, "runs": runs}
    with contextlib.ExitStack() as stack:
        folder = options.library or stack.enter_context(common.short_library(600)).folder
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), headless=True, args=FLAGS
        )
        result["chromium"] = browser.version
        result["page_kb"] = page_sizes()
        if options.own:  # the library's map, made before
            own = measure(browser, folder, 0, runs)
            with Library.open(folder) as library:
                own["rows"] = len(library)
            common.write("viewer-own", {**result, "maps": [own]})
            return
        result["maps"] = [measure(browser, folder, rows, runs) for rows in options.rows]
        if options.deck:
            common.deliver("viewer", result, short=options.short)  # the rest takes minutes
            some = [rows for rows in options.rows if rows <= DECK_ROWS]
            result["deck_gl"] = [deck(browser, options.deck, rows) for rows in some]
        browser.close()
    common.deliver("viewer", result, short=options.short)


# -- the maps --------------------------------------------------------------------------------------


def made_up(rows: int, library: Library, options: MapOptions) -> PictureMap:
    """A map of so many rows; records repeat where the library has fewer."""
    rng = np.random.default_rng(0)
    own = np.frombuffer(b"".join(id_.bytes for id_ in library.matching("width > 0")), ID_DTYPE)
    ids = own[np.arange(rows) % len(own)]
    positions, of = points(rng, rows)
    clusters = []
    for number in range(GROUPS):
        members = np.flatnonzero(of == number)
        first = UUID(bytes=ids[members[0] if len(members) else 0].tobytes())
        centre = tuple(positions[members].mean(axis=0).tolist()) if len(members) else (0.0, 0.0)
        clusters.append(Cluster(len(members), f"group {number}", (), first, (first,), (), centre))
    clustering = Clustering("kmeans", {}, (Level(of, tuple(clusters)),))
    return PictureMap(options, ids, positions, np.zeros(rows, bool), clustering)


def points(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions float32 (rows, 2), and groups int32 (rows,)."""
    weight = np.minimum(rng.pareto(1.2, GROUPS) + 0.3, 12)
    weight /= weight.sum()
    angle, far = rng.uniform(0, 2 * np.pi, GROUPS), 0.85 * np.sqrt(rng.random(GROUPS))
    centres = np.stack([far * np.cos(angle), far * np.sin(angle)], 1)
    of = rng.choice(GROUPS, rows, p=weight).astype(np.int32)
    spread = (0.35 * np.sqrt(weight) + 0.004)[of, None]
    positions = centres[of] + spread * rng.normal(size=(rows, 2))
    stray = rng.random(rows) < NOISE
    positions[stray] = rng.uniform(-0.9, 0.9, (int(stray.sum()), 2))
    of[stray] = -1
    return np.clip(positions, -1, 1).astype(np.float32), of


def serve(folder: Path, rows: int) -> None:
    """The server: prints its address, and ends with its input."""
    import uvicorn

    from lookalike.web.app import create_app

    app = create_app(folder, make=partial(made_up, rows) if rows else None)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    print(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/map", flush=True)
    sys.stdin.read()
    server.should_exit = True
    thread.join()


@contextlib.contextmanager
def served(folder: Path, rows: int) -> Iterator[str]:
    command = [sys.executable, __file__, str(folder), "--serve", str(rows)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


# -- the page --------------------------------------------------------------------------------------


def page_sizes() -> dict[str, float]:
    import zlib

    import lookalike.web

    static = Path(lookalike.web.__file__).parent / "static"
    sizes = {path.name: path.read_bytes() for path in sorted(static.iterdir())}
    return {
        **{name: round(len(data) / 1e3, 1) for name, data in sizes.items()},
        "map.js, deflated": round(len(zlib.compress(sizes["map.js"], 9)) / 1e3, 1),
    }


def measure(browser: Browser, folder: Path, rows: int, runs: int) -> dict[str, Any]:
    with served(folder, rows) as address:
        first, again = [], []
        for _ in range(runs):
            context = browser.new_context(viewport=SIZE)
            page = context.new_page()
            received = counted(page)
            start = opened(page, address)
            first.append(start)
            points_mb = received.get("points", 0) / 1e6
            again.append(opened(page, address))
            moving = dragged(page)
            sheets = panned(page)
            context.close()
    return {
        "rows": rows,
        "points_mb": round(points_mb, 2),
        "seconds_to_first_picture": spread(first),
        "seconds_again": spread(again),
        "moving_whole_map": moving,
        "with_thumbnails": sheets,
        "load": common.os.getloadavg()[0],
    }


def counted(page: Page) -> dict[str, int]:
    """Bytes received, by the last part of the address."""
    found: dict[str, int] = {}

    def finished(request: Any) -> None:
        name = request.url.partition("?")[0].rpartition("/")[2]
        found[name] = found.get(name, 0) + request.sizes()["responseBodySize"]

    page.on("requestfinished", finished)
    return found


def opened(page: Page, address: str) -> float:
    """Seconds from asking for the page to its first picture."""
    page.goto(address)
    return wait(page, "window.lookalikeMap ? lookalikeMap.map.stats.firstPicture : 0") / 1e3


def wait(page: Page, expression: str) -> float:
    end = time.monotonic() + 120
    while not (value := page.evaluate(expression)):
        if time.monotonic() > end:
            raise TimeoutError(expression)
        page.wait_for_timeout(20)
    return float(value)


WATCH = """() => { window.gaps = []; let last = performance.now();
  const tick = () => { const now = performance.now(); gaps.push(now - last); last = now;
  requestAnimationFrame(tick); }; requestAnimationFrame(tick); }"""


def drag(page: Page) -> None:
    """Forty steps, or as many as take half a minute."""
    page.mouse.move(760, 420)
    page.mouse.down()
    end = time.monotonic() + 30
    for step in range(40):
        if time.monotonic() > end:
            break
        page.mouse.move(760 - 6 * step, 420 - 2 * step)
        page.wait_for_timeout(16)
    page.mouse.up()


def dragged(page: Page) -> dict[str, Any]:
    """Milliseconds between frames while the whole map moves, and until it is whole again."""
    page.wait_for_timeout(500)
    page.evaluate(WATCH)
    before = page.evaluate("lookalikeMap.map.stats.frames")
    drag(page)
    gaps = sorted(page.evaluate("gaps"))
    drawn = page.evaluate("lookalikeMap.map.stats.frames") - before
    start = time.monotonic()
    wait(page, "!lookalikeMap.map.layer.unfinished")
    return {
        "ms_between_frames": {"median": round(statistics.median(gaps)), "p95": p95(gaps)},
        "frames": drawn,
        "seconds_until_whole_again": round(time.monotonic() - start, 2),
    }


def panned(page: Page) -> dict[str, Any]:
    """What moving a view with thumbnails asks for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    zoom = page.evaluate("Math.sqrt(lookalikeMap.map.points.n / 2500)")
    page.evaluate(
        "(zoom) => lookalikeMap.map.fly({target: lookalikeMap.map.points.positions.slice(0, 2)"
        ".reduce((all, one) => [...all, one], []).concat([0]), zoom, yaw: 0, pitch: 0})",
        zoom,
    )
    for _ in range(8):
        page.wait_for_timeout(1200)
        if page.evaluate("lookalikeMap.map.stats.thumbnails"):
            break
        page.evaluate("lookalikeMap.map.zoomAt(640, 400, 1.6)")
    page.wait_for_timeout(800)
    before, frames = (
        page.evaluate("({...lookalikeMap.map.stats})"), len(asked),
    )  # fmt: skip
    drag(page)
    page.wait_for_timeout(1500)
    after = page.evaluate("({...lookalikeMap.map.stats})")
    sheets = [url for url in asked[frames:] if "/sheet" in url]
    return {
        "thumbnails": after["thumbnails"],
        "sheets_while_panning": len(sheets),
        "frames": after["frames"] - before["frames"],
        "kb": round((after["bytes"] - before["bytes"]) / 1e3),
        "kb_of_first_view": round(before["bytes"] / 1e3),
    }


def p95(values: list[float]) -> int:
    return round(values[int(0.95 * (len(values) - 1))])


def spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 2),
        "lowest": round(min(values), 2),
        "highest": round(max(values), 2),
    }


# -- deck.gl ---------------------------------------------------------------------------------------


def deck(browser: Browser, bundle: Path, rows: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, static(Path(folder)) as address:
        place = Path(folder)
        positions, of = points(np.random.default_rng(0), rows)
        colours = np.random.default_rng(1).integers(0, 255, (GROUPS + 1, 4), dtype=np.uint8)
        colours[:, 3] = 200
        (place / "points.bin").write_bytes(positions.tobytes() + colours[of].tobytes())
        (place / "index.html").write_text(DECK % rows)
        shutil.copy(bundle, place / "deck.js")
        page = browser.new_page(viewport=SIZE)
        try:
            page.goto(address)
            first = wait(page, "window.first || 0") / 1e3
            page.evaluate(WATCH)
            before = page.evaluate("window.frames_drawn")
            start = time.monotonic()
            drag(page)
            gaps = sorted(page.evaluate("gaps"))
            drawn = page.evaluate("window.frames_drawn") - before
        except TimeoutError:
            return {"rows": rows, "first_picture": "none within 120 s"}
        finally:
            page.close()
    return {
        "rows": rows,
        "seconds_to_first_picture": round(first, 2),
        "ms_between_frames": {"median": round(statistics.median(gaps)), "p95": p95(gaps)},
        "frames": drawn,
        "seconds_of_drag": round(time.monotonic() - start, 1),
        "load": common.os.getloadavg()[0],
    }


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


@contextlib.contextmanager
def static(folder: Path) -> Iterator[str]:
    handler = partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


if __name__ == "__main__":
    main()
