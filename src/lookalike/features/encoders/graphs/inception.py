"""Inception v3 as torchvision has it.

Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2015; names of tensors as
in torchvision. Its weights come from TensorFlow, which scaled pixels to -1..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lookalike.features.encoders.graphs.builder import GraphBuilder

_EPSILON = 1e-3
_HALF = (0.5, 0.5, 0.5)

Step = tuple[str, int, tuple[int, int], int]
"""A convolution: its name, its outputs, its kernel's height and width, its stride."""


@dataclass(frozen=True, slots=True)
class InceptionV3:
    """The embedding is what the last layer sees."""

    classes: int = 1000
    side: int = 299

    def image(self, graph: GraphBuilder) -> None:
        """Pixels to the mean of the last block, and from there to the classes."""
        net = _Net(graph, graph.pixels(self.side, _HALF, _HALF), 3)
        net.stem()
        for name, outputs in (("5b", 32), ("5c", 64), ("5d", 64)):
            net.squares(f"Mixed_{name}", outputs)
        net.first_reduction("Mixed_6a")
        for name, inner in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
            net.crosses(f"Mixed_{name}", inner)
        net.second_reduction("Mixed_7a")
        for name in ("7b", "7c"):
            net.fans(f"Mixed_{name}")
        pooled = graph.step("Flatten", graph.step("GlobalAveragePool", net.value))
        graph.output("embedding", pooled, net.wide)
        logits = graph.linear(pooled, "fc", (net.wide, self.classes))
        graph.output("logits", logits, self.classes)


