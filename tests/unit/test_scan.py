"""Walking folders: everything once, in a fixed order, never in circles, never stopping."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lookalike.errors import InputError
from lookalike.scan import absolute_roots, scan
from lookalike.types import FileEntry, PassedOver, Reason, State


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def found(folder: Path, **options: Any) -> list[str]:
    """Paths below a folder that were taken as images."""
    return [
        os.path.relpath(item.path, folder)
        for item in scan([str(folder)], **options)
        if isinstance(item, FileEntry)
    ]


def passed(folder: Path, **options: Any) -> dict[str, Reason]:
    """Paths below a folder that were passed over, and why."""
    return {
        os.path.relpath(item.path, folder): item.reason
        for item in scan([str(folder)], **options)
        if isinstance(item, PassedOver)
    }


def test_images_are_known_by_name_whatever_its_case(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.JPEG", "c.Png", "d.webp", "e.heic", "f.TIFF", "g.avif", "notes.txt")
    assert found(tmp_path) == ["a.jpg", "b.JPEG", "c.Png", "d.webp", "e.heic", "f.TIFF", "g.avif"]
    assert passed(tmp_path) == {"notes.txt": Reason.OTHER_NAME}


def test_an_entry_has_size_and_time(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"abc")
    os.utime(tmp_path / "a.jpg", ns=(1, 1_234_567_890_123_456_789))
    (entry,) = scan([str(tmp_path)])
    assert entry == FileEntry(str(tmp_path / "a.jpg"), 3, 1_234_567_890_123_456_789)


def test_pictures_that_are_not_decoded_are_unsupported(tmp_path: Path) -> None:
    touch(tmp_path, "a.cr2", "b.SVG", "c.jpg")
    assert passed(tmp_path) == {"a.cr2": Reason.UNSUPPORTED, "b.SVG": Reason.UNSUPPORTED}
    assert found(tmp_path) == ["c.jpg"]


def test_hidden_names_are_taken_only_if_asked_for(tmp_path: Path) -> None:
    touch(tmp_path, ".a.jpg", ".cache/b.jpg", "c.jpg")
    assert found(tmp_path) == ["c.jpg"]
    assert passed(tmp_path) == {".a.jpg": Reason.HIDDEN, ".cache": Reason.HIDDEN}
    assert found(tmp_path, hidden=True) == [".a.jpg", "c.jpg", ".cache/b.jpg"]


def test_a_hidden_folder_that_was_named_is_entered(tmp_path: Path) -> None:
    touch(tmp_path, ".cache/b.jpg")
    assert found(tmp_path / ".cache") == ["b.jpg"]


def test_the_order_is_fixed_by_bytes_files_before_folders(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "b/2.jpg",
        "b/1.jpg",
        "a/z.jpg",
        "a/b/1.jpg",
        "c.jpg",
        "B.jpg",
        "é.jpg",
        "ab/1.jpg",
    )
    expected = ["B.jpg", "c.jpg", "é.jpg", "a/z.jpg", "a/b/1.jpg", "ab/1.jpg", "b/1.jpg", "b/2.jpg"]
    assert found(tmp_path) == expected


def test_a_link_to_a_folder_above_does_not_loop(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.jpg")
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    (tmp_path / "in" / "self").symlink_to(tmp_path / "in")
    assert found(tmp_path) == ["in/a.jpg"]
    assert passed(tmp_path) == {"in/up": Reason.LINK_LOOP, "in/self": Reason.LINK_LOOP}


def test_a_linked_folder_is_entered_once(tmp_path: Path) -> None:
    touch(tmp_path, "there/a.jpg")
    (tmp_path / "photos").mkdir()
    for name in ("one", "two"):
        (tmp_path / "photos" / name).symlink_to(tmp_path / "there")
    assert found(tmp_path / "photos") == ["one/a.jpg"]
    assert passed(tmp_path / "photos") == {"two": Reason.LINK_LOOP}


def test_a_broken_link_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "b.jpg")  # to itself
    touch(tmp_path, "c.jpg")
    assert found(tmp_path) == ["c.jpg"]
    assert passed(tmp_path)["a.jpg"] == Reason.BROKEN_LINK
    assert passed(tmp_path)["b.jpg"] in (Reason.BROKEN_LINK, Reason.READ_ERROR)


def test_a_linked_file_is_taken(tmp_path: Path) -> None:
    touch(tmp_path, "there/a.jpg")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "b.jpg").symlink_to(tmp_path / "there" / "a.jpg")
    assert found(tmp_path / "photos") == ["b.jpg"]


def test_a_name_that_is_no_text_keeps_its_bytes(tmp_path: Path) -> None:
    name = b"\xff\xfe caf\xe9.jpg"
    (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    assert [os.fsencode(path) for path in found(tmp_path)] == [name]


@pytest.mark.parametrize("name", ["line\nbreak.jpg", " .jpg", "日本.jpg", "a[1].jpg", "-a.jpg"])
def test_odd_names_are_names(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)
    assert found(tmp_path) == [name]


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert passed(tmp_path) == {"a.jpg": Reason.SPECIAL_FILE}


def test_a_folder_named_like_a_picture_is_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "album.jpg/a.jpg")
    assert found(tmp_path) == ["album.jpg/a.jpg"]


def test_a_library_is_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "library/b.jpg")
    is_library = lambda folder: os.path.basename(folder) == "library"  # noqa: E731
    assert found(tmp_path, is_library=is_library) == ["a.jpg"]
    assert passed(tmp_path, is_library=is_library) == {"library": Reason.LIBRARY}


def test_a_file_that_was_named_is_taken_whatever_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "picture", "a.cr2")
    assert found(tmp_path / "picture") == ["."]
    (raw,) = scan([str(tmp_path / "a.cr2")])
    assert isinstance(raw, PassedOver)
    assert raw.reason == Reason.UNSUPPORTED


def test_overlapping_roots_give_every_file_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "in/b.jpg")
    for roots in (("in", "."), (".", "in"), (".", "."), ("a.jpg", "."), (".", "a.jpg")):
        paths = [os.path.normpath(tmp_path / root) for root in roots]
        taken = [item.path for item in scan(paths) if isinstance(item, FileEntry)]
        assert sorted(taken) == [str(tmp_path / "a.jpg"), str(tmp_path / "in" / "b.jpg")]


def test_a_folder_that_cannot_be_listed_is_noted_and_the_walk_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg", "c/3.jpg")
    list_folder = os.scandir

    def refuse(folder: str) -> Any:
        if folder.endswith("b"):
            raise PermissionError(13, "Permission denied")
        return list_folder(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert found(tmp_path) == ["a/1.jpg", "c/3.jpg"]
    (shut,) = (item for item in scan([str(tmp_path)]) if isinstance(item, PassedOver))
    assert shut == PassedOver(
        str(tmp_path / "b"), State.UNREADABLE, Reason.NO_PERMISSION, "Permission denied"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
def test_a_forbidden_folder_is_noted(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "shut/b.jpg")
    (tmp_path / "shut").chmod(0)
    try:
        assert passed(tmp_path) == {"shut": Reason.NO_PERMISSION}
        assert found(tmp_path) == ["a.jpg"]
    finally:
        (tmp_path / "shut").chmod(0o700)


def test_roots_are_absolute_and_without_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "in/a.jpg")
    monkeypatch.chdir(tmp_path)
    assert absolute_roots(["in", "./in/", "in/../in"]) == [str(tmp_path / "in")]


def test_a_root_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nonesuch: no such file or folder"):
        absolute_roots([str(tmp_path), "nonesuch"])
