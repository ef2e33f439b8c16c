"""Labels from folders and CSV files, and what is said of files that cannot be used."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from lookalike.errors import InputError
from lookalike.evaluate.labels import FOLDERS, labels_of, read_csv
from lookalike.types import LedgerRow, State

A, B = uuid4(), uuid4()


def seen(path: str, record: UUID | None, state: State = State.INDEXED) -> LedgerRow:
    return LedgerRow(path, state, "new", "", 1, 1, record)


def test_a_folder_s_name_is_the_label_and_two_folders_are_two_labels() -> None:
    rows = [seen("/p/cat/1.jpg", A), seen("/p/pet/copy.jpg", A), seen("/p/dog/1.jpg", B)]
    labels = labels_of(FOLDERS, rows)
    assert labels.of == {A: {"cat", "pet"}, B: {"dog"}}
    assert labels.counts == {"cat": 1, "dog": 1, "pet": 1}


def test_files_that_are_gone_or_unreadable_have_no_label() -> None:
    rows = [
        seen("/p/cat/1.jpg", A),
        seen("/p/old/1.jpg", B, State.GONE),
        seen("/p/bad/1.jpg", None, State.UNREADABLE),
    ]
    assert labels_of(FOLDERS, rows).of == {A: {"cat"}}


def test_relative_paths_start_at_the_csv_and_lines_add_up(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(
        f"\ufeffLabel,note,PATH\ncat,x,in/1.jpg\npet,,./in/../in/1.jpg\n\ndog,,{tmp_path}/2.jpg\n",
        encoding="utf-8",
    )
    rows = [seen(str(tmp_path / "in" / "1.jpg"), A), seen(str(tmp_path / "2.jpg"), B)]
    labels = labels_of(file, rows)
    assert labels.of == {A: {"cat", "pet"}, B: {"dog"}}
    assert labels.unknown == ()


def test_unknown_paths_are_told_once_each(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("path,label\n1.jpg,cat\nno.jpg,cat\nno.jpg,pet\n")
    labels = labels_of(file, [seen(str(tmp_path / "1.jpg"), A)])
    assert labels.unknown == (str(tmp_path / "no.jpg"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"no column path and no column label in its first line \(empty\)"),
        ("file,label\n1.jpg,cat\n", r"no column path in its first line \(file, label\)"),
        ("path;label\n1.jpg;cat\n", r"it needs: path,label"),
        ("path,label\n1.jpg,\n", r"entry 2 has no label"),
        ("path,label\n,cat\n", r"entry 2 has no path"),
        ("path,label\n", r"no labels below the header"),
        ("path,label\nno.jpg,cat\n", r"none of its 1 paths is a picture"),
        ("path,label\n\0\n", r"not a CSV file|has no label"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(
    text: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        labels_of(file, [seen(str(tmp_path / "1.jpg"), A)])
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(No such file.*or: folders"):
        list(read_csv(str(tmp_path / "no.csv")))


def test_an_empty_library_has_no_labels() -> None:
    with pytest.raises(InputError, match="no picture"):
        labels_of(FOLDERS, [])
