"""An evaluation as one picture: what each method finds, with intervals, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lookalike.errors import InputError, MissingExtraError
from lookalike.evaluate.evaluation import Evaluation

ENDINGS = (".png", ".svg")
_COLOURS = ("#1b6ca8", "#d1701f", "#4c8c4a", "#8a4f9e")
_INCHES_A_METHOD, _OFFSET = 0.42, 0.16


def check_plot(path: Path) -> None:
    """Raise InputError for a name that is no picture's, MissingExtraError without Matplotlib."""
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"--plot {path}: name a file ending in {' or '.join(ENDINGS)}")
    _figure_class()


def write_plot(evaluation: Evaluation, path: Path) -> None:
    """Draw all methods, the recommended one in bold, to a PNG or SVG file.

    Raises as ``check_plot`` does, and OSError where the file cannot be written.
    """
    check_plot(path)
    methods = evaluation.methods
    figure = _figure_class()(figsize=(11, 1.6 + _INCHES_A_METHOD * len(methods)))
    found, milliseconds, size = figure.subplots(1, 3, sharey=True, width_ratios=(3, 1, 1))
    places = np.arange(len(methods))
    _draw_found(found, evaluation)
    found.set_yticks(places, [method.name for method in methods])
    for label, method in zip(found.get_yticklabels(), methods, strict=True):
        label.set_fontweight("bold" if method == evaluation.recommended else "normal")
    found.invert_yaxis()
    _draw_cost(milliseconds, [method.p50_ms for method in methods], "ms a search")
    _draw_cost(size, [method.bytes_a_record for method in methods], "bytes a record")
    figure.suptitle(
        f"{evaluation.records:,} pictures, {evaluation.labels:,} labels,"
        f" {evaluation.queries:,} queries; bars: 95 % intervals; bold: recommended",
        fontsize=10,
    )
    figure.tight_layout()
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def _draw_found(axes: Any, evaluation: Evaluation) -> None:
    """Each measure as a point with its interval, in a row per method."""
    k, methods = evaluation.k, evaluation.methods
    measures = {
        f"P@{k}": [method.precision for method in methods],
        f"R@{k}": [method.recall for method in methods],
        "mAP": [method.mean_average_precision for method in methods],
        f"nDCG@{k}": [method.ndcg for method in methods],
    }
    for number, (name, estimates) in enumerate(measures.items()):
        means = np.array([one.mean for one in estimates])
        bounds = np.array([[one.low, one.high] for one in estimates]).T
        axes.errorbar(
            means,
            np.arange(len(means)) + _OFFSET * (number - 1.5),
            xerr=np.abs(bounds - means),
            fmt="o",
            markersize=4,
            color=_COLOURS[number],
            label=name,
        )
    axes.set_xlim(0, 1.02)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize=9)


def _draw_cost(axes: Any, values: list[float], name: str) -> None:
    axes.barh(np.arange(len(values)), values, height=0.6, color="#9aa5ae")
    axes.locator_params(axis="x", nbins=4)
    axes.set_title(name, fontsize=10)
    axes.grid(axis="x", alpha=0.3)


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("a plot", "plots") from error
    return Figure
