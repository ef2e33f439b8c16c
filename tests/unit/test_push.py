"""Sending a library to a server: all of it, once, and nothing that is not whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lookalike import Library
from lookalike.config import IndexOptions
from lookalike.errors import InputError, LibraryError, LibraryLockedError, LibraryMissingError
from lookalike.homes import home_of
from lookalike.push import PushOptions
from lookalike.side_tables import TableOptions
from lookalike.stores.server.contents import Sum, sum_of
from lookalike.stores.server.store import ServerStore
from tests.conftest import CrashError, ToyEncoder, fill
from tests.servers import chdb_library, postgres_address, postgres_library

ADDRESSES: dict[str, Callable[[Path], str]] = {
    "postgresql": postgres_library,
    "clickhouse": chdb_library,
}


@pytest.fixture(params=ADDRESSES)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where nothing lies yet."""
    return ADDRESSES[request.param](tmp_path / "pushed")


@pytest.fixture
def told(filled: Library, tmp_path: Path) -> Library:
    """A library with labels, a decision and a side table."""
    ids = sorted(filled.matching("width > 0"), key=str)
    filled.label("mine", ids[:3])
    filled.decide(ids[0], ids[1])
    sales(filled, tmp_path, "003.png,7\n005.png,\n")
    return filled


def sales(library: Library, folder: Path, rows: str) -> None:
    """A side table of prices by name."""
    (folder / "sales.csv").write_text(f"name,price\n{rows}")
    library.add_table("sales", [folder / "sales.csv"], TableOptions("name"))


def opened(address: str) -> Library:
    return Library.open(address, encoder=ToyEncoder())


def written(address: str) -> ServerStore:
    """The server's store, to do with it what nobody should."""
    store = home_of(address).open(write=True)
    assert isinstance(store, ServerStore)
    return store


def said(library: Library) -> list[Any]:
    """What a library says of itself."""
    ids = sorted(library.matching("width > 0"), key=str)
    hits = [[(hit.id, hit.score) for hit in library.search(one, 4).hits] for one in ids]
    return [
        ids,
        hits,
        list(library.ledger()),
        library.labels_of(ids),
        library.label_counts(),
        library.decisions(),
        library.thumbnails(ids),
        library.side_tables(),
        sorted(map(str, library.sql("SELECT name, price FROM sales").rows)),
        [space.name for space in library.spaces()],
    ]


def rows_sent(library: Library, address: str, **options: Any) -> dict[str, int]:
    return library.push(address, PushOptions(**options)).sent


def test_the_server_says_what_the_folder_says(told: Library, address: str) -> None:
    report = told.push(address)
    with opened(address) as there:
        assert said(there) == said(told)
    assert report.verified
    assert report.tables["_records"].rows == report.sent["_records"] == len(told) == 12
    assert report.tables["sales"].rows == 2


def test_a_second_push_sends_nothing(told: Library, address: str) -> None:
    told.push(address)
    again = told.push(address)
    assert (again.sent, again.removed) == ({}, {})


def test_records_keep_their_numbers(told: Library, address: str) -> None:
    told.push(address)
    with (
        closing(home_of(address).open()) as there,
        closing(home_of(told.folder).open()) as here,
    ):
        assert there.facts().ids.tobytes() == here.facts().ids.tobytes()
        assert there.vectors(there.spaces()[0]).ids.tobytes() == here.facts().ids.tobytes()


def test_a_later_push_brings_what_has_changed(
    told: Library, address: str, photos: Path, tmp_path: Path
) -> None:
    told.push(address)
    fill(photos, [100, 101])
    (photos / "002.png").unlink()
    (photos / "003.png").rename(photos / "moved.png")
    told.add([photos])
    told.unlabel("own")
    told.change_by_sql("UPDATE sales SET price = 8 WHERE name = '003.png'")
    report = told.push(address)
    with opened(address) as there:
        assert said(there) == said(told)
    assert report.sent["vectors_toy"] == report.sent["_records"] == 2
    assert report.sent["sales"] == 2
    assert report.removed["_labels"] == 3


def test_what_was_pruned_and_dropped_goes_there_too(
    told: Library, address: str, photos: Path
) -> None:
    told.push(address)
    (photos / "002.png").unlink()
    told.add([photos], IndexOptions(prune=True))
    told.drop_table("sales")
    report = told.push(address)
    assert report.removed["_records"] == report.removed["vectors_toy"] == 1
    assert report.removed["sales"] == 2
    with opened(address) as there:
        assert len(there) == len(told) == 11
        assert there.side_tables() == []


