"""Without its optional parts the command does what needs none, and names those that it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from .command import Answer, Command

PARTS = (
    "evoc", "fast_hdbscan", "httpx2", "manifolds_rs", "matplotlib", "numba", "openTSNE", "plotly",
    "pyarrow", "scipy", "sklearn", "starlette", "uvicorn",
)  # fmt: skip
SCRIPT = f"""
import sys
sys.modules.update(dict.fromkeys({PARTS!r}))  # as if they were not installed
from lookalike.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def run(command: Command, arguments: Sequence[str]) -> Answer:
    return command.script(SCRIPT, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["map", "--help"],
        ["map", "export", "--help"],
        ["map", "study", "--help"],
        ["doctor"],
        ["search", "PICTURE"],
    ],
    ids=" ".join,
)
def test_what_needs_no_extra_does_without(indexed: Command, arguments: list[str]) -> None:
    picture = next(iter(indexed.ledger("--state", "indexed")))
    arguments = [picture if word == "PICTURE" else word for word in arguments]
    assert run(indexed, arguments).done().out


@pytest.mark.parametrize(
    ("extra", "arguments"),
    [
        ("map", []),
        ("map", ["--method", "umap"]),
        ("map", ["--by", "colour"]),
        ("map", ["--clusters", "kmeans"]),
        ("map", ["export", "html", "--out", "OUT"]),
        ("map", ["export", "csv", "--out", "OUT"]),
        ("map", ["export", "tensorboard", "--out", "OUT"]),
        ("web", ["--open"]),
        ("web", ["--serve"]),
        ("parquet", ["export", "parquet", "--out", "OUT"]),
        ("plotly", ["export", "plotly", "--out", "OUT"]),
        ("plots", ["export", "png", "--poster", "scatter", "--out", "OUT.png"]),
        ("plots", ["study", "--out", "OUT"]),
    ],
)
def test_a_missing_extra_is_named_in_one_line(
    indexed: Command, tmp_path: Path, extra: str, arguments: list[str]
) -> None:
    arguments = [word.replace("OUT", str(tmp_path / "out")) for word in arguments]
    run(indexed, ["map", *arguments]).refused(1, f"pip install 'lookalike[{extra}]'")
    assert not [*tmp_path.iterdir()]


def test_pictures_on_the_web_need_the_extra(indexed: Command, tmp_path: Path) -> None:
    told = "pip install 'lookalike[urls]'"
    table = tmp_path / "photos.csv"
    table.write_text("url\nhttp://127.0.0.1:1/a.jpg\n")
    run(indexed, ["index", "--from", str(table), "--url-column", "url"]).refused(1, told)
    run(indexed, ["search", "http://127.0.0.1:1/a.jpg"]).refused(1, told)
