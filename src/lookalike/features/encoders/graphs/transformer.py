"""The layers that all transformers here share: attention and two linear layers, normalised before.

Vaswani et al., Attention Is All You Need, 2017; Dosovitskiy et al., An Image is Worth 16x16 Words,
2020.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lookalike.features.encoders.graphs.builder import Activation, GraphBuilder


@dataclass(frozen=True, slots=True)
class Layer:
    """How one layer's tensors are called, and its sizes.

    ``heads`` share ``width``; ``inner`` is the width between the two linear layers; ``scales``
    names the factors of both halves, where there are some.
    """

    norms: tuple[str, str]
    query: str
    key: str
    value: str
    out: str
    linears: tuple[str, str]
    width: int
    heads: int
    inner: int
    activation: Activation
    epsilon: float
    scales: tuple[str, str] | None = None

    def below(self, name: str) -> Layer:
        """The same layer with all names below ``name``."""
        return replace(
            self,
            norms=(f"{name}.{self.norms[0]}", f"{name}.{self.norms[1]}"),
            query=f"{name}.{self.query}",
            key=f"{name}.{self.key}",
            value=f"{name}.{self.value}",
            out=f"{name}.{self.out}",
            linears=(f"{name}.{self.linears[0]}", f"{name}.{self.linears[1]}"),
            scales=self.scales and (f"{name}.{self.scales[0]}", f"{name}.{self.scales[1]}"),
        )


HUGGING_FACE = Layer(
    norms=("layer_norm1", "layer_norm2"),
    query="self_attn.q_proj",
    key="self_attn.k_proj",
    value="self_attn.v_proj",
    out="self_attn.out_proj",
    linears=("mlp.fc1", "mlp.fc2"),
    width=768,
    heads=12,
    inner=3072,
    activation="quick-gelu",
    epsilon=1e-5,
)
"""The names of the layers of CLIP and SigLIP in the library transformers, and the usual sizes."""


def patches(
    graph: GraphBuilder, pixels: str, name: str, size: int, width: int, *, bias: bool = True
) -> str:
    """Squares of ``size`` pixels as vectors, row by row: float32 (n, squares, width)."""
    inputs = [pixels, graph.weight(f"{name}.weight", (width, 3, size, size))]
    inputs += [graph.weight(f"{name}.bias", (width,))] if bias else []
    squares = graph.step("Conv", *inputs, strides=[size, size])
    return graph.step("Transpose", graph.reshape(squares, [0, 0, -1]), perm=[0, 2, 1])


def with_class_token(graph: GraphBuilder, squares: str, token: str, width: int) -> str:
    """A learned vector (``token``, a tensor of ``width`` numbers) before each picture's squares."""
    count = graph.step("Shape", squares, start=0, end=1)
    shape = graph.step("Concat", count, graph.constant(np.array([1, width], np.int64)), axis=0)
    tokens = graph.step("Expand", graph.reshape(token, [1, 1, width]), shape)
    return graph.step("Concat", tokens, squares, axis=1)


def transformed(graph: GraphBuilder, value: str, layer: Layer, mask: str | None = None) -> str:
    """One layer: float32 (n, length, width) to the same; ``mask`` is added to the attention."""
    seen = graph.layer_norm(value, layer.norms[0], layer.width, layer.epsilon)
    seen = attended(graph, seen, seen, layer, mask)
    value = graph.step("Add", value, _scaled(graph, seen, layer, 0))
    thought = graph.layer_norm(value, layer.norms[1], layer.width, layer.epsilon)
    thought = two_linears(graph, thought, layer)
    return graph.step("Add", value, _scaled(graph, thought, layer, 1))


def two_linears(graph: GraphBuilder, value: str, layer: Layer) -> str:
    """The second half of a layer, without its norm."""
    value = graph.linear(value, layer.linears[0], (layer.width, layer.inner))
    value = graph.activation(value, layer.activation)
    return graph.linear(value, layer.linears[1], (layer.inner, layer.width))


def attended(
    graph: GraphBuilder, asking: str, value: str, layer: Layer, mask: str | None = None
) -> str:
    """Attention of ``asking`` (n, a, width) to ``value`` (n, b, width): (n, a, width)."""
    wide, each = (layer.width, layer.width), layer.width // layer.heads
    query = _in_heads(graph, graph.linear(asking, layer.query, wide), layer.heads, [0, 2, 1, 3])
    key = _in_heads(graph, graph.linear(value, layer.key, wide), layer.heads, [0, 2, 3, 1])
    values = _in_heads(graph, graph.linear(value, layer.value, wide), layer.heads, [0, 2, 1, 3])
    scaled = graph.step("Mul", query, graph.constant(np.float32(each**-0.5)))
    shares = graph.step("MatMul", scaled, key)
    if mask is not None:
        shares = graph.step("Add", shares, mask)
    mixed = graph.step("MatMul", graph.step("Softmax", shares, axis=-1), values)
    together = graph.step("Transpose", mixed, perm=[0, 2, 1, 3])
    return graph.linear(graph.reshape(together, [0, 0, layer.width]), layer.out, wide)


def _in_heads(graph: GraphBuilder, value: str, heads: int, order: list[int]) -> str:
    """(n, length, width) as (n, length, heads, width / heads), its axes in another order."""
    return graph.step("Transpose", graph.reshape(value, [0, 0, heads, -1]), perm=order)


def _scaled(graph: GraphBuilder, value: str, layer: Layer, half: int) -> str:
    if layer.scales is None:
        return value
    return graph.step("Mul", value, graph.weight(layer.scales[half], (layer.width,)))
