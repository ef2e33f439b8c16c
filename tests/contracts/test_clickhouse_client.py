"""A part of the contract of stores through ClickHouse's own client, over HTTP.

The whole contract runs on the same engine in this process (``test_stores``); here it is what goes
over the wire: values of all kinds there and back, errors, removals, streams, side tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lookalike.stores import Store
from tests.clickhouse_server import open_clickhouse
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

pytestmark = pytest.mark.long


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
