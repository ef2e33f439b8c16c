"""A part of the contract of stores through ClickHouse's own client, over HTTP.

The whole contract runs on the same engine in this process (``test_stores``); here it is what goes
over the wire: values of all kinds there and back, errors, removals, streams, side tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lookalike import Library
from lookalike.errors import InputError, LibraryError
from lookalike.stores import Store
from tests.clickhouse_server import PASSWORD, clickhouse_library, open_clickhouse, stand_in
from tests.conftest import ToyEncoder
from tests.contracts.test_stores import (  # noqa: F401 (tests and fixtures)
    Open,
    folder,
    store,
    test_a_gone_file_hides_its_record_until_it_is_back,
    test_a_name_that_is_no_text_keeps_its_bytes,
    test_a_record_comes_back_as_it_was_put,
    test_a_second_writer_is_refused_and_a_reader_is_not,
    test_a_side_table_is_there_for_all_after_it_was_put,
    test_delete_forgets_files_that_are_gone_and_records_without_files,
    test_labels_are_kept_by_source_and_replaced_or_added_to,
    test_parts_are_kept_by_record,
    test_there_is_nothing_to_read_where_nothing_was_written,
    test_vectors_and_histograms_come_back_by_id,
)


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Open]:
    """Opens the library that belongs to ``tmp_path``, over HTTP."""
    opened: list[Store] = []

    def open_one(*, write: bool = False) -> Store:
        opened.append(open_clickhouse(tmp_path / "library", write=write))
        return opened[-1]

    yield open_one
    for one in reversed(opened):
        one.close()


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
