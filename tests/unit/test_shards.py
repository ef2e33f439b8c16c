"""Tar archives of pictures as a source."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from lookalike import IndexOptions, Library
from lookalike.config import Limits
from lookalike.errors import InputError, NothingDoneError
from lookalike.pipeline import IndexReport
from lookalike.places import absolute, file_of, in_archive, is_archive
from lookalike.plan import plan_paths
from lookalike.sources import shards
from lookalike.sources.shards import ShardSource
from lookalike.types import Reason, State
from tests.conftest import ToyEncoder, encoded, picture

Member = tuple[str, bytes] | tarfile.TarInfo


def png(seed: int) -> bytes:
    return encoded(picture(seed), "PNG")


def shard(path: Path, members: Sequence[Member], mode: str = "w") -> Path:
    """An archive with these members."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                name, data = member
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


def pictures(seeds: Sequence[int]) -> list[Member]:
    return [(f"{seed:04d}.png", png(seed)) for seed in seeds]


def counts(report: IndexReport) -> dict[str, int]:
    return {reason.value: count for (_, reason), count in report.counts.items()}


def ledger(library: Library, root: Path) -> dict[str, tuple[str, str]]:
    return {os.path.relpath(row.path, root): (row.reason, row.detail) for row in library.ledger()}


@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz")]
)
def test_pictures_of_a_shard_are_records_with_keys_as_ids(
    library: Library, tmp_path: Path, name: str, mode: str
) -> None:
    path = shard(tmp_path / name, pictures(range(5)), mode)
    assert counts(library.add([path])) == {"new": 5}
    found = library.search("id:0003", include_self=True)
    assert found.hits[0].paths == (f"{path}/0003.png",)
    loose = tmp_path / "3.png"
    loose.write_bytes(png(3))
    assert library.record_at(loose) == library.record_at(f"{path}/0003.png") == found.hits[0].id
    assert sorted(os.listdir(tmp_path)) == sorted([name, "3.png", "library"])


