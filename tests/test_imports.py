"""Imports go one way, and only the command line prints or exits."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import lookalike

SOURCE = Path(lookalike.__file__).parent

GROUND = {"types", "errors"}
BASE = {*GROUND, "places", "config", "conditions", "kernels", "categories"}
MIDDLE = {
    *BASE, "writing", "rows", "sql", "scan", "decode", "sources", "features", "stores", "indexes",
}  # fmt: skip
ALLOWED = {
    # part of the package: the other parts that it may import
    "types": set(),
    "version": set(),
    "errors": {"types"},
    "places": set(),
    "config": {*GROUND, "kernels"},
    "conditions": {*GROUND, "places"},
    "categories": GROUND,
    "writing": GROUND,
    "rows": GROUND,
    "sql": GROUND,
    "scan": {*GROUND, "config"},
    "decode": {*GROUND, "config"},
    "sources": {*GROUND, "places", "config", "scan", "decode", "rows"},
    "kernels": {"types"},
    "features": {*GROUND, "config", "decode", "kernels"},
    "stores": {*GROUND, "places", "config", "conditions", "sql", "writing"},
    "indexes": {*GROUND, "categories", "config", "features", "kernels", "stores"},
    "pipeline": MIDDLE,
    "filling": {*MIDDLE, "pipeline"},
    "query": MIDDLE,
    "evaluate": {*MIDDLE, "query", "maps"},
    "duplicates": MIDDLE,
    "plan": {*MIDDLE, "pipeline"},
    "labelling": MIDDLE,
    "side_tables": {*MIDDLE, "query"},
    "maps": MIDDLE,
    "exchange": {*MIDDLE, "pipeline", "version"},
    "cluster": {*MIDDLE, "pipeline", "exchange", "version"},
    "homes": MIDDLE,
    "status": {*MIDDLE, "query"},
    "push": {*MIDDLE, "homes", "pipeline"},
    "library": {
        *MIDDLE,
        "homes",
        "push",
        "status",
        "pipeline",
        "filling",
        "plan",
        "query",
        "evaluate",
        "duplicates",
        "labelling",
        "side_tables",
        "maps",
        "exchange",
        "present",
    },
    "unsplash": {*MIDDLE, "library", "side_tables"},
    "web": {*MIDDLE, "query", "maps", "library"},
    "present": {"types"},
    "cli": {
        *MIDDLE,
        "pipeline",
        "plan",
        "push",
        "status",
        "query",
        "evaluate",
        "duplicates",
        "labelling",
        "side_tables",
        "maps",
        "exchange",
        "cluster",
        "web",
        "library",
        "unsplash",
        "present",
        "lookalike",
    },
    "lookalike": {
        *MIDDLE,
        "pipeline",
        "query",
        "evaluate",
        "duplicates",
        "library",
        "version",
    },  # __init__: public names
    "__main__": {"cli"},
}

MODULES = sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    """The dotted name below ``lookalike``; the package itself is ``lookalike``."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "lookalike"


NAMES = {name_of(path) for path in MODULES}


def part_of(name: str) -> str:
    return name.split(".")[0]


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """What a module imports of lookalike: the module's name, and the imported name in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if part_of(alias.name) == "lookalike":
                    yield alias.name.partition(".")[2] or "lookalike", ""
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            module = node.module or ""
            if part_of(module) != "lookalike":
                continue
            for alias in node.names:
                below = f"{module}.{alias.name}".partition(".")[2]
                is_module = below in NAMES
                yield (below if is_module else module.partition(".")[2] or "lookalike"), alias.name


def called(path: Path) -> Iterator[str]:
    """Names of all functions that a module calls, as far as they are plain names."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield ast.unparse(node.func)


def test_every_part_of_the_package_is_in_the_table() -> None:
    assert {part_of(name) for name in NAMES} == set(ALLOWED)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    own = part_of(name_of(path))
    against = {name for name, _ in imported(path) if part_of(name) not in {own, *ALLOWED[own]}}
    assert not against


def test_the_table_has_no_circle() -> None:
    left = dict(ALLOWED)
    while left:
        free = {part for part, needs in left.items() if not needs & (left.keys() - {part})}
        assert free, f"these import each other: {sorted(left)}"
        left = {part: needs for part, needs in left.items() if part not in free}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_imports_another_ones_private_names(path: Path) -> None:
    names = {
        part
        for module, name in imported(path)
        for part in (*module.split("."), name)
        if part.startswith("_") and not part.startswith("__")
    }
    assert not names


@pytest.mark.parametrize(
    "path", [p for p in MODULES if part_of(name_of(p)) not in ("cli", "__main__")], ids=name_of
)
def test_only_the_command_line_prints_and_exits(path: Path) -> None:
    talking = {"print", "exit", "quit", "sys.exit", "os._exit", "sys.stdout.write"}
    assert not talking & set(called(path))
    assert "SystemExit" not in path.read_text("utf-8")
