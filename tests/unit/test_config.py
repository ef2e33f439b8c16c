"""Where defaults come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike import Library
from lookalike.config import IndexOptions, default_library


def test_the_default_library_is_the_one_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LOOKALIKE_LIBRARY", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert Path(default_library()) == tmp_path / ".local" / "share" / "lookalike"
    monkeypatch.setenv("XDG_DATA_HOME", "")
    assert Path(default_library()) == tmp_path / ".local" / "share" / "lookalike"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert Path(default_library()) == Path("/data/lookalike")
    monkeypatch.setenv("LOOKALIKE_LIBRARY", "/pictures")
    assert Path(default_library()) == Path("/pictures")
    monkeypatch.setenv("LOOKALIKE_LIBRARY", "")
    assert Path(default_library()) == Path("/data/lookalike")


def test_a_library_is_opened_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOOKALIKE_LIBRARY", "~/mine")
    assert Library.open(create=True).folder == tmp_path / "mine"


def test_there_is_at_least_one_decoding_thread() -> None:
    assert IndexOptions().threads >= 1
    assert IndexOptions(workers=7).threads == 7