def test_an_unchanged_shard_is_not_read(
    library: Library, tmp_path: Path, toy: ToyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shard(tmp_path / "a.tar", pictures(range(5)))
    library.add([path])
    monkeypatch.setattr(shards, "_Shared", None)
    assert counts(library.add([path])) == {"same size and time": 5}
    assert toy.encoded == 5


def test_a_shard_is_opened_once_to_be_listed_and_once_to_be_read(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shard(tmp_path / "a.tar", pictures(range(30)))
    opened = []
    original = tarfile.open

    def counted(*arguments: object, **options: object) -> object:
        opened.append(arguments)
        return original(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(tarfile, "open", counted)
    library.add([path])
    assert len(opened) == 2


def test_members_that_are_gone_are_gone(library: Library, tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", pictures(range(4)))
    library.add([path])
    shard(path, pictures([0, 1, 9]))
    os.utime(path, ns=(1, 10**18))
    report = library.add([path])
    assert counts(report) == {"same content": 2, "new": 1, "not found": 2}
    assert len(library) == 3


def test_two_members_of_one_content_are_one_record_in_two_places(
    library: Library, tmp_path: Path
) -> None:
    path = shard(tmp_path / "a.tar", [("a.png", png(1)), ("b.png", png(1))])
    assert counts(library.add([path])) == {"new": 1, "same content as another file": 1}
    other = shard(tmp_path / "b.tar", [("a.png", png(1))])
    assert counts(library.add([other])) == {"same content as another file": 1}
    record = library.get([library.search("id:a", include_self=True).hits[0].id])[0]
    assert record is not None
    assert len(record.paths) == 3


def test_a_member_that_has_another_name_now_has_moved(library: Library, tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", [("a.png", png(1)), ("b.png", png(2))])
    library.add([path])
    shard(path, [("new.png", png(1)), ("b.png", png(2))])
    os.utime(path, ns=(1, 10**18))
    assert counts(library.add([path])) == {"moved": 1, "same content": 1}


def test_ids_come_from_the_json_beside_a_picture(library: Library, tmp_path: Path) -> None:
    members: list[Member] = [
        ("0001.png", png(1)),
        ("0001.json", json.dumps({"uid": "first"}).encode()),
        ("0002.json", json.dumps({"uid": 22}).encode()),
        ("0002.txt", b"a caption"),
        ("0002.png", png(2)),
        ("0003.png", png(3)),
        ("0004.json", b"{broken"),
        ("0004.png", png(4)),
    ]
    path = shard(tmp_path / "a.tar", members)
    library.add_from(ShardSource([str(path)], id_field="uid"))
    for name, id_ in (("0001", "first"), ("0002", "22")):
        assert library.search(f"id:{id_}", include_self=True).hits[0].paths == (
            f"{path}/{name}.png",
        )
    with pytest.raises(InputError):
        library.search("id:0003")
    assert len(library) == 4


def test_odd_members_are_passed_over_one_by_one(library: Library, tmp_path: Path) -> None:
    link, device = tarfile.TarInfo("link.png"), tarfile.TarInfo("device.png")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device.type = tarfile.CHRTYPE
    folder = tarfile.TarInfo("folder.png")
    folder.type = tarfile.DIRTYPE
    path = shard(
        tmp_path / "a.tar",
        [
            folder,
            link,
            device,
            ("/absolute.png", png(1)),
            ("../above.png", png(2)),
            ("./good.png", png(3)),
            ("twice.png", png(4)),
            ("twice.png", png(5)),
            ("raw.dng", b"raw"),
            ("notes.txt", b"notes"),
            ("broken.png", png(6)[:90]),
            ("empty.png", b""),
            ("folder/same.png", png(7)),
        ],
    )
    library.add([path])
    found = ledger(library, path)
    assert found["good.png"][0] == found["twice.png"][0] == found["folder/same.png"][0] == "new"
    special = "not a regular file"
    assert found["link.png"][0] == found["device.png"][0] == special
    rows = {row.path: row for row in library.ledger()}
    assert rows[f"{path}//absolute.png"].detail == "its name leads out of the archive"
    assert rows[f"{path}/../above.png"].detail == "its name leads out of the archive"
    assert found["twice.png (again)"][0] == "given twice"
    assert found["raw.dng"][0] == "unsupported"
    assert found["broken.png"][0] == "truncated"
    assert found["empty.png"][0] == "zero bytes"
    assert len(library) == 3
    assert library.record_at(f"{path}/twice.png") is not None
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "library"]


@pytest.mark.parametrize("packed", [False, True])
def test_a_shard_that_is_cut_off_gives_what_is_before(
    library: Library, tmp_path: Path, packed: bool
) -> None:
    whole = shard(tmp_path / "a.tar", pictures(range(6)), "w:gz" if packed else "w")
    data = whole.read_bytes()
    good = shard(tmp_path / "b.tar", pictures([10, 11]))
    library.add([whole, good])
    assert len(library) == 8
    whole.write_bytes(data[: len(data) * 2 // 3])
    library.add([whole, good])
    rows = {row.path: row for row in library.ledger()}
    assert rows[str(whole)].reason == Reason.READ_ERROR
    assert rows[f"{good}/0010.png"].state is State.UNCHANGED
    assert len(library) >= 5, "what lies behind the cut may come back: it is not gone"


@pytest.mark.parametrize("content", [b"", b"no archive at all" * 99, png(1)])
def test_what_is_no_archive_is_one_row_and_the_others_go_on(
    library: Library, tmp_path: Path, content: bytes
) -> None:
    bad = tmp_path / "bad.tar"
    bad.write_bytes(content)
    good = shard(tmp_path / "good.tar", pictures([1]))
    assert counts(library.add([bad, good])) == {"read error": 1, "new": 1}
    row = next(row for row in library.ledger() if row.path == str(bad))
    assert row.detail in ("not a tar archive", "empty file")
    assert counts(library.add([bad, good])) == {"read error": 1, "same size and time": 1}


def test_an_empty_archive_is_told(library: Library, tmp_path: Path) -> None:
    empty = shard(tmp_path / "empty.tar", [])
    with pytest.raises(NothingDoneError, match="no images found"):
        library.add([empty])
    good = shard(tmp_path / "good.tar", pictures([1]))
    assert counts(library.add([empty, good])) == {"an archive without pictures": 1, "new": 1}


def test_a_shard_that_was_emptied_is_not_believed_at_once(library: Library, tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", pictures([1, 2]))
    library.add([path])
    shard(path, [])
    with pytest.raises(NothingDoneError, match="--allow-empty"):
        library.add([path])
    library.add([path], IndexOptions(allow_empty=True))
    assert len(library) == 0


def test_large_members_are_refused_by_their_size(library: Library, tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", [("a.png", png(1)), ("b.png", png(2) + bytes(10**6))])
    report = library.add([path], IndexOptions(limits=Limits(megabytes=0.5)))
    assert counts(report) == {"new": 1, "too many bytes": 1}


def test_packed_pictures_wait_only_up_to_a_bound(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "WAITING_BYTES", 4_000)
    path = shard(tmp_path / "a.tar.gz", pictures(range(40)), "w:gz")
    assert counts(library.add([path])) == {"new": 40}


def test_folders_and_shards_are_indexed_together(
    library: Library, tmp_path: Path, photos: Path
) -> None:
    one = shard(tmp_path / "a.tar", pictures([50, 51]))
    two = shard(tmp_path / "b.tar.gz", pictures([52, 53]), "w:gz")
    assert counts(library.add([one, photos, two])) == {"new": 16}
    (photos / "000.png").unlink()
    shard(one, pictures([50]))
    os.utime(one, ns=(1, 10**18))
    assert counts(library.add([one, photos, two])) == {
        "same size and time": 13,
        "same content": 1,
        "not found": 2,
    }


def test_a_shard_in_a_folder_is_no_picture(library: Library, photos: Path) -> None:
    shard(photos / "a.tar", pictures([50]))
    assert counts(library.add([photos])) == {"new": 12, "not an image's name": 1}


def test_a_folder_that_is_called_like_a_shard_is_a_folder(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "photos.tar"
    folder.mkdir()
    (folder / "1.png").write_bytes(png(1))
    assert counts(library.add([folder])) == {"new": 1}
    assert counts(library.add([folder])) == {"same size and time": 1}
    assert library.search(folder / "1.png", include_self=True).hits[0].distance < 1e-3


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_known_members_are_read_again(library: Library, tmp_path: Path, name: str) -> None:
    path = shard(tmp_path / name, pictures(range(6)), "w:gz" if name.endswith("gz") else "w")
    library.add([path])
    assert library.add_space(ToyEncoder("other")).added == 6
    crop = f"{path}/0002.png[0,0,0.5,0.5]"
    assert library.search(crop).inputs[0].record == library.record_at(f"{path}/0002.png")
    assert library.search(f"{path}/0002.png").inputs[0].record is not None
    why = library.why(f"{path}/0001.png", "id:0002", quick=True)
    assert (why.query.from_thumbnail, why.hit.from_thumbnail) == (None, None)
    assert library.is_original(path)
    path.unlink()
    why = library.why("id:0001", "id:0002", quick=True)
    assert why.query.from_thumbnail is not None


def test_a_shard_that_does_not_exist_makes_no_library(tmp_path: Path, toy: ToyEncoder) -> None:
    library = Library.open(tmp_path / "new", create=True, encoder=toy)
    with pytest.raises(InputError, match="no such file"):
        library.add([tmp_path / "missing.tar"])
    assert not (tmp_path / "new").exists()


def test_a_plan_says_that_it_is_not_of_shards(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", pictures([1]))
    with pytest.raises(InputError, match="a plan is of folders"):
        plan_paths(tmp_path / "library", [path])


def test_places_are_told_apart(tmp_path: Path) -> None:
    assert in_archive("/a/b.tar/c/d.png") == ("/a/b.tar", "c/d.png")
    assert in_archive("/a/b.TAR.GZ/c.tar/d.png") == ("/a/b.TAR.GZ", "c.tar/d.png")
    assert in_archive("/a/b.tar") is in_archive("https://h/b.tar/c.png") is None
    assert in_archive("/a/b.tar/") is None
    assert is_archive("/a/b.tgz")
    assert not is_archive("http://h/b.tar")
    assert absolute("HTTPS://h/../a") == "HTTPS://h/../a"
    assert file_of("/a/b.tar/c.png") == "/a/b.tar"
    assert (file_of("/a/c.png"), file_of("http://h/c.png")) == ("/a/c.png", None)
