"""Addresses of servers: what they name, where credentials come from, and that nobody sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookalike.errors import InputError
from lookalike.stores.server.address import is_address, parse_address

SECRET = "s3cr3t-wörd"


@pytest.mark.parametrize(
    ("text", "name", "namespace"),
    [
        ("postgresql://me:pw@db:5433/x?schema=own", "postgresql://db:5433/x?schema=own", "own"),
        ("postgres://host/shop", "postgresql://host/shop", "lookalike"),
        ("clickhouse://me@[::1]:8443/pictures", "clickhouse://[::1]:8443/pictures", "pictures"),
        ("chdb:///tmp/engine?database=own", "chdb:///tmp/engine?database=own", "own"),
    ],
)  # fmt: skip
def test_an_address_has_a_name_without_credentials(text: str, name: str, namespace: str) -> None:
    address = parse_address(text, {})
    assert (address.name, address.namespace) == (name, namespace)
    assert is_address(text)
    assert not is_address(Path("pictures.library"))


def test_who_asks_comes_from_the_address_then_the_environment_then_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n", encoding="utf-8")
    everywhere = {"PGUSER": "env", "PGPASSWORD": "env", "LOOKALIKE_PASSWORD_FILE": str(file)}
    told = parse_address("postgresql://me:p%2Fw@host/x", everywhere)
    assert (told.user, told.password) == ("me", "p/w")
    told = parse_address("postgresql://host/x", everywhere)
    assert (told.user, told.password) == ("env", "env")
    told = parse_address("clickhouse://host/x", everywhere)
    assert (told.user, told.password) == (None, SECRET)
    told = parse_address(f"postgresql://me@host/x?password_file={file}", {})
    assert (told.user, told.password) == ("me", SECRET)
    assert "password_file" not in told.options


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://me:{SECRET}/x@host/db",
        f"clickhouse://me:a/{SECRET}@host:9/db",
        f"clickhouse://me:{SECRET}#@host/db",
        f"clickhouse://me:{SECRET}?@host/db",
        f"postgresql://me:{SECRET}@host/db?password={SECRET}",
        f"mysql://me:{SECRET}@host/db",
        f"clickhouse://me:{SECRET}@/db",
        f"postgresql://me:{SECRET}@host/db?schema=a-b",
        f"postgresql://me:{SECRET}@host:99999/db",
        f"postgresql://me:{SECRET}@[host/db",
    ],
)
def test_no_error_shows_credentials(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_address(text, {})
    chain = [caught.value, caught.value.__cause__]
    assert not any(SECRET in str(one) or "me:" in str(one) for one in chain)
    assert len(str(caught.value).splitlines()) == 1


def test_an_address_is_printed_without_credentials() -> None:
    assert SECRET not in repr(parse_address(f"postgresql://me:{SECRET}@host/db", {}))


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("postgresql://127.0.0.1/x", True),
        ("postgresql:///x?host=/run/postgresql", True),
        ("clickhouse://localhost/x", True),
        ("chdb:///tmp/x", True),
        ("postgresql://db.example/x", False),
        ("clickhouse://192.0.2.1/x", False),
    ],
)
def test_what_leaves_the_machine_is_known(text: str, local: bool) -> None:
    assert parse_address(text, {}).local is local
