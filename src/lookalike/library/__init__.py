"""The facade: open a library, add pictures, search. Everything else is reached from here."""

from __future__ import annotations

from lookalike.library.adding import Adding
from lookalike.library.charting import Charting
from lookalike.library.exchanging import Exchanging
from lookalike.library.labels import Labelling
from lookalike.library.searching import Source
from lookalike.library.studying import Studying
from lookalike.library.tables import Asking

__all__ = ["Library", "Source"]


class Library(Adding, Asking, Studying, Charting, Labelling, Exchanging):
    """Pictures that were indexed, in one folder on disk, and the searches over them.

    >>> with Library.open("pictures.library", create=True) as library:   # doctest: +SKIP
    ...     library.add(["~/Pictures"])
    ...     for hit in library.search(["cat.jpg"]).hits:
    ...         print(hit.rank, hit.score, hit.paths[0])

    Several processes may read one library while one writes to it. An object of this class belongs
    to one thread.
    """
