"""Where pictures come from: folders, tar shards (``shards``), tables of URLs (``urls``)."""

from lookalike.sources.base import Source, Supplied
from lookalike.sources.folders import FolderSource
from lookalike.sources.joined import source_of

__all__ = ["FolderSource", "Source", "Supplied", "source_of"]
