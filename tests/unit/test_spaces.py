"""Several encoders in one library: added, filled, chosen, compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike import IndexOptions, Library
from lookalike.errors import InputError, LibraryError
from lookalike.features.encoders import Encoded
from tests.conftest import CrashError, ToyEncoder, fill, picture


class UpsideDown(ToyEncoder):
    """The toy encoder on pictures that stand on their heads; another space."""

    def __init__(self, fail_after: int | None = None) -> None:
        super().__init__("upside-down", fail_after)

    def prepare(self, image: Image.Image) -> np.ndarray:
        return super().prepare(image.transpose(Image.Transpose.ROTATE_180))

    def encode(self, pixels: np.ndarray) -> Encoded:
        return super().encode(pixels)


def held(library: Library) -> dict[str, int]:
    return {space.name: count for space, count in library.spaces_held()}


def test_a_space_is_added_to_a_library_that_has_one(filled: Library, photos: Path) -> None:
    before = filled.search(photos / "003.png", 4)
    report = filled.add_space(UpsideDown())
    assert (report.added, report.left) == (12, 0)
    assert held(filled) == {"toy": 12, "upside-down": 12}
    assert filled.search(photos / "003.png", 4) == before  # the old one answers as it did
    other = filled.search(photos / "003.png", 4, space="upside-down")
    assert other.space == "upside-down"
    assert [hit.score for hit in other.hits] != [hit.score for hit in before.hits]


def test_vectors_of_an_added_space_are_the_encoders_own(filled: Library, photos: Path) -> None:
    encoder = UpsideDown()
    filled.add_space(encoder)
    found = filled.search(photos / "003.png", 12, space="upside-down", include_self=True)
    pictures = [Image.open(path) for path in (photos / "003.png", found.hits[5].paths[0])]
    pixels = np.stack([encoder.prepare(one.convert("RGB")) for one in pictures])
    one, other = encoder.encode(pixels).vectors
    assert found.hits[5].score == pytest.approx(float(one @ other), abs=2e-3)


def test_adding_a_space_again_does_what_is_left(filled: Library, photos: Path) -> None:
    with pytest.raises(CrashError):
        filled.add_space(
            UpsideDown(fail_after=8), None, IndexOptions(commit_batch=4, encode_batch=2, workers=1)
        )
    some = held(filled)["upside-down"]
    assert 0 < some < 12
    again = UpsideDown()
    assert filled.add_space(again).added == again.encoded == 12 - some
    assert filled.add_space(UpsideDown()).added == 0


def test_only_files_under_a_path_are_filled(filled: Library, photos: Path, tmp_path: Path) -> None:
    fill(tmp_path / "more", range(20, 25))
    filled.add([tmp_path / "more"])
    assert filled.add_space(UpsideDown(), [tmp_path / "more"]).added == 5
    assert held(filled) == {"toy": 17, "upside-down": 5}
    # A picture that lacks a vector is read anew, and is found by it.
    found = filled.search(photos / "001.png", 9, space="upside-down")
    assert len(found.hits) == 5


def test_a_file_that_is_no_longer_what_it_was_is_left(filled: Library, photos: Path) -> None:
    picture(99).save(photos / "004.png")
    (photos / "005.png").unlink()
    report = filled.add_space(UpsideDown())
    assert (report.added, report.left) == (10, 2)


def test_the_default_space_can_be_chosen(filled: Library, photos: Path) -> None:
    filled.add_space(UpsideDown())
    filled.choose_space("upside-down")
    assert filled.space.name == "upside-down"
    assert filled.search(photos / "003.png").space == "upside-down"
    with Library.open(filled.folder) as again:
        assert again.space.name == "upside-down"
    with pytest.raises(InputError, match="space 'sideways': this library has: upside-down, toy"):
        filled.choose_space("sideways")


def test_the_same_search_is_shown_in_several_spaces(filled: Library, photos: Path) -> None:
    filled.add_space(UpsideDown())
    toy, other = filled.compare(photos / "003.png", ["toy", "upside-down"], 3)
    assert (toy.space, other.space) == ("toy", "upside-down")
    assert len(toy.hits) == len(other.hits) == 3
    with pytest.raises(InputError, match="name two or more"):
        filled.compare(photos / "003.png", ["toy"])
    with pytest.raises(InputError, match="space 'none'"):
        filled.compare(photos / "003.png", ["toy", "none"])


def test_records_that_are_forgotten_are_gone_from_every_space(
    filled: Library, photos: Path
) -> None:
    filled.add_space(UpsideDown())
    (photos / "000.png").unlink()
    filled.add([photos], IndexOptions(prune=True))
    assert held(filled) == {"toy": 11, "upside-down": 11}


def test_a_space_of_the_same_name_and_other_weights_is_refused(filled: Library) -> None:
    class Other(ToyEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.spec = type(self.spec)(**{
                **{name: getattr(self.spec, name) for name in self.spec.__slots__},
                "weights_digest": "1" * 64,
            })  # fmt: skip

    with pytest.raises(LibraryError, match="cannot be mixed"):
        filled.add_space(Other())


def test_a_library_that_is_not_there_gets_no_space(tmp_path: Path) -> None:
    with (
        Library.open(tmp_path / "none", create=True) as library,
        pytest.raises(LibraryError, match="no library here"),
    ):
        library.add_space(UpsideDown())
    assert not (tmp_path / "none").exists()
