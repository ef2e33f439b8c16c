"""An archive of the Unsplash Lite data set's form, of photos of one's own, and a server for them.

    python examples/unsplash_like.py PHOTOS DIR        write DIR, serve the photos until Ctrl-C

Meanwhile ``lookalike unsplash DIR`` does what it does with the real one. File names and columns are
those that github.com/unsplash/datasets documents; names, places and downloads are drawn at random.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import io
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image

from lookalike.scan import IMAGE_SUFFIXES
from lookalike.unsplash import COLUMNS

COUNTRIES = ("US", "DE", "IN", "BR", "GB", "FR", "JP", "MX", "ES", "NZ")
OTHER_WORDS = ("nature", "wallpaper", "background", "beautiful", "close up", "light", "spring")


@dataclass(frozen=True)
class Photo:
    """A photo of the archive: its id, the last part of its URL, its file, what it shows."""

    id: str
    name: str
    file: Path
    words: str

    @classmethod
    def of(cls, file: Path, folder: Path) -> Photo:
        """Id and name depend on the path below ``folder`` alone."""
        digest = hashlib.sha256(os.fsencode(file.relative_to(folder))).hexdigest()
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
        id_ = "".join(letters[int(digest[n * 2 : n * 2 + 2], 16) % 64] for n in range(11))
        name = f"photo-{int(digest[:11], 16) % 10**13:013d}-{digest[-12:]}"
        return cls(id_, name, file, file.parent.name.replace("_", " ").lower())


def photos_in(folder: Path) -> list[Photo]:
    """The pictures below a folder, by path."""
    files = sorted(one for one in folder.rglob("*") if one.suffix.lower() in IMAGE_SUFFIXES)
    return [Photo.of(file, folder) for file in files]


def pieces_of_photos(folder: Path, count: int, side: int = 240) -> Path:
    """Write pieces of scikit-image's photos, each in a folder of its photo's name; returns it."""
    import skimage.data

    names = ("astronaut", "chelsea", "coffee", "motorcycle_left", "rocket", "retina", "coins")
    dice = np.random.default_rng(7)
    for number in range(count):
        name = names[number % len(names)]
        (file,) = Path(skimage.data.__file__).parent.glob(f"{name}.*g")
        with Image.open(file) as opened:
            photo = opened.convert("RGB")
        piece = int(dice.integers(side // 2, min(photo.size)))
        left = int(dice.integers(0, photo.width - piece + 1))
        top = int(dice.integers(0, photo.height - piece + 1))
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        square = photo.crop((left, top, left + piece, top + piece)).resize((side, side))
        square.save(place / f"{number:04d}.jpg", quality=88)
    return folder


# -- the archive -----------------------------------------------------------------------------------


def write_archive(
    folder: Path, photos: Sequence[Photo], address: str, conversions: int = 2_000, seed: int = 0
) -> None:
    """Write photos.tsv000 and 001, conversions.tsv000, keywords, collections and colors.

    Few photos get most downloads, and most of them after one word; ``seed`` draws them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    sold = _downloads(len(photos), conversions, rng)
    half = (len(photos) + 1) // 2
    rows = [
        _photo_row(photo, address, int(count)) for photo, count in zip(photos, sold, strict=True)
    ]
    _write(folder / "photos.tsv000", COLUMNS["photos"], rows[:half])
    _write(folder / "photos.tsv001", COLUMNS["photos"], rows[half:])
    _write(folder / "conversions.tsv000", COLUMNS["conversions"], _conversions(photos, sold, rng))
    _write(folder / "keywords.tsv000", COLUMNS["keywords"], _keywords(photos))
    _write(folder / "collections.tsv000", COLUMNS["collections"], _collections(photos))
    _write(folder / "colors.tsv000", COLUMNS["colors"], _colours(photos, rng))


def _write(path: Path, names: Sequence[str], rows: Any) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, "excel-tab", lineterminator="\n")
        table.writerow(names)
        table.writerows(rows)


def _downloads(photos: int, total: int, rng: np.random.Generator) -> Any:
    """How often each photo was downloaded: the n-th most popular about n ** -1.2 as often."""
    shares = np.arange(1, photos + 1) ** -1.2
    rng.shuffle(shares)
    return rng.multinomial(total, shares / shares.sum()) if photos else np.empty(0, int)


