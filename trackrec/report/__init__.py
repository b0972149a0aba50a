"""The report of a run: one page that opens without a network."""

from __future__ import annotations

from trackrec.report.page import write_report

__all__ = ["write_report"]
