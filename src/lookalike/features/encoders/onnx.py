"""Runs an encoder of the catalogue with ONNX Runtime. Normalisation is part of the graph."""

from __future__ import annotations

import hashlib
import math
import os
from importlib.resources import files

import numpy as np
from PIL import Image

from lookalike.errors import LookalikeError
from lookalike.features.encoders.base import Encoded, EncoderSpec, PixelArray, unit

# The runtime's official builds report usage to their maker, keep a device id in the home folder and
# a session file in the temporary one, unless this is set before the first import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

onnxruntime.disable_telemetry_events()  # in case the host had imported it before


class OnnxEncoder:
    """An Encoder whose graph takes uint8 (n, side, side, 3) and gives embedding and logits."""

    def __init__(self, spec: EncoderSpec, threads: int = 0) -> None:
        self._spec = spec
        weights = files(__package__).joinpath("weights", spec.weights).read_bytes()
        digest = hashlib.sha256(weights).hexdigest()
        if digest != spec.weights_digest:
            raise LookalikeError(
                f"{spec.weights}: SHA-256 is {digest[:12]}..., expected"
                f" {spec.weights_digest[:12]}...; the file is damaged, install lookalike again"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            weights, options, providers=["CPUExecutionProvider"]
        )

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    def prepare(self, image: Image.Image) -> PixelArray:
        """The middle of the picture, its long side cropped to the geometric mean, as a square.

        Half way (in ratio) between squashing all of it and keeping its central square; measured
        against both in ``docs/adr/0002-preprocessing.md``.
        """
        side = self._spec.side
        box = central_box(image.width, image.height)
        square = image.resize((side, side), Image.Resampling.BICUBIC, box=box)
        return np.asarray(square, dtype=np.uint8)

    def encode(self, pixels: PixelArray) -> Encoded:
        embedding, logits = self._session.run(["embedding", "logits"], {"pixels": pixels})
        return Encoded(unit(embedding), logits)


def central_box(width: int, height: int) -> tuple[float, float, float, float]:
    """The box (left, top, right, bottom), in pixels, whose long side is sqrt(width * height)."""
    mean = math.sqrt(width * height)
    kept_width, kept_height = min(width, mean), min(height, mean)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return left, top, left + kept_width, top + kept_height
