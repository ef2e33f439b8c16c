"""Where credentials of servers come from, and that they go nowhere else."""

from __future__ import annotations

import json
import ssl
import traceback
from pathlib import Path
from typing import Any

import pytest

from lookalike import Library
from lookalike.cli.main import main
from lookalike.errors import InputError, LookalikeError
from lookalike.homes import home_of
from lookalike.stores.server.address import Address, is_address, parse_address
from lookalike.stores.server.clickhouse.engine import ClickHouseEngine
from lookalike.stores.server.postgres import engine
from lookalike.stores.server.postgres.engine import PostgresEngine
from tests.clickhouse_server import PASSWORD, clickhouse_library
from tests.conftest import ToyEncoder
from tests.servers import postgres_library

SECRET = "p%4ss:w/o?rd#1@x"
QUOTED = "p%254ss%3Aw%2Fo%3Frd%231%40x"


def test_user_and_password_may_have_any_signs() -> None:
    address = parse_address(f"postgresql://me%40home:{QUOTED}@host:5433/db?schema=own", {})
    assert (address.user, address.password) == ("me@home", SECRET)
    assert (address.host, address.port, address.database) == ("host", 5433, "db")
    assert address.namespace == "own"


def test_the_environment_and_a_file_give_what_the_address_leaves_out(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from file\nsecond line\n")
    of = parse_address
    assert of("postgresql://host/db", {"PGUSER": "a", "PGPASSWORD": "b"}).password == "b"
    assert of("clickhouse://host", {"CLICKHOUSE_USER": "c"}).user == "c"
    own = {"LOOKALIKE_USER": "d", "LOOKALIKE_PASSWORD": "e", "PGPASSWORD": "b"}
    assert (of("postgresql://h/db", own).user, of("postgresql://h/db", own).password) == ("d", "e")
    assert of("postgresql://x:y@h/db", own).password == "y"
    assert of(f"clickhouse://u@host?password_file={file}", {}).password == "from file"
    assert of("clickhouse://host", {"LOOKALIKE_PASSWORD_FILE": str(file)}).password == "from file"
    with pytest.raises(InputError, match="the password cannot be read"):
        of(f"clickhouse://host?password_file={tmp_path / 'none'}", {})


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://me:{QUOTED}@host:port/db",
        f"postgresql://me:{QUOTED}@host/db?nonsense=1",
        f"mysql://me:{QUOTED}@host/db",
        f"clickhouse://me:{QUOTED}@host/no-name!",
        f"clickhouse://me:{QUOTED}@/db",
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(text: str) -> None:
    assert is_address(text)
    with pytest.raises(InputError) as refused:
        parse_address(text, {})
    told = "".join(traceback.format_exception(refused.value))
    assert "\n" not in str(refused.value)
    assert SECRET not in str(refused.value)
    assert QUOTED not in str(refused.value)
    assert SECRET not in told


@pytest.mark.parametrize("scheme", ["postgresql", "clickhouse"])
def test_a_server_that_is_not_there_is_one_line_without_the_password(
    scheme: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{scheme}://me:{QUOTED}@127.0.0.1:1/db"
    with pytest.raises(LookalikeError) as refused:
        Library.open(address)
    told = "".join(traceback.format_exception(refused.value))
    assert SECRET not in told
    assert QUOTED not in told
    for arguments in (["ledger"], ["status", "--json"], ["spaces"]):
        assert main([*arguments, "--library", address]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert len(err.splitlines()) == 1
        assert "cannot be reached" in err
        assert SECRET not in err
        assert QUOTED not in err


def test_an_address_shows_neither_user_nor_password() -> None:
    address = parse_address(f"clickhouse://somebody:{QUOTED}@host:9/db", {})
    for text in (repr(address), str(address), address.name, home_of(address_text()).name):
        assert "somebody" not in text
        assert SECRET not in text
        assert QUOTED not in text


def address_text() -> str:
    return f"clickhouse://somebody:{QUOTED}@host:9/db"


def test_nothing_that_is_written_has_the_password(
    filled: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    address = clickhouse_library(tmp_path / "library")
    report = filled.push(address)
    assert PASSWORD not in repr(report)
    with Library.open(address, encoder=ToyEncoder()) as there:
        there.search(sorted(there.matching("width > 0"), key=str)[0])
        assert PASSWORD not in repr(there.status())
        rows = there._reader().engine.rows("SELECT name, value FROM _settings")  # type: ignore[union-attr]
        assert not any(PASSWORD in value for row in rows for value in row)
    assert main(["status", "--json", "--library", address]) == 0
    assert PASSWORD not in json.dumps(json.loads(capsys.readouterr().out))
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes(), path


def test_the_servers_list_of_clients_has_a_name_alone(tmp_path: Path) -> None:
    address = postgres_library(tmp_path).replace("postgres:@", f"postgres:{QUOTED}@")
    engine = PostgresEngine(parse_address(address, {}))
    try:
        engine.lock()
        rows = engine.rows("SELECT application_name, query FROM pg_stat_activity")
        names = {name for name, _ in rows if name and name.startswith("lookalike")}
        assert len(names) == 2
        assert not any(SECRET in str(row) or QUOTED in str(row) for row in rows)
    finally:
        engine.close()


# -- encryption ------------------------------------------------------------------------------------


def tls_of(text: str) -> Any:
    return engine._tls(parse_address(text, {}))


def test_postgresql_off_the_loopback_is_encrypted_and_certain() -> None:
    context = tls_of("postgresql://db.example.org/db")
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert tls_of("postgresql://localhost/db") is None
    assert tls_of("postgresql://db.example.org/db?sslmode=disable") == "disable"
    assert tls_of("postgresql://localhost/db?sslmode=verify-full") == "verify-full"


def clickhouse_asked(text: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the client is made with."""
    import clickhouse_connect

    asked: dict[str, Any] = {}
    monkeypatch.setattr(clickhouse_connect, "get_client", lambda **options: asked.update(options))
    ClickHouseEngine(parse_address(text, {}))
    return asked


@pytest.mark.parametrize("scheme", ["clickhouse", "myscale"])
def test_clickhouse_off_the_loopback_is_encrypted_and_certain(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = clickhouse_asked(f"{scheme}://ch.example.org/db", monkeypatch)
    assert (asked["secure"], asked["verify"], asked["port"]) == (True, True, 8443)
    asked = clickhouse_asked(f"{scheme}://ch.example.org/db?secure=0", monkeypatch)
    assert (asked["secure"], asked["port"]) == (False, 8123)
    asked = clickhouse_asked(f"{scheme}://127.0.0.1/db", monkeypatch)
    assert asked["secure"] is False
    asked = clickhouse_asked(f"{scheme}://127.0.0.1:9/db?secure=1&verify=0", monkeypatch)
    assert (asked["secure"], asked["verify"], asked["port"]) == (True, False, 9)


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("127.0.0.1", True), ("[::1]", True), ("10.0.0.1", False),
     ("localhost.example.org", False), ("", True)],
)  # fmt: skip
def test_what_is_local(host: str, local: bool) -> None:
    assert parse_address(f"postgresql://{host}/db", {}).local is local


def test_a_socket_is_local() -> None:
    assert Address("postgresql", options={"host": "/run/postgresql"}).local
    assert not Address("postgresql", "x", options={"host": "db.example.org"}).local
