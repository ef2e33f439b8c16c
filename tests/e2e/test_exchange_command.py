"""Export and import as commands: there and back, loaded by others, killed, on a full disk."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lookalike.types import as_text

from .command import Answer, Command
from .conftest import Disk
from .contents import contents
from .hub import TOKEN, stand_in


@pytest.fixture(scope="module")
def whole(indexed: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of the gallery's library in one file."""
    path = tmp_path_factory.mktemp("whole") / "whole.parquet"
    indexed("export", "parquet", path, "--whole").done().said_nothing_odd()
    return path


def refused(answer: Answer, said: str, status: int = 2) -> None:
    answer.refused(status, said)


# -- there and back --------------------------------------------------------------------------------


def test_another_library_gives_the_same_answers(
    indexed: Command, whole: Path, command: Command
) -> None:
    answer = command("import", whole).done()
    answer.said_nothing_odd()
    ours, theirs = contents(indexed.library), contents(command.library)
    live = {id_ for id_, row in ours.facts.items() if row[-1]}
    assert theirs.vectors == ours.vectors
    assert theirs.histograms == ours.histograms
    assert theirs.facts == {id_: row for id_, row in ours.facts.items() if id_ in live}
    assert theirs.thumbnails == {k: v for k, v in ours.thumbnails.items() if k in live}
    assert theirs.logits == {k: v for k, v in ours.logits.items() if k in live}
    paths = [row["path"] for row in indexed.ledger().values() if row["state"] == "indexed"]
    for path in paths[:3]:
        for options in ([], ["--by", "mix"], ["--by", "colour"], ["--by", "pca", "--dims", "5"]):
            one, other = (
                lib("search", path, "-k", "7", "--json", *options).done().text
                for lib in (indexed, command)
            )
            assert as_written(json.loads(one)) == json.loads(other)
    for words in ("cat", "coffee"):
        one, other = (lib("search", words, "--json").text for lib in (indexed, command))
        assert one == other


