"""Tables of URLs as a source: every row names a picture on the web."""

from __future__ import annotations

import copy
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from lookalike.config import Fetching, Limits
from lookalike.decode import ReadFile
from lookalike.errors import ImageError
from lookalike.places import is_url
from lookalike.rows import open_table
from lookalike.sources.base import Supplied
from lookalike.sources.downloads import Downloads, Job, Keep
from lookalike.sources.fetching import Validator
from lookalike.types import FileEntry, PassedOver, Reason, State

LONGEST_URL = 8_000
"""Characters of a URL; servers refuse longer ones."""

URL_PLACES = ("http:/", "https:/")
"""At or under these, as folders, lie all URLs."""


@dataclass(slots=True)
class RowCounts:
    """What the rows of a table of URLs were; those after ``without_url`` are in the ledger."""

    rows: int = 0
    without_url: int = 0
    bad_url: int = 0
    repeated_url: int = 0
    """Left out: the first row with the URL counts."""
    without_id: int = 0
    """Indexed, without an id."""
    repeated_id: int = 0
    """Indexed, without an id: it belongs to the first row that has it."""

    def told(self) -> list[str]:
        """What is odd about them, in words."""
        words = {
            "without a URL": self.without_url,
            "with what is no URL of a picture": self.bad_url,
            "with a URL for the second time": self.repeated_url,
            "without an id": self.without_id,
            "with an id for the second time, which the first keeps": self.repeated_id,
        }
        return [f"{count} {what}" for what, count in words.items() if count]


class UrlTableSource:
    """A Source of the pictures whose URLs stand in a table (see ``rows``).

    ``suffix`` is appended to each URL to fetch it (``?w=200``; joined by & to a URL's
    own query); paths are the URLs without it. ``id_column``: what other tables call the pictures.
    ``keep``: gets the bytes of each picture. ``counts``: what the rows were, once all are found.
    Pictures that a table no longer has stay in the library. Raises InputError for tables and
    columns that are not there, MissingExtraError without the HTTP client.
    """

    places = URL_PLACES

    def __init__(
        self,
        tables: Sequence[str | os.PathLike[str]],
        url_column: str,
        id_column: str | None = None,
        *,
        suffix: str = "",
        fetching: Fetching = Fetching(),
        limits: Limits = Limits(),
        keep: Keep | None = None,
    ) -> None:
        self._table = open_table(tables)
        self._columns = [url_column] if id_column is None else [url_column, id_column]
        self._table.check_names(self._columns)
        self._suffix, self._keeps = suffix, keep is not None
        self._downloads = Downloads(fetching, limits, keep)
        self.name = ", ".join(map(str, self._table.paths))
        self.roots: Sequence[str] = ()
        self.counts = RowCounts()

    def found(self) -> Iterator[FileEntry | PassedOver]:
        """Every URL once, in the order of the rows."""
        self.counts = RowCounts()
        with closing(_Once()) as urls, closing(_Once()) as ids:
            for batch in self._table.texts(self._columns):
                named = batch[1] if len(batch) > 1 else None
                for row, text in enumerate(batch[0]):
                    found = self._found((text or "").strip(), urls)
                    if isinstance(found, FileEntry) and named is not None:
                        found = replace(found, foreign_id=self._id((named[row] or "").strip(), ids))
                    if found is not None:
                        yield found

    def _found(self, url: str, urls: _Once) -> FileEntry | PassedOver | None:
        self.counts.rows += 1
        if not url:
            self.counts.without_url += 1
            return None
        problem = url_problem(url)
        if problem:
            self.counts.bad_url += 1
            shown = _CREDENTIALS.sub("//***@", url)[:LONGEST_URL]
            return PassedOver(shown, State.SKIPPED, Reason.BAD_URL, problem)
        if not urls.add(url):
            self.counts.repeated_url += 1
            return None
        return FileEntry(url, 0, 0, validator=Validator(self._suffix).text)

    def _id(self, id_: str, ids: _Once) -> str | None:
        if not id_:
            self.counts.without_id += 1
        elif not ids.add(id_):
            self.counts.repeated_id += 1
        else:
            return id_
        return None

    def supply(self, entries: Iterable[FileEntry]) -> Iterator[Supplied | None]:
        """Their pictures as they arrive; those that did not change are only asked after."""
        return self._downloads.supply(map(self._job, entries))

    def shared_by(self, processes: int) -> UrlTableSource:
        """The same for one of several processes that ask at a time: each has its share."""
        own = copy.copy(self)
        own._downloads = self._downloads.shared_by(processes)
        return own

    def _job(self, entry: FileEntry) -> Job:
        known, asked = Validator.of(entry.validator), Validator(self._suffix)
        if known and (known.suffix != self._suffix or (self._keeps and not known.kept)):
            known = None
        url = joined(entry.path, self._suffix)
        return Job(replace(entry, validator=asked.text), url, self._suffix, known)


class _Once:
    """Texts that were seen, in a temporary file once they are many."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE seen (value TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def add(self, value: str) -> bool:
        """Remember a text; returns whether it is seen for the first time."""
        value = value.encode("utf-8", "backslashreplace").decode()  # SQLite has no half surrogates
        added = self._db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (value,))
        return added.rowcount > 0

    def close(self) -> None:
        self._db.close()


_CREDENTIALS = re.compile(r"//[^/?#]*@")


def url_problem(url: str) -> str | None:
    """Why a text is not the URL of a picture that can be fetched; None if it is."""
    if not is_url(url):
        return "does not begin with http:// or https://"
    if len(url) > LONGEST_URL:
        return f"longer than {LONGEST_URL} characters"
    if any(sign.isspace() or not sign.isprintable() for sign in url):
        return "has spaces or control characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"no URL: {error}"
    if not host:
        return "has no host"
    return "has a user name or password in it" if "@" in parts.netloc else None


def joined(url: str, suffix: str) -> str:
    """A URL with a suffix; two queries become one, and a fragment is left out."""
    plain = url.partition("#")[0]
    if suffix.startswith("?") and "?" in plain:
        return f"{plain}&{suffix[1:]}"
    return plain + suffix


# -- known pictures once more ----------------------------------------------------------------------


def fetch_again(entry: FileEntry, limits: Limits) -> ReadFile:
    """The picture of a URL as it was asked for before; raises ImageError if it cannot be had."""
    problem = url_problem(entry.path)
    if problem:
        raise ImageError(Reason.BAD_URL, problem)
    job = _as_before(entry)
    return Downloads(limits=limits).fetch(job.entry, job.url, job.suffix)


def supply_again(
    entries: Iterable[FileEntry], limits: Limits, fetching: Fetching
) -> Iterator[Supplied | None]:
    """The same for many, as they arrive."""
    return Downloads(fetching, limits).supply(map(_as_before, entries))


def _as_before(entry: FileEntry) -> Job:
    """Asks for a picture whether or not it changed."""
    asked = Validator.of(entry.validator) or Validator()
    return Job(entry, joined(entry.path, asked.suffix), asked.suffix)
