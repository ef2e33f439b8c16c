"""Collects the nodes of a graph; its weights stay where they lie, in a safetensors file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from lookalike.errors import LookalikeError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

VERSION = 1
"""Of what the builders write; graphs of another are made anew."""

OPSET, IR_VERSION = 20, 9

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's pixels, 0..1, as torchvision's encoders want them."""

Activation = Literal["gelu", "gelu-tanh", "quick-gelu"]

_DTYPES = {"F32": ("FLOAT", 4), "F16": ("FLOAT16", 2), "BF16": ("BFLOAT16", 2)}
_MOST_HEADER_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor lies in its file: ``start`` in bytes from the file's beginning."""

    dtype: str
    shape: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True)
class Alias:
    """Where a tensor lies under another name: one of several equal parts, or turned around."""

    name: str
    part: int = 0
    parts: int = 1
    turned: bool = False


class Weights:
    """The table of contents of a safetensors file; no tensor is read.

    Source: the format's own description in the safetensors documentation. Raises LookalikeError
    if the file is not one, or ends before its last tensor.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._tensors = dict(self._listed())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise LookalikeError(
                f"{path}: not a safetensors file ({error}); fetch it again"
            ) from error

    def _listed(self) -> Iterator[tuple[str, Tensor]]:
        with self.path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _MOST_HEADER_BYTES:
                raise ValueError("its header has no plausible length")
            header = json.loads(file.read(length))
            size = file.seek(0, 2)
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            start, end = entry["data_offsets"]
            tensor = Tensor(entry["dtype"], tuple(entry["shape"]), 8 + length + start)
            if 8 + length + end > size:
                raise ValueError(f"it ends before {name} does")
            _, bytes_each = _DTYPES.get(tensor.dtype, ("", 0))
            if start < 0 or (bytes_each and math.prod(tensor.shape) * bytes_each != end - start):
                raise ValueError(f"{name} has another size than its shape")
            yield name, tensor

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def find(self, name: str) -> Tensor | None:
        """A tensor, or None if the file has none of this name."""
        return self._tensors.get(name)


class GraphBuilder:
    """Each method adds a step and returns the name of its output.

    ``weight`` is told the shape that a tensor must have, and refuses another.
    """

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.aliases: dict[str, Alias] = {}
        self._nodes: list[NodeProto] = []
        self._tensors: list[TensorProto] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._made: dict[str, str] = {}

    # -- inputs and outputs ----------------------------------------------------------------------

    def pixels(self, side: int, mean: Sequence[float], deviation: Sequence[float]) -> str:
        """The pictures, float32 (n, 3, side, side), normalised."""
        from onnx import TensorProto, helper

        shape: list[str | int | None] = ["n", side, side, 3]
        self._inputs.append(helper.make_tensor_value_info("pixels", TensorProto.UINT8, shape))
        scale = 1 / (255 * np.asarray(deviation))
        offset = -np.asarray(mean) / np.asarray(deviation)
        whole = self.step("Cast", "pixels", to=TensorProto.FLOAT)
        scaled = self.step("Mul", whole, self.constant(scale.astype(np.float32)))
        normal = self.step("Add", scaled, self.constant(offset.astype(np.float32)))
        return self.step("Transpose", normal, perm=[0, 3, 1, 2])

    def tokens(self, length: int | str) -> str:
        """The token ids of texts, int64 (n, length)."""
        from onnx import TensorProto, helper

        self._inputs.append(
            helper.make_tensor_value_info("tokens", TensorProto.INT64, ["n", length])
        )
        return "tokens"

    def output(self, name: str, value: str, width: int) -> None:
        """Call ``value``, float32 (n, width), an output of the graph."""
        from onnx import TensorProto, helper

        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width]))

    # -- weights ---------------------------------------------------------------------------------

    def weight(self, name: str, shape: Sequence[int]) -> str:
        """A tensor of the file as float32, under its own name or its alias's."""
        if name not in self._made:
            alias = self.aliases.get(name, Alias(name))
            own = tuple(reversed(shape)) if alias.turned else tuple(shape)
            value = self._external(name, alias, own)
            self._made[name] = self.step("Transpose", value) if alias.turned else value
        return self._made[name]

    def _external(self, name: str, alias: Alias, shape: tuple[int, ...]) -> str:
        from onnx import TensorProto

        found = self.weights.find(alias.name)
        if found is None or found.dtype not in _DTYPES:
            kind = "is missing" if found is None else f"is of type {found.dtype}"
            raise LookalikeError(f"{self.weights.path}: tensor {alias.name} {kind}; {_CURE}")
        wanted = (shape[0] * alias.parts, *shape[1:])
        if found.shape != wanted:
            raise LookalikeError(
                f"{self.weights.path}: tensor {alias.name} has shape {found.shape}, not {wanted};"
                f" {_CURE}"
            )
        dtype, size = _DTYPES[found.dtype]
        length = math.prod(shape) * size
        tensor = TensorProto(name=name, dims=shape, data_type=TensorProto.DataType.Value(dtype))
        tensor.data_location = TensorProto.EXTERNAL
        place = {
            "location": self.weights.path.name,
            "offset": found.start + alias.part * length,
            "length": length,
        }
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        self._tensors.append(tensor)
        if dtype == "FLOAT":
            return name
        return self.step("Cast", name, to=TensorProto.FLOAT)

    def constant(self, values: ArrayLike) -> str:
        """A small array that is part of the graph."""
        from onnx import numpy_helper

        name = f"constant_{len(self._tensors)}"
        self._tensors.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    # -- steps -----------------------------------------------------------------------------------

    def step(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output."""
        return self.steps(op, *inputs, outputs=1, **attributes)[0]

    def steps(self, op: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """A node with several outputs."""
        from onnx import helper

        names = [f"{op}_{len(self._nodes)}_{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(op, list(inputs), names, **attributes))
        return names

    def linear(self, value: str, name: str, wide: tuple[int, int], *, bias: bool = True) -> str:
        """A linear layer over the last axis, from ``wide[0]`` numbers to ``wide[1]``."""
        matrix = self.step("Transpose", self.weight(f"{name}.weight", wide[::-1]), perm=[1, 0])
        product = self.step("MatMul", value, matrix)
        if not bias:
            return product
        return self.step("Add", product, self.weight(f"{name}.bias", wide[1:]))

    def layer_norm(self, value: str, name: str, width: int, epsilon: float) -> str:
        """Layer normalisation over the last axis."""
        weight, bias = (self.weight(f"{name}.{part}", (width,)) for part in ("weight", "bias"))
        return self.step("LayerNormalization", value, weight, bias, axis=-1, epsilon=epsilon)

    def activation(self, value: str, kind: Activation) -> str:
        """One of the three ways to compute GELU, exactly or nearly."""
        if kind == "quick-gelu":
            scaled = self.step("Mul", value, self.constant(np.float32(1.702)))
            return self.step("Mul", value, self.step("Sigmoid", scaled))
        return self.step("Gelu", value, approximate="tanh" if kind == "gelu-tanh" else "none")

    def batch_norm(self, value: str, name: str, width: int, epsilon: float) -> str:
        """Batch normalisation with the statistics of training."""
        parts = ("weight", "bias", "running_mean", "running_var")
        weights = [self.weight(f"{name}.{part}", (width,)) for part in parts]
        return self.step("BatchNormalization", value, *weights, epsilon=epsilon)

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """Another shape; 0 keeps an axis, -1 is what is left."""
        return self.step("Reshape", value, self.constant(np.array(shape, np.int64)))

    def take(self, value: str, place: int, axis: int = 1) -> str:
        """What lies at one place of an axis, which goes; -1 is the last."""
        return self.step("Gather", value, self.constant(np.int64(place)), axis=axis)

    # -- the whole -------------------------------------------------------------------------------

    def model(self) -> ModelProto:
        """The finished graph, checked as far as it can be without the weights."""
        from onnx import helper

        graph = helper.make_graph(
            self._nodes, "encoder", self._inputs, self._outputs, self._tensors
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="lookalike",
        )


_CURE = "it holds another encoder's weights, or others than those named in docs/encoders.md"
