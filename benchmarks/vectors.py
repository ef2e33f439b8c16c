"""Unit vectors that lie to each other as real image embeddings do, any number of them.

    python benchmarks/vectors.py match LIBRARY [--out benchmarks/results] [--images docs/images]

Recall of a nearest-neighbour index depends on how neighbours are spread. Plain Gaussian vectors are
too hard, pairs of real vectors mixed with a little noise far too easy. `VectorGenerator` draws from
a smoothed bootstrap: it picks a real vector at random, takes the mean of it and its nearest
neighbours, and moves from there along their covariance, the further the more isolated it is.
`match` compares as many generated vectors as LIBRARY holds with the real ones. Known to differ:
fewer near duplicates than real photos have, and stronger hubs.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import common
import numpy as np

from lookalike import Library
from lookalike.stores import SqliteStore

# Fitted by hand and grid to the 7,807 photos of Caltech-101 (EfficientNet-Lite0), so that as many
# generated vectors have the same neighbour distances, dimension and spectrum: results/vectors.json.
NEIGHBOURS = 24  # m: a vector and its nearest, which span the covariance; sets the dimension
STEP = 1.7  # s: length of the move, relative to the distance of the nearest neighbour
SPREAD = 0.3  # lognormal spread of that length: near duplicates and stragglers
THRESHOLD = 0.0013  # t: taken off each component before the clip at 0; sets the share of zeros

CHUNK = 8192
GATHER = 256  # vectors whose neighbours are copied at a time
RANKS = (1, 10, 100)
QUANTILES = (5, 10, 25, 50, 75, 90, 95)
BANDS = {"k 10-20": range(10, 21), "k 50-100": range(50, 101, 5)}
SIZES = [1024 * 2**i for i in range(9)]  # tables that show how distances shrink as they grow


class VectorGenerator:
    """Draws vectors like `real` (n, dim); the same seed and stream give the same vectors."""

    def __init__(self, real: np.ndarray, seed: int) -> None:
        self.real = unit(real)
        self.seed = seed
        self.rows, distances = neighbours(self.real, self.real, NEIGHBOURS)  # itself comes first
        width = np.empty(len(real), np.float32)
        for at in range(0, len(real), GATHER):
            near = self.real[self.rows[at : at + GATHER]]
            width[at : at + GATHER] = near.var(axis=1).sum(axis=1)
        nearest = 2 * np.maximum(distances[:, 1], 1e-3)  # squared Euclidean, like the width
        self._step = STEP * np.sqrt(nearest / np.maximum(width, 1e-6))

    def sample(self, count: int, stream: int = 0) -> np.ndarray:
        """Draw `count` unit vectors (float32); streams are independent of each other."""
        rng = np.random.default_rng([self.seed, stream])
        result = np.empty((count, self.real.shape[1]), np.float32)
        for at in range(0, count, CHUNK):
            own = result[at : at + CHUNK]
            self._fill(own, rng.integers(len(self.real), size=len(own)), rng)
        return result

    def around(self, base: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One unit vector (float32) near each of these rows of ``real``."""
        result = np.empty((len(base), self.real.shape[1]), np.float32)
        self._fill(result, base, rng)
        return result

    def _fill(self, out: np.ndarray, base: np.ndarray, rng: np.random.Generator) -> None:
        m = self.rows.shape[1]
        length = self._step[base] * rng.lognormal(-(SPREAD**2), SPREAD, len(out))
        weights = rng.standard_normal((len(out), m), dtype=np.float32)
        weights -= weights.mean(axis=1, keepdims=True)
        weights *= (length / np.sqrt(m)).astype(np.float32)[:, None]
        weights += np.float32(1 / m)
        for at in range(0, len(out), GATHER):
            part = slice(at, at + GATHER)
            near = self.real[self.rows[base[part]]]
            np.matmul(weights[part, None, :], near, out=out[part, None, :])
        out -= np.float32(THRESHOLD)
        np.maximum(out, 0, out=out)
        out /= np.linalg.norm(out, axis=1, keepdims=True)


def unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def neighbours(queries: np.ndarray, table: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and cosine distances of the k nearest, by exhaustive search."""
    k = min(k, len(table))
    rows = np.empty((len(queries), k), np.int64)
    distances = np.empty((len(queries), k), np.float32)
    for at in range(0, len(queries), 1024):
        near = queries[at : at + 1024] @ table.T
        found = np.argpartition(-near, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(near, found, axis=1)
        order = np.argsort(-values, axis=1)
        rows[at : at + 1024] = np.take_along_axis(found, order, axis=1)
        distances[at : at + 1024] = 1 - np.take_along_axis(values, order, axis=1)
    return rows, np.maximum(distances, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    common.add_short(parser)
    commands = parser.add_subparsers(dest="command")
    command = commands.add_parser("match")
    command.add_argument("library", type=Path)
    command.add_argument("--out", type=Path, default=common.RESULTS)
    command.add_argument("--images", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    if options.short:
        common.deliver("vectors", short(), short=True)
        return
    if not options.command:
        parser.error("missing: match (or --short)")
    provenance = common.provenance()
    real = real_vectors(options.library)
    result, curves = match(real)
    common.RESULTS = options.out
    common.write("vectors", {"provenance": provenance, **result})
    plot(curves, options.images)


def short() -> dict[str, Any]:
    """The table for vectors drawn from those of a few pictures, without the curves."""
    with tempfile.TemporaryDirectory() as scratch:
        photos, folder = Path(scratch) / "photos", Path(scratch) / "library"
        common.small_photos(photos, 32, 4, seed=1)
        with Library.open(folder, create=True) as library:
            library.add([photos])
        few = VectorGenerator(real_vectors(folder), seed=1)
    provenance = common.provenance()
    result, _ = match(few.sample(1700), held=100, sizes=SIZES[:4])
    return {"provenance": provenance, **result}


def real_vectors(folder: Path) -> np.ndarray:
    store = SqliteStore(folder)
    table = store.vectors(store.spaces()[0])
    return unit(np.concatenate([np.asarray(part, np.float32) for part in table.parts]))


def match(
    real: np.ndarray, seed: int = 0, held: int = 1000, sizes: list[int] = SIZES
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Real against generated: the table that is written down, and the curves that are drawn.

    ``held`` vectors are the queries of tables that grow to ``sizes``.
    """
    generator = VectorGenerator(real, seed)
    generated = generator.sample(len(real), stream=1)
    near_real, near_generated = (within(vectors) for vectors in (real, generated))
    copies = neighbours(generated, real, 1)[1][:, 0]
    held_out = np.random.default_rng(seed).permutation(len(real))
    growth = {
        "real": grow(real[held_out[:held]], [real[held_out[held:]]], half_sizes(len(real) - held)),
        "generated": grow(
            generator.sample(held, stream=2),
            (generator.sample(CHUNK, stream=100 + i) for i in range(sizes[-1] // CHUNK)),
            sizes,
        ),
    }
    result = {
        "vectors": len(real),
        "dim": real.shape[1],
        "constants": {"m": NEIGHBOURS, "s": STEP, "spread": SPREAD, "t": THRESHOLD},
        "distance": {
            f"neighbour {k}": compare(near_real[1][:, k - 1], near_generated[1][:, k - 1])
            for k in RANKS
        },
        "generated_to_nearest_real": compare(near_real[1][:, 0], copies),
        "real": describe(real, *near_real),
        "generated": describe(generated, *near_generated),
        "growth": growth,
    }
    curves = {"real": near_real[1], "generated": near_generated[1], "growth": growth}
    return result, curves


def within(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and distances of the nearest others; of exact copies either may stand first."""
    rows, distances = neighbours(vectors, vectors, max(RANKS) + 1)
    return rows[:, 1:], distances[:, 1:]


def compare(real: np.ndarray, generated: np.ndarray) -> dict[str, Any]:
    """Quantiles side by side and the Kolmogorov-Smirnov distance of the two samples."""
    a, b = np.percentile(real, QUANTILES), np.percentile(generated, QUANTILES)
    off = np.abs(b / a - 1)
    every = np.sort(np.concatenate([real, generated]))
    share = [np.searchsorted(np.sort(x), every, side="right") / len(x) for x in (real, generated)]
    return {
        "percentiles": list(QUANTILES),
        "real": [round(float(value), 4) for value in a],
        "generated": [round(float(value), 4) for value in b],
        "relative_difference_mean": round(float(off.mean()), 3),
        "relative_difference_max": round(float(off.max()), 3),
        "ks": round(float(np.abs(share[0] - share[1]).max()), 3),
    }


def describe(vectors: np.ndarray, rows: np.ndarray, distances: np.ndarray) -> dict[str, Any]:
    values = np.linalg.eigvalsh(np.cov(vectors, rowvar=False))[::-1]
    share = np.cumsum(values) / values.sum()
    hits = np.bincount(rows[:, :10].ravel(), minlength=len(vectors))
    skew = ((hits - hits.mean()) ** 3).mean() / hits.std() ** 3
    return {
        "dimension": {band: round(dimension(distances, BANDS[band]), 1) for band in BANDS},
        "variance": round(float(values.sum()), 3),
        "variance_share": {n: round(float(share[n - 1]), 3) for n in (10, 50, 100, 256)},
        "hubness_skew": round(float(skew), 2),
        "zeros": round(float((vectors == 0).mean()), 3),
    }


def dimension(distances: np.ndarray, ranks: range) -> float:
    """Levina and Bickel's maximum-likelihood estimate, inverses averaged over the points."""
    radius = np.log(np.maximum(distances, 1e-6)) / 2  # log of the Euclidean, up to a constant
    found = [(k - 2) / (radius[:, k - 1 : k] - radius[:, : k - 1]).sum(1).mean() for k in ranks]
    return float(np.mean(found))


def half_sizes(count: int) -> list[int]:
    return [count // 2**i for i in range(4, -1, -1)]


def grow(queries: np.ndarray, blocks: Any, sizes: list[int]) -> list[dict[str, Any]]:
    """Distances in a growing table: measured dimension against the one their decrease tells."""
    best = np.empty((len(queries), 0), np.float32)
    steps: list[dict[str, Any]] = []
    sizes = list(sizes)
    seen = 0
    before = None
    for block in blocks:
        for at in range(0, len(block), 1024):
            part = block[at : at + 1024]
            while sizes and sizes[0] <= seen + len(part):
                cut = sizes.pop(0) - seen
                best = nearest_hundred(best, queries, part[:cut])
                part, seen = part[cut:], seen + cut
                logs = np.log(np.maximum(best[:, [k - 1 for k in RANKS]], 1e-6)).mean(axis=0)
                step = {
                    "vectors": seen,
                    "median": [round(float(np.median(best[:, k - 1])), 4) for k in RANKS],
                    "dimension": {b: round(dimension(best, BANDS[b]), 1) for b in BANDS},
                }
                if before is not None:
                    factor = 2 * np.log(seen / steps[-1]["vectors"])
                    step["dimension_from_decrease"] = (factor / (before - logs)).round(1).tolist()
                before = logs
                steps.append(step)
            best = nearest_hundred(best, queries, part)
            seen += len(part)
    return steps


def nearest_hundred(best: np.ndarray, queries: np.ndarray, block: np.ndarray) -> np.ndarray:
    if not len(block):
        return best
    every = np.concatenate([best, np.maximum(1 - queries @ block.T, 0)], axis=1)
    keep = max(RANKS)
    if every.shape[1] > keep:
        every = np.partition(every, keep - 1, axis=1)[:, :keep]
    return np.sort(every, axis=1)


def plot(curves: dict[str, Any], folder: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    pyplot.rcParams.update(
        {
            "font.size": 9,
            "axes.linewidth": 0.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "xtick.major.width": 0.5,
            "ytick.major.width": 0.5,
            "axes.edgecolor": "#888888",
            "xtick.color": "#555555",
            "ytick.color": "#555555",
            "axes.labelcolor": "#333333",
            "svg.hashsalt": "lookalike",
        }
    )
    colours = {"real": "#222222", "generated": "#d1600a"}
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in (("distances", draw_distances), ("dimension", draw_dimension)):
        figure = draw(pyplot, curves, colours)
        figure.savefig(folder / f"vectors-{name}.svg", facecolor="white", metadata={"Date": None})
        pyplot.close(figure)


def draw_distances(pyplot: Any, curves: dict[str, Any], colours: dict[str, str]) -> Any:
    """Share of vectors whose 1st, 10th, 100th neighbour is nearer than x."""
    figure, axes = pyplot.subplots(figsize=(6.2, 3.4), layout="constrained")
    share = np.linspace(0, 100, 201)
    for name, colour in colours.items():
        for k in RANKS:
            axes.plot(np.percentile(curves[name][:, k - 1], share), share, color=colour, lw=1.1)
    for k, height in zip(RANKS, (62, 50, 38), strict=True):
        at = min(np.percentile(curves[name][:, k - 1], height) for name in colours)
        label = {1: "nearest", 10: "10th", 100: "100th neighbour"}[k]
        axes.annotate(
            label, (at, height), (-5, 2), textcoords="offset points", ha="right", color="#555555"
        )
    label_lines(axes, colours)
    axes.set(xlim=(0, 0.8), ylim=(0, 101), xlabel="cosine distance", ylabel="% of vectors")
    return figure


def draw_dimension(pyplot: Any, curves: dict[str, Any], colours: dict[str, str]) -> Any:
    """Left the dimension at rising k, right the median distance in growing tables."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(7.4, 3.2), layout="constrained")
    ranks = range(5, 101)
    for name, colour in colours.items():
        found = [dimension(curves[name], range(k, k + 1)) for k in ranks]
        left.plot(ranks, found, color=colour, lw=1.1)
        growth = curves["growth"][name]
        sizes = [step["vectors"] for step in growth]
        for i, _ in enumerate(RANKS):
            right.plot(sizes, [step["median"][i] for step in growth], color=colour, lw=1.1)
    for k, height in zip(RANKS, curves["growth"]["generated"][-1]["median"], strict=True):
        label = {1: "nearest", 10: "10th", 100: "100th"}[k]
        right.annotate(
            label, (SIZES[-1], height), (4, -3), textcoords="offset points", color="#555555"
        )
    label_lines(left, colours)
    left.set(xlim=(0, 100), ylim=(0, 20), xlabel="k", ylabel="intrinsic dimension")
    left.set_yticks(range(0, 21, 5))
    right.set(xscale="log", yscale="log", xlabel="vectors in the table")
    right.set_ylabel("median cosine distance of a neighbour")
    ticks = (0.2, 0.3, 0.4, 0.6, 0.8)
    right.set_yticks(ticks, [str(tick) for tick in ticks])
    right.minorticks_off()
    return figure


def label_lines(axes: Any, colours: dict[str, str]) -> None:
    for row, (name, colour) in enumerate(colours.items()):
        axes.text(0.97, 0.16 - 0.08 * row, name, transform=axes.transAxes, ha="right", color=colour)


if __name__ == "__main__":
    main()
