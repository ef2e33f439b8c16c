"""Real photos in all formats, and everything else that lies in people's folders."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

PHOTOS = Path(skimage.data.__file__).parent
DATA = Path(__file__).resolve().parents[1] / "data"

ORIGINALS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)

VARIANTS = (
    "astronaut.avif",
    "astronaut.bmp",
    "astronaut.heic",
    "astronaut.jpg",
    "astronaut.tif",
    "astronaut.webp",
    "astronaut-16bit.png",
    "astronaut-alpha.png",
    "astronaut-animated.gif",
    "astronaut-cmyk.jpg",
    "astronaut-gray16.png",
    "astronaut-palette.png",
    "astronaut-progressive.jpg",
    "astronaut-rotated.jpg",
)

NAMES = ("Zürich Äpfel ß.jpg", "写真 사진.jpg", "🐱 cat 👩‍🚀.png", "new\nline.jpg", "tab\there.jpg")
UNDECODABLE = b"\xff\xfe caf\xe9.jpg"


def photo(name: str) -> Image.Image:
    """One of scikit-image's photos, as RGB."""
    with Image.open(PHOTOS / name) as opened:
        return opened.convert("RGB")


def crops(count: int, side: int = 96) -> Iterator[tuple[str, bytes]]:
    """Names and JPEG files of many different small pieces of the photos, always the same ones."""
    originals = [photo(name) for name in ORIGINALS]
    dice = np.random.default_rng(2024)
    for number in range(count):
        original = originals[number % len(originals)]
        piece = int(dice.integers(side, min(original.size)))
        left = int(dice.integers(0, original.width - piece + 1))
        top = int(dice.integers(0, original.height - piece + 1))
        picture = original.crop((left, top, left + piece, top + piece)).resize((side, side))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=88)
        yield f"{number:04d}.jpg", buffer.getvalue()


def write_crops(folder: Path, count: int, side: int = 96) -> None:
    """Write those pieces into a folder, a third of them into a folder within."""
    (folder / "within").mkdir(parents=True)
    for number, (name, data) in enumerate(crops(count, side)):
        (folder / "within" / name if number % 3 == 2 else folder / name).write_bytes(data)


def write_gallery(folder: Path) -> None:
    """Write the whole gallery: originals, variants, names, twins, damaged and odd things."""
    for part in ("originals", "variants", "names", "twins", "damaged", "odd"):
        (folder / part).mkdir(parents=True)
    for name in ORIGINALS:
        shutil.copyfile(PHOTOS / name, folder / "originals" / name)
    _write_variants(folder / "variants")
    _write_names(folder / "names")
    for name in ("twin a.png", "twin b.png"):
        shutil.copyfile(PHOTOS / "chelsea.png", folder / "twins" / name)
    _write_damaged(folder / "damaged")
    _write_odd(folder / "odd")


def _write_variants(folder: Path) -> None:
    picture = photo("astronaut.png")
    for name in ("avif", "bmp", "jpg", "tif", "webp"):
        picture.save(folder / f"astronaut.{name}")
    shutil.copyfile(DATA / "astronaut.heic", folder / "astronaut.heic")
    (folder / "astronaut-16bit.png").write_bytes(png16(np.asarray(picture)))
    gray = np.asarray(picture.convert("L")).astype(np.uint16) * 257
    Image.fromarray(gray).save(folder / "astronaut-gray16.png")
    _with_clear_corner(picture).save(folder / "astronaut-alpha.png")
    picture.quantize(128).save(folder / "astronaut-palette.png")
    frames = [picture.resize((256, 256)), photo("coffee.png").resize((256, 256))]
    frames[0].save(folder / "astronaut-animated.gif", save_all=True, append_images=frames[1:])
    picture.convert("CMYK").save(folder / "astronaut-cmyk.jpg")
    picture.save(folder / "astronaut-progressive.jpg", progressive=True, quality=80)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    on_its_side = picture.transpose(Image.Transpose.ROTATE_90)
    on_its_side.save(folder / "astronaut-rotated.jpg", exif=exif, quality=90)


def _with_clear_corner(picture: Image.Image) -> Image.Image:
    alpha = np.full((picture.height, picture.width), 255, dtype=np.uint8)
    alpha[:64, :64] = 0
    clear = picture.copy()
    clear.putalpha(Image.fromarray(alpha))
    return clear


