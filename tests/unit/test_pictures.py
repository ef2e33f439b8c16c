"""Pictures laid over each other: the compiled loops give what their slow twins give."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lookalike.duplicates.align import Placer
from lookalike.kernels import pictures
from lookalike.kernels import pictures_reference as reference
from tests.unit.test_kernels import edge, level

__all__ = ["level"]

PAIRS = 60


def soft_pictures(count: int, side: int, seed: int) -> np.ndarray:
    """Grey squares of soft patches, uint8 (count, side, side); the last two are flat."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 256, (count, 7, 7), np.uint8)
    patches[-2:] = 80
    resize = Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(p).resize((side, side), resize)) for p in patches])


def pairs(count: int, seed: int) -> tuple[np.ndarray, ...]:
    """Half of each with itself, half with any; somewhere near each other, some far outside."""
    rng = np.random.default_rng(seed)
    first, second = np.arange(PAIRS) % count, rng.integers(0, count, PAIRS)
    second[::2] = first[::2]
    matrix = np.eye(2) + rng.normal(0, 0.06, (PAIRS, 2, 2))
    matrix[::5] = [[0, -1], [1, 0]]
    shift = rng.normal(0, 0.05, (PAIRS, 2))
    shift[::7] += 2
    return first, second, matrix.astype(np.float32), shift.astype(np.float32)


@pytest.mark.parametrize(("side", "stride", "steps"), [(16, 1, 2), (32, 2, 4), (64, 2, 3)])
def test_alignments_are_refined_as_the_twin_does(
    level: str, side: int, stride: int, steps: int
) -> None:
    images = edge(soft_pictures(12, side, 0).astype(np.float32))
    own = pairs(12, 1)
    given = [array.copy() for array in own]
    found = pictures.refine_alignments(images, *own, steps, stride)
    expected = reference.refine_alignments(images, *own, steps, stride)
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, atol=2e-4)
    for array, before in zip(own, given, strict=True):
        assert (array == before).all()


@pytest.mark.parametrize(("side", "reach"), [(16, 0), (32, 2), (64, 3), (64, 7)])
def test_agreement_is_that_of_the_twin(level: str, side: int, reach: int) -> None:
    images = edge(soft_pictures(12, side, 2).astype(np.float32))
    own = pairs(12, 3)
    found = pictures.agreement(images, *own, reach)
    expected = reference.agreement(images, *own, reach)
    assert found.shape == (PAIRS, pictures.FIGURES)
    close = np.isclose(found, expected, rtol=1e-3, atol=1e-3).all(1)
    # A pixel that agrees only just, or lies on the border, may fall on either side.
    assert close.mean() > 0.9
    np.testing.assert_allclose(found, expected, atol=0.02, rtol=0.02)


def test_planes_differ_as_in_the_twin(level: str) -> None:
    planes = soft_pictures(24, 16, 4).reshape(12, 2, 16, 16).astype(np.float32)
    own, gain = pairs(12, 5), np.linspace(0.5, 2, PAIRS).astype(np.float32)
    found = pictures.planes_apart(edge(planes), *own, gain)
    np.testing.assert_allclose(found, reference.planes_apart(planes, *own, gain), rtol=1e-3)


def test_middles_are_found_where_the_twin_finds_them(level: str) -> None:
    rasters = soft_pictures(12, 32, 6)
    rasters[1], rasters[2] = rasters[0, :, ::-1], np.roll(rasters[0], 3, 1)
    first, second, *_ = pairs(12, 7)
    first = np.sort(first)
    ways = Placer(rasters)._ways
    score, window, mirrored = pictures.place(edge(rasters), first, second, ways)
    expected, _, _ = reference.place(rasters, first, second, ways.middle, ways.scalers, ways.reach)
    np.testing.assert_allclose(score, expected, atol=1e-3)
    for place, (one, two) in enumerate(zip(first, second, strict=True)):
        # The window is one of those that are found that well.
        own = reference._windows(reference.flat(rasters[one], ways.reach), ways.scalers)
        other = reference.flat(rasters[two], ways.reach)
        other = other[:, ::-1] if mirrored[place] else other
        wanted = reference.unit((ways.middle @ other @ ways.middle.T).ravel())
        assert own[window[place]] @ wanted == pytest.approx(expected[place], abs=2e-3)


def test_extreme_pixels_do_not_overflow(level: str) -> None:
    rasters = np.zeros((4, 32, 32), np.uint8)
    rasters[0, ::2, ::2] = rasters[1, :, 16:] = rasters[2, 16:] = 255
    rasters[3, 8:24, 8:24] = 255
    own, ways = np.arange(4), Placer(rasters)._ways
    score, _, _ = pictures.place(rasters, own, own, ways)
    expected, _, _ = reference.place(rasters, own, own, ways.middle, ways.scalers, ways.reach)
    np.testing.assert_allclose(score, expected, atol=1e-3)


def test_no_pairs_are_no_answers(level: str) -> None:
    images, none = np.zeros((1, 16, 16), np.float32), np.empty(0, np.int64)
    matrix, shift = np.empty((0, 2, 2), np.float32), np.empty((0, 2), np.float32)
    assert pictures.agreement(images, none, none, matrix, shift, 2).shape == (0, 9)
    assert len(pictures.refine_alignments(images, none, none, matrix, shift, 2, 1)[0]) == 0
