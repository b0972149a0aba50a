"""What the judge of a run said of items, with a person's text and without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from trackrec.serving.run_texts import RunTexts


class Judged:
    """Answers of a run's judge (V), kept in memory: the judge itself is not asked again.

    Args:
        version: in which the texts were written that the judge read.
        rows: ``user_id, item_id, label, with_text, without_text``: items that a person met after the history, whether
            the person liked each, and the judge's probabilities of that.
    """

    def __init__(self, version: str, rows: pl.DataFrame) -> None:
        self.version = version
        self._of: dict[str, list[dict[str, Any]]] = {}
        for row in rows.sort("with_text", descending=True, maintain_order=True).iter_rows(named=True):
            self._of.setdefault(str(row.pop("user_id")), []).append(row)

    @classmethod
    def of_run(cls, run: Path) -> Judged | None:
        """Those of a finished run; None: it is not finished, or its judge was asked nothing with and without a text."""
        if not RunTexts.is_whole(run):
            return None
        texts = RunTexts(run)
        rows = texts.judged()
        return None if rows is None else cls(texts.current(), rows)

    def of(self, user_id: Any, version: str) -> list[dict[str, Any]]:
        """Items of a person, the likeliest first; none where the judge did not read this person's text.

        Args:
            user_id: of the person.
            version: in which the person's text was written.
        """
        return self._of.get(str(user_id), []) if version == self.version else []
