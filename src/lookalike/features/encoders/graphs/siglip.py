"""SigLIP and SigLIP 2 with a fixed number of squares: a tower for pictures and one for text.

Zhai et al., Sigmoid Loss for Language Image Pre-Training, 2023; Tschannen et al., SigLIP 2, 2025.
Tensors are called as in the library transformers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lookalike.features.encoders.graphs.builder import Alias, GraphBuilder
from lookalike.features.encoders.graphs.transformer import (
    HUGGING_FACE,
    Layer,
    attended,
    patches,
    transformed,
    two_linears,
)

_HALF = (0.5, 0.5, 0.5)
_LAYER = replace(HUGGING_FACE, activation="gelu-tanh", epsilon=1e-6)
_HEAD = "vision_model.head"


@dataclass(frozen=True, slots=True)
class Siglip:
    """Sizes of both towers, by default those of SigLIP 2 base, patch 16, 224 pixels."""

    side: int = 224
    patch: int = 16
    layers: int = 12
    layer: Layer = _LAYER
    vocabulary: int = 256_000
    length: int = 64
    padding: int | None = 0
    ending: str | None = "<eos>"

    def image(self, graph: GraphBuilder) -> None:
        """Squares, asked by one learned vector at the end."""
        layer, above = self.layer, "vision_model.embeddings"
        width = layer.width
        pixels = graph.pixels(self.side, _HALF, _HALF)
        value = patches(graph, pixels, f"{above}.patch_embedding", self.patch, width)
        count = (self.side // self.patch) ** 2
        places = graph.weight(f"{above}.position_embedding.weight", (count, width))
        value = graph.step("Add", value, places)
        for number in range(self.layers):
            named = layer.below(f"vision_model.encoder.layers.{number}")
            value = transformed(graph, value, named)
        value = graph.layer_norm(value, "vision_model.post_layernorm", width, layer.epsilon)
        graph.output("embedding", self._asked(graph, value), width)

    def _asked(self, graph: GraphBuilder, value: str) -> str:
        head = replace(
            self.layer,
            query=f"{_HEAD}.query",
            key=f"{_HEAD}.key",
            value=f"{_HEAD}.value",
            out=f"{_HEAD}.attention.out_proj",
            linears=(f"{_HEAD}.mlp.fc1", f"{_HEAD}.mlp.fc2"),
        )
        for place, name in enumerate((head.query, head.key, head.value)):
            for part in ("weight", "bias"):
                inside = Alias(f"{_HEAD}.attention.in_proj_{part}", place, 3)
                graph.aliases[f"{name}.{part}"] = inside
        probe = graph.weight(f"{_HEAD}.probe", (1, 1, head.width))
        answer = attended(graph, self._for_each(graph, probe, value), value, head)
        normal = graph.layer_norm(answer, f"{_HEAD}.layernorm", head.width, head.epsilon)
        return graph.take(graph.step("Add", answer, two_linears(graph, normal, head)), 0)

    def _for_each(self, graph: GraphBuilder, probe: str, value: str) -> str:
        count = graph.step("Shape", value, start=0, end=1)
        sizes = graph.constant(np.array([1, self.layer.width], np.int64))
        return graph.step("Expand", probe, graph.step("Concat", count, sizes, axis=0))

    def words(self, graph: GraphBuilder) -> None:
        """Tokens that all see each other, the padding too; the last ends as the text's vector."""
        layer, above = self.layer, "text_model.embeddings"
        width = layer.width
        tokens = graph.tokens(self.length)
        table = graph.weight(f"{above}.token_embedding.weight", (self.vocabulary, width))
        places = graph.weight(f"{above}.position_embedding.weight", (self.length, width))
        value = graph.step("Add", graph.step("Gather", table, tokens), places)
        for number in range(self.layers):
            named = layer.below(f"text_model.encoder.layers.{number}")
            value = transformed(graph, value, named)
        value = graph.layer_norm(value, "text_model.final_layer_norm", width, layer.epsilon)
        last = graph.linear(graph.take(value, -1), "text_model.head", (width, width))
        graph.output("embedding", last, width)
