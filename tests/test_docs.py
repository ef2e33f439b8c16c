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
import textwrap
import tomllib
from pathlib import Path

import pytest
import skimage

from lookalike import Library, conditions
from lookalike.cli.main import build_parser
from lookalike.conditions import COLUMNS, Kind, parse_condition
from lookalike.errors import InputError
from lookalike.present.table import aligned
from lookalike.query.similar import OPTIONS
from lookalike.side_tables import TableOptions
from lookalike.stores import SqliteStore
from lookalike.stores.server import layout

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


def test_the_counts_of_both_systems_are_those_of_their_rows() -> None:
    states, rows = ("now", "to come", "deviation"), rows_of_tables("docs/systems.md")
    for system, name in (("A", "A, image recommender"), ("B", "B, SQL image search")):
        own = [row[2] for row in rows if re.fullmatch(rf"{system}\d+", row[0])]
        (told,) = [row[1:] for row in rows if row[0] == name]
        assert [int(count) for count in told] == [len(own), *map(own.count, states)]


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


@pytest.mark.parametrize(
    "page", ["README.md", "README.de.md", "docs/conditions.md", "docs/sql.md", "docs/urls.md"]
)
def test_every_command_on_a_page_parses(page: str) -> None:
    lines = [
        line.partition("#")[0].partition("|")[0]
        for block in blocks(page, "sh")
        for line in block.splitlines()
        if line.startswith("lookalike ")
    ]
    assert len(lines) >= (9 if page.startswith("README") else 1)
    for line in lines:
        build_parser().parse_args(shlex.split(line)[1:])


def test_examples_of_the_exchange_page_run(tmp_path: Path) -> None:
    data = Path(skimage.__file__).parent / "data"
    (tmp_path / "photos").mkdir()
    for name in ("chelsea", "coffee", "rocket"):
        for source in data.glob(f"{name}.*"):
            shutil.copy(source, tmp_path / "photos")
    home = {"HOME": str(tmp_path), "LOOKALIKE_LIBRARY": "pictures.library", "HF_HUB_OFFLINE": "1"}

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env={**os.environ, **home},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.stderr)

    run("-m", "lookalike", "index", "photos")
    commands = [
        shlex.split(line.partition("#")[0])
        for line in "".join(blocks("docs/exchange.md", "sh")).splitlines()
    ]
    examples = blocks("docs/exchange.md", "python")
    assert (len(commands), len(examples)) == (8, 3)
    for command in commands:
        run("-m", *command)
    for example in examples:
        run("-c", example)


# -- docs/conditions.md ----------------------------------------------------------------------------

CONDITIONS = "docs/conditions.md"


def rows_of_tables(page: str) -> list[list[str]]:
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def examples_of_conditions() -> list[str]:
    """Conditions in blocks, in the table of forms, and within sentences; not those of errors."""
    text = (ROOT / CONDITIONS).read_text(encoding="utf-8").partition("## Errors")[0]
    listed = [line for block in blocks(CONDITIONS, "condition") for line in block.splitlines()]
    forms = [row for row in rows_of_tables(CONDITIONS) if re.match("`(field|under) ", row[0])]
    within = re.findall(r"`(under '[^`]+|taken <?= [^`]+)`", text)
    return [*listed, *(row[-1].strip("`") for row in forms), *within]


def test_every_example_of_a_condition_narrows_a_search(filled: Library, photos: Path) -> None:
    examples = examples_of_conditions()
    assert len(examples) >= 26
    for text in examples:
        condition = parse_condition(text)
        assert parse_condition(str(condition)) == condition
        result = filled.search(photos / "000.png", 99, where=text)
        assert result.where == str(condition)
        assert len(result.hits) == result.searched <= 11


@pytest.fixture
def converted(filled: Library, photos: Path, tmp_path: Path) -> Library:
    """The twelve pictures; three of them have rows in conversions."""
    rows = ["photo,keyword,country,n,download size", "000.png,bee,DE,,1.5", "000.png,bees,US,3,2"]
    rows += ["001.png,bee,US,2,3.5", "002.png,honey,DE,9,", "gone.png,bee,DE,1,1"]
    table = tmp_path / "conversions.csv"
    table.write_text("\n".join(rows))
    filled.add_table("conversions", [table], TableOptions("photo"))
    return filled


def test_examples_with_side_tables_find_pictures_by_their_rows(converted: Library) -> None:
    def names(where: str) -> list[str]:
        ids = converted.matching(where)
        return sorted(Path(one.paths[0]).stem for one in converted.get(ids) if one)

    several, rows = (block.splitlines() for block in blocks(CONDITIONS, "side"))
    assert [names(text) for text in several] == [
        ["000", "001"], ["000", "001"], ["000", "001"], ["001"]
    ]  # fmt: skip
    assert [names(text) for text in rows[:2]] == [["000"], ["001"]]
    assert len(names(rows[2])) == 10
    assert names("some conversions") == ["000", "001", "002"]
    assert names("conversions.keyword = 'bee' and conversions.n = 3") == ["000"]
    assert names("some conversions (keyword = 'bee' and n = 3)") == []
    assert len(names("conversions.keyword != 'bee'")) == 10
    assert len(names('conversions."download size" is null')) == 10
    for text in (*several, *rows):
        assert str(parse_condition(str(parse_condition(text)))) == str(parse_condition(text))


