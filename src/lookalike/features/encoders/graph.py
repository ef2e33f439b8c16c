"""What the encoders of the catalogue have in common, whatever runs their graphs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.resources import files

import numpy as np
from PIL import Image

from lookalike.errors import LookalikeError
from lookalike.features.encoders.base import EncoderSpec, Places
from lookalike.features.encoders.preparing import central_box, prepare
from lookalike.types import FloatArray, PixelArray


class GraphEncoder:
    """The part of an Encoder that does not depend on its runtime; ``encode`` is the rest.

    ``graph`` is the bytes of an ONNX file inside the package, checked, or the path of one that was
    made beside downloaded weights; ``runtime`` says what it runs on.
    """

    runtime: str

    def __init__(self, spec: EncoderSpec) -> None:
        self.graph = shipped_weights(spec) if spec.shipped else _downloaded(spec)
        self._spec = spec
        self._look: Callable[[PixelArray], FloatArray] | None = None

    @property
    def spec(self) -> EncoderSpec:
        return self._spec

    def prepare(self, image: Image.Image) -> PixelArray:
        """See ``preparing.prepare``."""
        return prepare(image, self._spec.preprocessing, self._spec.side)

    def places(self, image: Image.Image) -> Places | None:
        """See ``PlacesEncoder``; ONNX Runtime does it, whatever runs ``encode``."""
        if self._spec.places is None:
            return None
        if self._look is None:
            from lookalike.features.encoders.onnx import layer_of  # that imports this module

            assert isinstance(self.graph, bytes)  # of the encoders in the package
            self._look = layer_of(self.graph, self._spec.places)
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


def _downloaded(spec: EncoderSpec) -> str:
    from lookalike.features.encoders.models import graph_file  # the default encoder needs none

    return str(graph_file(spec, "image"))
