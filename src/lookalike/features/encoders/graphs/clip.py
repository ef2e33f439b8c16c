"""CLIP with a vision transformer: a tower for pictures and one for text.

Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021. Tensors
are called as in the library transformers, or as in OpenAI's own code and open_clip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from lookalike.features.encoders.graphs.builder import Alias, GraphBuilder
from lookalike.features.encoders.graphs.transformer import (
    HUGGING_FACE,
    Layer,
    patches,
    transformed,
    with_class_token,
)

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
_READING = replace(HUGGING_FACE, width=512, heads=8, inner=2048)
_NEVER = np.float32(-1e9)


@dataclass(frozen=True, slots=True)
class Clip:
    """Sizes of both towers, by default those of ViT-B/32."""

    dim: int = 512
    side: int = 224
    patch: int = 32
    layers: int = 12
    seeing: Layer = HUGGING_FACE
    vocabulary: int = 49_408
    reading: Layer = _READING
    length: int = 77
    padding: int | None = None
    ending: str | None = None

    def image(self, graph: GraphBuilder) -> None:
        """Squares and a class token, which ends as the picture's vector."""
        graph.aliases = self._aliases(graph)
        layer, above = self.seeing, "vision_model.embeddings"
        width = layer.width
        pixels = graph.pixels(self.side, MEAN, DEVIATION)
        squares = patches(graph, pixels, f"{above}.patch_embedding", self.patch, width, bias=False)
        token = graph.weight(f"{above}.class_embedding", (width,))
        value = with_class_token(graph, squares, token, width)
        count = (self.side // self.patch) ** 2 + 1
        places = graph.weight(f"{above}.position_embedding.weight", (count, width))
        value = graph.step("Add", value, places)
        value = graph.layer_norm(value, "vision_model.pre_layrnorm", width, layer.epsilon)
        for number in range(self.layers):
            named = layer.below(f"vision_model.encoder.layers.{number}")
            value = transformed(graph, value, named)
        first = graph.take(value, 0)
        last = graph.layer_norm(first, "vision_model.post_layernorm", width, layer.epsilon)
        projected = graph.linear(last, "visual_projection", (width, self.dim), bias=False)
        graph.output("embedding", projected, self.dim)

    def words(self, graph: GraphBuilder) -> None:
        """Tokens, each of which sees those before it; the last ends as the text's vector."""
        graph.aliases = self._aliases(graph)
        layer, above = self.reading, "text_model.embeddings"
        width = layer.width
        tokens = graph.tokens("length")
        table = graph.weight(f"{above}.token_embedding.weight", (self.vocabulary, width))
        places = graph.weight(f"{above}.position_embedding.weight", (self.length, width))
        ends = graph.step("Shape", tokens, start=1, end=2)
        zero, one = (graph.constant(np.array([axis], np.int64)) for axis in (0, 1))
        value = graph.step("Gather", table, tokens)
        value = graph.step("Add", value, graph.step("Slice", places, zero, ends, zero))
        mask = graph.constant(np.triu(np.full((self.length, self.length), _NEVER), 1))
        mask = graph.step("Slice", mask, zero, ends, zero)
        mask = graph.step("Slice", mask, zero, ends, one)
        for number in range(self.layers):
            named = layer.below(f"text_model.encoder.layers.{number}")
            value = transformed(graph, value, named, mask)
        last = graph.take(value, -1)
        last = graph.layer_norm(last, "text_model.final_layer_norm", width, layer.epsilon)
        projected = graph.linear(last, "text_projection", (width, self.dim), bias=False)
        graph.output("embedding", projected, self.dim)

    def _aliases(self, graph: GraphBuilder) -> dict[str, Alias]:
        if "visual.conv1.weight" not in graph.weights:
            return {}
        return dict(self._open_clip_names())

    def _open_clip_names(self) -> Iterator[tuple[str, Alias]]:
        """The names of transformers, and where OpenAI's and open_clip's files have the same."""
        yield "visual_projection.weight", Alias("visual.proj", turned=True)
        yield "text_projection.weight", Alias("text_projection", turned=True)
        for name, own in _NAMES.items():
            yield name, Alias(own)
        for tower, own in (("vision_model", "visual.transformer"), ("text_model", "transformer")):
            for number in range(self.layers):
                above = f"{tower}.encoder.layers.{number}"
                below = f"{own}.resblocks.{number}"
                for name, other in _LAYER_NAMES.items():
                    for part in ("weight", "bias"):
                        yield f"{above}.{name}.{part}", Alias(f"{below}.{other}.{part}")
                for place, name in enumerate(("q_proj", "k_proj", "v_proj")):
                    for part in ("weight", "bias"):
                        inside = Alias(f"{below}.attn.in_proj_{part}", place, 3)
                        yield f"{above}.self_attn.{name}.{part}", inside


_NAMES = {
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
}
_LAYER_NAMES = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