def test_statements_on_the_page_give_what_it_shows(sold: Library) -> None:
    statements, shown = blocks("docs/sql.md", "sql"), blocks("docs/sql.md", "text")
    assert len(statements) == len(shown) >= 4
    for statement, lines in zip(statements, shown, strict=True):
        result = sold.sql(statement)
        assert list(aligned(result.columns, result.rows)) == lines.splitlines(), statement


def test_python_of_the_sql_page_runs(sold: Library, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks("docs/sql.md", "python")
    exec(example, {"library": sold})
    assert capsys.readouterr().out.splitlines() == ["('format', 'count')", "PNG 12"]


def test_the_sql_page_names_every_table_column_and_option(sold: Library) -> None:
    text = (ROOT / "docs" / "sql.md").read_text(encoding="utf-8")
    for name, columns in {**sold.sql_tables(), "similar": ()}.items():
        assert f"`{name}" in text or name == "conversions"
        for column in columns if name != "conversions" else ():
            assert f"`{column.name}`" in text
    for option in OPTIONS:
        assert f"'{option.partition('=')[0]}" in text


def test_conditions_that_are_said_to_mean_the_same_do() -> None:
    for block in blocks(CONDITIONS, "same"):
        one, other = map(parse_condition, block.splitlines())
        assert one == other


def test_what_is_unknown_is_found_as_the_page_says(filled: Library, photos: Path) -> None:
    (block,) = [b for b in blocks(CONDITIONS, "condition") if "taken is null or" in b]
    hits = [len(filled.search(photos / "000.png", 99, where=t).hits) for t in block.splitlines()]
    assert hits == [0, 0, 11]  # none of the pictures has a date


def test_the_page_names_every_field_and_no_other() -> None:
    rows = rows_of_tables(CONDITIONS)
    kinds = {"number": Kind.NUMBER, "text": Kind.TEXT, "time": Kind.TIME, "id": Kind.ID}
    named = {
        name: kinds[row[1]]
        for row in rows
        if len(row) == 4 and row[1] in kinds
        for name in re.findall(r"`(\w+)`", row[0])
    }
    assert named == COLUMNS


def test_errors_of_conditions_are_those_on_the_page() -> None:
    rows = [row for row in rows_of_tables(CONDITIONS) if len(row) == 2][1:]
    assert len(rows) >= 9
    for shown, words in rows:
        with pytest.raises(InputError) as caught:
            parse_condition(shown.strip("`"))
        assert words in str(caught.value)


def test_limits_of_conditions_are_those_on_the_page() -> None:
    text = (ROOT / CONDITIONS).read_text(encoding="utf-8")
    (told,) = re.findall(r"A condition may have (.*)\.", text)
    limits = [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", told)]
    own = conditions
    assert limits == [
        own.MAX_TESTS, own.MAX_VALUES, own.MAX_NESTING, own.MAX_LENGTH, own.MAX_DIGITS
    ]  # fmt: skip


def test_the_grammar_on_the_page_is_that_of_the_parser() -> None:
    (grammar,) = blocks(CONDITIONS, "text")
    told = textwrap.indent(grammar.replace("field test", "column test"), "    ")
    assert told in (conditions.__doc__ or "")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_pictures_exist(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    targets += re.findall(r"^\[[^\]]+\]: ([^#\s]+)", text, re.M)
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


def test_storage_format_names_every_table_and_column_of_a_server() -> None:
    page = (ROOT / "docs" / "storage-format.md").read_text(encoding="utf-8")
    text = page.partition("## On a server")[2]
    for table in (*layout.TABLES, layout.WRITERS):
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{table.name}` |")]
        assert not [name for name in table.names if f"`{name}`" not in row]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_has_an_unfilled_place(page: Path) -> None:
    assert not re.findall(r"^@[A-Z]+@$|TODO|FIXME", page.read_text(encoding="utf-8"), re.M)


def test_every_extra_that_an_error_names_can_be_installed() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")]
    named = {
        name
        for text in sources
        for name in re.findall(r'MissingExtraError\(\s*[^()]*?"([a-z]+)"\s*\)', text)
    }
    assert len(named) >= 6
    assert named <= extras.keys()


def test_no_document_names_a_path_of_one_machine() -> None:
    here = str(ROOT.parent) + os.sep
    assert not [page.name for page in PAGES if here in page.read_text(encoding="utf-8")]
