"""Downloadable encoders in small, with random weights in files as they are published."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lookalike.features.encoders import catalogue, graphs
from lookalike.features.encoders.base import EncoderSpec
from lookalike.features.encoders.catalogue import CATALOGUE
from lookalike.features.encoders.graphs import Architecture, WordsArchitecture
from lookalike.features.encoders.graphs.builder import Alias, GraphBuilder
from lookalike.features.encoders.graphs.clip import Clip
from lookalike.features.encoders.graphs.dinov2 import DinoV2
from lookalike.features.encoders.graphs.inception import InceptionV3
from lookalike.features.encoders.graphs.resnet import ResNet
from lookalike.features.encoders.graphs.siglip import Siglip

VOCABULARY = 600
END = VOCABULARY - 1
"""The end of a text has the highest number, as with CLIP, where open_clip looks for that."""

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Small:
    """An architecture whose sizes differ from a catalogue entry's."""

    of: str
    dim: int
    architecture: Architecture

    @property
    def spec(self) -> EncoderSpec:
        side: int = self.architecture.side  # type: ignore[attr-defined]
        entry, name = CATALOGUE[self.of], f"small-{self.of}"
        numbers = entry.preprocessing.replace(f"-{entry.side}-", f"-{side}-")
        return replace(
            entry, name=name, dim=self.dim, side=side, architecture=name, preprocessing=numbers
        )


_CLIP, _SIGLIP, _DINO = Clip(), Siglip(), DinoV2()
SMALL = {
    one.of: one
    for one in (
        Small("resnet50", 256, ResNet(blocks=(1, 2, 1, 1), width=8, side=64)),
        Small("inception-v3", 2048, InceptionV3(side=75)),
        Small("clip-vit-b32", 24, Clip(
            dim=24, side=32, patch=8, layers=2, vocabulary=VOCABULARY, length=77,
            seeing=replace(_CLIP.seeing, width=32, heads=4, inner=64),
            reading=replace(_CLIP.reading, width=16, heads=2, inner=48))),
        Small("siglip2-base", 32, Siglip(
            side=32, patch=8, layers=2, vocabulary=VOCABULARY, length=16, ending="<end>",
            layer=replace(_SIGLIP.layer, width=32, heads=4, inner=64))),
        Small("dinov2-small", 32, DinoV2(
            side=56, patch=14, trained_side=98, layers=2,
            layer=replace(_DINO.layer, width=32, heads=4, inner=64))),
    )
}  # fmt: skip


class _Recorder(GraphBuilder):
    """Writes down which tensors a graph wants."""

    def __init__(self, *, open_clip: bool) -> None:
        self.shapes: Shapes = {}
        named = {"visual.conv1.weight"} if open_clip else set[str]()
        super().__init__(named)  # type: ignore[arg-type]

    def _external(self, name: str, alias: Alias, shape: tuple[int, ...]) -> str:
        self.shapes[alias.name] = (shape[0] * alias.parts, *shape[1:])
        return name


def shapes_of(architecture: Architecture, *, open_clip: bool = False) -> Shapes:
    """The tensors that a file with an architecture's weights has."""
    recorder = _Recorder(open_clip=open_clip)
    architecture.image(recorder)
    if isinstance(architecture, WordsArchitecture):
        architecture.words(recorder)
    return recorder.shapes


def random_tensor(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Of about the size that trained weights have, so that numbers stay of the same size."""
    dice = np.random.default_rng([seed, zlib.crc32(name.encode())])
    values = dice.standard_normal(shape, dtype=np.float32)
    if name.endswith("running_var"):
        return 0.75 + np.abs(values) / 4
    if len(shape) == 1:
        return values / 10 + (1 if name.endswith(("weight", "lambda1")) else 0)
    fan_in = 1 if "embedding" in name and len(shape) == 2 else np.prod(shape[1:])
    return values * np.float32(np.sqrt(2 / max(1, fan_in)) if fan_in > 1 else 0.05)


def write_weights(
    path: Path, architecture: Architecture, seed: int = 0, *, open_clip: bool = False
) -> Path:
    """A safetensors file with random weights, the same for the same seed."""
    shapes = shapes_of(architecture, open_clip=open_clip)
    save_file({name: random_tensor(name, shape, seed) for name, shape in shapes.items()}, path)
    return path


def use_small(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Put the small encoders into the catalogue, and their weights below ``folder``."""
    patch.setenv("LOOKALIKE_MODELS", str(folder))
    for small in SMALL.values():
        use(patch, small.spec, small.architecture)


def use(patch: pytest.MonkeyPatch, spec: EncoderSpec, architecture: Architecture) -> None:
    """Put one encoder into the catalogue."""
    patch.setitem(graphs.ARCHITECTURES, spec.architecture, architecture)  # type: ignore[arg-type]
    patch.setitem(catalogue.CATALOGUE, spec.name, spec)


def write_tokenizer(path: Path, words: str = "a red car on grass", end: str = "<end>") -> Path:
    """A tokenizer.json that begins and ends texts as CLIP's does, with few words of its own."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    marks = {"<pad>": 0, "<begin>": 1, "<unknown>": 2, end: END}
    vocabulary = marks | {word: number for number, word in enumerate(words.split(), 3)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "<unknown>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"<begin> $A {end}", special_tokens=[("<begin>", 1), (end, END)]
    )
    tokenizer.save(str(path))
    return path
