"""The benchmarks of searching run with --short; none is left without a test.

Times mean nothing here; that answers are right does.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import test_benchmarks_indexing as indexing
from tests.e2e.test_benchmarks_indexing import BENCHMARKS, short

pytestmark = indexing.pytestmark

PARTS = {
    "changed", "common", "drawn", "duplicates_bursts", "duplicates_child", "duplicates_library",
    "fastdup_child", "index_child", "maps_child", "peers_child", "report",
}  # fmt: skip
"""What the scripts share, what they start, and what writes their results down."""

METRICS = ("correlation", "chi-square", "intersection", "bhattacharyya")


def is_right(figures: dict[str, Any], *, least: float = 0.95) -> None:
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert least <= figures["recall_at_10"] <= 1


def test_meaning_finds_the_nearest_under_any_filter(tmp_path: Path) -> None:
    result = short("meaning", tmp_path)
    assert result["meaning, records"]["approximate"]
    assert result["pca-100, records"]["approximate"]
    for name in ("meaning, records", "pca-100, records"):
        is_right(result[name])
    assert len(result["filters"]) == 4
    for figures in result["filters"].values():
        is_right(figures)
        assert figures["all_k_came_back"]


def test_colour_finds_what_comparing_all_finds(tmp_path: Path) -> None:
    result = short("colour", tmp_path)
    for metric in METRICS:
        assert result[metric]["same_as_all_compared"], metric
        assert result[metric]["opencv_loop_ms_for_all"] > 0


def test_labels_words_and_nothing_are_measured(tmp_path: Path) -> None:
    result = short("categories", tmp_path)
    assert result["words"]["p_at_10"] == 1
    assert result["labels"]["precision"] == 1
    assert result["nothing"]["nonsense_words_not_understood"] == result["nothing"]["nonsense_words"]
    assert set(result["nothing"]["noise"].values()) == {1.0}


def test_parts_find_what_the_whole_does_not(tmp_path: Path) -> None:
    result = short("parts", tmp_path)
    used = result["used"]
    found = result["reported"]["three"]
    whole = found["whole alone"]["0.5"]["recall"]
    assert found[used["grid"]][f"{used['threshold']:.1f}"]["recall"] >= whole


def test_a_batch_gives_the_same_hits(tmp_path: Path) -> None:
    result = short("batch", tmp_path)
    assert result["same_hits"]
    assert result["batches_of_256"]["times_one_by_one"] > 0


def test_the_command_is_timed_cold_and_warm(tmp_path: Path) -> None:
    result = short("command", tmp_path)
    assert result["cold"]["p50_ms"] > result["cold"]["imports_alone_p50_ms"] / 2 > 0
    assert set(result["warm"]) == {
        "new picture, meaning", "new picture, mix", "three pictures that all count",
        "sheet, PNG", "sheet, HTML",
    }  # fmt: skip


def test_growth_measures_each_size(tmp_path: Path) -> None:
    result = short("growth", tmp_path)
    assert list(result["sizes"]) == ["1000", "2000"]
    for figures in result["sizes"].values():
        is_right(figures)
        assert figures["codes_seconds"] > 0


@pytest.mark.long
def test_the_graph_has_the_nearest(tmp_path: Path) -> None:
    result = short("graph", tmp_path)
    assert set(result["recall"]) == {"build", "update", "rebuild"}
    assert min(result["recall"].values()) >= 0.95


@pytest.mark.long
def test_peers_that_are_not_installed_are_said_to_be_missing(tmp_path: Path) -> None:
    result = short("peers", tmp_path)
    is_right(result["vectors"]["lookalike"])
    assert result["vectors"]["rabitq"] == {"missing": "faiss"}
    numba = result["colour"]["inverted, numba"]
    installed = importlib.util.find_spec("numba") is not None  # as the clusters of maps want it
    assert (numba != {"missing": "numba"}) == installed
    assert set(result["colour"]["lookalike"]["metrics"]) == set(METRICS)


def test_changed_copies_are_found_and_nothing_else(tmp_path: Path) -> None:
    result = short("duplicates", tmp_path)
    assert result["photos"] == 6
    assert result["files"] == 6 * 14
    assert result["peers"] == {"missing": "imagededup"}
    found = result["changes"]["lookalike"]
    assert len(found) == 13
    for change in ("re-encoded, quality 30", "resized to 50 %", "flipped"):
        assert found[change]["recall"]["share"] == 1, change
    assert result["all pairs"]["lookalike"]["precision"]["share"] > 0.9
    called = result["bursts"]["called burst"]
    assert called["one scene, seconds apart"]["share"] > 0.3  # toys; real photos are in the result
    assert called["one scene, hours apart"]["share"] == 0
    assert result["full"]["records"] == 120
    planted = [own for own in result["full"]["planted"].values() if own["of"]]
    many = sum(own["of"] for own in planted)
    assert many == 24
    assert sum(own["share"] * own["of"] for own in planted) >= 0.8 * many


@pytest.mark.long
def test_marks_of_why_tell_more_than_chance(tmp_path: Path) -> None:
    result = short("why", tmp_path)
    assert set(result["ways"]) == {"default", "hiding alone", "quick"}
    for own in result["ways"].values():
        assert 0 < own["area"] <= 0.2
        assert own["fills"]["blur"]["times"] > 1
    assert result["command"]["PNG"]["p50_ms"] > result["command"]["PNG"]["cpu_p50_ms"] / 2 > 0


@pytest.mark.long
def test_choosing_compares_methods_weights_bins_and_changes(tmp_path: Path) -> None:
    result = short("choosing", tmp_path)
    assert (result["photos"]["records"], result["photos"]["labels"]) == (120, 6)
    assert (result["tinted"]["records"], result["tinted"]["labels"]) == (36, 12)
    for row in result["photos"]["methods"]:  # classes differ in colour
        assert row["precision"]["mean"] > 0.9, row["name"]
    halves = [
        f"{name}, {use} on" for name in ("photos", "tinted") for use in ("chosen", "reported")
    ]
    for half in halves:
        mixed = result["mix"][half]
        assert mixed["records"] == {"photos": 60, "tinted": 18}[half.partition(",")[0]]
        assert mixed["weights"].keys() >= {"0.1", "0.5"}
    trials = result["colours"]["trials"]
    plain = [trial for trial in trials if trial["colouring"] == "16 bins"]
    assert (len(trials), len(plain)) == (4, 2)
    assert all(trial["found_again"]["mirrored"] == 1 for trial in plain)
    assert len(result["found_again"]) == 9


@pytest.mark.long
def test_maps_keep_neighbours_and_place_what_is_new(tmp_path: Path) -> None:
    result = short("maps", tmp_path)
    assert result["purity_of_space"] > 0.9
    for figures in result["layouts"].values():
        assert figures["purity"] > 0.9
    assert result["layouts"]["tsne 2-D"]["repeats"]
    assert all(one["purity_of_placed"] > 0.8 for one in result["placed"][:2])
    assert result["large"]["repeats"]
    assert result["large"]["placing"]["records"] == 12


@pytest.mark.long
def test_clusters_follow_folders_of_plain_colours(tmp_path: Path) -> None:
    result = short("clusters", tmp_path)
    for method in ("kmeans", "dbscan", "agglomerative"):
        assert result["folders"][method]["nmi"] > 0.5
        assert result["folders"][method]["parameters"]["clusters"] >= 2
        assert result["full"][method]["repeats"]


@pytest.mark.long
def test_every_export_of_a_map_is_timed_and_weighed(tmp_path: Path) -> None:
    result = short("map_exports", tmp_path)
    assert result["records"] == 120
    assert len(result["forms"]) == 11
    for figures in result["forms"].values():
        assert min(figures[name] for name in ("seconds", "peak_mb", "bytes")) > 0


@pytest.mark.long
def test_every_export_is_timed_and_what_comes_in_again_gives_the_same_answers(
    tmp_path: Path,
) -> None:
    result = short("exchange", tmp_path)
    assert result["records"] == 120
    forms = result["forms"]
    assert len(forms) == 7
    for form in forms.values():
        for figures in (form["export"], form.get("import", form["export"])):
            assert min(figures[name] for name in ("seconds", "peak_mb")) > 0
    imported = [form["import"] for form in forms.values() if "import" in form]
    assert [own["records"] for own in imported] == [120] * 5
    assert {own["equal_answers"] for own in imported} == {"20 of 20"}


def test_side_tables_are_added_and_asked(tmp_path: Path) -> None:
    result = short("side_tables", tmp_path)
    assert (result["records"], result["rows"]) == (120, 20_000)
    assert len(result["statements"]) == 3
    assert [one["records"] > 0 for one in result["conditions"]].count(True) >= 4


@pytest.mark.long
def test_the_join_gives_the_same_on_three_engines(tmp_path: Path) -> None:
    result = short("join", tmp_path)
    assert result["equal"]
    assert list(result["statements"]) == ["SQLite", "PostgreSQL", "ClickHouse"]
    for asked in result["statements"].values():
        assert all(one["p50_ms"] > 0 for one in asked.values())


@pytest.mark.long
def test_libraries_on_servers_find_what_a_folder_finds(tmp_path: Path) -> None:
    result = short("servers", tmp_path)
    assert {name: own["push_seconds"] > 0 for name, own in result["filled"].items()} == {
        "PostgreSQL": True,
        "ClickHouse": True,
    }
    for engine in result["searches"]["by meaning, exact"].values():
        assert engine["recall"] == 1.0


@pytest.mark.long
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium: no page is looked at")
def test_the_page_of_a_map_is_timed(tmp_path: Path) -> None:
    (own,) = short("viewer", tmp_path)["maps"]
    assert own["rows"] == 5_000
    assert 0 < own["seconds_to_first_picture"]["median"] < 30
    assert own["with_thumbnails"]["thumbnails"] > 0


def test_no_benchmark_is_left_without_a_test() -> None:
    tests = "".join(Path(path).read_text() for path in (__file__, indexing.__file__))
    scripts = {path.stem for path in BENCHMARKS.glob("*.py")} - PARTS
    assert len(scripts) >= 14
    assert {name for name in scripts if f'short("{name}"' not in tests} == set()


def test_the_page_of_figures_is_what_the_results_say() -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "report.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
