"""Where a log comes from: one file a source, and the registry that knows them by name."""

from trackrec.data.sources.registry import SOURCES, TABLES, Source, find_source, read_log
from trackrec.data.sources.settings import SourceSettings

__all__ = ["SOURCES", "TABLES", "Source", "SourceSettings", "find_source", "read_log"]
