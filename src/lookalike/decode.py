"""One file to RGB pixels: one read, one decode, or a reason why not.

The picture that leaves here is sRGB, upright, opaque, 8 bits a channel, and never much larger than
the features need: JPEGs are decoded at a reduced scale, larger rasters are reduced by area.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import re
import stat
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pi_heif
from PIL import Image, ImageCms, UnidentifiedImageError

from lookalike.config import Limits
from lookalike.errors import ImageError, one_line
from lookalike.types import FileEntry, Reason

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "HEIF")
"""Pillow's names of the formats that are decoded (its JPEG reader also takes MPO)."""

WORKING_SIDE = 512
"""Pixels of the shorter side below which a picture is never reduced before features are made."""

WHITE = (255, 255, 255)

pi_heif.register_heif_opener()


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file's bytes, its content hash (SHA-256) and its state at the moment of reading."""

    entry: FileEntry
    data: bytes
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded picture. ``image`` is RGB, at working size; ``width``, ``height`` the full size."""

    image: Image.Image
    width: int
    height: int
    format: str
    exif: Image.Exif


def read(path: str, limits: Limits = Limits()) -> ReadFile:
    """Read a file once; raises ImageError with the reason if that cannot be done."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISCHR(status.st_mode):
                raise ImageError(Reason.READ_ERROR, "a device, not a file")
            most = limits.megabytes * 1e6
            data = b"" if status.st_size > most else file.read(int(min(most + 1, sys.maxsize)))
            size = max(status.st_size, len(data))  # a pipe has none before it ends
            if size > most:
                raise too_many_bytes(size, limits)
    except PermissionError as error:
        raise ImageError(Reason.NO_PERMISSION, error.strerror or "") from error
    except OSError as error:
        raise ImageError(Reason.READ_ERROR, error.strerror or str(error)) from error
    if not data:
        raise ImageError(Reason.ZERO_BYTES, "")
    entry = FileEntry.of(path, status)
    return ReadFile(entry, data, hashlib.sha256(data).digest())


def too_many_bytes(size: int, limits: Limits) -> ImageError:
    """The refusal of a picture of ``size`` bytes, more than the limits allow."""
    told = f"{size / 1e6:.0f} MB exceeds {limits.megabytes:g} MB; raise --max-megabytes"
    return ImageError(Reason.TOO_MANY_BYTES, told)


