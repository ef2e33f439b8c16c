"""Duplicates: hashes under symmetries, alignment, relations, groups; pictures known by hand."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image, ImageDraw, ImageEnhance

from lookalike import Library
from lookalike.duplicates import DuplicateOptions, Relation
from lookalike.duplicates import hashes as hashing
from lookalike.duplicates.align import SYMMETRIES, Alignments, Placer, agreement, refined
from lookalike.duplicates.connected import components
from lookalike.duplicates.groups import lying_otherwise, missing_pairs, stars
from lookalike.duplicates.hashes import near_pairs, sign_hashes, under_symmetry
from lookalike.duplicates.rasters import area_matrix, grey_rasters
from lookalike.duplicates.relations import Pairs, changes_of
from lookalike.errors import InputError, LibraryLockedError
from lookalike.kernels.pictures_reference import without_local_mean
from lookalike.stores import SqliteStore

DATA = Path(skimage.__file__).parent / "data"
CAT = Image.open(DATA / "chelsea.png").convert("RGB")
COFFEE = Image.open(DATA / "coffee.png").convert("RGB")


def grey(image: Image.Image, side: int = 32) -> np.ndarray:
    return np.asarray(image.convert("L").resize((side, side), Image.Resampling.HAMMING))


def seen_under(image: np.ndarray, symmetry: int) -> np.ndarray:
    """The picture whose point p shows what ``image`` has at SYMMETRIES[symmetry] @ p."""
    middles = np.arange(len(image)) - (len(image) - 1) / 2
    down, right = np.meshgrid(middles, middles, indexing="ij")
    matrix = SYMMETRIES[symmetry]
    x = matrix[0, 0] * right + matrix[0, 1] * down + (len(image) - 1) / 2
    y = matrix[1, 0] * right + matrix[1, 1] * down + (len(image) - 1) / 2
    return image[y.round().astype(int), x.round().astype(int)]


# -- hashes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("symmetry", range(8))
def test_a_symmetry_of_the_picture_is_one_of_its_hash(symmetry: int) -> None:
    image = grey(CAT)
    turned = sign_hashes(seen_under(image, symmetry)[None])
    expected = under_symmetry(sign_hashes(image[None]), symmetry)
    assert int(np.bitwise_count(turned ^ expected)[0]) <= 1  # a frequency may be next to zero


def test_pairs_are_found_by_their_hash_with_the_symmetry_that_links_them() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 40, np.uint64) & ~np.uint64(1)
    hashes[7] = hashes[3] ^ np.uint64(0b1000000010)  # two bits
    hashes[9] = under_symmetry(hashes[5:6], 1)[0]
    found, left_out = near_pairs(hashes, 4)
    triples = set(
        zip(found.first.tolist(), found.second.tolist(), found.symmetry.tolist(), strict=True)
    )
    assert triples == {(3, 7, 0), (5, 9, 1)}
    assert left_out == 0


def test_a_quarter_turn_is_undone_by_the_other_one() -> None:
    base = np.random.default_rng(1).integers(0, 2**63, 2, np.uint64) & ~np.uint64(1)
    turned = under_symmetry(base, 5)
    one, _ = near_pairs(np.array([base[0], turned[0]]), 0)
    other, _ = near_pairs(np.array([turned[0], base[0]]), 0)
    assert (one.symmetry.tolist(), other.symmetry.tolist()) == ([5], [6])


def test_thousands_of_equal_hashes_are_not_all_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "NEAREST", 4)
    equal = np.full(300, 0b1100110011001100, np.uint64)
    found, left_out = near_pairs(equal, 0)
    assert 0 < len(found.first) <= 300 * 4 * 8
    assert left_out > 0
    assert len(np.unique(components(found.first, found.second))) == 1  # and yet they hang together


# -- alignment -------------------------------------------------------------------------------------


def test_a_crop_is_placed_and_refined_to_where_it_was_cut() -> None:
    box = (45, 30, 45 + 0.8 * CAT.width, 30 + 0.8 * CAT.height)
    crop = CAT.crop(tuple(map(round, box)))
    rasters = np.stack([grey(CAT), grey(crop), grey(COFFEE)])
    score, start = Placer(rasters).place(np.array([0, 0]), np.array([1, 2]))
    assert score[0] > 0.8 > score[1]
    both = np.stack([grey(image, 64) for image in (CAT, crop)]).astype(np.float32)
    whole, part = np.array([0]), np.array([1])
    at = refined(both, whole, part, start.take(np.array([0])), 10)
    seen = agreement(both, whole, part, at)
    middle = at.shift[0] + 0.5
    expected = [(45 + 0.4 * CAT.width) / CAT.width, (30 + 0.4 * CAT.height) / CAT.height]
    assert middle == pytest.approx(expected, abs=0.02)
    assert np.diag(at.matrix[0]) == pytest.approx([0.8, 0.8], abs=0.03)
    assert seen.detail[0] > 0.9


def test_a_picture_is_like_itself_and_not_like_another() -> None:
    both = np.stack([grey(image, 64) for image in (CAT, COFFEE)]).astype(np.float32)
    one, two, at = np.array([0]), np.array([1]), Alignments.of_symmetries(np.array([0]))
    itself, other = agreement(both, one, one, at), agreement(both, one, two, at)
    for name in ("detail", "overall", "agreeing", "common", "gain"):
        assert getattr(itself, name)[0] == pytest.approx(1, abs=1e-3), name
    assert itself.largest[0] == pytest.approx(0, abs=0.01)
    assert other.detail[0] < 0.5


def test_a_flat_picture_is_like_nothing() -> None:
    flat = np.full((1, 64, 64), 99, np.float32)
    one, at = np.array([0]), Alignments.of_symmetries(np.array([0]))
    assert agreement(flat, one, one, at).detail[0] == 0


def test_averages_are_those_of_the_covered_samples() -> None:
    values = np.array([1, 2, 3, 4, 5, 6], np.float32)
    assert area_matrix(6, 4) @ values == pytest.approx([4 / 3, 8 / 3, 13 / 3, 17 / 3])
    image = np.random.default_rng(0).normal(size=(1, 8, 8)).astype(np.float32)
    expected = image[0, 3, 4] - image[0, 2:5, 3:6].mean()
    assert without_local_mean(image, 1)[0, 3, 4] == pytest.approx(expected, abs=1e-5)


def test_a_missing_thumbnail_is_a_flat_picture() -> None:
    assert grey_rasters([None], 32)[0].std() == 0


# -- groups ----------------------------------------------------------------------------------------


def pairs_of(*pairs: tuple[int, int]) -> Pairs:
    first, second = np.array(pairs, np.int64).T
    many = len(pairs)
    return Pairs(
        first,
        second,
        np.ones(many, np.int8),
        np.ones(many, np.float32),
        np.zeros(many, np.int32),
    )


def test_a_group_has_only_what_is_alike_to_its_best_copy() -> None:
    chain = pairs_of((0, 1), (1, 2), (2, 3), (3, 4))
    rank = np.array([2, 0, 3, 1, 4])  # row 1 is the best, then row 3
    found = [(star.best, sorted(star.others.tolist())) for star in stars(chain, rank)]
    assert found == [(1, [0, 2]), (3, [4])]


def test_what_hangs_together_is_compared_with_its_best_copy() -> None:
    chain = pairs_of((0, 1), (1, 2), (5, 6))
    first, second = missing_pairs(chain, np.array([0, 1, 2, 3, 4, 5, 6]))
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 2)]


def test_what_is_mirrored_or_turned_against_most_is_known() -> None:
    way = np.array([0, 1, 0, 5, 0, 0, 1])  # the symmetry of SYMMETRIES under which each lies
    chain = pairs_of((0, 1), (1, 2), (2, 3), (3, 4), (5, 6))
    ends = zip(chain.first, chain.second, strict=True)
    step = [SYMMETRIES[way[a]].T @ SYMMETRIES[way[b]] for a, b in ends]
    numbers = [int((one == SYMMETRIES).all((1, 2)).argmax()) for one in step]
    chain = replace(chain, changes=np.array(numbers, np.int32) | 16)
    # In the pair of rows 5 and 6, neither lies otherwise than most.
    assert np.flatnonzero(lying_otherwise(chain, 7)).tolist() == [1, 3]


def test_changes_are_told_in_words() -> None:
    assert changes_of(0) == ()
    assert changes_of(1 | 8) == ("mirrored", "cropped or moved")
    assert changes_of(32) == ("other colours",)


# -- a library -------------------------------------------------------------------------------------


def exif(second: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x010F], tags[0x0110] = "Toy", "One"
    tags[0x0132] = f"2020:05:31 14:30:{second:02d}"
    return tags


def with_text(image: Image.Image) -> Image.Image:
    out = image.copy()
    ImageDraw.Draw(out).rectangle((20, 20, 150, 60), "white", "black", 4)
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")

    def save(name: str, image: Image.Image, **options: object) -> None:
        image.save(folder / name, "JPEG", **{"quality": 92, **options})

    save("cat.jpg", CAT, quality=95)
    (folder / "cat again.jpg").write_bytes((folder / "cat.jpg").read_bytes())
    os.utime(folder / "cat.jpg", (1e9, 1e9))
    save("cat 30.jpg", CAT, quality=30)
    save("cat small.jpg", CAT.resize((CAT.width // 2, CAT.height // 2)))
    save("cat mirrored.jpg", CAT.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    save("cat turned.jpg", CAT.transpose(Image.Transpose.ROTATE_90))
    save("cat cropped.jpg", CAT.crop((40, 20, 400, 270)))
    save("cat dark.jpg", ImageEnhance.Brightness(CAT).enhance(0.7))
    save("cat written.jpg", with_text(CAT))
    save("cat grey.jpg", CAT.convert("L").convert("RGB"))
    save("coffee 1.jpg", COFFEE, exif=exif(10))
    save("coffee 2.jpg", COFFEE.crop((12, 4, 590, 390)), exif=exif(12))
    save("coffee later.jpg", COFFEE.crop((40, 4, 598, 370)), exif=exif(45), quality=70)
    for name in ("brick", "rocket", "astronaut", "camera"):
        path = next(DATA.glob(f"{name}.*"))
        save(f"{name}.jpg", Image.open(path).convert("RGB"))
    return folder


@pytest.fixture
def library(folder: Path, tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", create=True) as library:
        library.add([folder])
        yield library


def names(library: Library, options: DuplicateOptions) -> dict[str, dict[str, str]]:
    """By the name of the best copy, the relations of the others by their names."""
    groups = library.duplicates(options).groups
    name: Callable[[str], str] = lambda path: Path(path).stem  # noqa: E731
    return {
        name(group.best.path): {name(copy.path): str(copy.relation) for copy in group.others}
        for group in groups
    }


def test_each_change_has_its_relation(library: Library) -> None:
    assert names(library, DuplicateOptions()) == {
        "cat": {
            "cat again": "identical",
            "cat 30": "re-encoded",
            "cat small": "re-encoded",
            "cat mirrored": "edited",
            "cat turned": "edited",
            "cat cropped": "edited",
            "cat dark": "edited",
            "cat written": "edited",
            "cat grey": "edited",
        },
        "coffee 1": {"coffee 2": "burst", "coffee later": "edited"},
    }


def best_of(folder: Path, place: Path) -> str:
    with Library.open(place, create=True) as library:
        library.add([folder])
        (group,) = library.duplicates().groups
        return Path(group.best.path).stem


def test_the_best_copy_is_large_then_not_mirrored_then_old(tmp_path: Path) -> None:
    folder, mirror = tmp_path / "photos", Image.Transpose.FLIP_LEFT_RIGHT
    folder.mkdir()
    CAT.transpose(mirror).save(folder / "mirrored.jpg", quality=99)  # has the most bytes
    CAT.save(folder / "new.jpg", quality=95)
    CAT.save(folder / "old.jpg", quality=60)
    for age, name in enumerate(("new", "old", "mirrored")):  # the mirrored one is the oldest
        os.utime(folder / f"{name}.jpg", (2e9 - 1e8 * age, 2e9 - 1e8 * age))
    assert best_of(folder, tmp_path / "one") == "old"
    CAT.transpose(mirror).resize((600, 399)).save(folder / "larger.jpg", quality=60)
    assert best_of(folder, tmp_path / "two") == "larger"


def test_a_copy_of_odd_width_is_not_squeezed() -> None:
    """Decoded at half its size, a JPEG 225 pixels wide has 113, of which it fills 112.5."""
    stripes = Image.new("RGB", (512, 344), "white")
    for left in range(0, 512, 45):
        ImageDraw.Draw(stripes).rectangle((left, 20, left + 20, 320), "black")
    jpegs = []
    for image in (stripes, stripes.resize((225, 151), Image.Resampling.LANCZOS)):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=90)
        jpegs.append(buffer.getvalue())
    one, two = grey_rasters(jpegs, 64).astype(int)
    assert np.abs(one - two)[:, -16:].mean() < 8  # squeezed 18, most at the far end


def test_only_what_is_asked_for_is_told(library: Library) -> None:
    identical = DuplicateOptions([Relation.IDENTICAL])
    assert names(library, identical) == {"cat": {"cat again": "identical"}}
    bursts = DuplicateOptions([Relation.BURST], seconds=1)
    assert names(library, bursts) == {}
    small = DuplicateOptions([Relation.RE_ENCODED], where="width < 400")
    assert names(library, small) == {}
    assert len(names(library, DuplicateOptions(least=0.999))) <= 1


def test_the_report_tells_what_differs(library: Library) -> None:
    (group, *_) = (
        group
        for group in library.duplicates().to_dict()["groups"]
        if group["best"]["path"].endswith("cat.jpg")
    )
    changes = {Path(copy["path"]).stem: copy["changes"] for copy in group["others"]}
    assert changes["cat 30"] == changes["cat again"] == []
    assert changes["cat mirrored"] == ["mirrored"]
    assert changes["cat turned"] == ["turned by 90 degrees"]
    assert "cropped or moved" in changes["cat cropped"]
    assert "other brightness or contrast" in changes["cat dark"]
    assert "a part differs" in changes["cat written"]
    assert "other colours" in changes["cat grey"]
    assert group["best"]["relation"] is None


def test_a_decision_is_remembered_and_taken_back(library: Library) -> None:
    bursts = DuplicateOptions([Relation.BURST])
    (group,) = library.duplicates(bursts).groups
    one, two = group.best.id, group.others[0].id
    assert library.decide(two, one)
    assert not library.decide(one, two)
    assert library.decisions() == [tuple(sorted((one, two)))]
    report = library.duplicates(bursts)
    assert (report.groups, report.decided) == ((), 1)
    assert library.forget(one, two)
    assert not library.forget(one, two)
    assert len(library.duplicates(bursts).groups) == 1


def test_decisions_that_cannot_be_are_refused(library: Library, tmp_path: Path) -> None:
    (group,) = library.duplicates(DuplicateOptions([Relation.BURST])).groups
    with pytest.raises(InputError, match="given twice"):
        library.decide(group.best.id, group.best.id)
    unknown = type(group.best.id)(int=5)
    with pytest.raises(InputError, match="no record"):
        library.decide(group.best.id, unknown)
    writer = SqliteStore(library.folder, write=True)
    with pytest.raises(LibraryLockedError):
        library.decide(group.best.id, group.others[0].id)
    writer.close()


@pytest.mark.parametrize(
    "options",
    [DuplicateOptions(least=1.5), DuplicateOptions(seconds=-1), DuplicateOptions(relations=[])],
)
def test_options_that_cannot_be_are_refused(library: Library, options: DuplicateOptions) -> None:
    with pytest.raises(InputError):
        library.duplicates(options)


def test_pictures_that_are_all_different_have_no_duplicates(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (40, 60, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).save(buffer, "PNG")
        (photos / f"{number}.png").write_bytes(buffer.getvalue())
    with Library.open(tmp_path / "library", create=True) as library:
        library.add([photos])
        report = library.duplicates()
    assert (report.groups, report.compared) == ((), 3)
