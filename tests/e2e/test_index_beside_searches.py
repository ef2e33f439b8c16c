"""A library that lacks its index gets it beside the searches that go without."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from lookalike import Library
from lookalike.indexes import compact
from lookalike.query import tables

from .gallery import crops


def test_the_second_search_makes_the_index_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, data in crops(300):
        (photos / name).write_bytes(data)
    for module in (compact, tables):
        monkeypatch.setattr(module, "LEAST_ROWS", 200)
    with Library.open(tmp_path / "library", create=True) as library:
        library.add([photos])
        shutil.rmtree(tmp_path / "library" / "derived")
        first = library.search([library.random_record(1)])
        library.search([library.random_record(2)])
        for thread in threading.enumerate():
            if "_make_index" in thread.name:
                thread.join(60)
        assert (tmp_path / "library" / "derived" / "compact").is_dir()
        assert (tmp_path / "library" / "derived" / "categories").is_dir()
        assert library.search([library.random_record(1)]).hits == first.hits
