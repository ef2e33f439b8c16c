"""Runs an encoder of the catalogue with ONNX Runtime. Normalisation is part of the graph."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from lookalike import kernels
from lookalike.errors import InputError
from lookalike.features.encoders.base import Encoded, EncoderSpec, unit
from lookalike.features.encoders.graph import GraphEncoder
from lookalike.types import FloatArray, PixelArray

# The runtime's official builds report usage to their maker, keep a device id in the home folder and
# a session file in the temporary one, unless this is set before the first import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

onnxruntime.disable_telemetry_events()  # in case the host had imported it before

_CPU = "CPUExecutionProvider"
ACCELERATORS = {
    "cuda": ("CUDAExecutionProvider", "the GPU (CUDA)"),
    "directml": ("DmlExecutionProvider", "the GPU (DirectML)"),
    "coreml": ("CoreMLExecutionProvider", "CoreML"),
}
"""What else than the processor the runtime may have been built for: its name there, and ours. CUDA
is chosen by itself; CoreML and DirectML, which nobody has tried yet, only by name."""


class OnnxEncoder(GraphEncoder):
    """An Encoder whose graph takes uint8 (n, side, side, 3) and gives embedding and logits.

    Runs on a GPU if the runtime was built for CUDA (``onnxruntime-gpu``) and finds one, or on what
    ``accelerator`` names, else on the processor; ``runtime`` says which, and why not. ``parallel``
    calls share the processor's cores. Raises InputError for an accelerator that the runtime was not
    built for.
    """

    def __init__(self, spec: EncoderSpec, parallel: int = 1, accelerator: str = "") -> None:
        super().__init__(spec)
        wanted = accelerator or ("cuda" if built_for("cuda") else "")
        if wanted and not built_for(wanted):
            raise InputError(
                f"{wanted}: this ONNX Runtime is not built for it; it has"
                f" {', '.join(onnxruntime.get_available_providers())}"
            )
        self._session = session(self.graph, max(1, kernels.cores() // parallel), wanted)
        self._names = ["embedding", "logits"] if spec.classes else ["embedding"]
        self._accelerated = self._session.get_providers() != [_CPU]
        self._one_call = threading.Lock() if wanted == "directml" else contextlib.nullcontext()
        self.runtime = _described(wanted, self._accelerated)

    def encode(self, pixels: PixelArray) -> Encoded:
        # On the processor one picture at a time is fastest: its layers' outputs stay in the cache.
        size = len(pixels) if self._accelerated else 1
        with self._one_call:
            outputs = [
                self._session.run(self._names, {"pixels": pixels[at : at + size]})
                for at in range(0, len(pixels), size)
            ]
        embedding, *logits = (np.concatenate(column) for column in zip(*outputs, strict=True))
        return Encoded(unit(embedding), logits[0] if logits else None)


def session(graph: bytes | str, threads: int, accelerator: str = "") -> Any:
    """A graph ready to run: on an accelerator if one is named and can be used, else elsewhere."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait busily after a picture take the cores from the search that follows.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Integers are computed as float32: on older processors the runtime's own sums overflow.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.log_severity_level = 4  # a GPU that cannot be used is told by ``runtime``
    if accelerator == "directml":
        options.enable_mem_pattern = False  # as its documentation asks
    chosen = [ACCELERATORS[accelerator][0]] if accelerator else []
    try:
        return onnxruntime.InferenceSession(graph, options, providers=[*chosen, _CPU])
    except Exception:  # the runtime's errors have no common base; the processor always works
        if not chosen:
            raise
        return onnxruntime.InferenceSession(graph, options, providers=[_CPU])


def layer_of(weights: bytes, name: str) -> Callable[[PixelArray], FloatArray]:
    """A graph as a function from pixels to one of its inner tensors."""
    own = session(with_output(weights, name), kernels.cores())
    return lambda pixels: np.asarray(own.run([name], {"pixels": pixels})[0])


def with_output(model: bytes, name: str) -> bytes:
    """A serialised ONNX model in which an inner tensor is an output, too.

    Messages of protobuf that follow each other are merged into one: so it is enough to add a model
    (its field 7: the graph) of a graph (field 12: an output) of an output that has but its name.
    """
    message = name.encode()
    for field in (1, 12, 7):
        message = bytes([field << 3 | 2, len(message)]) + message
    return model + message


def built_for(accelerator: str) -> bool:
    """Whether the runtime could use an accelerator, if there is one."""
    return ACCELERATORS[accelerator][0] in onnxruntime.get_available_providers()


def _described(wanted: str, accelerated: bool) -> str:
    if accelerated:
        return f"ONNX Runtime on {ACCELERATORS[wanted][1]}"
    if wanted:
        return (
            f"ONNX Runtime on the processor; it is built for {ACCELERATORS[wanted][1]}, but found"
            " none that it can use"
        )
    return "ONNX Runtime on the processor"
