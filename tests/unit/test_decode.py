"""From file bytes to an upright, opaque sRGB picture, or a reason."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, features
from PIL.JpegImagePlugin import JpegImageFile

from lookalike.config import Limits
from lookalike.decode import WORKING_SIDE, Decoded, decode, read
from lookalike.errors import ImageError
from lookalike.features.metadata import facts
from lookalike.types import Reason
from tests.conftest import BLUE, GREEN, RED, WHITE, encoded, picture, plain

ORIENTATION = 0x0112


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode(data).image, dtype=np.int16)


def colour_of(data: bytes) -> tuple[int, ...]:
    """The colour in the middle of a decoded picture."""
    image = decode(data).image
    assert image.mode == "RGB"
    return tuple(int(c) for c in np.asarray(image)[image.height // 2, image.width // 2])


def close(found: tuple[int, ...], expected: tuple[int, ...], tolerance: int = 4) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(found, expected, strict=True))


def refusal(data: bytes, limits: Limits = Limits()) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(data, limits)
    return caught.value


# -- orientation -----------------------------------------------------------------------------------

STORED_AS = {  # how a camera that was turned stores the upright picture
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def four_quarters() -> Image.Image:
    image = plain(RED)
    image.paste(GREEN, (20, 0, 40, 12))
    image.paste(BLUE, (0, 12, 20, 24))
    return image


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize(
    ("image_format", "options"),
    [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("JPEG", {"quality": 100})],
)
def test_every_orientation_gives_the_same_upright_picture(
    orientation: int, image_format: str, options: dict[str, object]
) -> None:
    upright, method = four_quarters(), STORED_AS[orientation]
    stored = upright if method is None else upright.transpose(method)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    found = decode(encoded(stored, image_format, exif=exif, **options))
    assert (found.width, found.height) == found.image.size == (40, 24)
    difference = np.abs(np.asarray(found.image, np.int16) - np.asarray(upright, np.int16))
    # JPEG blurs colours where quarters meet; elsewhere pictures are equal
    assert np.median(difference) <= 2
    assert (difference > 8).mean() < (0.25 if image_format == "JPEG" else 1e-9)


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    assert (pixels(encoded(four_quarters(), "PNG", exif=exif)) == np.asarray(four_quarters())).all()


# -- colour ----------------------------------------------------------------------------------------


def profile(described: str = "Test built-in") -> bytes:
    """Pillow's sRGB profile with red and green primaries swapped, under another name."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = data.replace("sRGB built-in".encode("utf-16-be"), described.encode("utf-16-be"))
    return data.replace(b"rXYZ", b"swap").replace(b"gXYZ", b"rXYZ").replace(b"swap", b"gXYZ")


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_colour_profile_is_applied(image_format: str) -> None:
    data = encoded(plain(RED), image_format, icc_profile=profile())
    assert close(colour_of(data), GREEN, 6)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
def test_an_srgb_profile_changes_nothing(image_format: str) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = picture(5)
    with_profile = pixels(encoded(image, image_format, icc_profile=srgb))
    assert (with_profile == pixels(encoded(image, image_format))).all()


@pytest.mark.parametrize("damaged", [b"", b"no profile", profile()[:200], bytes(500)])
def test_a_damaged_profile_is_ignored(damaged: bytes) -> None:
    assert colour_of(encoded(plain(RED), "PNG", icc_profile=damaged)) == RED


def test_a_colour_profile_on_a_gray_picture_does_not_stop_it() -> None:
    data = encoded(Image.new("L", (20, 20), 99), "PNG", icc_profile=profile())
    assert colour_of(data) == (99, 99, 99)


def test_a_profile_is_applied_below_transparency() -> None:
    image = Image.new("RGBA", (20, 20), (*RED, 255))
    assert close(colour_of(encoded(image, "PNG", icc_profile=profile())), GREEN)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "TIFF", "BMP", "GIF"])
def test_gray_becomes_three_equal_channels(image_format: str) -> None:
    assert close(colour_of(encoded(Image.new("L", (20, 20), 77), image_format)), (77, 77, 77), 1)


@pytest.mark.parametrize(
    ("ink", "expected"),
    [((0, 255, 255, 0), RED), ((0, 0, 0, 0), WHITE), ((0, 0, 0, 255), (0, 0, 0))],
)
def test_a_cmyk_jpeg_has_its_colours(ink: tuple[int, ...], expected: tuple[int, ...]) -> None:
    data = encoded(Image.new("CMYK", (32, 32), ink), "JPEG", quality=95)
    assert close(colour_of(data), expected, 6)


