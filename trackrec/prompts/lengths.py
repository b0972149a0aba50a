"""How long prompts are, for any number of users at once: each different line is tokenised once, the rest is sums."""

from __future__ import annotations

import polars as pl

from trackrec.prompts.renderer import Renderer, tenths

_LINES = 50_000
"""Texts that are tokenised at once."""
_LINE = ["item_id", "rating", "number"]
"""What decides a line; the number is 0 where lines are not numbered."""


class PromptLengths:
    """Counts the tokens of prompts as the renderer makes them.

    A line is a segment of its own, so its length depends on its item and rating alone, and there are far fewer
    different lines than events, and fewer different items and ratings still. They are kept, so that a log that comes in
    parts is counted part by part.

    Args:
        renderer: whose prompts are counted.
    """

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._lines: pl.DataFrame | None = None
        self._targets: pl.DataFrame | None = None

    def generator_prompts(self, histories: pl.DataFrame) -> pl.DataFrame:
        """The lengths of ``Renderer.generator_prompt``.

        Args:
            histories: ``Split.histories``.

        Returns:
            ``user_id, events`` UInt32 (in the history) ``, shown`` UInt32 (whose lines fit) ``, tokens`` Int64 (of the
            prompt), one row a user, sorted.
        """
        rows = self._shown(histories)
        shown = pl.col("shown")
        frame = self._renderer.frame_tokens[0]
        lengths = rows.group_by("user_id").agg(
            pl.len().alias("events"),
            shown.sum().alias("shown"),
            (pl.col("length").filter(shown).sum() + frame).alias("tokens"),
        )
        lengths = lengths.sort("user_id")
        return self._with_digests(lengths, histories) if self._renderer.settings.digest else lengths

    def with_shown(self, histories: pl.DataFrame) -> pl.DataFrame:
        """The histories with ``shown`` (Boolean): whether the generator's prompt has the event's line; users in their
        order, the events of each oldest first."""
        users = histories.select("user_id").unique(maintain_order=True)
        shown = self._shown(histories).select("user_id", "position", "shown")
        rows = histories.join(shown, on=["user_id", "position"], how="left", maintain_order="left").sort(
            "position", maintain_order=True
        )
        return users.join(rows, on="user_id", maintain_order="left_right")

    def _shown(self, histories: pl.DataFrame) -> pl.DataFrame:
        """``user_id, position, length`` (of the line) ``, shown``, sorted."""
        budget = self._renderer.settings.history_tokens
        number = pl.col("position").cast(pl.Int64) + 1 if self._renderer.settings.numbered else pl.lit(0, pl.Int64)
        rows = histories.select("user_id", "position", "item_id", "rating", number=number)
        rows = rows.join(self._line_lengths(rows), on=_LINE).sort("user_id", "position")
        rows = rows.with_columns(
            pl.col("length").cum_sum(reverse=True).over("user_id").alias("from_here"),
            (pl.col("position") == pl.col("position").max().over("user_id")).alias("newest"),
        )
        shown = (pl.col("from_here") <= budget) | pl.col("newest")
        return rows.select("user_id", "position", "length", shown=shown)

    def target_segments(self, targets: pl.DataFrame) -> pl.Series:
        """The lengths of ``Renderer.target_segment``, Int64, row by row.

        Args:
            targets: ``item_id, raters, likes``.
        """
        share = pl.struct("raters", "likes").map_elements(
            lambda row: tenths(row["likes"], row["raters"]) if row["raters"] else -1, return_dtype=pl.Int64
        )
        counts = targets.select("raters", "likes").unique().with_columns(share.alias("tenths"))
        rows = targets.select("item_id", "raters", "likes")
        rows = rows.join(counts, on=["raters", "likes"], how="left", maintain_order="left")
        examples = rows.unique(["item_id", "tenths"], keep="first", maintain_order=True)
        if self._targets is not None:
            examples = examples.join(self._targets, on=["item_id", "tenths"], how="anti")
        texts = [self._renderer.target_text(*row) for row in examples.select("item_id", "raters", "likes").iter_rows()]
        found = examples.select("item_id", "tenths").with_columns(self._count(texts) + self._renderer.frame_tokens[1])
        self._targets = found if self._targets is None else pl.concat([self._targets, found])
        return rows.join(self._targets, on=["item_id", "tenths"], how="left", maintain_order="left")["length"]

    def _line_lengths(self, rows: pl.DataFrame) -> pl.DataFrame:
        new = rows.select(_LINE).unique()
        if self._lines is not None:
            new = new.join(self._lines, on=_LINE, how="anti")
        new = new.with_columns(self._count_lines([self._renderer.line_parts(*row) for row in new.iter_rows()]))
        self._lines = new if self._lines is None else pl.concat([self._lines, new])
        return self._lines

    def _count_lines(self, lines: list[tuple[str, str]]) -> pl.Series:
        """The tokens of lines in two parts: of each different part once, if the tokenizer cuts between them.

        That it does is tried for every first part with each two characters that a second part begins with: no proof for
        every tokenizer, but where it cuts does not depend on what comes later in any that is known here.
        """
        begins = {second[:2]: second for _, second in lines}
        firsts, seconds = list({first for first, _ in lines}), list({second for _, second in lines})
        if len(firsts) * len(begins) + len(seconds) < len(lines):
            ones, others = self._lengths_of(firsts), self._lengths_of(seconds)
            tried = [(first, second) for first in firsts for second in begins.values()]
            whole = self._count([first + second for first, second in tried])
            if all(n == ones[a] + others[b] for n, (a, b) in zip(whole, tried, strict=True)):
                return pl.Series("length", [ones[a] + others[b] for a, b in lines], dtype=pl.Int64)
        return self._count([first + second for first, second in lines])

    def _lengths_of(self, texts: list[str]) -> dict[str, int]:
        return dict(zip(texts, self._count(texts).to_list(), strict=True))

    def _count(self, texts: list[str]) -> pl.Series:
        counts: list[int] = []
        for start in range(0, len(texts), _LINES):
            counts += self._renderer.count_all(texts[start : start + _LINES])
        return pl.Series("length", counts, dtype=pl.Int64)

    def _with_digests(self, lengths: pl.DataFrame, histories: pl.DataFrame) -> pl.DataFrame:
        ordered = histories.sort("user_id", "position")
        digests = self._renderer.digests(ordered)
        return lengths.with_columns(tokens=pl.col("tokens") + self._count(digests["digest"].to_list()))
