"""What is no address of a server is told without its credentials, however they are written."""

from __future__ import annotations

import pytest

from lookalike.errors import InputError
from lookalike.stores.server.address import parse_address

SECRET = "s3cr3t-wörd"


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://me:{SECRET}/x@host/db",
        f"clickhouse://me:a/{SECRET}@host:9/db",
        f"clickhouse://me:{SECRET}#@host/db",
        f"clickhouse://me:{SECRET}?@host/db",
        f"postgresql://me:{SECRET}@host/db?password={SECRET}",
        f"postgresql://me:{SECRET}@host:99999/db",
        f"postgresql://me:{SECRET}@[host/db",
    ],
)
def test_a_password_that_is_not_quoted_is_not_shown(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_address(text, {})
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert SECRET not in str(caught.value)
    assert "me:" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
