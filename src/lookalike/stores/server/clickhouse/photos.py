"""System B's two tables on ClickHouse, beside a library's own, so that its statements run there.

``myscale_photos`` has a row for each live file that another table has an id for, and
``myscale_conversions`` one for each row of the side table ``conversions`` of these photos.
"""

from __future__ import annotations

from lookalike.errors import InputError, LibraryError
from lookalike.stores.server.clickhouse.ddl import Ddl, myscale_index, vector_index
from lookalike.stores.server.clickhouse.engine import ClickHouseEngine
from lookalike.stores.server.clickhouse.words import ClickHouseWords
from lookalike.stores.server.layout import vectors_of
from lookalike.stores.server.store import LEAST_INDEXED, ServerStore
from lookalike.types import SideTable, Space

PHOTOS, CONVERSIONS = "myscale_photos", "myscale_conversions"
OURS = "made by lookalike push"
"""The comment by which tables are known that may be replaced."""

SIDE_TABLE, KEYWORD = "conversions", "keyword"


def require_photos(store: ServerStore, database: str) -> ClickHouseEngine:
    """The engine, if these tables can be made there; raises before anything is sent.

    InputError for another engine or a name that is none, LibraryError for tables of others.
    """
    engine = store.engine
    if not isinstance(engine, ClickHouseEngine) or engine.ddl.cluster:
        raise InputError(
            f"{store.name}: tables of photos are made on one ClickHouse or chDB; leave"
            " --photos-tables out"
        )
    if not database.isidentifier():
        raise InputError(f"database {database!r}: letters, digits and _ make a name")
    others = engine.rows(
        "SELECT name FROM system.tables WHERE database = ? AND name IN (?, ?) AND comment <> ?",
        (database, PHOTOS, CONVERSIONS, OURS),
    )
    if others:
        raise LibraryError(
            f"{store.name}: {database}.{others[0][0]} is there already, and not made by this;"
            " name another database: --photos-tables NAME"
        )
    return engine


def write_photos(store: ServerStore, space: Space, database: str) -> dict[str, int]:
    """Make the tables anew; returns their rows. Vectors are of ``space``."""
    engine = require_photos(store, database)
    engine.execute(f"CREATE DATABASE IF NOT EXISTS {database}")
    indexed = store.count() >= LEAST_INDEXED
    for statement in photos_statements(engine.ddl, space, database, indexed=indexed):
        engine.execute(statement)
    table = next((one for one in store.side_tables() if one.name == SIDE_TABLE), None)
    for statement in conversions_statements(engine.ddl.database, table, database):
        engine.execute(statement)
    return {
        name: int(engine.rows(f"SELECT count(*) FROM {database}.{name}")[0][0])
        for name in (PHOTOS, CONVERSIONS)
    }


def photos_statements(ddl: Ddl, space: Space, database: str, *, indexed: bool) -> list[str]:
    """What makes the table of photos, fills it, and declares its index.

    ``indexed``: whether an index pays; without one answers are exact. MyScale wants one always.
    """
    place, own = f"{database}.{PHOTOS}", ddl.database
    index = f", INDEX photo_embed_index {vector_index('photo_embed', space.dim)}"
    statements = [
        f"DROP TABLE IF EXISTS {place} SYNC",
        f"CREATE TABLE {place} (id UInt64, photo_id String, photo_image_url String,"
        " photo_embed Array(Float32),"
        f" CONSTRAINT vector_len CHECK length(photo_embed) = {space.dim}"
        f"{index if indexed and not ddl.myscale else ''})"
        f" ENGINE = MergeTree ORDER BY id COMMENT '{OURS}'",
        f"INSERT INTO {place} SELECT row_number() OVER (ORDER BY f.path) - 1,"
        " assumeNotNull(f.foreign_id), f.path, v.embedding"
        f" FROM {own}._files AS f JOIN {own}.{vectors_of(space).name} AS v ON v.id = f.record"
        " WHERE f.live AND f.foreign_id IS NOT NULL",
    ]
    if ddl.myscale:
        statements.append(
            f"ALTER TABLE {place} ADD VECTOR INDEX photo_embed_index {myscale_index('photo_embed')}"
        )
    return statements


def conversions_statements(own: str, table: SideTable | None, database: str) -> list[str]:
    """What makes the table of conversions, and fills it if there is such a side table."""
    place = f"{database}.{CONVERSIONS}"
    statements = [
        f"DROP TABLE IF EXISTS {place} SYNC",
        f"CREATE TABLE {place} (id UInt64, photo_id String, keyword String)"
        f" ENGINE = MergeTree ORDER BY id COMMENT '{OURS}'",
    ]
    if table is not None and KEYWORD in [column.name for column in table.columns]:
        quoted = ClickHouseWords().quoted(table.key)
        key = f"assumeNotNull(toString({quoted}))"
        statements.append(
            f"INSERT INTO {place} SELECT row_number() OVER () - 1, {key},"
            f" ifNull(toString({KEYWORD}), '') FROM {own}.side_{SIDE_TABLE}"
            f" WHERE {quoted} IS NOT NULL"
            f" AND {key} IN (SELECT photo_id FROM {database}.{PHOTOS})"
        )
    return statements
