"""The address of a library on a server, and the credentials that belong to it.

::

    postgresql://[user[:password]@][host[:port]]/database[?schema=NAME&sslmode=MODE&...]
    clickhouse://[user[:password]@]host[:port]/[database][?secure=0|1&cluster=NAME&...]
    myscale://...                            as clickhouse
    chdb:///folder[?database=NAME]           ClickHouse's engine in this process

Who asks and their password come from the address, else from the environment, else from a file
(``password_file=`` in the address, ``LOOKALIKE_PASSWORD_FILE``). They are kept in memory alone:
``Address.name``, which is what messages show, has neither.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import parse_qsl, unquote, urlsplit

from lookalike.errors import InputError
from lookalike.places import shown

_SCHEMES = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "clickhouse": "clickhouse",
    "myscale": "myscale",
    "chdb": "chdb",
}
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")

DEFAULT_NAMESPACE = "lookalike"
"""The schema on PostgreSQL, the database on ClickHouse, that a library takes for itself."""

_USER_VARIABLES = {"postgresql": "PGUSER", "clickhouse": "CLICKHOUSE_USER"}
_PASSWORD_VARIABLES = {"postgresql": "PGPASSWORD", "clickhouse": "CLICKHOUSE_PASSWORD"}
USER_VARIABLE, PASSWORD_VARIABLE = "LOOKALIKE_USER", "LOOKALIKE_PASSWORD"
PASSWORD_FILE_VARIABLE = "LOOKALIKE_PASSWORD_FILE"  # noqa: S105 (a name)

_OPTIONS = {
    "postgresql": {"host", "schema", "sslmode", "password_file"},
    "clickhouse": {"secure", "verify", "cluster", "password_file"},
    "chdb": {"database"},
}
_OPTIONS["myscale"] = _OPTIONS["clickhouse"]
_NAMESPACE_OPTIONS = {"postgresql": "schema", "chdb": "database"}
"""Where the namespace is told; elsewhere it is the address's database."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a library lies on a server. ``path``: chDB's folder."""

    scheme: str
    host: str = ""
    port: int | None = None
    database: str = ""
    path: str = ""
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The address as it may be shown: without user and password, with the namespace if told."""
        own = _NAMESPACE_OPTIONS.get(self.scheme, "")
        told = f"?{own}={self.options[own]}" if self.options.get(own) else ""
        if self.scheme == "chdb":
            return f"chdb://{self.path}{told}"
        port = f":{self.port}" if self.port else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{port}/{self.database}{told}"

    @property
    def namespace(self) -> str:
        """The schema or database in which the library's tables lie."""
        own = _NAMESPACE_OPTIONS.get(self.scheme)
        named = self.options.get(own, "") if own else self.database
        return named or DEFAULT_NAMESPACE

    @property
    def local(self) -> bool:
        """Whether nothing sent there leaves this machine."""
        host = self.options.get("host", self.host)
        if self.scheme == "chdb" or not host or host.startswith("/") or host == "localhost":
            return True
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return False


def is_address(place: object) -> bool:
    """Whether a library's place is the address of a server, and no folder."""
    return isinstance(place, str) and _ADDRESS.match(place) is not None


def parse_address(text: str, environment: Mapping[str, str] = os.environ) -> Address:
    """An address with the credentials that belong to it.

    Raises InputError, which never shows a password, for what is no address of a server.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # its words would show a piece of a password that has a / in it
        raise InputError(
            f"{shown(text)}: not an address of a server; write one like"
            " postgresql://host/database, and / in a password as %2F"
        ) from None
    scheme = _SCHEMES.get(parts.scheme.lower())
    if scheme is None:
        known = ", ".join(dict.fromkeys(f"{name}://" for name in _SCHEMES.values()))
        raise InputError(f"{shown(text)}: not a server that is known; use one of: {known}")
    options = _options(text, scheme, parts.query)
    if scheme == "chdb":
        return _checked(Address(scheme, path=unquote(parts.netloc + parts.path), options=options))
    user = unquote(parts.username) if parts.username else _user(scheme, environment)
    password = unquote(parts.password) if parts.password else None
    if password is None:
        password = _password(scheme, options, environment)
    return _checked(
        Address(
            scheme,
            (parts.hostname or "").lower(),
            port,
            unquote(parts.path.strip("/")),
            user=user,
            password=password,
            options={name: value for name, value in options.items() if name != "password_file"},
        )
    )


def _options(text: str, scheme: str, query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = options.keys() - _OPTIONS[scheme]
    if unknown:
        raise InputError(
            f"{shown(text)}: option {min(unknown)!r} is not known; options are"
            f" {', '.join(sorted(_OPTIONS[scheme]))}"
        )
    return options


def _checked(address: Address) -> Address:
    if address.scheme == "chdb" and not address.path:
        raise InputError("chdb://: no folder; write chdb:///folder")
    cluster = address.options.get("cluster", "one")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", cluster):
        raise InputError(f"{address.name}: cluster {cluster!r} is no name of a cluster")
    if not _NAME.fullmatch(address.namespace):
        raise InputError(
            f"{address.name}: {address.namespace!r} is no name for a library's tables; letters,"
            " digits and _ make one"
        )
    if address.scheme in ("clickhouse", "myscale") and not address.host:
        raise InputError(f"{address.name}: no host; write {address.scheme}://host/database")
    return address


def _user(scheme: str, environment: Mapping[str, str]) -> str | None:
    own = _USER_VARIABLES.get(scheme, "")
    return environment.get(USER_VARIABLE) or environment.get(own) or None


def _password(
    scheme: str, options: Mapping[str, str], environment: Mapping[str, str]
) -> str | None:
    own = _PASSWORD_VARIABLES.get(scheme, "")
    told = environment.get(PASSWORD_VARIABLE) or environment.get(own)
    file = options.get("password_file") or environment.get(PASSWORD_FILE_VARIABLE)
    if told or not file:
        return told or None
    try:
        with open(os.path.expanduser(file), encoding="utf-8") as lines:
            return lines.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text"
        raise InputError(f"{file}: the password cannot be read: {reason}") from error
