"""Leaving with the features: a run's examples and vectors in the forms that other libraries read."""

from trackrec.export.formats import FORMATS, export_run

__all__ = ["FORMATS", "export_run"]
