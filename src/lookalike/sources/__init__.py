"""Where pictures come from: folders, tar shards, tables of URLs."""

from lookalike.sources.base import Source, Supplied
from lookalike.sources.folders import FolderSource
from lookalike.sources.joined import source_of
from lookalike.sources.shards import ShardSource
from lookalike.sources.urls import UrlTableSource

__all__ = ["FolderSource", "ShardSource", "Source", "Supplied", "UrlTableSource", "source_of"]
