"""Resampling gives Pillow's bytes, pass by pass."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lookalike import kernels
from lookalike.features.resample import resample

sides = st.integers(1, 90)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def by_pillow(
    image: Image.Image, size: tuple[int, int], box: tuple[float, ...], *, cubic: bool
) -> np.ndarray:
    """Rows, then columns: Pillow itself chooses which goes first, so it is asked for each alone."""
    method = Image.Resampling.BICUBIC if cubic else Image.Resampling.BOX
    left, top, right, bottom = box
    rows = image.resize((size[0], image.height), method, (left, 0, right, image.height))
    return np.asarray(rows.resize(size, method, (0, top, size[0], bottom)))


@pytest.mark.skipif(kernels.instructions() in ("numpy", "plain"), reason="Pillow itself runs there")
@given(sides, sides, sides, sides, st.booleans(), st.integers(0, 3))
def test_same_bytes_as_pillow(
    width: int, height: int, new_width: int, new_height: int, cubic: bool, seed: int
) -> None:
    image, size = noise(width, height, seed), (new_width, new_height)
    expected = by_pillow(image, size, (0, 0, width, height), cubic=cubic)
    assert np.array_equal(resample(image, size, cubic=cubic), expected)


@pytest.mark.skipif(kernels.instructions() in ("numpy", "plain"), reason="Pillow itself runs there")
@given(sides, sides, st.floats(0, 0.4), st.floats(0.6, 1), st.booleans())
def test_same_bytes_as_pillow_for_a_part(
    width: int, height: int, start: float, end: float, cubic: bool
) -> None:
    image, size = noise(width, height), (23, 31)
    box = (start * width, start * height, end * width, end * height)
    expected = by_pillow(image, size, box, cubic=cubic)
    assert np.array_equal(resample(image, size, box, cubic=cubic), expected)


@pytest.mark.parametrize("size", [(2_300, 2_000), (40, 30)], ids=["in many pieces", "in one"])
@pytest.mark.parametrize("level", [-1, kernels.LEVELS.index("avx2")])
def test_pillow_steps_in(
    size: tuple[int, int], level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = noise(*size)  # more than 4 megapixels lie in many pieces
    monkeypatch.setattr(kernels, "_level", min(level, kernels._level))
    expected = by_pillow(image, (50, 40), (0, 0, *size), cubic=True)
    difference = resample(image, (50, 40)).astype(int) - expected
    assert np.abs(difference).max() <= 1  # Pillow may begin with the columns


def test_the_picture_is_left_as_it_was_and_may_change_afterwards() -> None:
    image = noise(60, 40)
    before = image.tobytes()
    first = resample(image, (30, 20)).copy()
    assert image.tobytes() == before
    image.paste((0, 0, 0), (0, 0, 60, 40))
    assert resample(image, (30, 20)).max() == 0 < first.max()
