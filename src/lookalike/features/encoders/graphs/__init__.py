"""Graphs of downloadable encoders, written node by node from the tensors of a safetensors file.

A graph is some kilobytes: it refers to the weights where they lie. ``pixels`` uint8
(n, side, side, 3) go in, sRGB; normalisation is part of it; ``embedding`` float32 (n, dim), not
normalised, and ``logits`` where there are classes come out. A tower for text takes ``tokens`` int64
(n, length). Why so: docs/adr/0009-encoder-graphs.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from lookalike.features.encoders.graphs.builder import GraphBuilder
from lookalike.features.encoders.graphs.clip import Clip
from lookalike.features.encoders.graphs.dinov2 import DinoV2
from lookalike.features.encoders.graphs.inception import InceptionV3
from lookalike.features.encoders.graphs.resnet import ResNet
from lookalike.features.encoders.graphs.siglip import Siglip


class Architecture(Protocol):
    """How an encoder's tower for pictures is built; its sizes are its fields."""

    def image(self, graph: GraphBuilder) -> None:
        """Write the graph. Raises LookalikeError for a missing tensor, or one of another shape."""


@runtime_checkable
class WordsArchitecture(Protocol):
    """One with a tower for text."""

    length: int
    """Tokens that it takes at most."""
    padding: int | None
    """The token with which fewer are filled up; None: it takes any number."""
    ending: str | None
    """The mark that ends a text; None: the vocabulary's file says what begins and ends one."""

    def image(self, graph: GraphBuilder) -> None: ...

    def words(self, graph: GraphBuilder) -> None:
        """Write the graph of the text tower."""


ARCHITECTURES: Mapping[str, Architecture] = {
    "resnet50": ResNet(),
    "inception-v3": InceptionV3(),
    "clip-vit-b32": Clip(),
    "siglip2-base": Siglip(),
    "dinov2-small": DinoV2(),
}
