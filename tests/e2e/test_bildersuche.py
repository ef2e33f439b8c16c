"""examples/bildersuche.ipynb runs on every engine, and gives the same everywhere."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.servers import chdb_folder, postgres_library

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "bildersuche.ipynb"
ENGINES = ("sqlite", "postgresql", "clickhouse")


def run(place: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Execute the notebook with a library at ``place``; returns its ``answer``."""
    import nbformat

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of folders and event loops that are not ours
        from nbclient import NotebookClient

        notebook = nbformat.read(NOTEBOOK, as_version=4)
        notebook.cells.append(nbformat.v4.new_code_cell("import json; print(json.dumps(answer))"))
        monkeypatch.setenv("LOOKALIKE_LIBRARY", place)
        monkeypatch.setenv("LOOKALIKE_EXAMPLES", str(NOTEBOOK.parent))
        monkeypatch.delenv("LOOKALIKE_PHOTOS", raising=False)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
        NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {}) or "image/jpeg" in output.get("data", {})
    ]
    assert len(pictures) == 4
    answer: dict[str, Any] = json.loads(notebook.cells[-1].outputs[0]["text"])
    return answer


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("bildersuche")
    places = {
        "sqlite": str(place / "library"),
        "postgresql": postgres_library(place),
        "clickhouse": f"chdb://{chdb_folder()}-bildersuche?database=bildersuche",
    }
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        return {name: run(where, monkeypatch) for name, where in places.items()}


@pytest.mark.parametrize("name", ENGINES)
def test_the_notebook_finds_candidates_and_counts(name: str, answers: dict[str, Any]) -> None:
    answer = answers[name]
    assert len(set(answer["candidates"])) == 10
    counts = [count for _, count in answer["downloads"]]
    assert counts == sorted(counts, reverse=True)
    assert 1 < len(counts) <= 10
    assert len(answer["keywords"]) == 5


@pytest.mark.parametrize("name", ENGINES[1:])
def test_the_notebook_gives_the_same_everywhere(name: str, answers: dict[str, Any]) -> None:
    assert answers[name] == answers["sqlite"]


def test_the_notebook_is_kept_with_its_pictures() -> None:
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    kinds = {
        kind
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
        for kind in output.get("data", {})
    }
    assert "image/jpeg" in kinds
    assert not any(
        output.get("output_type") == "error"
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
    )
