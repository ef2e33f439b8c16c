"""What the encoders have in common whose weights lie inside the package, whatever runs them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from importlib.resources import files

import numpy as np
from PIL import Image

from lookalike.errors import LookalikeError
from lookalike.features.encoders.base import EncoderSpec, Places
from lookalike.features.resample import resample
from lookalike.types import FloatArray, PixelArray


class ShippedEncoder:
    """The part of an Encoder that does not depend on its runtime; ``encode`` is the rest.

    ``weights`` are those of the catalogue entry, checked; ``runtime`` says what they run on.
    """

    runtime: str

    def __init__(self, spec: EncoderSpec) -> None:
        self.weights = shipped_weights(spec)
        self._spec = spec
        self._look: Callable[[PixelArray], FloatArray] | None = None

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    def prepare(self, image: Image.Image) -> PixelArray:
        """See ``central_square``."""
        return central_square(image, self._spec.side)

    def places(self, image: Image.Image) -> Places | None:
        """See ``PlacesEncoder``; ONNX Runtime does it, whatever runs ``encode``."""
        if self._spec.places is None:
            return None
        if self._look is None:
            from lookalike.features.encoders.onnx import layer_of  # that imports this module

            self._look = layer_of(self.weights, self._spec.places)
        (seen,) = self._look(self.prepare(image)[None])
        left, top, right, bottom = central_box(*image.size)
        wide, high = image.size
        box = (left / wide, top / high, (right - left) / wide, (bottom - top) / high)
        return Places(np.ascontiguousarray(seen.transpose(1, 2, 0)), box)


def shipped_weights(spec: EncoderSpec) -> bytes:
    """The weights file of a catalogue entry; raises LookalikeError if it is not what it was."""
    weights = files(__package__).joinpath("weights", spec.weights).read_bytes()
    digest = hashlib.sha256(weights).hexdigest()
    if digest != spec.weights_digest:
        raise LookalikeError(
            f"{spec.weights}: SHA-256 is {digest[:12]}..., expected"
            f" {spec.weights_digest[:12]}...; the file is damaged, install lookalike again"
        )
    return weights


def central_square(image: Image.Image, side: int) -> PixelArray:
    """The middle of an RGB picture, its long side cropped to the geometric mean, as a square.

    Half way (in ratio) between squashing all of it and keeping its central square; measured against
    both in ``docs/adr/0002-preprocessing.md``. uint8 (side, side, 3).
    """
    box = central_box(image.width, image.height)
    return resample(image, (side, side), box)


def central_box(width: int, height: int) -> tuple[float, float, float, float]:
    """The box (left, top, right, bottom), in pixels, whose long side is sqrt(width * height)."""
    mean = math.sqrt(width * height)
    kept_width, kept_height = min(width, mean), min(height, mean)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return left, top, left + kept_width, top + kept_height
