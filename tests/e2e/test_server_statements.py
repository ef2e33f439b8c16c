"""What statements of users may not do on a server: write, read its files, look behind tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lookalike import Library
from lookalike.errors import InputError
from tests.servers import chdb_library, postgres_library

from .gallery import crops

SECRET = "the secret of the file"

EVERYWHERE = (
    "SELECT * FROM {file}",
    "SELECT * FROM _files",
    'SELECT * FROM "_settings"',
    "SELECT content_hash FROM _records",
    "SELECT * FROM images; DROP TABLE images",
    "INSERT INTO files SELECT * FROM files",
    "WITH gone AS (DELETE FROM images RETURNING 1) SELECT * FROM gone",
    "EXPLAIN ANALYZE DELETE FROM images",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM similar('{plain}', 1)",
)
OF = {
    "postgresql": (
        "SELECT pg_read_file('{plain}')",
        "SELECT \"pg_read_file\"('{plain}')",
        "SELECT pg_catalog.pg_read_file('{plain}')",
        "SELECT U&\"pg\\005fread_file\"('{plain}')",
        "SELECT lo_import('{plain}')",
        "SELECT lo_get(lo_import('{plain}'))",
        "SELECT query_to_xml('SELECT pg_read_file(''{plain}'')', true, true, '')",
        "SELECT set_config('default_transaction_read_only', 'off', false)",
        "SELECT current_setting('data_directory')",
        "SELECT * FROM pg_catalog.pg_authid",
        "SELECT * FROM pg_shadow",
        "SELECT 1 FROM files FOR UPDATE",
        "SELECT * INTO stolen FROM files",
        "SELECT nextval('x')",
        "SELECT pg_sleep(60)",
        "COPY files TO '{plain}.copy'",
    ),
    "clickhouse": (
        "SELECT * FROM file('{plain}', 'LineAsString')",
        "SELECT * FROM `file`('{plain}', 'LineAsString')",
        "SELECT file('{plain}')",
        "SELECT * FROM default.`{plain}`",
        "SELECT * FROM `default`.`{plain}`",
        "SELECT 'x' IN default.`{plain}`",
        "SELECT * FROM '{plain}'",
        "SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1', system.one)",
        "SELECT * FROM system.users",
        "SELECT * FROM files INTO OUTFILE '{plain}.out'",
        "SELECT * FROM files SETTINGS readonly = 0",
        "SELECT id, SETTINGS readonly = 0",
        "SELECT id, INTO OUTFILE '{plain}.out'",
        "SELECT format FROM images FORMAT CSV",
        "SELECT format FROM images WHERE (width > 1) FORMAT CSV",
        "SELECT getSetting('readonly')",
        "SELECT sleep(3)",
        "SELECT * FROM numbers(1000000000000)",
    ),
}


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that statements should not read."""
    file = tmp_path_factory.mktemp("secret") / "secret.csv"
    file.write_text(SECRET + "\n")
    return file


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Library]]:
    place = tmp_path_factory.mktemp("statements")
    (place / "photos").mkdir()
    for name, data in crops(3):
        (place / "photos" / name).write_bytes(data)
    places = {"postgresql": postgres_library(place), "clickhouse": chdb_library(place)}
    opened = {name: Library.open(where, create=True) for name, where in places.items()}
    for library in opened.values():
        library.add([place / "photos"])
    yield opened
    for library in opened.values():
        library.close()


CASES = [(name, text) for name, own in OF.items() for text in (*EVERYWHERE, *own)]


@pytest.mark.parametrize(("name", "text"), CASES, ids=[f"{n}: {t[:40]}" for n, t in CASES])
def test_a_statement_that_wants_more_is_refused(
    name: str, text: str, libraries: dict[str, Library], secret: Path
) -> None:
    statement = text.format(plain=secret, file=f'"{secret}"')
    with pytest.raises(InputError) as refused:
        list(libraries[name].sql(statement))
    said = str(refused.value)
    assert "\n" not in said
    assert SECRET not in said
    assert len(list(libraries[name].sql("SELECT id FROM images"))) == 3
    assert list(secret.parent.iterdir()) == [secret]


@pytest.mark.parametrize("name", OF)
def test_the_tables_of_statements_can_be_read(name: str, libraries: dict[str, Library]) -> None:
    library = libraries[name]
    assert {"images", "files", "labels"} <= library.sql_tables().keys()
    for table, columns in library.sql_tables().items():
        result = library.sql(f"SELECT * FROM {table}")
        assert result.columns == tuple(column.name for column in columns)
        result.close()


@pytest.mark.parametrize("name", OF)
def test_every_column_can_be_named(name: str, libraries: dict[str, Library]) -> None:
    library = libraries[name]
    for table, columns in library.sql_tables().items():
        for own in (column.name for column in columns):
            result = library.sql(
                f"SELECT {own}, count(*) AS n, min({own}) AS least FROM {table}"
                f" WHERE {own} IS NOT NULL AND {own} = {own} GROUP BY {own} ORDER BY {own} DESC"
            )
            assert result.columns == (own, "n", "least")
            assert sum(row[1] for row in result) <= 3


@pytest.mark.parametrize("name", OF)
def test_errors_name_the_columns_that_there_are(name: str, libraries: dict[str, Library]) -> None:
    with pytest.raises(InputError, match="images has id, width, height") as refused:
        libraries[name].sql("SELECT colour FROM images")
    assert "SETTINGS" not in str(refused.value)


@pytest.mark.parametrize("name", OF)
def test_cells_are_numbers_and_text(name: str, libraries: dict[str, Library]) -> None:
    cells = "CAST(1.5 AS DECIMAL(9, 2))" if name == "clickhouse" else "CAST(1.5 AS numeric)"
    ((one, text, none, sure),) = libraries[name].sql(f"SELECT {cells}, 'it''s', NULL, 1 = 1")
    assert (one, text, none, sure) == (1.5, "it's", None, 1)