def as_written(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with paths as UTF-8 can hold them: other bytes of names become escapes."""
    for hit in answer["hits"]:
        hit["paths"] = [as_text(path) for path in hit["paths"]]
    return answer


def test_the_same_again_adds_nothing_and_says_so(whole: Path, command: Command) -> None:
    first = json.loads(command("import", whole, "--json").done().text)
    assert first["added"] > 20
    before = contents(command.library)
    again = json.loads(command("import", whole, "--json").done().text)
    assert (again["added"], again["known"]) == (0, first["added"])
    assert contents(command.library) == before


def test_a_killed_import_is_continued(
    indexed: Command, command: Command, tmp_path: Path, whole: Path
) -> None:
    command("import", whole).done()
    expected = contents(command.library)
    shutil.rmtree(command.library)
    killed = 0
    for tenths in range(1, 30):
        running = command.start("import", whole)
        time.sleep(tenths / 10)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        killed += running.returncode == -signal.SIGKILL
        if running.returncode == 0:
            break
    command("import", whole).done()
    assert killed >= 2
    assert contents(command.library) == expected


def test_on_a_full_disk_an_export_leaves_nothing(indexed: Command, disk: Disk) -> None:
    out = disk.folder / "whole.parquet"
    stuffing = disk.fill()
    refused(indexed("export", "parquet", out, "--whole"), "the export cannot be written (", 1)
    refused(indexed("export", "parquet", disk.folder / "set", "--whole"), "cannot be written", 1)
    assert list(disk.folder.iterdir()) == [stuffing]


def test_on_a_full_disk_an_import_is_one_line(whole: Path, disk: Disk) -> None:
    command = Command(disk.folder / "library")
    with open(disk.folder / "half", "wb") as file:
        file.write(bytes(1_600_000))
    refused(command("import", whole), "the disk is full", 1)
    disk.resize(60)
    command("import", whole).done()
    assert len(contents(command.library).vectors) > 20


def test_clip_retrieval_and_photos_are_taken_in_by_a_process_of_their_own(
    indexed: Command, command: Command, tmp_path: Path
) -> None:
    for form in ("clip-retrieval", "photos"):
        out = tmp_path / form
        indexed("export", form, out).done()
        own = ("--encoder", "efficientnet-lite0", "--library", tmp_path / f"{form}.library")
        report = command("import", out, *own, "--json").done().json()
        assert report["added"] > 20


# -- loaded by others ------------------------------------------------------------------------------

LOAD = """
import json, socket, sys
def refuse(*arguments, **options): raise OSError("the network was asked for")
for name in ("connect", "connect_ex", "sendto"): setattr(socket.socket, name, refuse)
import datasets
datasets.disable_progress_bars()
path = sys.argv[1]
options = {"data_files": path} if path.endswith(".parquet") else {}
rows = datasets.load_dataset("parquet" if options else path, split="train", **options)
first = rows[0]
print(json.dumps({
    "rows": len(rows),
    "features": {name: repr(kind) for name, kind in rows.features.items()},
    "first": {key: value for key, value in first.items() if key != "thumbnail"},
    "picture": list(first["thumbnail"].size) if "thumbnail" in first else None,
}))
"""


def loaded(command: Command, path: Path) -> dict[str, object]:
    """What Hugging Face's datasets makes of a file or folder, in a process without a network."""
    pytest.importorskip("datasets", reason="datasets is not installed: nothing can be loaded by it")
    home = command.environment(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    source = f"import os; os.environ.update({home!r})\n{LOAD}"
    found: dict[str, object] = json.loads(command.script(source, path).done().text)
    return found


def test_datasets_loads_a_file_with_pictures(whole: Path, indexed: Command) -> None:
    found = loaded(indexed, whole)
    features = found["features"]
    assert isinstance(features, dict)
    assert features["embedding"] == "List(Value('float32'), length=1280)"
    assert features["thumbnail"].startswith("Image(")
    assert features["labels"] == "List(Value('string'))"
    assert features["phash"] == "Value('uint64')"
    row = pq.read_table(whole).slice(0, 1).to_pylist()[0]
    assert found["picture"] is not None
    assert found["first"] == {key: value for key, value in row.items() if key != "thumbnail"}
    assert found["rows"] == pq.read_metadata(whole).num_rows


def test_datasets_loads_a_folder_in_parts_by_its_card(indexed: Command, tmp_path: Path) -> None:
    indexed("export", "parquet", tmp_path / "set", "--half", "--rows-per-file", "10").done()
    found = loaded(indexed, tmp_path / "set")
    assert len(list((tmp_path / "set" / "data").iterdir())) > 2
    parts = (tmp_path / "set" / "data").iterdir()
    assert found["rows"] == sum(pq.read_metadata(part).num_rows for part in parts)


def test_datasets_loads_photos(indexed: Command, tmp_path: Path) -> None:
    indexed("export", "photos", tmp_path / "out").done()
    found = loaded(indexed, tmp_path / "out" / "photos.parquet")
    assert found["features"] == {
        "id": "Value('int64')",
        "photo_id": "Value('string')",
        "photo_image_url": "Value('string')",
        "photo_embed": "List(Value('float64'))",
    }


# -- the Hub: a stand-in on loopback, never the real one -------------------------------------------


@pytest.fixture
def online(indexed: Command) -> dict[str, str]:
    """What sends the Hub's client to the stand-in; the address is added by each test."""
    pytest.importorskip("huggingface_hub", reason="the Hub's client is not installed")
    return indexed.environment(HF_TOKEN=TOKEN, HF_HUB_DISABLE_XET="1")


def test_a_data_set_is_pushed_whole(
    indexed: Command, online: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "set"
    with stand_in() as hub:
        answer = indexed(
            "export", "parquet", out, "--push-to-hub", "me/pictures", "--private",
            env={**online, "HF_ENDPOINT": hub.address},
        ).done()  # fmt: skip
    answer.said_nothing_odd()
    assert TOKEN not in answer.err.decode() + answer.text
    assert hub.repositories == {"me/pictures": True}
    files = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.*")}
    assert hub.files == files
    assert {"README.md", "data/train-00000-of-00001.parquet"} == set(files)
    kept = b"".join(path.read_bytes() for path in indexed.library.rglob("*") if path.is_file())
    assert TOKEN.encode() not in kept + b"".join(files.values())


@pytest.mark.parametrize(
    ("token", "status", "said"),
    [("hf_another", None, "hf auth login"), (TOKEN, 403, "hf auth login"), (TOKEN, 400, "again")],
)
def test_a_hub_that_refuses_is_one_line_and_the_folder_stays(
    indexed: Command, online: dict[str, str], tmp_path: Path, token: str, status: int, said: str
) -> None:
    with stand_in() as hub:
        hub.refused = status
        answer = indexed(
            "export", "parquet", tmp_path / "set", "--push-to-hub", "me/pictures",
            env={**online, "HF_TOKEN": token, "HF_ENDPOINT": hub.address},
        )  # fmt: skip
    answer.said_nothing_odd()
    assert answer.status == 1
    assert said in answer.talk[-1]
    assert token not in answer.err.decode()
    assert (tmp_path / "set" / "README.md").exists()
    assert not hub.files


def test_a_hub_that_is_not_there_is_one_line(
    indexed: Command, online: dict[str, str], tmp_path: Path
) -> None:
    with stand_in() as hub:
        gone = hub.address
    answer = indexed(
        "export", "parquet", tmp_path / "set", "--push-to-hub", "me/pictures",
        env={**online, "HF_ENDPOINT": gone},
    )  # fmt: skip
    answer.said_nothing_odd()
    assert answer.status == 1
    assert "not uploaded" in answer.talk[-1]


# -- what the command refuses ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["csv", "a.csv", "--thumbnails"], "--thumbnails: is not for csv, but for parquet"),
        (["npy", "a", "--whole"], "--whole: is not for npy"),
        (["parquet", "a.parquet", "--licence", "mit"], "--licence: is for a folder"),
        (["parquet", "a.parquet", "--push-to-hub", "me/a"], "--push-to-hub: is for a folder"),
        (["parquet", "a", "--push-to-hub", "a"], "write NAMESPACE/NAME"),
        (["parquet", "a", "--private"], "--private: goes with --push-to-hub"),
        (["parquet", "a", "--where", "width >"], "ends too early"),
        (["parquet", "a", "--space", "none"], "space 'none': this library has"),
        (["parquet", "no/such/folder/a.parquet"], "cannot be written"),
        (["xlsx", "a"], "invalid choice"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_exported_is_refused(
    indexed: Command, tmp_path: Path, arguments: list[str], said: str
) -> None:
    answer = indexed("export", *arguments, cwd=tmp_path)
    refused(answer, said, answer.status)
    assert answer.status in (1, 2)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_makes_no_library(whole: Path, command: Command, tmp_path: Path) -> None:
    data = whole.read_bytes()
    (tmp_path / "cut.parquet").write_bytes(data[: len(data) // 2])
    refused(command("import", tmp_path / "cut.parquet"), "is no sound Parquet file")
    changed = bytearray(data)
    changed[len(data) // 3] ^= 255  # among the vectors or pictures: the page's checksum tells
    (tmp_path / "changed.parquet").write_bytes(changed)
    refused(command("import", tmp_path / "changed.parquet"), "is no sound Parquet file")
    refused(command("import", tmp_path / "none.parquet"), "no such file")
    assert not command.library.exists()


def test_photos_of_another_program_are_searched_by_their_ids(
    command: Command, tmp_path: Path
) -> None:
    vectors = np.eye(512)[:5] * 0.8 + np.eye(512)[5:10] * 0.6
    table = pa.table({
        "id": range(5),
        "photo_id": list("abcde"),
        "photo_image_url": [f"https://images.example/{name}" for name in "abcde"],
        "photo_embed": [row.tolist() for row in vectors],
    })  # fmt: skip
    pq.write_table(table, tmp_path / "photos.parquet")
    refused(command("import", tmp_path / "photos.parquet"), "add --encoder, like clip-vit-b32")
    command(
        "import", tmp_path / "photos.parquet", "--encoder", "clip-vit-b32",
        "--weights-digest", "ab" * 32,
    ).done()  # fmt: skip
    hits = json.loads(command("search", "id:a", "--json").done().text)["hits"]
    assert len(hits) == 4
    refused(command("search", "id:a", "--by", "colour"), "no picture here has colours")
    refused(command("why", "id:a", "id:b"), "was imported as a vector alone")
    command("label", "id:a", "--as", "first").done()
    assert not command("duplicates").done().err.count(b"Traceback")
    command("doctor").done().said_nothing_odd()
