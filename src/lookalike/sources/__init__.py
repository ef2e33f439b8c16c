"""Where pictures come from: folders, and what else gives file entries and their bytes."""

from lookalike.sources.base import Source, Supplied
from lookalike.sources.folders import FolderSource

__all__ = ["FolderSource", "Source", "Supplied"]
