"""Runs an encoder of the catalogue with OpenVINO, where the processor computes in bfloat16.

Twice as fast as float32 there; a vector's cosine with its float32 twin is 0.999 on average.
Measured in ``docs/adr/0004-inference.md``.
"""

from __future__ import annotations

import functools
import sys
import threading
from typing import Any

import numpy as np

from lookalike import kernels
from lookalike.features.encoders.base import Encoded, EncoderSpec, unit
from lookalike.features.encoders.shipped import ShippedEncoder
from lookalike.types import PixelArray

# OpenVINO reports its use to its maker on import; without this module it uses its own silent stub.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

BATCH = 4
"""Pictures that are computed together; fewer are filled up, which costs as much."""


class OpenVinoEncoder(ShippedEncoder):
    """An Encoder as ``OnnxEncoder`` is one; ``parallel`` calls share the processor's cores."""

    def __init__(self, spec: EncoderSpec, parallel: int = 1) -> None:
        super().__init__(spec)
        self._core = _core()
        self._options = {
            "NUM_STREAMS": str(parallel),
            "INFERENCE_NUM_THREADS": str(max(parallel, kernels.cores())),
        }
        self._compiled: dict[int, Any] = {}
        self._compiling = threading.Lock()
        self._requests = threading.local()
        precision = "bfloat16" if computes_in_bfloat16() else "float32"
        self.runtime = f"OpenVINO on the processor, {precision}"
        # OpenVINO 2026.4 hangs for good if its first two calls come from two threads at once.
        self.encode(np.zeros((BATCH if parallel > 1 else 1, spec.side, spec.side, 3), np.uint8))

    def encode(self, pixels: PixelArray) -> Encoded:
        size = 1 if len(pixels) == 1 else BATCH
        missing = -len(pixels) % size
        whole = np.concatenate([pixels, pixels[:1].repeat(missing, axis=0)]) if missing else pixels
        request = self._request(size)
        embedding, logits = [], []
        for at in range(0, len(whole), size):
            outputs = request.infer({0: whole[at : at + size]}, share_inputs=True)
            embedding.append(np.array(outputs["embedding"]))
            logits.append(np.array(outputs["logits"]))
        kept = slice(len(pixels))
        return Encoded(unit(np.concatenate(embedding)[kept]), np.concatenate(logits)[kept])

    def _request(self, size: int) -> Any:
        """Where the calling thread's inputs and outputs of ``size`` pictures lie."""
        requests: dict[str, Any] = self._requests.__dict__
        name = f"of_{size}"
        if name not in requests:
            with self._compiling:
                if size not in self._compiled:
                    side = self._spec.side
                    model = self._core.read_model(self.weights)
                    model.reshape([size, side, side, 3])
                    self._compiled[size] = self._core.compile_model(model, "CPU", self._options)
            requests[name] = self._compiled[size].create_infer_request()
        return requests[name]


@functools.cache
def _core() -> Any:
    """OpenVINO itself: there need be no more than one in a process."""
    import openvino

    return openvino.Core()


def computes_in_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
