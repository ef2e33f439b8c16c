"""The page that is checked in is the one that its sources give."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
STATIC = ROOT / "src" / "lookalike" / "web" / "static"


@pytest.mark.long
def test_the_build_that_is_checked_in_is_that_of_the_sources() -> None:
    tool = [sys.executable, ROOT / "tools" / "build_frontend.py", "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, check=False, timeout=240)
    if "npm" in done.stderr and re.search("ENOTFOUND|ECONNREFUSED|EAI_AGAIN", done.stderr):
        pytest.skip("the packages of frontend/ are not here, and no registry is within reach")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_has_its_script_and_its_style() -> None:
    page = (STATIC / "map.html").read_text()
    assert re.findall(r'(?:src|href)="(/[^"]*)"', page) == ["/static/map.css", "/static/map.js"]
    assert not re.search(r"\son\w+=|style=|<style|javascript:", page)  # the policy forbids them
    assert (STATIC / "map.js").stat().st_size < 120_000


def test_the_lock_file_names_no_place() -> None:
    lock = json.loads((ROOT / "frontend" / "package-lock.json").read_text())
    assert len(lock["packages"]) > 2
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    assert all("integrity" in package for name, package in lock["packages"].items() if name)
