"""Object stores as a source, tried with file systems of fsspec that need no network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lookalike import Library
from lookalike.config import Limits
from lookalike.errors import ImageError, InputError, MissingExtraError
from lookalike.places import absolute, file_of, in_archive, is_archive, is_object, is_url
from lookalike.query.terms import parse_term
from lookalike.sources import source_of
from lookalike.sources.objects import ObjectSource, read_object
from lookalike.types import FileEntry, PassedOver, Reason, State
from lookalike.web.map_api import check_term
from tests.conftest import ToyEncoder, encoded, picture
from tests.e2e.contents import contents

fsspec = pytest.importorskip("fsspec", reason="the extra objects is not installed")


@pytest.fixture
def bucket() -> Iterator[Any]:
    """A store in memory with six pictures in two folders, and other things."""
    system = fsspec.filesystem("memory")
    for number in range(6):
        folder = "a" if number < 3 else "b/deep"
        system.pipe_file(f"/bucket/{folder}/{number}.png", encoded(picture(number), "PNG"))
    system.pipe_file("/bucket/note.txt", b"text")
    system.pipe_file("/bucket/.hidden.png", b"hidden")
    system.pipe_file("/bucket/raw.nef", b"raw")
    yield system
    for path in system.find("/"):
        system.rm(path)


def listed(source: ObjectSource) -> tuple[list[str], dict[str, Reason]]:
    found = list(source.found())
    return (
        [one.path for one in found if isinstance(one, FileEntry)],
        {one.path: one.reason for one in found if isinstance(one, PassedOver)},
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("s3://bucket/cat.jpg", True), ("gs://b/x.tar/cat.jpg", True), ("memory://a", True),
        ("https://example.org/cat.jpg", False), ("/photos/cat.jpg", False), ("cat.jpg", False),
        ("imported:a.parquet/1", False), ("C://photos", False),
    ],
)  # fmt: skip
def test_a_place_in_an_object_store_is_known_by_its_path(path: str, expected: bool) -> None:
    assert is_object(path) == expected
    if expected:
        assert not is_url(path)
        assert not is_archive(path)
        assert in_archive(path) is None
        assert file_of(path) is None
        assert absolute(path) == path


def test_everything_below_a_place_is_found_once_by_name(bucket: Any) -> None:
    source = ObjectSource(["memory://bucket/", "memory://bucket/a"])
    pictures, passed = listed(source)
    assert pictures == [
        *(f"memory:///bucket/a/{number}.png" for number in range(3)),
        *(f"memory:///bucket/b/deep/{number}.png" for number in range(3, 6)),
    ]
    assert passed == {
        "memory:///bucket/note.txt": Reason.OTHER_NAME,
        "memory:///bucket/.hidden.png": Reason.HIDDEN,
        "memory:///bucket/raw.nef": Reason.UNSUPPORTED,
    }
    assert source.roots == ["memory:///bucket", "memory:///bucket/a"]


def test_a_single_object_is_a_place_too(bucket: Any) -> None:
    pictures, _ = listed(ObjectSource(["memory://bucket/a/1.png"]))
    assert pictures == ["memory:///bucket/a/1.png"]


def test_a_library_follows_its_objects(bucket: Any, tmp_path: Path, toy: ToyEncoder) -> None:
    with Library.open(tmp_path / "library", create=True, encoder=toy) as library:
        assert library.add(["memory://bucket"]).total(State.INDEXED) == 6
        again = library.add(["memory://bucket"])
        assert again.counts[State.UNCHANGED, Reason.SAME_STAT] == 6
        assert again.images_read == 0
        bucket.pipe_file("/bucket/a/1.png", encoded(picture(9), "PNG"))
        bucket.mv("/bucket/a/2.png", "/bucket/z.png")
        bucket.rm("/bucket/b/deep/5.png")
        counts = library.add(["memory://bucket"]).counts
        assert counts[State.INDEXED, Reason.CHANGED] == 1
        assert counts[State.MOVED, Reason.MOVED] == 1
        assert counts[State.GONE, Reason.NOT_FOUND] == 1
        hit = library.search(["memory:///bucket/a/1.png"], k=1, include_self=True).hits[0]
        assert hit.paths == ("memory:///bucket/a/1.png",)
        assert library.record_at("memory:///bucket/a/1.png") == hit.id
        assert library.record_at("memory:///bucket/a/none.png") is None


def test_it_gives_the_same_as_the_same_files_on_disk(
    photos: Path, tmp_path: Path, toy: ToyEncoder
) -> None:
    for name, place in (("disk", str(photos)), ("store", photos.as_uri())):
        with Library.open(tmp_path / name, create=True, encoder=toy) as library:
            library.add([place])
    disk, store = contents(tmp_path / "disk"), contents(tmp_path / "store")
    for part in ("vectors", "histograms", "thumbnails", "logits", "facts"):
        assert getattr(disk, part) == getattr(store, part)
    assert {path.removeprefix(b"file://") for path in store.files} == set(disk.files)


def test_a_folder_that_cannot_be_listed_makes_nothing_gone(
    bucket: Any, tmp_path: Path, toy: ToyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Library.open(tmp_path / "library", create=True, encoder=toy) as library:
        library.add(["memory://bucket"])
        ls = type(bucket).ls

        def broken(self: Any, path: str, *args: Any, **how: Any) -> Any:
            if path.endswith("deep"):
                raise ConnectionError("no answer")
            return ls(self, path, *args, **how)

        monkeypatch.setattr(type(bucket), "ls", broken)
        counts = library.add(["memory://bucket"]).counts
        assert counts[State.UNREADABLE, Reason.READ_ERROR] == 1
        assert not any(state is State.GONE for state, _ in counts)
        assert len(library) == 6


@pytest.mark.parametrize(
    ("limits", "data", "reason"),
    [
        (Limits(), None, Reason.READ_ERROR), (Limits(), b"", Reason.ZERO_BYTES),
        (Limits(megabytes=0.001), bytes(1_001), Reason.TOO_MANY_BYTES),
    ],
)  # fmt: skip
def test_an_object_that_cannot_be_had_has_a_reason(
    bucket: Any, limits: Limits, data: bytes | None, reason: Reason
) -> None:
    if data is not None:
        bucket.pipe_file("/bucket/x.png", data)
    with pytest.raises(ImageError) as caught:
        read_object(FileEntry("memory:///bucket/x.png", 1, 1), limits)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("memory://nowhere", "nothing lies there; check the place"),
        ("nosuch://bucket", "Protocol not known: nosuch"),
    ],
)
def test_a_place_that_is_none_is_told(bucket: Any, place: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        source_of([place])
    assert "\n" not in str(caught.value)


def test_without_fsspec_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"lookalike\[objects\]"):
        source_of(["s3://bucket"])


def test_the_page_of_a_map_reads_no_object_that_it_is_told_to() -> None:
    with pytest.raises(InputError, match="fetches nothing"):
        check_term(parse_term("file:///etc/passwd"))
