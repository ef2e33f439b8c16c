"""Descriptions of colours: bins, parts, metrics as in the library, and changes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lookalike.errors import InputError
from lookalike.evaluate.colours import CHANGES, Colouring, Colours, colour_study
from lookalike.features.histogram import histogram, score
from lookalike.types import COLOUR_MEASURES
from tests.conftest import BLUE, RED, encoded, picture, plain

PNGS = [encoded(picture(seed), "PNG") for seed in range(8)]


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> Image.Image:
    image = plain(left, (40, 24))
    image.paste(right, (20, 0, 40, 24))
    return image


def test_sixteen_bins_of_the_whole_are_the_library_s_histogram() -> None:
    bins, shares = Colouring().describe(picture(3))
    own = histogram(picture(3))
    np.testing.assert_array_equal(bins, own.bins)
    np.testing.assert_allclose(shares, own.dense()[own.bins])


@pytest.mark.parametrize(("bins", "number"), [(8, 7), (16, 15), (32, 31)])
def test_blue_is_the_last_bin_of_the_last_channel(bins: int, number: int) -> None:
    found, shares = Colouring(bins).describe(plain(BLUE))
    assert (found.tolist(), shares.tolist()) == ([number], [1])


def test_parts_know_where_colours_are() -> None:
    one, other = halves(RED, BLUE), halves(BLUE, RED)
    whole, parts = Colouring(), Colouring(grid=2)
    assert whole.describe(one)[0].tolist() == whole.describe(other)[0].tolist()
    assert not set(parts.describe(one)[0]) & set(parts.describe(other)[0])
    assert len(parts.describe(one)[0]) == 4


@pytest.mark.parametrize("metric", COLOUR_MEASURES)
def test_metrics_are_those_of_the_library(metric: str) -> None:
    colours = Colours(Colouring(), PNGS)
    dense = [histogram(picture(seed)).dense() for seed in range(8)]
    scores = np.array([score(dense[2], other, metric) for other in dense])
    found = colours.distances(colours.described(2), metric)
    np.testing.assert_allclose(found, COLOUR_MEASURES[metric].distance(scores), atol=1e-7)


def test_turning_and_mirroring_leave_colours_and_move_them() -> None:
    for name in ("turned by 90°", "mirrored"):
        changed = CHANGES[name](halves(RED, BLUE))
        assert Colouring().describe(changed)[1].tolist() == [0.5, 0.5]
    mirrored = CHANGES["mirrored"](halves(RED, BLUE))
    assert np.array_equal(np.asarray(mirrored), np.asarray(halves(BLUE, RED)))


def test_a_turned_picture_has_no_corners_of_nothing() -> None:
    for size in ((60, 40), (40, 60), (50, 50)):
        assert not (np.asarray(CHANGES["turned by 10°"](plain((200, 200, 200), size))) < 190).any()


def test_the_study_finds_kinds_that_differ_in_colour_and_changed_pictures() -> None:
    red = [encoded(plain((200 + n, 0, 0)), "PNG") for n in range(4)]
    blue = [encoded(plain((0, 0, 200 + n)), "PNG") for n in range(4)]
    labels = ["red"] * 4 + ["blue"] * 4
    (kinds,) = colour_study(red + blue, labels, [Colouring(8)], ["intersection"], k=3)
    assert (kinds.precision.mean, kinds.bytes_a_picture) == (1, 4)
    (plainly, parted) = colour_study(
        PNGS, list("aabbccdd"), [Colouring(), Colouring(grid=3)], ["bhattacharyya"], k=1
    )
    assert plainly.found_again["turned by 90°"] == plainly.found_again["mirrored"] == 1
    assert parted.found_again["half the size"] == 1
    assert set(parted.found_again) == set(CHANGES)


def test_what_cannot_be_studied_is_refused() -> None:
    with pytest.raises(InputError, match="'taste'"):
        colour_study(PNGS, list("aabbccdd"), [Colouring()], ["taste"])
    with pytest.raises(InputError, match="too few"):
        colour_study(PNGS[:2], list("ab"), [Colouring()])
    with pytest.raises(InputError, match="bins 300"):
        Colouring(300)
