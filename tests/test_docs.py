"""The documents say what is: examples run, help pages match, links lead somewhere."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import skimage

from lookalike.cli.main import build_parser
from lookalike.stores import SqliteStore

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


@pytest.mark.parametrize("page", ["README.md", "README.de.md"])
def test_python_example_of_the_readme_runs(page: str, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    data = Path(skimage.__file__).parent / "data"
    for source, target in [("chelsea", "cat"), ("coffee", "coffee"), ("brick", "a"), ("moon", "b")]:
        shutil.copy(data / f"{source}.png", photos / f"{target}.png")
    (example,) = blocks(page, "python")
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    ranks = [line.split()[0] for line in done.stdout.splitlines()]
    assert ranks == ["1", "2"]  # two of the four are the inputs


def test_both_readmes_show_the_same_python_example() -> None:
    assert blocks("README.md", "python") == blocks("README.de.md", "python")


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="argparse words its help differently in each version"
)
def test_commands_page_is_the_help_of_the_commands() -> None:
    place = ROOT / "tools" / "write_command_docs.py"
    spec = importlib.util.spec_from_file_location("write_command_docs", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = module.PAGE.read_text(encoding="utf-8")
    assert written == module.commands_page(), "run: python tools/write_command_docs.py"


@pytest.mark.parametrize("page", ["README.md", "README.de.md"])
def test_every_command_in_the_readme_parses(page: str) -> None:
    lines = [
        line.partition("#")[0].partition("|")[0]
        for block in blocks(page, "sh")
        for line in block.splitlines()
        if line.startswith("lookalike ")
    ]
    assert len(lines) >= 9
    for line in lines:
        build_parser().parse_args(shlex.split(line)[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_pictures_exist(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    local = [target for target in targets if "://" not in target]
    missing = [target for target in local if not os.path.exists(page.parent / target)]
    assert not missing


def test_storage_format_names_every_table_and_column(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "library", write=True).close()
    text = (ROOT / "docs" / "storage-format.md").read_text(encoding="utf-8")
    catalog = sqlite3.connect(tmp_path / "library" / "catalog.sqlite")
    with contextlib.closing(catalog):
        tables = catalog.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        names = {table for (table,) in tables}
        for table in list(names):
            names |= {row[1] for row in catalog.execute(f"PRAGMA table_xinfo({table})")}
    assert len(names) > 40
    assert not [name for name in sorted(names) if not re.search(rf"\b{name}\b", text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_has_an_unfilled_place(page: Path) -> None:
    assert not re.findall(r"^@[A-Z]+@$|TODO|FIXME", page.read_text(encoding="utf-8"), re.M)


def test_no_document_names_a_path_of_one_machine() -> None:
    here = str(ROOT.parent) + os.sep
    assert not [page.name for page in PAGES if here in page.read_text(encoding="utf-8")]
