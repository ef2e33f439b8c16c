"""ClickHouse's own client over HTTP: a library is pushed and searched, credentials are wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike import Library
from lookalike.errors import InputError, LibraryError
from tests.clickhouse_server import PASSWORD, clickhouse_library, stand_in
from tests.conftest import ToyEncoder


def test_a_library_is_pushed_and_searched_over_http(filled: Library, tmp_path: Path) -> None:
    address = clickhouse_library(tmp_path / "library")
    assert filled.push(address).verified
    query = sorted(filled.matching("width > 0"), key=str)[3]
    with Library.open(address, encoder=ToyEncoder()) as there:
        own, other = filled.search(query), there.search(query)
        assert [hit.id for hit in own.hits] == [hit.id for hit in other.hits]
        assert there.status().checks == []
        with pytest.raises(InputError, match="statement:"):
            there.sql("SELECT nothing FROM images")
        rows = there.sql("SELECT count(*) FROM images").rows
        assert list(rows) == [(12,)]


def test_credentials_are_sent_and_asked_for(filled: Library, tmp_path: Path) -> None:
    address = clickhouse_library(tmp_path / "library")
    filled.push(address)
    assert all("Authorization" in headers for _, headers in stand_in().seen)
    assert not any(PASSWORD in path for path, _ in stand_in().seen)
    wrong = stand_in().address("anything", password="wr0ng-pass")
    with pytest.raises(LibraryError, match="Authentication failed") as refused:
        Library.open(wrong)
    assert "wr0ng-pass" not in str(refused.value)
    assert "\n" not in str(refused.value)
