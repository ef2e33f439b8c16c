"""Where a library is kept. ``base`` is the contract, ``sqlite`` the embedded default."""

from lookalike.stores.base import HistogramTable, Run, Store, VectorTable
from lookalike.stores.sqlite import SqliteStore

__all__ = ["HistogramTable", "Run", "SqliteStore", "Store", "VectorTable"]
