"""The benchmarks of indexing run: each with --short, as a process, and what it says is plausible.

Their figures mean nothing here; that nothing is lost and all is there does.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RESULTS = BENCHMARKS / "results"

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory is read from /proc"
)


def short(name: str, home: Path) -> Any:
    """What a script prints last, once it is sure that it left no result behind."""
    before = {path: path.stat().st_mtime_ns for path in RESULTS.iterdir()}
    done = subprocess.run(
        [sys.executable, BENCHMARKS / f"{name}.py", "--short"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HOME": str(home)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in RESULTS.iterdir()} == before
    result = json.loads(done.stdout.splitlines()[-1])
    assert {"taken", "commit", "cpu", "cores", "load_before"} <= result["provenance"].keys()
    return result


def test_a_full_run_that_is_killed_loses_nothing_and_ends_complete(tmp_path: Path) -> None:
    result = short("full", tmp_path)

    killed, ended, again = result["parts"]
    assert (killed["killed"], killed["records_lost"]) == (True, 0)
    assert 16 <= killed["records_before_kill"] <= killed["records_after_kill"] <= 40
    assert ended["status"] == again["status"] == 0
    assert {"scan", "read", "commit", "index"} <= ended["stages"].keys()
    assert "commit" not in again["stages"]  # nothing was read
    assert result["plan"]["images"] == result["files_walked"] == 40
    total, library = result["total"], result["library"]
    assert total["seconds"] == pytest.approx(killed["seconds"] + ended["seconds"], abs=0.1)
    assert total["interrupted_parts"] == total["records_lost_by_kill"] == 0
    assert total["peak_bytes"] > total["peak_anon_bytes"] > 10e6
    assert library["complete"]
    assert sum(library["ledger"].values()) == library["records"] == 40
    size = library["bytes"]
    assert size["vectors"] > 40 * 1280 * 2
    assert size["without_thumbnails"] == size["total"] - size["thumbnails"] > size["vectors"]


def test_indexing_is_held_against_its_bound(tmp_path: Path) -> None:
    result = short("indexing", tmp_path)

    assert (result["pictures"], result["lookalike"]["records"]) == (48, 48)
    assert result["runtime"]
    for name in ("lookalike", "decode and infer", "infer"):
        assert result[name]["images_per_second"] > 0
        assert result[name]["cpu_ms_per_image"] > 0
    assert result["lookalike"]["peak_bytes"] > 10e6
    assert result["lookalike"]["stage_read_seconds"] < result["lookalike"]["seconds"]
    assert set(result["ratio"]) == {"lookalike to decode and infer", "lookalike to infer"}


def test_large_jpegs_at_a_reduced_scale_have_nearly_the_features_of_the_full_ones(
    tmp_path: Path,
) -> None:
    result = short("jpeg", tmp_path)

    kinds = [(row["quality"], row["progressive"]) for row in result["jpegs"]]
    assert kinds == [(85, False), (85, True), (95, False), (95, True)]
    for row in result["jpegs"]:
        assert row["full_ms"] > 0
        assert min(row["reduced_ms"], row["analyse_ms"], row["full_to_reduced"]) > 0
        assert 0.98 < row["vector_cosine"]["worst"] <= row["vector_cosine"]["mean"] <= 1.0001
        distance = row["histogram_bhattacharyya"]
        assert 0 <= distance["mean"] <= distance["worst"] < 0.2
        assert 0 <= row["phash_bits"]["mean"] <= row["phash_bits"]["worst"] <= 8


@pytest.mark.long
def test_encoders_are_measured_by_each_runtime(tmp_path: Path) -> None:
    result = short("encoders", tmp_path)

    rows = result["encoders"]
    assert {row["encoder"] for row in rows} == {"dinov2-small"}
    assert [row["runtime"].split()[0] for row in rows] == ["ONNX", "OpenVINO"]
    for row in rows:
        assert row["pictures_per_second"] > 0
        assert row["load_seconds"] > 0
        assert row["words_per_second"] is None
        assert row["peak_bytes"] > 50e6


def test_precision_is_perfect_where_classes_differ_in_colour(tmp_path: Path) -> None:
    result = short("precision", tmp_path)

    assert (result["index"]["records"], result["classes"], result["queries"]) == (52, 4, 12)
    by_colour = [row["p_at_5"] for row in result["methods"] if row["by"] == "colour"]
    assert by_colour == [1.0] * 4
    assert {row["by"] for row in result["methods"]} == {"meaning", "pca", "colour", "mix"}


def test_the_raster_of_a_small_picture_is_the_picture(tmp_path: Path) -> None:
    result = short("raster", tmp_path)

    assert result["as they are"]["intersection_mean"] == 1.0
    assert 0.9 < result["enlarged fourfold"]["intersection_mean"] <= 1.0


def test_every_step_has_a_cost(tmp_path: Path) -> None:
    result = short("speed", tmp_path)

    assert all(ms > 0 for ms in result["milliseconds_per_image_one_thread"].values())
    assert result["whole"]["records"] == 40
    assert all(found["p50_ms"] > 0 for found in result["whole"]["search"].values())


def test_generated_files_are_distinct_and_the_same_each_time(tmp_path: Path) -> None:
    result = short("generate", tmp_path)

    assert (result["files"], result["distinct"], result["repeatable"]) == (20, 20, True)


def test_generated_vectors_are_compared_with_real_ones(tmp_path: Path) -> None:
    result = short("vectors", tmp_path)

    assert (result["vectors"], result["dim"]) == (1700, 1280)
    assert len(result["growth"]["generated"]) == 4
    assert all(0 <= table["ks"] <= 1 for table in result["distance"].values())


def test_downloads_come_whole_and_are_asked_for_once(tmp_path: Path) -> None:
    result = short("downloads", tmp_path)

    assert [row["latency_ms"] for row in result["downloads"]] == [0, 100]
    for row in result["downloads"]:
        assert row["a_second"] > 0
        assert row["megabytes"] == pytest.approx(24 * result["mean_bytes"] / 1e6)
    for latency in (0, 100):
        first, second = (result[f"index, {latency} ms"][name] for name in ("first", "second"))
        assert first["files"] == {"new": 24}
        assert second["files"] == {"not modified": 24}
        assert (second["requests"], second["bytes_of_pictures"]) == (24, 0)


@pytest.mark.long
def test_scaling_out_is_measured_where_ray_is_and_says_so_where_it_is_not(tmp_path: Path) -> None:
    result = short("scale_out", tmp_path)
    if importlib.util.find_spec("ray") is None:
        assert "pip install 'lookalike[ray]'" in result["skipped"]
        return
    assert [one["n"] for one in result["pipelines"]] == [24, 24, 24]
    assert all(one["a_second"] > 0 for one in result["pipelines"])
    assert all(one["records"] == 24 for one in result["stores"])
    assert result["stores"][0]["committed_a_second"] > 10