class _Net:
    """What has been computed so far, and how many channels it has."""

    def __init__(self, graph: GraphBuilder, value: str, wide: int) -> None:
        self._graph = graph
        self.value, self.wide = value, wide

    def stem(self) -> None:
        steps: list[Step] = [("Conv2d_1a_3x3", 32, (3, 3), 2), ("Conv2d_2a_3x3", 32, (3, 3), 1)]
        self._along(steps, padded=False)
        self._along([("Conv2d_2b_3x3", 64, (3, 3), 1)])
        self.value = self._largest()
        steps = [("Conv2d_3b_1x1", 80, (1, 1), 1), ("Conv2d_4a_3x3", 192, (3, 3), 1)]
        self._along(steps, padded=False)
        self.value = self._largest()

    def squares(self, name: str, pooled: int) -> None:
        self._join([
            self._branch(name, [("branch1x1", 64, (1, 1), 1)]),
            self._branch(name, [("branch5x5_1", 48, (1, 1), 1), ("branch5x5_2", 64, (5, 5), 1)]),
            self._branch(name, [("branch3x3dbl_1", 64, (1, 1), 1),
                                ("branch3x3dbl_2", 96, (3, 3), 1),
                                ("branch3x3dbl_3", 96, (3, 3), 1)]),
            self._pooled_branch(name, pooled),
        ])  # fmt: skip

    def first_reduction(self, name: str) -> None:
        double: list[Step] = [("branch3x3dbl_1", 64, (1, 1), 1), ("branch3x3dbl_2", 96, (3, 3), 1)]
        inside, wide = self._branch(name, double)
        last = self._convolved(inside, wide, f"{name}.branch3x3dbl_3", 96, (3, 3), 2, padded=False)
        first = self._convolved(
            self.value, self.wide, f"{name}.branch3x3", 384, (3, 3), 2, padded=False
        )
        self._join([(first, 384), (last, 96), (self._largest(), self.wide)])

    def crosses(self, name: str, inner: int) -> None:
        row, column = (1, 7), (7, 1)
        self._join([
            self._branch(name, [("branch1x1", 192, (1, 1), 1)]),
            self._branch(name, [("branch7x7_1", inner, (1, 1), 1), ("branch7x7_2", inner, row, 1),
                                ("branch7x7_3", 192, column, 1)]),
            self._branch(name, [("branch7x7dbl_1", inner, (1, 1), 1),
                                ("branch7x7dbl_2", inner, column, 1),
                                ("branch7x7dbl_3", inner, row, 1),
                                ("branch7x7dbl_4", inner, column, 1),
                                ("branch7x7dbl_5", 192, row, 1)]),
            self._pooled_branch(name, 192),
        ])  # fmt: skip

    def second_reduction(self, name: str) -> None:
        three, _ = self._branch(name, [("branch3x3_1", 192, (1, 1), 1)])
        seven, _ = self._branch(name, [("branch7x7x3_1", 192, (1, 1), 1),
                                       ("branch7x7x3_2", 192, (1, 7), 1),
                                       ("branch7x7x3_3", 192, (7, 1), 1)])  # fmt: skip
        three = self._convolved(three, 192, f"{name}.branch3x3_2", 320, (3, 3), 2, padded=False)
        seven = self._convolved(seven, 192, f"{name}.branch7x7x3_4", 192, (3, 3), 2, padded=False)
        self._join([(three, 320), (seven, 192), (self._largest(), self.wide)])

    def fans(self, name: str) -> None:
        one = self._branch(name, [("branch1x1", 320, (1, 1), 1)])
        three = self._branch(name, [("branch3x3_1", 384, (1, 1), 1)])
        double = self._branch(name, [("branch3x3dbl_1", 448, (1, 1), 1),
                                     ("branch3x3dbl_2", 384, (3, 3), 1)])  # fmt: skip
        self._join([
            one,
            *self._fan(three, f"{name}.branch3x3_2"),
            *self._fan(double, f"{name}.branch3x3dbl_3"),
            self._pooled_branch(name, 192),
        ])  # fmt: skip

    def _fan(self, branch: tuple[str, int], name: str) -> list[tuple[str, int]]:
        """Two convolutions of the same, one over a row and one over a column."""
        return [
            (self._convolved(*branch, f"{name}{part}", 384, kernel, 1), 384)
            for part, kernel in (("a", (1, 3)), ("b", (3, 1)))
        ]

    def _along(self, steps: Sequence[Step], *, padded: bool = True) -> None:
        for name, outputs, kernel, stride in steps:
            self.value = self._convolved(
                self.value, self.wide, name, outputs, kernel, stride, padded=padded
            )
            self.wide = outputs

    def _branch(
        self, name: str, steps: Sequence[Step], value: str | None = None
    ) -> tuple[str, int]:
        value, wide = value or self.value, self.wide
        for part, outputs, kernel, stride in steps:
            value = self._convolved(value, wide, f"{name}.{part}", outputs, kernel, stride)
            wide = outputs
        return value, wide

    def _pooled_branch(self, name: str, outputs: int) -> tuple[str, int]:
        mean = self._graph.step(
            "AveragePool",
            self.value,
            kernel_shape=[3, 3],
            strides=[1, 1],
            pads=[1, 1, 1, 1],
            count_include_pad=1,
        )
        return self._branch(name, [("branch_pool", outputs, (1, 1), 1)], mean)

    def _largest(self) -> str:
        return self._graph.step("MaxPool", self.value, kernel_shape=[3, 3], strides=[2, 2])

    def _join(self, branches: Sequence[tuple[str, int]]) -> None:
        self.value = self._graph.step("Concat", *(value for value, _ in branches), axis=1)
        self.wide = sum(wide for _, wide in branches)

    def _convolved(
        self,
        value: str,
        wide: int,
        name: str,
        outputs: int,
        kernel: tuple[int, int],
        stride: int,
        *,
        padded: bool = True,
    ) -> str:
        graph = self._graph
        weight = graph.weight(f"{name}.conv.weight", (outputs, wide, *kernel))
        pads = [kernel[0] // 2, kernel[1] // 2] * 2 if padded else [0] * 4
        out = graph.step("Conv", value, weight, strides=[stride] * 2, pads=pads)
        return graph.step("Relu", graph.batch_norm(out, f"{name}.bn", outputs, _EPSILON))
