"""Cases in which something lies otherwise than a run expects: lost, aliased, crashed, too large."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike import IndexOptions, Library, Method, pipeline
from lookalike.errors import InputError, LibraryCorruptError, NothingDoneError
from lookalike.query import parse_term
from lookalike.scan import absolute_roots
from lookalike.types import Reason, State
from tests.conftest import CrashError, ToyEncoder, fill, picture


def test_a_lost_catalogue_is_not_replaced_by_an_empty_one(filled: Library, photos: Path) -> None:
    filled.close()
    segments = {path: path.read_bytes() for path in filled.folder.rglob("*.f16")}
    for name in os.listdir(filled.folder):
        if name.startswith("catalog.sqlite"):
            (filled.folder / name).unlink()
    with pytest.raises(LibraryCorruptError, match="missing, and vectors without it mean nothing"):
        filled.add([photos])
    assert segments
    assert all(path.read_bytes() == data for path, data in segments.items())


def test_a_failed_first_run_keeps_the_lock_until_its_catalogue_is_gone(
    library: Library, tmp_path: Path, toy: ToyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    unlink, locked = Path.unlink, []

    def watched(path: Path, missing_ok: bool = False) -> None:
        with Library.open(library.folder, create=True, encoder=toy) as other:
            with pytest.raises(Exception, match="is writing to this library"):
                other.add([tmp_path / "empty"])
            locked.append(path.name)
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", watched)
        with pytest.raises(NothingDoneError):
            library.add([tmp_path / "empty"])
    assert "catalog.sqlite" in locked


def test_a_link_to_a_folder_named_before_it_makes_nothing_gone(
    library: Library, photos: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(photos, target_is_directory=True)
    library.add([link])
    library.add([photos, link])
    assert {row.state for row in library.ledger()} <= {State.UNCHANGED, State.INDEXED}
    assert len(list(library.ledger())) == 24


def test_a_run_after_a_crashed_one_counts_only_what_it_saw(
    library: Library, photos: Path, tmp_path: Path, toy: ToyEncoder
) -> None:
    toy.fail_after = 4
    with pytest.raises(CrashError):
        library.add([photos], IndexOptions(commit_batch=2, encode_batch=1))
    toy.fail_after = None
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingDoneError, match="no images found"):
        library.add([tmp_path / "empty"])


def test_a_copy_on_a_drive_that_is_not_mounted_stays_in_the_ledger(
    library: Library, tmp_path: Path
) -> None:
    drive, home = tmp_path / "mnt" / "drive", tmp_path / "home"
    drive.mkdir(parents=True)
    home.mkdir()
    names = [path.name for path in fill(drive, [1, 2])]
    library.add([drive])
    shutil.copytree(drive, home, dirs_exist_ok=True)
    shutil.rmtree(drive)
    drive.mkdir()  # a mount point without its drive
    library.add([home])
    found = {row.path: row.reason for row in library.ledger()}
    assert len(found) == 4
    assert {found[str(home / name)] for name in names} == {Reason.DUPLICATE}


def test_too_little_memory_for_a_picture_is_tried_again(
    library: Library, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*_arguments: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "decode", out_of_memory)
        with pytest.raises(NothingDoneError):
            library.add([photos])
    assert {row.reason for row in library.ledger()} == {Reason.READ_ERROR}
    assert library.add([photos]).total(State.INDEXED) == 12


def test_a_closed_library_that_is_used_again_sees_what_was_added(
    filled: Library, photos: Path, toy: ToyEncoder
) -> None:
    filled.search(photos / "000.png")
    filled.close()
    picture(77).save(photos / "late.png")
    with Library.open(filled.folder, encoder=toy) as other:
        other.add([photos])
    assert filled.search(photos / "000.png").searched == len(filled) - 1 == 12


def test_by_pca_a_minus_turns_every_score_around(filled: Library, photos: Path) -> None:
    method = Method("pca", dims=3)
    path = str(photos / "000.png")
    toward = filled.search([path], 99, method, include_self=True).hits
    away = filled.search([parse_term(f"-{path}")], 99, method, include_self=True).hits
    scores = {hit.id: hit.score for hit in toward}
    assert len(away) == 12
    np.testing.assert_allclose(
        [hit.score for hit in away], [-scores[h.id] for h in away], atol=1e-6
    )


def test_the_sheet_of_an_input_that_can_be_read_once_shows_it(
    filled: Library, tmp_path: Path
) -> None:
    source = tmp_path / "once.png"
    picture(5).save(source)
    result = filled.search(source)
    source.unlink()
    (tile,) = filled.sheet(result).inputs
    assert tile.jpeg is not None


def test_transparent_colours_do_not_shine_through_when_a_large_picture_is_reduced(
    library: Library, tmp_path: Path
) -> None:
    pixels = np.zeros((1200, 1200, 4), dtype=np.uint8)
    pixels[:, :, 0] = 255  # red everywhere
    pixels[::2, :, 3] = 0  # but seen in every second line
    pixels[1::2, :, 3] = 255
    folder = tmp_path / "striped"
    folder.mkdir()
    Image.fromarray(pixels).save(folder / "a.png")
    library.add([folder])
    result = library.search(folder / "a.png", 1, Method("colour"), include_self=True)
    assert result.hits[0].score < 1e-6


def test_a_limit_on_megapixels_must_be_a_number() -> None:
    from lookalike.cli.main import main

    for value in ("nan", "inf", "0", "-1", "x"):
        assert main(["index", ".", "--max-megapixels", value]) == 2


def test_an_unknown_record_id_is_refused(filled: Library) -> None:
    with pytest.raises(InputError, match="no record with this id"):
        filled.search("00000000-0000-5000-8000-000000000000")


def test_thousands_of_named_files_are_taken_in_linear_time(tmp_path: Path) -> None:
    for number in range(3_000):
        (tmp_path / f"{number}.jpg").touch()
    names = [str(tmp_path / f"{number}.jpg") for number in range(3_000)]
    started = time.process_time()
    assert absolute_roots(names) == names
    assert time.process_time() - started < 5  # comparing all pairs took minutes
