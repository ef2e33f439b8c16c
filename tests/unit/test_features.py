"""Facts, perceptual hash and thumbnail."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lookalike.decode import Decoded, decode
from lookalike.features.metadata import facts
from lookalike.features.phash import phash
from lookalike.features.thumbnail import SIDE, thumbnail
from lookalike.types import ImageFacts
from tests.conftest import BLACK, RED, WHITE, encoded, picture, plain

MAKE, MODEL, CHANGED_AT = 0x010F, 0x0110, 0x0132
DETAILS, PLACE = 0x8769, 0x8825
TAKEN_AT, DIGITISED_AT = 0x9003, 0x9004


def facts_of(
    tags: dict[int, Any] | None = None,
    details: dict[int, Any] | None = None,
    place: dict[int, Any] | None = None,
) -> ImageFacts:
    """The facts of a JPEG that was written with these EXIF tags."""
    exif = Image.Exif()
    exif.update(tags or {})
    exif.get_ifd(DETAILS).update(details or {})
    exif.get_ifd(PLACE).update(place or {})
    return facts(decode(encoded(plain(RED), "JPEG", exif=exif)))


def told(tags: dict[int, Any], place: dict[int, Any]) -> ImageFacts:
    """The facts of EXIF values as they stand, some of which no file could be written with."""
    exif = Image.Exif()
    exif.update(tags)
    exif.get_ifd(PLACE).update(place)
    return facts(Decoded(plain(RED), 40, 24, "JPEG", exif))


# -- facts -----------------------------------------------------------------------------------------


def test_a_picture_without_exif_has_its_size_and_format_only() -> None:
    assert facts_of() == ImageFacts(40, 24, "JPEG")


def test_exif_says_when_where_and_with_which_camera() -> None:
    found = facts_of(
        {MAKE: "Canon", MODEL: "EOS 5D"},
        {TAKEN_AT: "2020:01:02 03:04:05"},
        {1: "S", 2: (33.0, 51.0, 36.0), 3: "E", 4: (151.0, 12.0, 36.0)},
    )
    assert found.taken_at == "2020-01-02T03:04:05"
    assert found.camera == "Canon EOS 5D"
    assert found.latitude == pytest.approx(-33.86)
    assert found.longitude == pytest.approx(151.21)


@pytest.mark.parametrize(
    ("sides", "signs"), [(("N", "E"), (1, 1)), (("N", "W"), (1, -1)), (("S", "W"), (-1, -1))]
)
def test_south_and_west_are_negative(sides: tuple[str, str], signs: tuple[int, int]) -> None:
    found = facts_of(place={1: sides[0], 2: (10.0, 30.0, 0.0), 3: sides[1], 4: (20.0, 15.0, 0.0)})
    assert (found.latitude, found.longitude) == (10.5 * signs[0], 20.25 * signs[1])


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON", "nikon D3", "nikon D3"),
        ("Apple", "", "Apple"),
        ("", "iPhone 6", "iPhone 6"),
        (" ", "\0", None),
        ("Sony\0rubbish", "A7\0\0", "Sony A7"),
    ],
)
def test_the_maker_is_not_named_twice(make: str, model: str, camera: str | None) -> None:
    assert told({MAKE: make, MODEL: model}, {}).camera == camera


def test_the_time_of_digitising_and_of_change_stand_in_for_the_time_of_taking() -> None:
    changed = {CHANGED_AT: "2001:01:01 00:00:00"}
    digitised = {DIGITISED_AT: "2000:01:01 00:00:00"}
    assert facts_of(changed, digitised).taken_at == "2000-01-01T00:00:00"
    assert facts_of(changed, {TAKEN_AT: "0000:00:00 00:00:00"}).taken_at == "2001-01-01T00:00:00"


@pytest.mark.parametrize(
    "value",
    [
        "0000:00:00 00:00:00",
        "2020:13:01 00:00:00",
        "    :  :     :  :  ",
        "yesterday",
        "",
        7,
        b"\xff",
    ],
)
def test_a_damaged_time_is_none(value: Any) -> None:
    assert told({CHANGED_AT: value}, {}).taken_at is None


@pytest.mark.parametrize(
    "parts",
    [
        None,
        (),
        (10.0,),
        (10.0, 20.0),
        (float("nan"), 0.0, 0.0),
        (float("inf"), 0.0, 0.0),
        (90.0, 0.0, 1.0),
        (-91.0, 0.0, 0.0),
        ("ten", "twenty", "thirty"),
        "ten",
        7,
    ],
)
def test_a_damaged_place_is_none(parts: Any) -> None:
    assert told({}, {1: "N", 2: parts}).latitude is None


@given(
    parts=st.lists(st.floats(width=32), min_size=3, max_size=3),
    sides=st.tuples(st.sampled_from(["N", "S", "", "?"]), st.sampled_from(["E", "W", "", "?"])),
)
def test_a_place_is_on_earth_or_none(parts: list[float], sides: tuple[str, str]) -> None:
    found = told({}, {1: sides[0], 2: parts, 3: sides[1], 4: parts})
    assert found.latitude is None or -90 <= found.latitude <= 90
    assert found.longitude is None or -180 <= found.longitude <= 180


@given(value=st.one_of(st.text(), st.binary(), st.integers(), st.none(), st.tuples(st.floats())))
def test_no_value_of_a_tag_stops_a_picture(value: Any) -> None:
    found = told({MAKE: value, MODEL: value, CHANGED_AT: value}, {1: value, 2: value, 4: value})
    assert found.camera is None or found.camera.isprintable()


# -- perceptual hash -------------------------------------------------------------------------------


def bits_apart(first: Image.Image, second: Image.Image) -> int:
    return (phash(first) ^ phash(second)).bit_count()


def again(image: Image.Image, image_format: str, **options: Any) -> Image.Image:
    return Image.open(io.BytesIO(encoded(image, image_format, **options))).convert("RGB")


@pytest.mark.parametrize("seed", range(6))
def test_a_copy_differs_by_few_bits(seed: int) -> None:
    image = picture(seed, (400, 300))
    assert bits_apart(image, again(image, "JPEG", quality=50)) <= 6
    assert bits_apart(image, again(image, "WEBP", quality=60)) <= 6
    assert bits_apart(image, image.resize((160, 120))) <= 6


def test_different_pictures_differ_by_many_bits() -> None:
    images = [picture(seed) for seed in range(12)]
    apart = [bits_apart(a, b) for n, a in enumerate(images) for b in images[:n]]
    assert min(apart) >= 14
    assert 26 <= np.mean(apart) <= 38


def gray(brightness: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(brightness), 0, 255).astype(np.uint8)).convert("RGB")


@pytest.mark.parametrize("frequency", range(1, 8))
@pytest.mark.parametrize("across", [True, False])
def test_a_wave_sets_the_bit_of_its_frequency(frequency: int, across: bool) -> None:
    """The row of the DCT-II with this frequency, as a picture, has this coefficient alone."""
    wave = np.cos(np.pi * frequency * (2 * np.arange(32) + 1) / 64)
    field = np.tile(wave, (32, 1)) if across else np.tile(wave[:, None], (1, 32))
    bit = 1 << (63 - frequency * (1 if across else 8))
    assert phash(gray(128 + 100 * field)) & bit
    assert not phash(gray(128 - 100 * field)) & bit


@given(seed=st.integers(0, 10_000))
def test_the_negative_turns_all_bits_but_the_mean_and_the_median(seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (32, 32))
    turned = phash(gray(noise)) ^ phash(gray(255 - noise))
    assert turned.bit_count() == 62
    assert not turned >> 63  # both are brighter than black


@pytest.mark.parametrize("colour", [WHITE, RED, (128, 128, 128), (3, 77, 130), BLACK])
def test_pictures_of_one_colour_have_no_detail_in_their_hash(
    colour: tuple[int, int, int],
) -> None:
    assert phash(plain(colour)) in (0, 1 << 63)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3000, 20)])
def test_the_hash_of_any_size_has_sixty_four_bits(size: tuple[int, int]) -> None:
    assert 0 <= phash(picture(1, size)) < 2**64


# -- thumbnail -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1000, 500), (256, 128)),
        ((500, 1000), (128, 256)),
        ((257, 257), (256, 256)),
        ((256, 256), (256, 256)),
        ((100, 30), (100, 30)),
        ((1, 1), (1, 1)),
        ((5000, 1), (256, 1)),
    ],
)
def test_a_thumbnail_fits_its_side_and_is_never_enlarged(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    small = Image.open(io.BytesIO(thumbnail(picture(1, size))))
    assert small.format == "JPEG"
    assert small.size == expected
    assert max(small.size) <= SIDE == 256


def test_a_thumbnail_looks_like_its_picture() -> None:
    image = picture(2, (800, 600))
    small = Image.open(io.BytesIO(thumbnail(image)))
    expected = np.asarray(image.resize(small.size, Image.Resampling.BOX), np.int16)
    assert np.abs(np.asarray(small, np.int16) - expected).mean() < 4
