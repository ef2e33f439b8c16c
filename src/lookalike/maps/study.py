"""Which map? Every layout with every clustering as a picture with its scores, and a choice."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np

from lookalike.errors import InputError
from lookalike.maps.base import BY, CLUSTERINGS, METHODS, SPOKEN, MapOptions, PictureMap
from lookalike.maps.clusters import check_parts
from lookalike.maps.exports.page import Page, PosterOptions
from lookalike.maps.exports.scatter import draw_points, figure_class
from lookalike.maps.exports.source import ExportSource
from lookalike.maps.layout import engine_of
from lookalike.maps.scores import (
    ClusterScores,
    LayoutScores,
    numbered,
    score_clusters,
    score_layout,
)
from lookalike.types import FloatArray
from lookalike.writing import check_folder, whole_folder

TABLE, FIGURES, ADVICE, OVERVIEW = "scores.csv", "scores.json", "advice.txt", "overview.png"

_INCHES, _DPI = 6.0, 110


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """What is tried: every one of ``methods`` and ``by`` with every one of ``clusters``.

    ``asked``: everything else that maps are asked to be.
    """

    methods: tuple[str, ...] = METHODS
    clusters: tuple[str, ...] = ("hdbscan", "kmeans", "dbscan", "agglomerative")
    by: tuple[str, ...] = ("meaning",)
    asked: MapOptions = MapOptions()  # noqa: RUF009 (frozen)

    def check(self) -> None:
        """Raise InputError for values that cannot be used."""
        for name, known in (("methods", METHODS), ("clusters", CLUSTERINGS), ("by", BY)):
            values = getattr(self, name)
            unknown = [value for value in values if value not in known]
            if unknown or not values:
                what = repr(unknown[0]) if unknown else "none"
                raise InputError(f"{name}: {what}: use some of: {', '.join(known)}")

    def maps(self) -> Iterator[MapOptions]:
        """What is made, layout by layout."""
        for by in dict.fromkeys(self.by):
            for method in dict.fromkeys(self.methods):
                for clusters in dict.fromkeys(self.clusters):
                    counted = clusters in ("kmeans", "agglomerative")
                    count = self.asked.count if counted else None
                    yield replace(self.asked, method=method, by=by, clusters=clusters, count=count)


@dataclass(frozen=True)
class Trial:
    """One map of a study and its scores."""

    options: MapOptions
    layout: LayoutScores
    clustering: ClusterScores
    parameters: Mapping[str, float | int | str]

    @property
    def name(self) -> str:
        """In words: layout, clustering."""
        options = self.options
        by = f" by {options.by}" if options.by != "meaning" else ""
        return f"{SPOKEN[options.method]}{by} with {SPOKEN[options.clusters]}"

    @property
    def file(self) -> str:
        """The name of its picture."""
        options = self.options
        return f"{options.by}-{options.method}-{options.clusters}.png"

    def scores(self) -> dict[str, float | None]:
        """All scores by name."""
        return {**self.layout.to_dict(), **self.clustering.to_dict()}


@dataclass(frozen=True)
class Study:
    """All trials, in the order in which they were made, and the choice with its reason."""

    records: int
    labelled: int
    trials: tuple[Trial, ...]
    chosen: Trial
    why: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "records": self.records,
            "labelled": self.labelled,
            "trials": [
                {
                    "by": one.options.by,
                    "method": one.options.method,
                    "clusters": one.options.clusters,
                    "picture": one.file,
                    "scores": one.scores(),
                    "parameters": dict(one.parameters),
                }
                for one in self.trials
            ],
            "chosen": self.chosen.name,
            "why": self.why,
        }


class Studio:
    """Makes the maps of a study, scores them and draws them.

    ``chart`` makes a map, ``source`` gives what is known of its records, ``label`` their labels
    ("" for none) in the order of the map's rows; ``stage`` is called with what is being done.
    """

    def __init__(
        self,
        chart: Callable[[MapOptions], PictureMap],
        source: Callable[[PictureMap], ExportSource],
        label: Callable[[ExportSource], Sequence[str]],
        stage: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._chart = chart
        self._source = source
        self._label = label
        self._stage = stage

    def write(self, folder: Path, options: StudyOptions | None = None) -> Study:
        """Write the study into a folder, whole or not at all.

        A picture per map, an overview, a table as CSV and JSON, and the choice in words.

        Raises InputError for options that cannot be used and a folder that has other things in it,
        MissingExtraError without what makes the maps and Matplotlib, OSError where it cannot be
        written.
        """
        options = options or StudyOptions()
        options.check()
        check_study_folder(folder)
        figure_class()
        for asked in options.maps():  # before minutes of work
            engine_of(asked)
            check_parts(asked.clusters)
        with whole_folder(folder) as made:
            return self._study(options, made)

    def _study(self, options: StudyOptions, folder: Path) -> Study:
        trials, pictures, known = [], [], _LayoutScorer()
        records = labelled = 0
        for asked in options.maps():
            self._stage(f"{SPOKEN[asked.method]} by {asked.by}, {SPOKEN[asked.clusters]} ...")
            chart = self._chart(asked)
            source = self._source(chart)
            known.look_at(source, self._label)
            trial = Trial(
                asked,
                known.layout,
                score_clusters(
                    known.points, chart.positions, source.of, known.labels, seed=asked.seed
                ),
                {**chart.parameters, **chart.clustering.parameters},
            )
            picture = draw(source, trial)
            (folder / trial.file).write_bytes(picture)
            trials.append(trial)
            pictures.append(picture)
            records, labelled = len(chart), int((known.labels >= 0).sum())
        chosen, why = choose(trials)
        study = Study(records, labelled, tuple(trials), chosen, why)
        layouts = len(dict.fromkeys(options.by)) * len(dict.fromkeys(options.methods))
        (folder / OVERVIEW).write_bytes(overview(pictures, layouts))
        (folder / TABLE).write_text(as_csv(study), encoding="utf-8")
        (folder / FIGURES).write_text(json.dumps(study.to_dict(), indent=2) + "\n")
        (folder / ADVICE).write_text(f"{chosen.name}: {why}\n", encoding="utf-8")
        return study


class _LayoutScorer:
    """What all clusterings of one layout share, found once."""

    points: FloatArray
    labels: np.ndarray[Any, np.dtype[np.int32]]
    layout: LayoutScores

    def __init__(self) -> None:
        self._read: PictureMap | None = None
        self._scored: PictureMap | None = None

    def look_at(self, source: ExportSource, label: Callable[[ExportSource], Sequence[str]]) -> None:
        """Read points, labels and scores anew, as far as they are not those of the map before."""
        chart = source.chart
        if not _same_rows(self._read, chart):
            self.points, self.labels = source.points(), numbered(label(source))
            self._read, self._scored = chart, None
        if self._scored is None or self._scored.options.method != chart.options.method:
            self.layout = score_layout(
                self.points, chart.positions, self.labels, seed=chart.options.seed
            )
            self._scored = chart


def _same_rows(one: PictureMap | None, other: PictureMap) -> bool:
    """Whether maps have the same points row by row; kept ones differ in what came later."""
    return one is not None and one.options.by == other.options.by and (
        np.array_equal(one.ids, other.ids)
    )  # fmt: skip


def check_study_folder(folder: Path) -> None:
    """Raise InputError for a place that is neither free nor an earlier study."""
    own = {TABLE, FIGURES, ADVICE, OVERVIEW}
    pictures = {
        f"{by}-{method}-{one}.png" for by in BY for method in METHODS for one in CLUSTERINGS
    }
    check_folder(folder, own | pictures, "study")


# -- the choice ------------------------------------------------------------------------------------


def choose(trials: Sequence[Trial]) -> tuple[Trial, str]:
    """The trial to take, and why.

    The layout first: the one that keeps the most neighbours, which is what a map is looked at for.
    (Silhouettes would favour one that shrinks groups to dots, where no thumbnail has room.) Then
    its clustering: with labels the one that tells most about them (NMI); else the one with the
    highest mean of both silhouettes, records in no cluster counting 0.
    """
    layout = max(trials, key=lambda one: (one.layout.neighbours_kept, one.layout.trustworthiness))
    own = [one for one in trials if one.layout == layout.layout]
    chosen = max(own, key=worth)
    with_labels = chosen.clustering.nmi is not None
    return chosen, f"{_why_layout(chosen, trials)}; {_why_clusters(chosen, own, with_labels)}"


def worth(trial: Trial) -> float:
    """What a clustering is chosen by: the higher the better."""
    scores = trial.clustering
    if scores.nmi is not None:
        return scores.nmi
    both = [scores.silhouette, scores.silhouette_of_space]
    mean = float(np.mean([-1.0 if one is None else one for one in both]))
    return mean * (1 - scores.alone) if mean > 0 else mean


def _why_layout(chosen: Trial, trials: Sequence[Trial]) -> str:
    layout, name = chosen.layout, SPOKEN[chosen.options.method]
    kept = f"{layout.neighbours_kept:.1%} of the nearest neighbours"
    others = [
        f"{SPOKEN[one.options.method]} by {one.options.by} {one.layout.neighbours_kept:.1%}"
        for one in trials
        if one.layout != layout
    ]
    told = f"{name} by {chosen.options.by} keeps {kept} on the map"
    if others:
        told += f" ({', '.join(dict.fromkeys(others))})"
    return f"{told}, its trustworthiness is {layout.trustworthiness:.3f}"


def _why_clusters(chosen: Trial, own: Sequence[Trial], with_labels: bool) -> str:
    scores, name = chosen.clustering, SPOKEN[chosen.options.clusters]
    what = "tells most about the labels: mutual information" if with_labels else (
        "parts the records best: mean silhouette"
    )  # fmt: skip
    others = ", ".join(
        f"{SPOKEN[one.options.clusters]} {worth(one):.3f}" for one in own if one is not chosen
    )
    told = f"of its clusterings {name} {what} {worth(chosen):.3f}"
    if others:
        told += f" ({others})"
    return (
        f"{told}; it has {scores.clusters:,} clusters and leaves {scores.alone:.1%} of the records"
        " in none"
    )


def as_csv(study: Study) -> str:
    """A row per trial."""
    text = StringIO()
    names = list(study.trials[0].scores())
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["by", "method", "clustering", "picture", *names, "chosen"])
    for one in study.trials:
        values = ["" if value is None else value for value in one.scores().values()]
        options = one.options
        chosen = "yes" if one is study.chosen else ""
        writer.writerow([options.by, options.method, options.clusters, one.file, *values, chosen])
    return text.getvalue()


# -- pictures --------------------------------------------------------------------------------------


def draw(source: ExportSource, trial: Trial) -> bytes:
    """A map in the colours of its clusters, its scores beside it, as the bytes of a PNG file."""
    side = round(_INCHES * 25.4)
    page = Page.of(source.chart, PosterOptions(f"{side}x{side}", _DPI))
    figure = figure_class()(figsize=(_INCHES + 2.6, _INCHES + 0.5))
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0, 0, _INCHES / width, _INCHES / height))
    draw_points(axes, source, page)
    figure.text(0.02, 0.965, trial.name, fontsize=15, weight="bold", va="center")
    beside = _INCHES / width + 0.01
    for line, (name, value) in enumerate(_told(trial)):
        y = 0.86 - 0.062 * line
        figure.text(beside, y, value, fontsize=13, va="center")
        figure.text(beside, y - 0.026, name, fontsize=8.5, va="center", color="#66666b")
    encoded = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure.savefig(encoded, format="png", dpi=_DPI)
    return encoded.getvalue()


def _told(trial: Trial) -> Iterator[tuple[str, str]]:
    """Names and values of scores as they stand beside the picture; what is not there is left."""
    layout, clusters = trial.layout, trial.clustering
    values = {
        "trustworthiness": layout.trustworthiness,
        "neighbours kept (15 nearest)": layout.neighbours_kept,
        "label purity on the map (10 nearest)": layout.purity,
        "label purity in the space": layout.purity_of_space,
        "clusters": float(clusters.clusters),
        "records in no cluster": clusters.alone,
        "silhouette on the map": clusters.silhouette,
        "silhouette in the space": clusters.silhouette_of_space,
        "neighbours in the same cluster": clusters.together,
        "mutual information with labels": clusters.nmi,
    }
    for name, value in values.items():
        if value is not None:
            yield name, f"{value:,.0f}" if name == "clusters" else f"{value:.3f}"


def overview(pictures: Sequence[bytes], lines: int) -> bytes:
    """All pictures on one sheet, a line per layout, as the bytes of a PNG file."""
    from PIL import Image

    drawn = [Image.open(BytesIO(one)).convert("RGB") for one in pictures]
    small = (round(drawn[0].width * 0.6), round(drawn[0].height * 0.6))
    columns = -(-len(drawn) // lines)
    sheet = Image.new("RGB", (columns * small[0], lines * small[1]), (255, 255, 255))
    for place, one in enumerate(drawn):
        row, column = divmod(place, columns)
        reduced = one.resize(small, Image.Resampling.LANCZOS)
        sheet.paste(reduced, (column * small[0], row * small[1]))
    encoded = BytesIO()
    sheet.save(encoded, "PNG", optimize=True)
    return encoded.getvalue()
