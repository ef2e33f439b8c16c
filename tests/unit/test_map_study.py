"""Which map? Every layout with every clustering, scored, drawn, and one of them chosen."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike.errors import InputError, MissingExtraError
from lookalike.maps.base import Clustering, Level, MapOptions, PictureMap
from lookalike.maps.exports.source import ExportSource
from lookalike.maps.scores import ClusterScores, LayoutScores
from lookalike.maps.study import (
    ADVICE,
    FIGURES,
    OVERVIEW,
    TABLE,
    Studio,
    StudyOptions,
    Trial,
    choose,
    worth,
)
from tests.unit.test_map_exports import cluster, made

LAYOUT = LayoutScores(0.9, 0.5, None, None)
CLUSTERS = ClusterScores(4, 0.1, 0.3, 0.2, 0.9, None)


def trial(
    method: str = "tsne",
    clusters: str = "kmeans",
    layout: LayoutScores = LAYOUT,
    clustering: ClusterScores = CLUSTERS,
) -> Trial:
    return Trial(MapOptions(method, clusters=clusters), layout, clustering, {})


def studio(
    rows: int = 60, labels: Sequence[str] | None = None, made_maps: list[MapOptions] | None = None
) -> Studio:
    """Makes t-SNE that is the space, UMAP that is noise; k-means that is right, others random."""
    plain = made(rows)

    def chart(options: MapOptions) -> PictureMap:
        if made_maps is not None:
            made_maps.append(options)
        dice = np.random.default_rng(7)
        positions = plain.chart.positions
        if options.method == "umap":
            positions = dice.uniform(-1, 1, positions.shape).astype(np.float32)
        of = (np.arange(rows) % 4).astype(np.int32)
        if options.clusters != "kmeans":
            of = dice.permutation(of)
        level = Level(of, tuple(cluster(f"c{n}", 15, (0.0, 0.0)) for n in range(4)))
        clustering = Clustering(options.clusters, {"clusters": 4}, (level,))
        return replace(plain.chart, options=options, positions=positions, clustering=clustering)

    def source(chart: PictureMap) -> ExportSource:
        return replace(plain, chart=chart, points=lambda: plain.chart.positions)

    return Studio(chart, source, lambda source: labels or [""] * rows)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_a_study_has_a_picture_of_every_map_and_a_table_of_all(tmp_path: Path) -> None:
    maps: list[MapOptions] = []
    options = StudyOptions(("tsne", "umap"), ("hdbscan", "kmeans"), asked=MapOptions(count=4))
    study = studio(made_maps=maps).write(tmp_path / "study", options)
    assert [(one.method, one.clusters, one.count) for one in maps] == [
        ("tsne", "hdbscan", None), ("tsne", "kmeans", 4),
        ("umap", "hdbscan", None), ("umap", "kmeans", 4),
    ]  # fmt: skip
    pictures = {one.file for one in study.trials}
    assert len(pictures) == 4
    there = {path.name for path in (tmp_path / "study").iterdir()}
    assert there == pictures | {TABLE, FIGURES, ADVICE, OVERVIEW}
    (size,) = {size_of(tmp_path / "study" / name) for name in pictures}
    assert size_of(tmp_path / "study" / OVERVIEW) == (
        2 * round(size[0] * 0.6),
        2 * round(size[1] * 0.6),
    )
    rows = list(csv.DictReader(io.StringIO((tmp_path / "study" / TABLE).read_text())))
    figures = json.loads((tmp_path / "study" / FIGURES).read_text())
    assert len(rows) == len(figures["trials"]) == 4
    for row, figure, one in zip(rows, figures["trials"], study.trials, strict=True):
        assert row["picture"] == figure["picture"] == one.file
        assert float(row["neighbours_kept"]) == figure["scores"]["neighbours_kept"]
        assert row["nmi"] == ""
        assert figure["scores"]["nmi"] is None
    assert [row["chosen"] for row in rows] == ["", "yes", "", ""]
    advice = (tmp_path / "study" / ADVICE).read_text()
    assert advice.startswith("t-SNE with k-means: t-SNE by meaning keeps 100.0%")


def test_labels_are_scored_and_decide(tmp_path: Path) -> None:
    labels = ["abcd"[number % 4] for number in range(60)]
    options = StudyOptions(("tsne",), ("dbscan", "kmeans"))
    study = studio(labels=labels).write(tmp_path / "study", options)
    assert study.labelled == 60
    assert study.chosen.options.clusters == "kmeans"
    assert study.chosen.clustering.nmi == pytest.approx(1)
    assert (study.chosen.layout.purity or 0) > 0.95
    assert "mutual information 1.000 (DBSCAN 0." in study.why


def test_maps_with_their_rows_in_another_order_are_scored_the_same(tmp_path: Path) -> None:
    plain = made(60)
    ids = plain.ids(np.arange(60))
    group = dict(zip(ids, "abcd" * 15, strict=True))

    def chart(options: MapOptions) -> PictureMap:
        order = np.arange(60)[:: -1 if options.method == "umap" else 1]  # as kept ones may be
        of = (order % 4).astype(np.int32)
        level = Level(of, tuple(cluster(f"c{n}", 15, (0.0, 0.0)) for n in range(4)))
        return replace(
            plain.chart, options=options, ids=plain.chart.ids[order],
            positions=plain.chart.positions[order], clustering=Clustering("kmeans", {}, (level,)),
        )  # fmt: skip

    def source(chart: PictureMap) -> ExportSource:
        return replace(plain, chart=chart, points=lambda: chart.positions)

    def label(source: ExportSource) -> list[str]:
        return [group[id_] for id_ in source.ids(np.arange(60))]

    study = Studio(chart, source, label).write(
        tmp_path / "study", StudyOptions(("tsne", "umap"), ("kmeans",))
    )
    one, two = study.trials
    assert one.layout == two.layout
    assert one.layout.neighbours_kept == 1
    assert one.clustering.nmi == two.clustering.nmi == pytest.approx(1)


def test_a_study_repeats_exactly_and_replaces_an_earlier_one(tmp_path: Path) -> None:
    options = StudyOptions(("tsne",), ("kmeans",))
    studio().write(tmp_path / "study", StudyOptions(("umap",), ("kmeans", "dbscan")))
    studio().write(tmp_path / "study", options)
    studio().write(tmp_path / "other", options)
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("study", "other")
    )
    assert one == two
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "study"]


def test_other_things_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.png").write_bytes(b"dear")
    with pytest.raises(InputError, match="no earlier study"):
        studio().write(tmp_path)
    assert (tmp_path / "holiday.png").read_bytes() == b"dear"


@pytest.mark.parametrize("absent", ["manifolds_rs", "fast_hdbscan", "matplotlib.figure"])
def test_a_missing_part_is_told_before_any_map_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    maps: list[MapOptions] = []
    with pytest.raises(MissingExtraError, match="pip install"):
        studio(made_maps=maps).write(tmp_path / "study")
    assert maps == []
    assert not [*tmp_path.iterdir()]


def test_nothing_is_left_of_a_study_that_fails(tmp_path: Path) -> None:
    def lost(options: MapOptions) -> PictureMap:
        raise OSError(28, "No space left on device")

    failing = Studio(lost, lambda chart: made(3), lambda source: [])
    with pytest.raises(OSError, match="No space"):
        failing.write(tmp_path / "study")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rows", [1, 3])
def test_few_records_have_a_study(tmp_path: Path, rows: int) -> None:
    study = studio(rows).write(tmp_path / "study", StudyOptions(("tsne",), ("kmeans",)))
    assert study.records == rows
    assert study.chosen.name == "t-SNE with k-means"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (StudyOptions(methods=("pca",)), "methods: 'pca'"),
        (StudyOptions(clusters=()), "clusters: none"),
        (StudyOptions(by=("smell",)), "by: 'smell'"),
    ],
)
def test_what_cannot_be_tried_is_named(options: StudyOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        options.check()


def test_the_layout_is_chosen_before_its_clusters() -> None:
    worse = LayoutScores(0.95, 0.2, None, None)
    shiny = replace(CLUSTERS, silhouette=0.9, silhouette_of_space=0.9)
    chosen, why = choose([trial("umap", layout=worse, clustering=shiny), trial("tsne")])
    assert chosen.options.method == "tsne"
    assert "UMAP by meaning 20.0%" in why


def test_records_in_no_cluster_count_nothing() -> None:
    def value(**scores: Any) -> float:
        return worth(trial(clustering=replace(CLUSTERS, **scores)))

    assert value(silhouette=0.4, silhouette_of_space=0.2, alone=0.5) == pytest.approx(0.15)
    assert value(silhouette=None, silhouette_of_space=None, alone=1.0) == -1
    assert value(nmi=0.6, alone=0.9) == 0.6
