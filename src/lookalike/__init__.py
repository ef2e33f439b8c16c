"""Find pictures by pictures: by meaning and by colour, offline, on a machine without a GPU.

>>> from lookalike import Library
"""

from lookalike.config import IndexOptions
from lookalike.errors import LookalikeError
from lookalike.library import Library
from lookalike.query.search import Method
from lookalike.types import Hit, SearchResult, Why
from lookalike.version import __version__

__all__ = [
    "Hit", "IndexOptions", "Library", "LookalikeError", "Method", "SearchResult", "Why",
    "__version__",
]  # fmt: skip