def png16(pixels: np.ndarray) -> bytes:
    """RGB uint8 (h, w, 3) as a PNG of 16 bits a channel, which Pillow cannot write."""
    height, width, _ = pixels.shape
    rows = (pixels.astype(">u2") * 257).astype(">u2").reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    return _png(width, height, 16, zlib.compress(raw))


def _png(width: int, height: int, bits: int, data: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _write_names(folder: Path) -> None:
    pieces = crops(2 * len(NAMES), 128)
    for name in NAMES:
        (folder / name).write_bytes(next(pieces)[1])
    with open(os.path.join(os.fsencode(folder), UNDECODABLE), "wb") as file:
        file.write(next(pieces)[1])


def _encoded(name: str, image_format: str) -> bytes:
    buffer = io.BytesIO()
    photo(name).save(buffer, image_format)
    return buffer.getvalue()


def flipped(data: bytes, count: int = 64) -> bytes:
    """The data with some bytes flipped in the middle."""
    middle = len(data) // 2
    damaged = bytes(byte ^ 0xFF for byte in data[middle : middle + count])
    return data[:middle] + damaged + data[middle + count :]


def _write_damaged(folder: Path) -> None:
    (folder / "corrupt.png").write_bytes(flipped((PHOTOS / "coffee.png").read_bytes()))
    (folder / "corrupt.jpg").write_bytes(flipped(_encoded("coffee.png", "JPEG"), 4000))
    (folder / "corrupt.gif").write_bytes(flipped(_encoded("coffee.png", "GIF")))
    (folder / "truncated.tif").write_bytes(_encoded("coffee.png", "TIFF")[:100_000])
    for name, image_format in (
        ("truncated.jpg", "JPEG"),
        ("truncated.png", "PNG"),
        ("truncated.webp", "WEBP"),
        ("truncated.bmp", "BMP"),
        ("truncated.gif", "GIF"),
        ("truncated.avif", "AVIF"),
    ):
        data = _encoded("coffee.png", image_format)
        (folder / name).write_bytes(data[: len(data) // 2])
    heic = (DATA / "astronaut.heic").read_bytes()
    (folder / "truncated.heic").write_bytes(heic[: len(heic) // 2])
    (folder / "header only.jpg").write_bytes((PHOTOS / "rocket.jpg").read_bytes()[:12])
    (folder / "empty.jpg").touch()
    (folder / "huge.png").write_bytes(_png(60_000, 60_000, 8, zlib.compress(bytes(1000))))
    (folder / "large.png").write_bytes(_png(15_000, 10_000, 8, zlib.compress(bytes(1000))))
    (folder / "text.jpg").write_text("This is no picture.\n" * 50)
    (folder / "zeros.jpg").write_bytes(bytes(5000))


def _write_odd(folder: Path) -> None:
    psd = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 10, 10, 8, 3) + bytes(400)
    (folder / "layers.psd").write_bytes(psd)
    (folder / "layers.jpg").write_bytes(psd)
    (folder / "notes.txt").write_text("no picture")
    small = photo("camera.png").resize((200, 200))
    small.save(folder / "really a png.jpg", "PNG")
    small.rotate(90).save(folder / "really a jpeg.PNG", "JPEG")
    small.save(folder / ".hidden.jpg")
    (folder / "loop").symlink_to(".")
    (folder / "broken.jpg").symlink_to("nowhere.jpg")
    (folder / "ring.jpg").symlink_to("ring.jpg")
    os.mkfifo(folder / "fifo.jpg")


def state_of(folder: Path) -> dict[bytes, tuple[object, ...]]:
    """Everything under a folder: kind, size, time, target and content of each name."""
    found: dict[bytes, tuple[object, ...]] = {}
    for top, folders, names in os.walk(os.fsencode(folder)):
        for name in [*folders, *names, b"."]:
            path = os.path.join(top, name)
            status = os.lstat(path)
            content: object = None
            if stat.S_ISREG(status.st_mode):
                content = hashlib.sha256(_bytes(path)).hexdigest()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            found[path] = (status.st_mode, status.st_size, status.st_mtime_ns, content)
    return found


def _bytes(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()
