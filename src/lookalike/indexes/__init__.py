"""Finding the nearest rows of a table: ``base`` is the contract, the others ways to keep it."""

from lookalike.indexes.base import Index, Neighbours, ScanIndex
from lookalike.indexes.colour import ColourIndex
from lookalike.indexes.compact import CompactIndex
from lookalike.indexes.exact import ExactIndex

__all__ = ["ColourIndex", "CompactIndex", "ExactIndex", "Index", "Neighbours", "ScanIndex"]