def test_a_lab_tiff_has_its_colours() -> None:
    gray = Image.merge("LAB", [Image.new("L", (20, 20), v) for v in (255, 128, 128)])
    assert close(colour_of(encoded(gray, "TIFF")), WHITE, 3)


@pytest.mark.parametrize("extension", [".png", ".tiff"])
@pytest.mark.parametrize("value", [0, 1, 100, 255])
def test_sixteen_bits_gray_become_eight(extension: str, value: int) -> None:
    raster = np.full((20, 20), value * 257, dtype=np.uint16)
    assert colour_of(cv2.imencode(extension, raster)[1].tobytes()) == (value, value, value)


@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_sixteen_bits_a_colour_become_eight(extension: str) -> None:
    raster = np.zeros((20, 20, 3), dtype=np.uint16)
    raster[:] = np.array([10, 100, 250]) * 257  # OpenCV takes blue, green, red
    assert colour_of(cv2.imencode(extension, raster)[1].tobytes()) == (250, 100, 10)


def test_big_endian_sixteen_bits_become_eight() -> None:
    image = Image.frombytes("I;16B", (8, 8), struct.pack(">H", 200 * 257) * 64)
    assert colour_of(encoded(image, "TIFF")) == (200, 200, 200)


def float_tiff(*values: float) -> np.ndarray:
    row = np.array([values], dtype=np.float32)
    return pixels(encoded(Image.fromarray(row), "TIFF"))[0, :, 0]


def test_floats_between_zero_and_one_are_scaled() -> None:
    assert float_tiff(0.0, 0.2, 1.0).tolist() == [0, 51, 255]


def test_other_floats_are_stretched() -> None:
    assert float_tiff(-10.0, 0.0, 40.0).tolist() == [0, 51, 255]
    assert float_tiff(7.0, 7.0).tolist() in ([0, 0], [255, 255])


def test_floats_that_are_no_numbers_leave_the_others_as_they_are() -> None:
    assert float_tiff(0.0, float("nan"), 0.2, 1.0).tolist() == [0, 0, 51, 255]
    assert float_tiff(0.0, 0.2, 1.0, float("inf"), float("-inf")).tolist()[:3] == [0, 51, 255]


def test_one_bit_is_black_or_white() -> None:
    assert colour_of(encoded(Image.new("1", (9, 9), 1), "PNG")) == WHITE


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "TIFF"])
def test_transparency_lies_on_white(image_format: str) -> None:
    half = Image.new("RGBA", (20, 20), (255, 0, 0, 128))
    options = {"lossless": True} if image_format == "WEBP" else {}
    assert close(colour_of(encoded(half, image_format, **options)), (255, 127, 127), 1)


def test_invisible_pixels_are_white_whatever_colour_they_hide() -> None:
    assert colour_of(encoded(Image.new("RGBA", (9, 9), (*BLUE, 0)), "PNG")) == WHITE
    assert colour_of(encoded(Image.new("LA", (9, 9), (0, 0)), "PNG")) == WHITE


def test_the_transparent_colour_of_a_palette_is_white() -> None:
    image = Image.new("P", (20, 20), 1)
    image.putpalette([*RED, *GREEN])
    assert colour_of(encoded(image, "PNG")) == GREEN
    assert colour_of(encoded(image, "PNG", transparency=1)) == WHITE
    assert colour_of(encoded(image, "GIF", transparency=1)) == WHITE


def test_the_transparent_colour_of_an_rgb_picture_is_white() -> None:
    assert colour_of(encoded(plain(RED), "PNG", transparency=RED)) == WHITE


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_taken(image_format: str) -> None:
    options = {"save_all": True, "append_images": [plain(BLUE), plain(GREEN)]}
    assert close(colour_of(encoded(plain(RED), image_format, **options)), RED, 6)


# -- size ------------------------------------------------------------------------------------------

FORMATS = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"]
if features.check("avif"):
    FORMATS.append("AVIF")
every_format = pytest.mark.parametrize("image_format", FORMATS)


@every_format
def test_a_single_pixel_is_a_picture(image_format: str) -> None:
    found = decode(encoded(plain(RED, (1, 1)), image_format))
    assert (found.width, found.height) == (1, 1)
    assert found.format == image_format
    assert close(colour_of(encoded(plain(RED, (1, 1)), image_format)), RED, 8)


