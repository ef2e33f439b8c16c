"""A real browser on a real server over a toy library."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import uvicorn
from playwright.sync_api import BrowserContext, Page, Playwright

from lookalike import Library
from lookalike.maps import Cluster, Clustering, Level, MapOptions, PictureMap
from lookalike.types import ID_DTYPE
from lookalike.web.app import create_app
from tests.conftest import CHROMIUM, ToyEncoder, plain

FLAGS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-gl=angle",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]  # fmt: skip
PICTURES = 64
GROUPS = 12


def colour(number: int) -> tuple[int, int, int]:
    """The colour of a toy picture, another one for each."""
    return (40 + 60 * (number % 4), 40 + 60 * (number // 4 % 4), 40 + 60 * (number // 16 % 4))


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of 64 pictures of one colour each."""
    folder = tmp_path_factory.mktemp("toys")
    for number in range(PICTURES):
        place = folder / f"f{number % 3}"
        place.mkdir(exist_ok=True)
        plain(colour(number), (60, 40)).save(place / f"{number:03d}.png")
    with Library.open(folder / "library", create=True, encoder=ToyEncoder()) as library:
        library.add([folder / f"f{one}" for one in range(3)])
    return folder / "library"


def scattered(n: int) -> Callable[[Library, MapOptions], PictureMap]:
    """A map of n rows in twelve groups and some noise; records repeat where there are too few."""

    def make(library: Library, options: MapOptions) -> PictureMap:
        rng = np.random.default_rng(7)
        own = np.frombuffer(b"".join(id_.bytes for id_ in library.matching("width > 0")), ID_DTYPE)
        ids = own[np.arange(n) % len(own)]
        of = rng.integers(0, GROUPS, n).astype(np.int32)
        angle = 2 * np.pi * np.arange(GROUPS) / GROUPS
        middle = 0.7 * np.stack([np.cos(angle), np.sin(angle), np.sin(3 * angle)], 1)
        at = middle[:, : options.dims][of] + rng.normal(0, 0.06, (n, options.dims))
        stray = rng.random(n) < 0.05 if n > 1 else np.zeros(1, bool)
        at[stray] = rng.uniform(-0.9, 0.9, (int(stray.sum()), options.dims))
        of[stray] = -1
        positions = np.clip(at, -1, 1).astype(np.float32)
        levels = tuple(
            level(ids, positions, np.where(of < 0, -1, of // step).astype(np.int32))
            for step in (4, 2, 1)
        )
        clustering = Clustering("kmeans", {"count": GROUPS}, levels)
        return PictureMap(options, ids, positions, np.zeros(n, bool), clustering, {"seed": 7})

    return make


def level(ids: Any, positions: Any, of: Any) -> Level:
    """The clusters of a level, numbered without gaps."""
    found, numbers = np.unique(of[of >= 0], return_inverse=True)
    renumbered = np.full(len(of), -1, np.int32)
    renumbered[of >= 0] = numbers
    clusters = []
    for number in range(len(found)):
        rows = np.flatnonzero(renumbered == number)
        first = UUID(bytes=ids[rows[0]].tobytes())
        centre = tuple(positions[rows].mean(axis=0).tolist())
        clusters.append(
            Cluster(len(rows), f"a rather long name {number}", (), first, (first,), (), centre)
        )
    return Level(renumbered, tuple(clusters))


@contextmanager
def served(
    folder: Path, options: MapOptions | None = None, make: Any = None, cutter: Any = None
) -> Iterator[str]:
    """The address of the page of a library's map."""
    app = create_app(folder, [options or MapOptions()], make=make, cutter=cutter)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/map"
    finally:
        server.should_exit = True
        thread.join()


class Tab:
    """A page of the map, what it asked for, and what went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.problems: list[str] = []
        self.in_flight = 0
        self.most_in_flight = 0
        page.on("request", lambda request: self._asked(request.url))
        page.on("requestfinished", lambda request: self._done(request.url))
        page.on("requestfailed", lambda request: self._done(request.url))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda m: m.type == "error" and self.problems.append(m.text))

    def _asked(self, url: str) -> None:
        self.requests.append(url)
        if "/sheet" in url:
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def _done(self, url: str) -> None:
        self.in_flight -= "/sheet" in url

    @property
    def sheets(self) -> int:
        return sum("/sheet" in url for url in self.requests)

    def open(self, address: str) -> Tab:
        self.page.goto(address)
        self.until("window.lookalikeMap && lookalikeMap.map.stats.firstPicture > 0", 90)
        self.rest()
        return self

    def until(self, expression: str, seconds: float = 20) -> None:
        """Wait until an expression holds; the page's policy forbids Playwright's own way."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(f"!!({expression})"):
            assert time.monotonic() < end, f"{expression} does not come true; {self.problems}"
            self.page.wait_for_timeout(25)

    def rest(self) -> None:
        """Wait until nothing moves and nothing is loaded."""
        count = -1
        while count != (now := self.page.evaluate("lookalikeMap.map.stats.frames")):
            count = now
            self.page.wait_for_timeout(350)

    def map(self, expression: str) -> Any:
        return self.page.evaluate(f"lookalikeMap.map.{expression}")

    def place(self, row: int) -> tuple[float, float]:
        """Where a row is on the screen."""
        x, y = self.page.evaluate(
            f"(() => {{ const at = lookalikeMap.map.place({row}); return [at.x, at.y]; }})()"
        )
        return x, y

    def pixels(self) -> Any:
        """The screen as uint8 (height, width, 3)."""
        import io

        from PIL import Image

        return np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))


Opener = Callable[..., Tab]


@pytest.fixture
def tab(playwright: Playwright, tmp_path: Path) -> Iterator[Opener]:
    """Opens pages, each in a browser with a profile of its own; nothing may leave the loopback."""
    opened: list[tuple[BrowserContext, Tab]] = []

    def open_tab(address: str, **options: Any) -> Tab:
        settings = {"viewport": {"width": 1000, "height": 700}, **options}
        context = playwright.chromium.launch_persistent_context(
            tmp_path / f"profile{len(opened)}", executable_path=CHROMIUM, headless=True,
            args=FLAGS, **settings,
        )  # fmt: skip
        own = Tab(context.pages[0] if context.pages else context.new_page())
        opened.append((context, own))
        return own.open(address)

    yield open_tab
    for context, own in opened:
        context.close()
        far = [
            url for url in own.requests
            if not url.startswith(("http://127.0.0.1:", "data:", "blob:", "file:"))
        ]  # fmt: skip
        assert not far
        assert not own.problems