class MemoryBudget:
    """Bytes that decoding may take at one time, in all threads together; None for no bound."""

    def __init__(self, total: int | None = None) -> None:
        self._total = total
        self._left = total or 0
        self._freed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Wait until ``amount`` bytes are free and hold them; raises ImageError if never."""
        if self._total is None:
            yield
            return
        if amount > self._total:
            raise ImageError(
                Reason.TOO_MANY_PIXELS,
                f"decoding takes about {amount / 1e6:.0f} MB, the memory limit leaves"
                f" {self._total / 1e6:.0f} MB; raise --memory-limit",
            )
        with self._freed:
            self._freed.wait_for(lambda: self._left >= amount)
            self._left -= amount
        try:
            yield
        finally:
            with self._freed:
                self._left += amount
                self._freed.notify_all()


UNBOUNDED = MemoryBudget()


def decode(data: bytes, limits: Limits = Limits(), budget: MemoryBudget = UNBOUNDED) -> Decoded:
    """Decode the first frame of an image file; raises ImageError with the reason if it cannot.

    In order: header and limits, reduced decoding, alpha on white, reduction by area, colour profile
    to sRGB, orientation.
    """
    opened = _open(data, limits)
    width, height = opened.size
    image_format = "JPEG" if opened.format == "MPO" else str(opened.format)
    try:
        exif = opened.getexif()
    except Exception:  # damaged metadata is no reason to refuse a picture
        exif = Image.Exif()
    profile = opened.info.get("icc_profile")
    if opened.format in ("JPEG", "MPO"):
        opened.draft(None, _draft_size(opened.size))
    with budget.hold(len(data) + _decoding_bytes(opened, width * height)):
        try:
            if opened.format == "PNG":  # its decoder checks no checksums, only verify does
                Image.open(io.BytesIO(data), formats=("PNG",)).verify()
            opened.load()
            image = _reduced(_opaque(opened))
            image = _upright(_to_srgb(image, profile), exif)
        except Exception as error:  # decoders raise nearly anything on damaged data
            raise _refusal(error) from error
    if exif.get(_ORIENTATION, 1) in _SIDEWAYS:
        width, height = height, width
    return Decoded(image, width, height, image_format, exif)


BYTES_A_PIXEL = 12
"""What a decoded pixel takes at most while it is made opaque, upright and sRGB."""

_BYTES_A_COEFFICIENT = 6
"""What a pixel of a progressive JPEG takes, which is held whole at any scale."""


def _decoding_bytes(opened: Image.Image, full_pixels: int) -> int:
    progressive = _BYTES_A_COEFFICIENT * full_pixels if opened.info.get("progressive") else 0
    return opened.width * opened.height * BYTES_A_PIXEL + progressive


_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)


def _open(data: bytes, limits: Limits) -> Image.Image:
    _lift_pillow_limit(limits.megapixels)
    try:
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise _unidentified(data) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        found = re.search(r"\d+", str(error))  # Pillow says the number of pixels
        raise _too_many(int(found[0]) if found else 0, limits) from error
    except Exception as error:
        raise _refusal(error) from error
    pixels = opened.width * opened.height
    if pixels > limits.megapixels * 1e6:
        raise _too_many(pixels, limits)
    return opened


def _too_many(pixels: int, limits: Limits) -> ImageError:
    return ImageError(
        Reason.TOO_MANY_PIXELS,
        f"{pixels / 1e6:.0f} MP exceeds {limits.megapixels:g} MP; raise --max-megapixels",
    )


def _lift_pillow_limit(megapixels: float) -> None:
    # Pillow refuses at twice its own limit, before ours can be compared; it is only ever raised.
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, int(megapixels * 1e6))


def _unidentified(data: bytes) -> ImageError:
    """Not one of our formats: another picture format, a cut-off header, or no image at all."""
    with contextlib.suppress(Exception), Image.open(io.BytesIO(data)) as other:
        return ImageError(Reason.UNSUPPORTED, f"{other.format} is not decoded")
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")):
        return ImageError(Reason.TRUNCATED, "the header is not complete")
    if data[:4] == b"RIFF" or data[4:8] == b"ftyp":
        return ImageError(Reason.TRUNCATED, "the header is not complete")
    return ImageError(Reason.NOT_AN_IMAGE, "")


_TRUNCATION_WORDS = ("truncat", "end of file", "eof", "not enough", "too short", "premature")


def _refusal(error: Exception) -> ImageError:
    if isinstance(error, ImageError):
        return error
    if isinstance(error, MemoryError):
        return ImageError(Reason.READ_ERROR, "not enough memory; try again")
    detail = one_line(error)
    if isinstance(error, EOFError) or any(word in detail.lower() for word in _TRUNCATION_WORDS):
        return ImageError(Reason.TRUNCATED, detail)
    return ImageError(Reason.CORRUPT, detail)


def _draft_size(size: tuple[int, int]) -> tuple[int, int]:
    """The least size whose shorter side is at least WORKING_SIDE; Pillow decodes at or above it."""
    scale = min(1.0, WORKING_SIDE / min(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _reduced(image: Image.Image) -> Image.Image:
    factor = min(image.size) // WORKING_SIDE
    return image.reduce(factor) if factor > 1 else image


def _opaque(image: Image.Image) -> Image.Image:
    """The image in a mode without alpha, palette or more than 8 bits: L, RGB, CMYK or LAB."""
    if image.mode in ("RGB", "L", "CMYK", "LAB"):
        if "transparency" not in image.info:
            return image
    elif image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image)
    elif image.mode in ("YCbCr", "HSV", "1"):
        return image.convert("RGB")
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        # Reduced before it is laid on white: that would take three more copies of the full size.
        # Colours are multiplied by alpha meanwhile, so that hidden ones do not count.
        image = _reduced(image.convert("RGBA").convert("RGBa")).convert("RGBA")
        white = Image.new("RGBA", image.size, (*WHITE, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Gray of 16 or 32 bits, or float, as 8 bits.

    Integers are taken as 16-bit when they exceed 8 bits; floats within 0..1 are scaled, others
    stretched between their least and greatest value.
    """
    pixels = np.asarray(image)
    low, scale = 0.0, 1.0
    if image.mode == "F":
        finite = np.isfinite(pixels)
        low = float(pixels.min(initial=np.inf, where=finite)) if finite.any() else 0.0
        high = float(pixels.max(initial=-np.inf, where=finite)) if finite.any() else 0.0
        low, high = (0.0, 1.0) if low >= 0.0 and high <= 1.0 else (low, high)
        scale = 255.0 / max(high - low, 1e-12)
    elif image.mode.startswith("I;16") or pixels.max(initial=0) > 255:
        scale = 1.0 / 257.0
    out = np.empty(pixels.shape, dtype=np.uint8)
    for top in range(0, len(pixels), 256):  # in strips: float64 takes eight times the memory
        strip = pixels[top : top + 256].astype(np.float64)
        strip = (np.where(np.isfinite(strip), strip, low) - low) * scale
        out[top : top + 256] = np.clip(np.rint(strip), 0, 255)
    return Image.fromarray(out)


def _upright(image: Image.Image, exif: Image.Exif) -> Image.Image:
    orientation = exif.get(_ORIENTATION, 1)
    method = _TRANSPOSITIONS.get(orientation)
    return image.transpose(method) if method is not None else image


_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        transform = _profile_transform(profile, image.mode)
        if transform is not None:
            converted = ImageCms.applyTransform(image, transform)
            if converted is not None:
                return converted
    if image.mode == "LAB":
        return ImageCms.applyTransform(image, _lab_transform()) or image.convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


_SRGB_NAMES = ("srgb", "srgb built-in", "srgb iec61966-2.1", "srgb iec61966-2-1 black scaled")
"""Descriptions of profiles that are sRGB itself; others of that family may be linear."""

_per_thread = threading.local()
"""A colour transform keeps a cache of its last pixel and is not to be shared between threads."""


def _profile_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    if not hasattr(_per_thread, "transform"):
        _per_thread.transform = functools.lru_cache(maxsize=32)(_build_transform)
    transform: ImageCms.ImageCmsTransform | None = _per_thread.transform(profile, mode)
    return transform


def _build_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """A transform to sRGB, or None if there is nothing to do or the profile is unusable."""
    with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        described = ImageCms.getProfileDescription(source).strip().lower()
        if mode == "RGB" and described in _SRGB_NAMES:
            return None
        target: Any = ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(source, target, mode, "RGB")
    return None


def _lab_transform() -> ImageCms.ImageCmsTransform:
    if not hasattr(_per_thread, "lab"):
        lab: Any = ImageCms.createProfile("LAB")
        srgb: Any = ImageCms.createProfile("sRGB")
        _per_thread.lab = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
    transform: ImageCms.ImageCmsTransform = _per_thread.lab
    return transform
