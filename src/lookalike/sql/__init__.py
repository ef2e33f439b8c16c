"""Statements of users: ``similar('cat.jpg', 10)`` in them, and which table they change.

No engine needs to have table functions: the calls are answered first, and stand in the statement as
common table expressions of literal rows. The same text of a user runs so on SQLite, PostgreSQL and
ClickHouse.
"""

from __future__ import annotations

from lookalike.sql.rows import HIT_COLUMNS, HitRow
from lookalike.sql.statement import Call, Statement
from lookalike.sql.tokens import Dialect

__all__ = ["HIT_COLUMNS", "Call", "Dialect", "HitRow", "Statement"]