@pytest.mark.parametrize(
    "after", [1, 5, 9, *(pytest.param(after, marks=pytest.mark.long) for after in (3, 6, 7))]
)
def test_a_push_that_breaks_off_shows_nothing_half_done_and_goes_on(
    told: Library, address: str, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [after]

    def counted(put: Any) -> Any:
        def crashing(self: Any, table: Any, rows: Any) -> None:
            if rows and table.name != "_settings" and table.name != "_writers":
                left[0] -= 1
                if not left[0]:
                    raise CrashError
            put(self, table, rows)

        return crashing

    with closing(home_of(address).open(write=True)) as store:
        kind = type(store.engine)  # type: ignore[union-attr]
    with monkeypatch.context() as patched:
        for name in ("add", "put"):
            patched.setattr(kind, name, counted(getattr(kind, name)))
        with pytest.raises(CrashError):
            told.push(address)
    with opened(address) as there:
        assert len(there) == 0
    report = told.push(address)
    assert sum(report.sent.values()) < sum(own.rows for own in report.tables.values()) + (after < 3)
    with opened(address) as there:
        assert said(there) == said(told)


def test_what_is_not_the_same_there_is_named(told: Library, address: str) -> None:
    told.push(address)
    with closing(written(address)) as store:
        change = "UPDATE _thumbnails SET" if "postgres" in address else "ALTER TABLE {} UPDATE"
        place = f"{store.engine._database}._thumbnails" if "chdb" in address else ""  # type: ignore[attr-defined]
        store.engine.execute(f"{change.format(place)} jpeg = 'x' WHERE 1 = 1")  # type: ignore[attr-defined]
    with pytest.raises(LibraryError, match=r"table _thumbnails is not the same there.*checksum"):
        told.push(address)
    assert told.push(address, PushOptions(verify=False)).sent == {}
    assert rows_sent(told, address, replace=True)["_thumbnails"] == 12


def test_another_librarys_records_are_left_alone(
    told: Library, address: str, tmp_path: Path, toy: ToyEncoder
) -> None:
    told.push(address)
    fill(tmp_path / "else", [77])
    with Library.open(tmp_path / "other", create=True, encoder=toy) as other:
        other.add([tmp_path / "else"])
        with pytest.raises(LibraryError, match="another library's records are there"):
            other.push(address)
        assert rows_sent(other, address, replace=True)["_records"] == 1
    with opened(address) as there:
        assert len(there) == 1


def test_what_others_changed_there_is_not_undone(told: Library, address: str, photos: Path) -> None:
    told.push(address)
    with opened(address) as there:
        there.label("theirs", there.matching("width > 0"))
    with pytest.raises(LibraryError, match="was changed by others since the last push"):
        told.push(address)
    with opened(address) as there:
        assert any(one.label == "theirs" for one in there.label_counts())


def test_a_library_that_is_written_to_is_refused(told: Library, address: str) -> None:
    told.push(address)
    with closing(written(address)), pytest.raises(LibraryLockedError, match="is writing to this"):
        told.push(address)


def test_only_some_spaces_may_be_pushed(told: Library, address: str) -> None:
    told.add_space(ToyEncoder("other"))
    first = told.push(address, PushOptions(spaces=["other"]))
    assert "vectors_other" in first.sent
    assert "vectors_toy" not in first.sent
    second = told.push(address)
    assert second.sent["vectors_toy"] == 12
    assert "vectors_other" not in second.sent
    with opened(address) as there:
        assert [space.name for space in there.spaces()] == ["toy", "other"]


def test_unusable_asks_are_one_line(told: Library, address: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="space 'nope': this library has: toy"):
        told.push(address, PushOptions(spaces=["nope"]))
    with pytest.raises(InputError, match="push sends a library in a folder"):
        told.push(str(tmp_path))
    with pytest.raises(LibraryMissingError):
        Library.open(address)


@pytest.fixture
def poor_role() -> Iterator[tuple[str, str]]:
    """Addresses of a role without rights: in a database with pgvector, and in one without."""
    import asyncpg

    address = postgres_address()

    async def run(*statements: str) -> None:
        connection = await asyncpg.connect(address)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(run("CREATE ROLE poor LOGIN", "CREATE DATABASE bare"))
    poor = address.replace("postgres:@", "poor@")
    assert poor != address
    yield f"{poor}&schema=poor_one", f"{poor.replace('/postgres?', '/bare?')}&schema=poor_two"
    asyncio.run(run("DROP DATABASE bare WITH (FORCE)", "DROP ROLE poor"))


def test_missing_rights_and_a_missing_pgvector_are_one_line_each(
    told: Library, poor_role: tuple[str, str]
) -> None:
    poor, bare = poor_role
    with pytest.raises(LibraryError, match="ask its owner for the rights"):
        told.push(poor)
    with pytest.raises(LibraryError, match=r"lacks the extension vector.*install pgvector"):
        told.push(bare)


def test_a_checksum_does_not_depend_on_the_order() -> None:
    rows = [b"one", b"two", b"three"]
    assert sum_of(rows) == sum_of(reversed(rows)) != sum_of(rows[:2])
    assert sum_of([b"ab", b"c"]) != sum_of([b"a", b"bc"])
    assert sum_of([]) == Sum(0, 0)
