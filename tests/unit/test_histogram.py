"""Colour histograms and their four metrics, with OpenCV as the oracle."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lookalike.features.histogram import histogram, score
from lookalike.indexes import ColourIndex
from lookalike.types import BINS, COLOUR_MEASURES, DoubleArray, SparseHistogram
from tests.conftest import histogram_table, histograms, picture, plain, sparse

ORACLE = {
    "correlation": cv2.HISTCMP_CORREL,
    "chi-square": cv2.HISTCMP_CHISQR,
    "intersection": cv2.HISTCMP_INTERSECT,
    "bhattacharyya": cv2.HISTCMP_BHATTACHARYYA,
}
every_metric = pytest.mark.parametrize("metric", ORACLE)


def opencv(query: DoubleArray, other: DoubleArray, metric: str) -> float:
    return cv2.compareHist(query.astype(np.float32), other.astype(np.float32), ORACLE[metric])


def agree(ours: float, theirs: float) -> bool:
    """Equal as DESIGN.md means it: by rtol 1e-6 or by atol 1e-7."""
    return abs(ours - theirs) <= max(1e-7, 1e-6 * abs(theirs))


def scan(query: DoubleArray, rows: list[SparseHistogram], metric: str) -> DoubleArray:
    """Scores as a search gives them, in the order of the rows."""
    found = ColourIndex(histogram_table(rows, parts=2), metric).nearest(query, len(rows))
    scores = np.empty(len(rows))
    scores[found.rows] = found.scores
    return scores


def from_pictures(*seeds: int) -> list[SparseHistogram]:
    return [histogram(picture(seed, (200, 150))) for seed in seeds]


# -- the metrics -----------------------------------------------------------------------------------


def test_all_measures_have_an_oracle() -> None:
    assert set(ORACLE) == set(COLOUR_MEASURES)


@every_metric
@given(query=histograms(bins=60), others=st.lists(histograms(bins=60), min_size=1, max_size=5))
def test_scores_are_those_of_opencv(
    metric: str, query: SparseHistogram, others: list[SparseHistogram]
) -> None:
    expected = [opencv(query.dense(), other.dense(), metric) for other in others]
    single = [score(query.dense(), other.dense(), metric) for other in others]
    many = scan(query.dense(), others, metric)
    assert all(map(agree, single, expected))
    assert all(map(agree, many.tolist(), expected))


@every_metric
@given(
    inputs=st.lists(histograms(bins=80), min_size=2, max_size=5),
    others=st.lists(histograms(bins=80), min_size=1, max_size=5),
)
def test_a_mean_of_several_inputs_scores_as_in_opencv(
    metric: str, inputs: list[SparseHistogram], others: list[SparseHistogram]
) -> None:
    query = np.mean([item.dense() for item in inputs], axis=0)
    many = scan(query, others, metric)
    for other, found in zip(others, many.tolist(), strict=True):
        expected = opencv(query, other.dense(), metric)
        assert agree(score(query, other.dense(), metric), expected)
        assert agree(found, expected)


@every_metric
@given(query=histograms(bins=60), rows=st.lists(histograms(bins=60), min_size=2, max_size=12))
def test_the_order_is_that_of_opencv(
    metric: str, query: SparseHistogram, rows: list[SparseHistogram]
) -> None:
    index = ColourIndex(histogram_table(rows), metric)
    found = index.nearest(query.dense(), len(rows)).rows
    theirs = [opencv(query.dense(), rows[row].dense(), metric) for row in found]
    sign = -1 if index.measure.higher_is_better else 1
    for near, far in pairwise(theirs):
        assert sign * near <= sign * far or agree(near, far)


@every_metric
def test_photographs_score_and_rank_as_in_opencv(metric: str) -> None:
    query, *rows = from_pictures(*range(40))
    index = ColourIndex(histogram_table(rows, parts=3), metric)
    ours = index.score_rows(query.dense(), np.arange(len(rows)))
    theirs = np.array([opencv(query.dense(), row.dense(), metric) for row in rows])
    assert all(map(agree, ours.tolist(), theirs.tolist()))
    expected = np.argsort(-theirs if index.measure.higher_is_better else theirs, kind="stable")
    found = index.nearest(query.dense(), len(rows))
    assert all(agree(ours[a], ours[b]) for a, b in zip(found.rows, expected, strict=True))
    np.testing.assert_array_equal(found.scores, ours[found.rows])


EXTREMES = {
    "one colour": sparse({7: 65_280}),
    "another colour": sparse({4095: 1}),
    "two colours": sparse({7: 1, 4095: 1}),
    "all colours alike": sparse(dict.fromkeys(range(BINS), 3)),
    "one pixel among many": sparse({7: 65_279, 8: 1}),
}


@every_metric
@pytest.mark.parametrize("first", EXTREMES)
@pytest.mark.parametrize("second", EXTREMES)
def test_extreme_histograms_score_as_in_opencv(metric: str, first: str, second: str) -> None:
    query, other = EXTREMES[first], EXTREMES[second]
    expected = opencv(query.dense(), other.dense(), metric)
    assert agree(score(query.dense(), other.dense(), metric), expected)
    assert agree(float(scan(query.dense(), [other], metric)[0]), expected)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("correlation", -1 / 4095),
        ("chi-square", 1.0),
        ("intersection", 0.0),
        ("bhattacharyya", 1.0),
    ],
)
def test_disjoint_colours_score_as_worked_out_by_hand(metric: str, expected: float) -> None:
    query, other = histogram(plain((0, 0, 0))), histogram(plain((255, 255, 255)))
    assert score(query.dense(), other.dense(), metric) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("metric", "best"),
    [("correlation", 1.0), ("chi-square", 0.0), ("intersection", 1.0), ("bhattacharyya", 0.0)],
)
@given(row=histograms())
def test_a_histogram_is_most_alike_to_itself(
    metric: str, best: float, row: SparseHistogram
) -> None:
    assert score(row.dense(), row.dense(), metric) == pytest.approx(best, abs=1e-6)
    assert scan(row.dense(), [row], metric)[0] == pytest.approx(best, abs=1e-6)


def test_chi_square_is_not_symmetric_and_the_query_comes_first() -> None:
    half, all_one = sparse({1: 1, 2: 1}).dense(), sparse({1: 1}).dense()
    assert score(half, all_one, "chi-square") == pytest.approx(1.0)  # .5^2/.5 + .5^2/.5
    assert score(all_one, half, "chi-square") == pytest.approx(0.25)  # .5^2/1


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(KeyError):
        score(sparse({1: 1}).dense(), sparse({1: 1}).dense(), "hellinger")


# -- the histogram of a picture --------------------------------------------------------------------


def calc_hist(raster: Image.Image) -> np.ndarray:
    channels = [np.ascontiguousarray(np.asarray(raster))]
    full = cv2.calcHist(channels, [0, 1, 2], None, [16] * 3, [0, 256] * 3)
    return full.reshape(BINS)


@pytest.mark.parametrize("size", [(1, 1), (256, 255), (17, 200), (100, 100)])
def test_a_small_picture_is_counted_as_in_opencv(size: tuple[int, int]) -> None:
    image = picture(3, size)
    found, counts = histogram(image), np.zeros(BINS)
    counts[found.bins] = found.counts
    np.testing.assert_array_equal(counts, calc_hist(image))


@pytest.mark.parametrize(
    ("size", "raster"),
    [((1024, 512), (256, 128)), ((512, 1020), (128, 255)), ((5000, 1), (256, 1))],
)
def test_a_large_picture_is_counted_on_the_raster(
    size: tuple[int, int], raster: tuple[int, int]
) -> None:
    image = picture(4, size)
    expected = calc_hist(image.resize(raster, Image.Resampling.BOX))
    found = histogram(image).dense() * raster[0] * raster[1]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((0, 0, 0), 0),
        ((15, 15, 15), 0),
        ((16, 0, 0), 256),
        ((0, 16, 0), 16),
        ((0, 0, 16), 1),
        ((255, 255, 255), 4095),
        ((255, 128, 0), 256 * 15 + 16 * 8),
    ],
)
def test_bins_are_sixteen_wide_in_the_order_red_green_blue(
    colour: tuple[int, int, int], expected: int
) -> None:
    found = histogram(plain(colour, (3, 5)))
    assert found.bins.tolist() == [expected]
    assert found.counts.tolist() == [15]


def test_the_fullest_raster_fits_sixteen_bits() -> None:
    assert histogram(plain((9, 9, 9), (4000, 4000))).counts.tolist() in ([65_280], [255 * 255])


@given(row=histograms())
def test_a_dense_histogram_sums_to_one_and_keeps_the_shares(row: SparseHistogram) -> None:
    dense = row.dense()
    assert dense.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(dense[row.bins] * row.counts.sum(dtype=np.int64), row.counts)
    assert (dense > 0).sum() == len(row.bins)
