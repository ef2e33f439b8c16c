"""From what a user typed to hits: ``terms`` parses, ``search`` compares and ranks."""

from lookalike.query.search import COMBINATIONS, METHODS, Method, Point, Ranked, rank
from lookalike.query.terms import Term, parse_expression, parse_term

__all__ = [
    "COMBINATIONS",
    "METHODS",
    "Method",
    "Point",
    "Ranked",
    "Term",
    "parse_expression",
    "parse_term",
    "rank",
]
