"""DINOv2, a vision transformer taught without labels or texts; the class token is its vector.

Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, 2023. Tensors are called
as in the library transformers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lookalike.features.encoders.graphs.builder import IMAGENET, GraphBuilder
from lookalike.features.encoders.graphs.transformer import (
    Layer,
    patches,
    transformed,
    with_class_token,
)

_ABOVE = "embeddings"
_CUBIC = -0.75  # PyTorch's coefficient


_LAYER = Layer(
    norms=("norm1", "norm2"),
    query="attention.attention.query",
    key="attention.attention.key",
    value="attention.attention.value",
    out="attention.output.dense",
    linears=("mlp.fc1", "mlp.fc2"),
    scales=("layer_scale1.lambda1", "layer_scale2.lambda1"),
    width=384,
    heads=6,
    inner=1536,
    activation="gelu",
    epsilon=1e-6,
)


@dataclass(frozen=True, slots=True)
class DinoV2:
    """Sizes, by default those of the small one.

    ``trained_side`` is that of the pictures whose places were learned; for others they are
    interpolated.
    """

    side: int = 224
    patch: int = 14
    trained_side: int = 518
    layers: int = 12
    layer: Layer = _LAYER

    def image(self, graph: GraphBuilder) -> None:
        """Squares and a class token, which ends as the picture's vector."""
        width = self.layer.width
        pixels = graph.pixels(self.side, *IMAGENET)
        name = f"{_ABOVE}.patch_embeddings.projection"
        squares = patches(graph, pixels, name, self.patch, width)
        token = graph.weight(f"{_ABOVE}.cls_token", (1, 1, width))
        value = with_class_token(graph, squares, token, width)
        value = graph.step("Add", value, self._places(graph))
        for number in range(self.layers):
            value = transformed(graph, value, self.layer.below(f"encoder.layer.{number}"))
        value = graph.layer_norm(value, "layernorm", width, self.layer.epsilon)
        graph.output("embedding", graph.take(value, 0), width)

    def _places(self, graph: GraphBuilder) -> str:
        """What the class token's place adds, and each square's, float32 (1, squares + 1, width)."""
        width = self.layer.width
        learned, used = self.trained_side // self.patch, self.side // self.patch
        places = graph.weight(f"{_ABOVE}.position_embeddings", (1, learned**2 + 1, width))
        if learned == used:
            return places
        sizes = graph.constant(np.array([1, learned**2], np.int64))
        first, squares = graph.steps("Split", places, sizes, outputs=2, axis=1)
        grid = graph.reshape(squares, [1, learned, learned, width])
        grid = graph.step("Transpose", grid, perm=[0, 3, 1, 2])
        target = graph.constant(np.array([1, width, used, used], np.int64))
        grid = graph.step(
            "Resize", grid, "", "", target, mode="cubic", cubic_coeff_a=_CUBIC,
            coordinate_transformation_mode="half_pixel",
        )  # fmt: skip
        grid = graph.reshape(graph.step("Transpose", grid, perm=[0, 2, 3, 1]), [1, -1, width])
        return graph.step("Concat", first, grid, axis=1)
