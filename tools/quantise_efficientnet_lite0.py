r"""Make `efficientnet-lite0-int8.onnx` from `efficientnet-lite0.onnx`: layers of 8-bit integers.

Post-training quantisation by NNCF: weights per channel, activations per layer, biases corrected for
the mean error. The first three convolutions stay in float32: that costs 6 % of the speed and takes
away nearly half of the error. Ranges are taken from photos of scikit-image's wheel and parts of
them, so that no photo on which the encoder is measured had a say. The same photos give the same
bytes.

In an environment of its own:

    pip install nncf==2.19.0 openvino==2026.4.1 onnx==1.19.1 onnxruntime==1.32.0
    pip install scikit-image==0.26.0
    pip install .
    python tools/quantise_efficientnet_lite0.py \
        --out src/lookalike/features/encoders/weights/efficientnet-lite0-int8.onnx
"""

from __future__ import annotations

import argparse
import hashlib
import random
from importlib.resources import files
from pathlib import Path

import nncf  # type: ignore[import-not-found]
import numpy as np
import onnx
import onnxruntime
import skimage  # type: ignore[import-not-found]
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

from lookalike.features.encoders.preparing import central_square

SOURCE = "efficientnet-lite0.onnx"
SIDE = 224
PARTS = 11
"""Parts of each photo that are taken beside the whole."""
KEPT_IN_FLOAT = 3
"""Convolutions at the beginning."""
LEAST_AGREEMENT = 0.99


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    weights = files("lookalike.features.encoders").joinpath("weights", SOURCE).read_bytes()
    pictures = calibration()
    quantised = quantise(onnx.load_from_string(weights), pictures)
    onnx.checker.check_model(quantised)
    data = quantised.SerializeToString()
    mean, least = agreement(weights, data, pictures[:: PARTS + 1])
    print(f"{len(pictures)} pictures; cosine with float32: {mean} on average, {least} at the least")
    if mean < LEAST_AGREEMENT:
        raise SystemExit(f"the mean is below {LEAST_AGREEMENT}: nothing is written")
    out.write_bytes(data)
    print(f"{out}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")


def calibration() -> NDArray[np.uint8]:
    """Photos of scikit-image and random parts of them, half of these mirrored, (n, 224, 224, 3)."""
    drawn = random.Random(1)
    pictures = []
    for path in sorted((Path(skimage.__file__).parent / "data").iterdir()):
        if path.suffix not in (".png", ".jpg", ".gif"):
            continue
        photo = Image.open(path).convert("RGB")
        pictures.append(central_square(photo, SIDE))
        for _ in range(PARTS):
            share = drawn.uniform(0.4, 1.0)
            width, height = (max(1, int(side * share)) for side in photo.size)
            left = drawn.randint(0, photo.width - width)
            top = drawn.randint(0, photo.height - height)
            part = photo.crop((left, top, left + width, top + height))
            if drawn.random() < 0.5:
                part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            pictures.append(central_square(part, SIDE))
    return np.stack(pictures)


def quantise(model: onnx.ModelProto, pictures: NDArray[np.uint8]) -> onnx.ModelProto:
    first = [node.name for node in model.graph.node if node.op_type == "Conv"][:KEPT_IN_FLOAT]
    dataset = nncf.Dataset([{"pixels": picture[None]} for picture in pictures])
    quantised = nncf.quantize(
        model,
        dataset,
        preset=nncf.QuantizationPreset.PERFORMANCE,
        subset_size=len(pictures),
        ignored_scope=nncf.IgnoredScope(names=first),
    )
    store_integers(quantised)
    return quantised


def store_integers(model: onnx.ModelProto) -> None:
    """Weights that a graph rounds to integers at every start are kept as these integers."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in list(graph.node):
        if node.op_type != "QuantizeLinear" or node.input[0] not in constants:
            continue
        weight, scale, zero = (numpy_helper.to_array(constants[name]) for name in node.input)
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        shape = [1] * weight.ndim
        if scale.ndim:
            shape[axis] = -1
        limits = np.iinfo(zero.dtype)
        steps = np.rint(weight / scale.reshape(shape)) + zero.reshape(shape)
        integers = np.clip(steps, limits.min, limits.max).astype(zero.dtype)
        graph.initializer.append(numpy_helper.from_array(integers, node.output[0]))
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def agreement(weights: bytes, quantised: bytes, pictures: NDArray[np.uint8]) -> tuple[float, float]:
    """Mean and least cosine of embeddings; of whole photos that ranges were taken from, too."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    found = []
    for data in (weights, quantised):
        session = onnxruntime.InferenceSession(data, options)
        found.append(session.run(["embedding"], {"pixels": pictures})[0])
    lengths = [np.linalg.norm(embedding, axis=1) for embedding in found]
    cosines = (found[0] * found[1]).sum(axis=1) / (lengths[0] * lengths[1])
    return round(float(cosines.mean()), 4), round(float(cosines.min()), 4)


if __name__ == "__main__":
    main()