def _photo_row(photo: Photo, address: str, downloads: int) -> list[Any]:
    with Image.open(photo.file) as image:
        width, height = image.size
    known: Mapping[str, Any] = {
        "photo_id": photo.id,
        "photo_url": f"https://unsplash.example/photos/{photo.id}",
        "photo_image_url": f"{address}/{photo.name}",
        "photo_submitted_at": "2019-05-01 12:00:00.5",
        "photo_featured": "t",
        "photo_width": width,
        "photo_height": height,
        "photo_aspect_ratio": f"{width / height:.2f}",
        "photo_description": f'One "{photo.words}", from near',
        "photographer_username": f"user_{photo.id[:3]}",
        "stats_views": downloads * 97,
        "stats_downloads": downloads,
        "ai_description": f"photo of {photo.words}",
    }
    return [known.get(name, "") for name in COLUMNS["photos"]]


def _conversions(
    photos: Sequence[Photo], sold: Sequence[int], rng: np.random.Generator
) -> Iterator[list[str]]:
    order = rng.permutation(np.repeat(np.arange(len(photos)), sold))
    words = rng.choice(10, len(order), p=[0.55, 0.15, 0.06, 0.04, *([0.2 / 6] * 6)])
    users, places = rng.integers(0, 2**40, len(order)), rng.choice(len(COUNTRIES), len(order))
    for number, (one, word, user, place) in enumerate(
        zip(order, words, users, places, strict=True)
    ):
        photo = photos[one]
        seconds = number % 86_400
        hours, minutes = seconds // 3600, seconds // 60 % 60
        at = f"2020-02-{1 + number % 28:02d} {hours:02d}:{minutes:02d}:{seconds % 60:02d}"
        yield [at, "download", _word(photo, int(word)), photo.id, f"{user:010x}", COUNTRIES[place]]


def _word(photo: Photo, number: int) -> str:
    own = (photo.words, f"{photo.words}s", f"{photo.words} photo")
    return own[number] if number < len(own) else OTHER_WORDS[number - len(own)]


def _keywords(photos: Sequence[Photo]) -> Iterator[list[Any]]:
    for photo in photos:
        for number, word in enumerate((photo.words, "nature", "animal")):
            yield [photo.id, word, f"{95 - 20 * number}.5", "", "t" if not number else "f"]


def _collections(photos: Sequence[Photo]) -> Iterator[list[Any]]:
    for photo in photos:
        key = hashlib.sha256(photo.words.encode()).hexdigest()
        yield [photo.id, int(key[:6], 16), f"All about {photo.words}", "2020-01-01 00:00:00"]


def _colours(photos: Sequence[Photo], rng: np.random.Generator) -> Iterator[list[Any]]:
    for photo in photos:
        red, green, blue = rng.integers(0, 256, 3)
        name = f"{red:02X}{green:02X}{blue:02X}"
        yield [photo.id, name, red, green, blue, "gray", "0.25", "0.1"]


# -- the server ------------------------------------------------------------------------------------


@contextlib.contextmanager
def served(photos: Sequence[Photo], port: int = 0) -> Iterator[str]:
    """A server of the photos on the loopback until the end of the block; gives its address.

    ``?w=200`` makes them smaller, as Unsplash's does; each has an ETag.
    """
    server = _Server(("127.0.0.1", port), {photo.name: photo.file for photo in photos})
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], files: Mapping[str, Path]) -> None:
        super().__init__(address, _Handler)
        self.files = files

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *args: Any) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        file = self.server.files.get(parts.path.strip("/"))
        if file is None or not file.is_file():
            self._answer(404, b"not found")
            return
        asked = json.dumps([file.stat().st_size, file.stat().st_mtime_ns, parts.query])
        tag = f'"{hashlib.sha256(asked.encode()).hexdigest()[:32]}"'
        if self.headers.get("If-None-Match") == tag:
            self._answer(304, b"", ETag=tag)
            return
        width = parse_qs(parts.query).get("w", ["0"])[0]
        body = _resized(file, int(width)) if width.isdigit() and int(width) else file.read_bytes()
        self._answer(200, body, ETag=tag)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _resized(file: Path, width: int) -> bytes:
    with Image.open(file) as image:
        small = image.convert("RGB")
        small.thumbnail((width, max(1, small.height)))
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=75)
        return buffer.getvalue()


def main() -> None:
    """Write an archive and serve its photos."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--conversions", type=int, default=100_000)
    options = parser.parse_args()
    photos = photos_in(options.photos)
    with served(photos, options.port) as address:
        write_archive(options.folder, photos, address, options.conversions)
        print(f"{len(photos)} photos at {address}; try: lookalike unsplash {options.folder}")
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
