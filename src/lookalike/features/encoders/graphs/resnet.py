"""ResNets of bottlenecks as torchvision has them, which halve in the middle convolution.

He et al., Deep Residual Learning for Image Recognition, 2015; names of tensors as in torchvision.
"""

from __future__ import annotations

from dataclasses import dataclass

from lookalike.features.encoders.graphs.builder import IMAGENET, GraphBuilder

_EPSILON = 1e-5
_WIDER = 4


@dataclass(frozen=True, slots=True)
class ResNet:
    """``blocks`` in each of the four stages; the embedding is what the last layer sees."""

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    classes: int = 1000
    side: int = 224

    def image(self, graph: GraphBuilder) -> None:
        """Pixels to the mean of the last stage, and from there to the classes."""
        pixels = graph.pixels(self.side, *IMAGENET)
        value = _convolved(graph, pixels, "conv1", "bn1", (3, self.width), kernel=7, stride=2)
        value = graph.step("MaxPool", value, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        wide = self.width
        for stage, blocks in enumerate(self.blocks):
            inner = self.width * 2**stage
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                name = f"layer{stage + 1}.{block}"
                value = _bottleneck(graph, value, name, (wide, inner), stride, first=not block)
                wide = inner * _WIDER
        pooled = graph.step("Flatten", graph.step("GlobalAveragePool", value))
        graph.output("embedding", pooled, wide)
        graph.output("logits", graph.linear(pooled, "fc", (wide, self.classes)), self.classes)


def _bottleneck(
    graph: GraphBuilder,
    value: str,
    name: str,
    wide: tuple[int, int],
    stride: int,
    *,
    first: bool,
) -> str:
    inner, outer = wide[1], wide[1] * _WIDER
    names = [(f"{name}.conv{number}", f"{name}.bn{number}") for number in (1, 2, 3)]
    out = _convolved(graph, value, *names[0], (wide[0], inner))
    out = _convolved(graph, out, *names[1], (inner, inner), kernel=3, stride=stride)
    out = _convolved(graph, out, *names[2], (inner, outer), last=True)
    if first:
        place = (f"{name}.downsample.0", f"{name}.downsample.1")
        value = _convolved(graph, value, *place, (wide[0], outer), stride=stride, last=True)
    return graph.step("Relu", graph.step("Add", out, value))


def _convolved(
    graph: GraphBuilder,
    value: str,
    convolution: str,
    norm: str,
    wide: tuple[int, int],
    *,
    kernel: int = 1,
    stride: int = 1,
    last: bool = False,
) -> str:
    weight = graph.weight(f"{convolution}.weight", (wide[1], wide[0], kernel, kernel))
    out = graph.step("Conv", value, weight, strides=[stride] * 2, pads=[kernel // 2] * 4)
    out = graph.batch_norm(out, norm, wide[1], _EPSILON)
    return out if last else graph.step("Relu", out)