def test_a_heic_picture_is_decoded() -> None:
    found = decode((Path(__file__).parent.parent / "data" / "astronaut.heic").read_bytes())
    assert found.format == "HEIF"
    assert np.asarray(found.image).std() > 20


def test_a_large_jpeg_is_decoded_at_a_reduced_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[tuple[int, int]] = []
    load = JpegImageFile.load

    def noting(image: JpegImageFile) -> object:
        decoded.append(image.size)
        return load(image)

    monkeypatch.setattr(JpegImageFile, "load", noting)
    found = decode(encoded(picture(1, (2400, 1800)), "JPEG"))
    assert decoded[0] == (1200, 900)  # the least eighth with a side of WORKING_SIDE
    assert (found.width, found.height) == (2400, 1800)
    assert WORKING_SIDE <= min(found.image.size) < 1800
    assert found.image.width / found.image.height == pytest.approx(4 / 3, rel=0.01)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
def test_a_large_picture_keeps_its_looks_when_reduced(image_format: str) -> None:
    found = decode(encoded(picture(1, (1500, 1200)), image_format, quality=95))
    small = found.image.resize((48, 32), Image.Resampling.BOX)
    expected = picture(1, (1500, 1200)).resize((48, 32), Image.Resampling.BOX)
    difference = np.abs(np.asarray(small, np.int16) - np.asarray(expected, np.int16))
    assert difference.mean() < 2
    assert (found.width, found.height) == (1500, 1200)


@pytest.mark.parametrize("size", [(1, 500), (3000, 20), (WORKING_SIDE, WORKING_SIDE * 3)])
def test_a_picture_with_a_short_side_is_not_reduced(size: tuple[int, int]) -> None:
    for image_format in ("PNG", "JPEG"):
        assert decode(encoded(picture(1, size), image_format)).image.size == size


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is and breaks off."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 100) + b"IDAT"


@pytest.mark.parametrize("side", [10_050, 13_500, 20_000, 60_000])
def test_a_header_of_too_many_pixels_is_refused_with_value_limit_and_cure(side: int) -> None:
    error = refusal(png_header(side, side))
    assert error.reason == Reason.TOO_MANY_PIXELS
    assert error.detail == f"{side * side / 1e6:.0f} MP exceeds 100 MP; raise --max-megapixels"


def test_the_limit_of_pixels_can_be_moved() -> None:
    data = encoded(picture(1, (50, 40)), "PNG")
    assert refusal(data, Limits(megapixels=0.0019)).reason == Reason.TOO_MANY_PIXELS
    assert decode(data, Limits(megapixels=0.002)).width == 50


# -- damage ----------------------------------------------------------------------------------------

DAMAGE = {Reason.TRUNCATED, Reason.CORRUPT, Reason.NOT_AN_IMAGE, Reason.UNSUPPORTED}


def outcome(data: bytes, limits: Limits = Limits()) -> tuple[Decoded | None, Reason | None]:
    """What decoding gives: a picture, or the reason why not."""
    try:
        return decode(data, limits), None
    except ImageError as error:
        return None, error.reason


SAMPLES = {f: encoded(picture(7, (96, 64)), f) for f in FORMATS}


@every_format
@given(share=st.floats(0.0, 1.0))
@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it then refuses
def test_a_file_cut_off_anywhere_is_refused_or_still_a_picture(
    image_format: str, share: float
) -> None:
    whole = SAMPLES[image_format]
    cut = int(len(whole) * share)
    found, reason = outcome(whole[:cut])
    if found is None:
        assert reason in DAMAGE
    else:
        assert found.image.size == (96, 64)
        assert share > 0.5, "half a file passed for a whole picture"


