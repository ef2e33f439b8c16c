"""What EXIF says of a picture: when, with which camera, where. Damaged values become None."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lookalike.decode import Decoded
from lookalike.types import ImageFacts

_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_MAKE, _MODEL, _CHANGED_AT = 0x010F, 0x0110, 0x0132
_TAKEN_AT, _DIGITISED_AT = 0x9003, 0x9004


def facts(decoded: Decoded) -> ImageFacts:
    """The facts of a decoded picture, with EXIF's where it has them."""
    tags: Mapping[int, Any] = decoded.exif
    details = _directory(decoded, _EXIF_IFD)
    place = _directory(decoded, _GPS_IFD)
    return ImageFacts(
        width=decoded.width,
        height=decoded.height,
        format=decoded.format,
        taken_at=_first_time(details.get(_TAKEN_AT), details.get(_DIGITISED_AT), tags),
        camera=_camera(_text(tags.get(_MAKE)), _text(tags.get(_MODEL))),
        latitude=_degrees(place.get(2), place.get(1), "S", 90.0),
        longitude=_degrees(place.get(4), place.get(3), "W", 180.0),
    )


def _directory(decoded: Decoded, tag: int) -> Mapping[int, Any]:
    try:
        return decoded.exif.get_ifd(tag)
    except Exception:  # Pillow raises nearly anything on damaged EXIF
        return {}


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    return "".join(c for c in value.split("\0")[0] if c.isprintable()).strip()


def _camera(make: str, model: str) -> str | None:
    if make and model.lower().startswith(make.lower()):
        return model
    return f"{make} {model}".strip() or None


def _first_time(taken: Any, digitised: Any, tags: Mapping[int, Any]) -> str | None:
    for value in (taken, digitised, tags.get(_CHANGED_AT)):
        try:
            return datetime.strptime(_text(value)[:19], "%Y:%m:%d %H:%M:%S").isoformat()
        except ValueError:
            continue
    return None


def _degrees(parts: Any, side: Any, negative: str, most: float) -> float | None:
    try:
        degrees, minutes, seconds = (float(part) for part in parts)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    value = degrees + minutes / 60 + seconds / 3600
    if min(degrees, minutes, seconds) < 0 or not value <= most:  # also if it is no number
        return None
    return -value if _text(side).upper().startswith(negative) else value
