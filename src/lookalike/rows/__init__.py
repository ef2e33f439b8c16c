"""Tables of users as streams of rows: TSV, CSV, JSON lines, Parquet, in one file or several.

``open_table(["conversions.tsv*"])`` names the files; what comes of it has ``names``, ``columns``
(names with kinds) and ``batches()``.
"""

from __future__ import annotations

from lookalike.rows.base import Batch
from lookalike.rows.table import Table, open_table

__all__ = ["Batch", "Table", "open_table"]
