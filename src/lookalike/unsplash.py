"""The Unsplash data sets as they are unpacked: photos by URL, and tables of what became of them.

File names and columns: https://github.com/unsplash/datasets/blob/master/DOCS.md. Of each document
there are one or several parts, ``photos.tsv000``, also as CSV.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lookalike.config import Fetching, Limits
from lookalike.errors import InputError
from lookalike.library import Library
from lookalike.rows import open_table
from lookalike.side_tables import TableOptions, TableReport
from lookalike.sources.downloads import Keep
from lookalike.sources.urls import UrlTableSource

KEY = "photo_id"
URL = "photo_image_url"
SUFFIX = "?q=75&fm=jpg&w=200&fit=max"
"""A JPEG of at most 200 pixels' width."""

PHOTOS = 1_000
"""Photos that are taken unless told otherwise, the first of the table."""

COLUMNS: Mapping[str, Sequence[str]] = {
    "photos": (
        "photo_id", "photo_url", "photo_image_url", "photo_submitted_at", "photo_featured",
        "photo_width", "photo_height", "photo_aspect_ratio", "photo_description",
        "photographer_username", "photographer_first_name", "photographer_last_name",
        "exif_camera_make", "exif_camera_model", "exif_iso", "exif_aperture_value",
        "exif_focal_length", "exif_exposure_time", "photo_location_name",
        "photo_location_latitude", "photo_location_longitude", "photo_location_country",
        "photo_location_city", "stats_views", "stats_downloads", "ai_description",
        "ai_primary_landmark_name", "ai_primary_landmark_latitude",
        "ai_primary_landmark_longitude", "ai_primary_landmark_confidence",
    ),
    "conversions": (
        "converted_at", "conversion_type", "keyword", "photo_id", "anonymous_user_id",
        "conversion_country",
    ),
    "keywords": (
        "photo_id", "keyword", "ai_service_1_confidence", "ai_service_2_confidence",
        "suggested_by_user",
    ),
    "collections": ("photo_id", "collection_id", "collection_title", "photo_collected_at"),
    "colors": ("photo_id", "hex", "red", "green", "blue", "keyword", "coverage", "score"),
}  # fmt: skip
"""The documents, and the columns that are documented of each."""

NEEDED: Mapping[str, Sequence[str]] = {
    "photos": (KEY, URL),
    "conversions": (KEY, "keyword"),
    "keywords": (KEY, "keyword"),
    "collections": (KEY,),
    "colors": (KEY,),
}
"""Columns without which a document is of no use."""

_REQUIRED = ("photos", "conversions")
_TEXTS = ("keyword", "collection_id", "collection_title", "hex", "anonymous_user_id")

DOWNLOADS = """\
SELECT photo_id, count(*) AS downloads FROM conversions
JOIN files ON files.foreign_id = photo_id
JOIN similar('id:{photo}', 10, 'include_self') USING (id)
GROUP BY photo_id ORDER BY downloads DESC, photo_id"""
"""How often each of the ten photos most like one was downloaded, itself among them."""

KEYWORDS = """\
WITH popular AS (SELECT photo_id FROM conversions
JOIN files ON files.foreign_id = photo_id
JOIN similar('id:{photo}', 10, 'include_self') USING (id)
GROUP BY photo_id ORDER BY count(*) DESC, photo_id LIMIT 1)
SELECT keyword, count(*) AS downloads FROM conversions JOIN popular USING (photo_id)
GROUP BY keyword ORDER BY downloads DESC, keyword LIMIT 5"""
"""After which searches the most popular of them was downloaded, the five most frequent."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An unpacked data set: the parts of each document, and documented columns that it lacks."""

    folder: Path
    parts: Mapping[str, Sequence[Path]]
    lacking: Mapping[str, Sequence[str]]

    def photos(
        self,
        suffix: str = SUFFIX,
        *,
        fetching: Fetching = Fetching(),
        limits: Limits = Limits(),
        keep: Keep | None = None,
    ) -> UrlTableSource:
        """The photos as a source of pictures."""
        return UrlTableSource(
            self.parts["photos"],
            URL,
            KEY,
            suffix=suffix,
            fetching=fetching,
            limits=limits,
            keep=keep,
        )

    def add_tables(
        self, library: Library, stage: Callable[[str], None] = lambda name: None
    ) -> list[TableReport]:
        """Keep all documents as tables beside the photos, in place of those so called."""
        reports = []
        for name, parts in self.parts.items():
            texts = [one for one in _TEXTS if one in open_table(parts).names]
            how = TableOptions(KEY, "foreign_id", texts=texts, replace=True)
            reports.append(library.add_table(name, parts, how, _of(name, stage)))
        return reports


def open_archive(folder: str | os.PathLike[str]) -> Archive:
    """What lies in a folder; raises InputError where photos or conversions, or columns, are not."""
    place = Path(os.path.expanduser(folder))
    if not place.is_dir():
        raise InputError(
            f"{place}: no such folder; name the one that the archive was unpacked into"
        )
    parts = {name: found for name in COLUMNS if (found := _parts(place, name))}
    for name in _REQUIRED:
        if name not in parts:
            raise InputError(
                f"{place}: no {name}.tsv000 or {name}.csv000 in it; name the folder that an archive"
                " of github.com/unsplash/datasets was unpacked into"
            )
    names = {name: open_table(found).names for name, found in parts.items()}
    for name in parts:
        missing = [column for column in NEEDED[name] if column not in names[name]]
        if missing:
            raise InputError(
                f"{parts[name][0]}: no column {missing[0]!r}, which Unsplash documents; it has:"
                f" {', '.join(names[name])[:200]}"
            )
    lacking = {
        name: [column for column in COLUMNS[name] if column not in names[name]] for name in parts
    }
    return Archive(place, parts, {name: some for name, some in lacking.items() if some})


def _of(name: str, stage: Callable[[str], None]) -> Callable[[str], None]:
    """Says of each step which document it is about."""
    return lambda step: stage(f"{name}: {step}")


def _parts(folder: Path, name: str) -> list[Path]:
    for kind in ("tsv", "csv"):
        found = sorted(path for path in folder.glob(f"{name}.{kind}*") if path.is_file())
        if found:
            return found
    return []
