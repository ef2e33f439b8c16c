"""Maps and side tables: colourings by columns, keywords for clusters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lookalike import Library
from lookalike.errors import InputError
from lookalike.maps.colourings import COLOURINGS
from lookalike.maps.side import KEYWORDS_KEPT, keywords, title
from lookalike.side_tables import TableOptions
from lookalike.stores import SqliteStore
from lookalike.types import id_array
from tests.conftest import KEYWORDS, SOLD


def test_columns_that_part_pictures_are_colourings(sold: Library, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "name,at,odd name,kind\n" + "".join(f"{n:03d}.png,time {n},x,k{n % 2}\n" for n in range(12))
    )
    sold.add_table("t", [tmp_path / "t.csv"], TableOptions("name"))
    side = [name for name in sold.colourings() if "." in name]
    assert side == ["conversions.keyword", "conversions.country", "conversions.n", "t.kind"]
    assert title("t.kind", COLOURINGS) == "t: kind"
    assert title("folder", COLOURINGS) == "Folder"


def test_rows_are_grouped_by_what_they_have_most_often(sold: Library) -> None:
    records = sold.get(sold.matching("width > 0"))
    names = [Path(record.paths[0]).stem for record in records if record]
    ids = id_array(record.id for record in records if record)
    found = sold.colouring("conversions.keyword", ids)
    assert found.kind == "groups"
    assert found.legend == (("bee", len(SOLD)),)
    assert [place for place, name in zip(found.of.tolist(), names, strict=True)
            if name not in SOLD] == [-1]  # fmt: skip
    country = sold.colouring("conversions.country", ids)
    assert dict(country.legend)["DE"] == sum(count % 2 == 0 for count in SOLD.values())  # ties: DE


def test_numbers_are_a_scale_of_their_means(sold: Library) -> None:
    records = sold.get(sold.matching("width > 0"))
    ids = id_array(record.id for record in records if record)
    found = sold.colouring("conversions.n", ids)
    assert found.kind == "ordered"
    assert sum(count for _, count in found.legend) == len(SOLD) == int((found.of >= 0).sum())
    means = {name: (count - 1) / 2 for name, count in SOLD.items()}
    names = [Path(record.paths[0]).stem for record in records if record]
    steps = {name: step for name, step in zip(names, found.of.tolist(), strict=True) if step >= 0}
    order = sorted(steps, key=lambda name: means[name])
    assert [steps[name] for name in order] == sorted(steps.values())
    assert np.bincount(found.of[found.of >= 0]).tolist() == [count for _, count in found.legend]


def test_what_is_no_column_is_refused(sold: Library) -> None:
    ids = id_array(sold.matching("width > 0"))
    for name in ("conversions.keywrd", "convs.keyword", "conversions.", ".x", 'conversions."n"'):
        with pytest.raises(InputError, match="no column of a side table"):
            sold.colouring(name, ids)


def test_keywords_are_the_most_frequent_of_each_picture(sold: Library) -> None:
    store = SqliteStore(sold.folder)
    found = keywords(store)
    store.close()
    (id_,) = sold.matching("name = '003.png'")
    assert found[id_] == ["bee", "bees", "bumblebee", "honey", "honey bee"]
    assert len(found) == len(SOLD)
    assert max(map(len, found.values())) == KEYWORDS_KEPT < len(KEYWORDS)
