"""Runs an encoder of the catalogue with OpenVINO, in float32 or bfloat16.

The latter is more than twice as fast where the processor has AMX; a vector's cosine with its
float32 twin is 0.999 on average. Measured in ``docs/adr/0004-inference.md``.
"""

from __future__ import annotations

import functools
import sys
import threading
from typing import Any

import numpy as np

from lookalike import kernels
from lookalike.features.encoders.base import Encoded, EncoderSpec, unit
from lookalike.features.encoders.graph import GraphEncoder
from lookalike.types import PixelArray

# OpenVINO reports its use to its maker on import; without this module it uses its own silent stub.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

BATCH = {"bf16": 4, "f32": 1}
"""Pictures that are computed together, by precision; fewer are filled up, which costs as much."""

_NAMES = {"bf16": "bfloat16", "f32": "float32"}


class OpenVinoEncoder(GraphEncoder):
    """An Encoder as ``OnnxEncoder`` is one; ``parallel`` calls share the processor's cores."""

    def __init__(self, spec: EncoderSpec, parallel: int = 1, *, bfloat16: bool = False) -> None:
        super().__init__(spec)
        self._core = _core()
        precision = "bf16" if bfloat16 else "f32"
        self._batch = BATCH[precision]
        self._options = {
            "NUM_STREAMS": str(parallel),
            "INFERENCE_NUM_THREADS": str(max(parallel, kernels.cores())),
            "INFERENCE_PRECISION_HINT": precision,
        }
        self._compiled: dict[int, Any] = {}
        self._compiling = threading.Lock()
        self._requests = threading.local()
        own = "8-bit integers, else " if spec.in_integers else ""
        self.runtime = f"OpenVINO on the processor, {own}{_NAMES[precision]}"
        # OpenVINO 2026.4 hangs for good if its first two calls come from two threads at once.
        self.encode(
            np.zeros((self._batch if parallel > 1 else 1, spec.side, spec.side, 3), np.uint8)
        )

    def encode(self, pixels: PixelArray) -> Encoded:
        size = 1 if len(pixels) == 1 else self._batch
        missing = -len(pixels) % size
        whole = np.concatenate([pixels, pixels[:1].repeat(missing, axis=0)]) if missing else pixels
        request = self._request(size)
        embedding, logits = [], []
        for at in range(0, len(whole), size):
            outputs = request.infer({0: whole[at : at + size]}, share_inputs=True)
            embedding.append(np.array(outputs["embedding"]))
            if self._spec.classes:
                logits.append(np.array(outputs["logits"]))
        kept = slice(len(pixels))
        vectors = unit(np.concatenate(embedding)[kept])
        return Encoded(vectors, np.concatenate(logits)[kept] if logits else None)

    def _request(self, size: int) -> Any:
        """Where the calling thread's inputs and outputs of ``size`` pictures lie."""
        requests: dict[str, Any] = self._requests.__dict__
        name = f"of_{size}"
        if name not in requests:
            with self._compiling:
                if size not in self._compiled:
                    side = self._spec.side
                    model = self._core.read_model(self.graph)
                    model.reshape([size, side, side, 3])
                    self._compiled[size] = self._core.compile_model(model, "CPU", self._options)
            requests[name] = self._compiled[size].create_infer_request()
        return requests[name]


@functools.cache
def _core() -> Any:
    """OpenVINO itself: there need be no more than one in a process."""
    import openvino

    return openvino.Core()