@every_format
def test_half_a_file_is_called_truncated(image_format: str) -> None:
    whole = encoded(picture(7, (192, 128)), image_format)
    assert refusal(whole[: len(whole) // 2]).reason in (Reason.TRUNCATED, Reason.CORRUPT)
    if image_format in ("JPEG", "PNG"):
        assert refusal(whole[: len(whole) // 2]).reason == Reason.TRUNCATED


@every_format
@given(position=st.floats(0.0, 0.999), value=st.integers(0, 255), length=st.integers(1, 40))
@pytest.mark.filterwarnings("ignore")
def test_overwritten_bytes_give_a_picture_or_a_reason(
    image_format: str, position: float, value: int, length: int
) -> None:
    data = bytearray(SAMPLES[image_format])
    start = int(len(data) * position)
    data[start : start + length] = bytes([value]) * length
    _found, reason = outcome(bytes(data), Limits(megapixels=1.0))
    assert reason in {None, *DAMAGE, Reason.TOO_MANY_PIXELS}


@given(data=st.binary(max_size=300), magic=st.sampled_from([b"", b"GIF89a", b"BM", b"RIFF"]))
@pytest.mark.filterwarnings("ignore")
def test_random_bytes_are_refused(data: bytes, magic: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        decode(magic + data)
    assert caught.value.reason in {*DAMAGE, Reason.TOO_MANY_PIXELS}


def test_text_is_not_an_image() -> None:
    assert refusal(b"holiday photo, to be scanned").reason == Reason.NOT_AN_IMAGE


def test_another_picture_format_is_named_unsupported() -> None:
    error = refusal(encoded(plain(RED), "PPM"))
    assert error.reason == Reason.UNSUPPORTED
    assert "PPM" in error.detail


@settings(max_examples=300)
@given(changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6))
@pytest.mark.filterwarnings("ignore")
def test_damaged_metadata_is_no_reason_to_refuse_a_picture(
    changes: list[tuple[float, int]],
) -> None:
    data = bytearray(full_exif())
    for position, value in changes:
        data[6 + int((len(data) - 6) * position)] = value  # behind "Exif\0\0"
    found = decode(encoded(plain(RED), "JPEG", exif=bytes(data)))
    told = facts(found)
    assert sorted((told.width, told.height)) == [24, 40]
    assert told.latitude is None or -90 <= told.latitude <= 90
    assert told.longitude is None or -180 <= told.longitude <= 180


def full_exif() -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = 1
    exif[0x010F], exif[0x0110] = "Maker", "Model 1"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    exif.get_ifd(0x8825).update({1: "S", 2: (33.0, 51.0, 35.9), 3: "E", 4: (151.0, 12.0, 40.0)})
    return exif.tobytes()


# -- reading ---------------------------------------------------------------------------------------


def unreadable(path: Path, limits: Limits = Limits()) -> ImageError:
    with pytest.raises(ImageError) as caught:
        read(str(path), limits)
    return caught.value


def test_a_file_is_read_with_its_hash_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"abc")
    os.utime(path, ns=(5, 7))
    found = read(str(path))
    assert found.data == b"abc"
    assert found.content_hash.hex().startswith("ba7816bf")  # SHA-256 of "abc"
    assert (found.entry.bytes, found.entry.mtime_ns) == (3, 7)


def test_an_empty_file_has_zero_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert unreadable(tmp_path / "a.jpg").reason == Reason.ZERO_BYTES


def test_a_vanished_file_and_a_folder_are_read_errors(tmp_path: Path) -> None:
    assert unreadable(tmp_path / "none.jpg").reason == Reason.READ_ERROR
    assert unreadable(tmp_path).reason == Reason.READ_ERROR


def test_a_file_of_too_many_bytes_is_refused_with_limit_and_cure(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(bytes(3_000_000))
    error = unreadable(tmp_path / "a.jpg", Limits(megabytes=2.5))
    assert error.reason == Reason.TOO_MANY_BYTES
    assert error.detail == "3 MB exceeds 2.5 MB; raise --max-megabytes"


def test_a_device_is_no_file() -> None:
    """/dev/zero has no end."""
    error = unreadable(Path("/dev/zero"))
    assert (error.reason, error.detail) == (Reason.READ_ERROR, "a device, not a file")


def test_a_pipe_is_read_as_far_as_is_allowed(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with open(writing, "wb") as file:
        file.write(bytes(3_000))
    with open(reading, "rb"):
        error = unreadable(Path(f"/dev/fd/{reading}"), Limits(megabytes=0.002))
        assert error.reason == Reason.TOO_MANY_BYTES


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_has_no_permission(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"abc")
    (tmp_path / "a.jpg").chmod(0)
    assert unreadable(tmp_path / "a.jpg").reason == Reason.NO_PERMISSION


def test_a_refused_open_is_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> io.BytesIO:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    error = unreadable(tmp_path / "a.jpg")
    monkeypatch.undo()
    assert error.reason == Reason.NO_PERMISSION
