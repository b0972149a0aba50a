"""Logs larger than memory: read once, dealt by user into parts on disk, and then worked on part by part."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet

from trackrec.data.catalogues import items_of
from trackrec.data.feedback import FeedbackSettings
from trackrec.data.interactions import ReadReport, has_no_times, plain_interactions, with_drawn_times, without_repeated
from trackrec.data.log import Log
from trackrec.data.mapped_table import ID_COLUMNS, MappedTable, whole_in_all
from trackrec.data.scan import read_parquet
from trackrec.data.split import DRAWN, Split, SplitSettings, split_log
from trackrec.data.tabular import TablesSettings, odd_counts, open_tables, place_of
from trackrec.errors import LogError

logger = logging.getLogger("trackrec.data")

PART_ROWS = 4_000_000
"""Interactions in a part: about 1.5 GB while it is split."""
_BATCH = 500_000
_ONCE = {"items", "dropped_items_without_id", "dropped_items_with_repeated_id", "kept_items_without_title", DRAWN}
"""Counts of the catalogue, which are the same in every part."""


@dataclass(frozen=True)
class LogInParts:
    """A log on disk. All of a user's interactions are in one part, so that what is done user by user needs no other."""

    files: tuple[Path, ...]
    items: pl.DataFrame
    """The catalogue, as it came."""
    settings: TablesSettings
    where: str
    found: dict[str, int]
    """What was found of the tables as a whole: the form of times, ids made text, odd titles."""

    def __iter__(self) -> Iterator[Log]:
        """The parts, checked, one at a time; a part without a usable row is left out (but see ``counts_of``)."""
        for number in range(len(self.files)):
            if (part := self.part(number)) is not None:
                yield part

    def part(self, number: int) -> Log | None:
        """One part as a log of its own, with its own counts; None if it has no usable row."""
        rows = read_parquet(self.files[number], memory_map=False)
        rows = rows.sort("event_id")
        if has_no_times(self.settings.columns):
            rows = with_drawn_times(rows)
        rows = without_repeated(rows, self.settings)
        if rows.is_empty() or not _any_usable(rows, self.items):
            return None
        checked = Log.checked(rows, self.items, where=f"part {number + 1} of {self.where}")
        drawn = {name: number for name, number in self.found.items() if name == DRAWN}
        return replace(checked, counts=checked.counts | odd_counts(checked, self.where) | drawn)

    def cutoff(self, settings: SplitSettings) -> int | None:
        """The moment of a temporal split, over all parts; None for other kinds."""
        if settings.kind != "temporal":
            return None
        times = pl.concat([log.interactions["timestamp"] for log in self])
        quantile = times.quantile(settings.temporal_quantile, interpolation="higher")
        return None if quantile is None else int(quantile)

    def splits(
        self, settings: SplitSettings, feedback: FeedbackSettings | None = None
    ) -> Iterator[tuple[Log, Split | None]]:
        """Each part and its split; together they have the rows that the split of the whole log has.

        The split is None where no user of a part has a history and examples; the part's counts still count.

        Args:
            settings: how it is cut. With ``recent=0`` far less memory is needed.
            feedback: as in ``split_log``; negatives cannot be drawn from a part.

        Raises:
            LogError: no part has a user with a history and examples.
        """
        cutoff, any_user, reason = self.cutoff(settings), False, ""
        for log in self:
            try:
                split = split_log(log, settings, feedback, cutoff)
            except LogError as error:
                reason = str(error)
                yield log, None
                continue
            any_user = True
            yield log, split
        if not any_user:
            raise LogError(f"{self.where}: {reason or 'no usable interaction'}")


@contextmanager
def read_in_parts(
    settings: TablesSettings, parts: int | None = None, scratch: Path | None = None
) -> Iterator[LogInParts]:
    """Open a log of any size. Its interactions are read in batches and dealt into files by their user.

    Args:
        settings: as for ``read_tables``.
        parts: how many; None: one for every ``PART_ROWS`` rows.
        scratch: where the parts lie until the block ends; None: the temporary folder.

    Raises:
        LogError: a table cannot be read or used.
    """
    with tempfile.TemporaryDirectory(prefix="trackrec-", dir=scratch) as folder:
        tables = open_tables(settings, Path(folder))
        catalogue = "items" in tables
        known = {
            name: MappedTable.of(name, table, settings.columns, catalogue=catalogue)
            for name, table in tables.items()
            if name != "users"
        }
        found = ReadReport()
        whole = {column: whole_in_all(column, known, found.counts) for column in ID_COLUMNS["interactions"]}
        acts = known["interactions"]
        frame = plain_interactions(acts, whole, settings, found).with_row_index("event_id")
        if settings.columns.row_order_as_time:
            frame = frame.with_columns((pl.col("event_id").cast(pl.Int64) + 1).alias("timestamp"))
        number = parts or max(1, -(-acts.facts["rows"] // PART_ROWS))
        with acts.table.reading():
            files = _deal(frame, number, Path(folder))
        items = items_of(known, frame, whole, settings.columns, found)
        yield LogInParts(files, items, settings, place_of(settings), found.counts)


def counts_of(logs: list[dict[str, int]]) -> dict[str, int]:
    """The counts of all parts together.

    >>> counts_of([{"rows": 2, "items": 9}, {"rows": 3, "items": 9}])
    {'rows': 5, 'items': 9}
    """
    total: Counter[str] = Counter()
    for counts in logs:
        total.update({name: number for name, number in counts.items() if name not in _ONCE})
    once = {name: number for name, number in (logs[0] if logs else {}).items() if name in _ONCE}
    return dict(total) | once


def _deal(frame: pl.LazyFrame, parts: int, folder: Path) -> tuple[Path, ...]:
    """Write the rows into files by a hash of their user; memory holds a few batches."""
    paths = tuple(folder / f"part-{number:04d}.parquet" for number in range(parts))
    writers: list[Any] = []
    with ExitStack() as open_files:
        for batch in frame.collect_batches(chunk_size=_BATCH, maintain_order=True, engine="streaming"):
            if not writers:
                schema = batch.to_arrow().schema
                options = {"compression": "lz4", "use_dictionary": ["unusable"], "write_statistics": False}
                writers = [
                    open_files.enter_context(pyarrow.parquet.ParquetWriter(path, schema, **options)) for path in paths
                ]
            which = (batch["user_id"].hash(seed=0) % parts).fill_null(0)
            for number, writer in enumerate(writers):
                rows = batch if parts == 1 else batch.filter(which == number)
                if rows.height:
                    writer.write_table(rows.rechunk().to_arrow())
    if not writers:
        raise LogError("the interactions hold no row: expected a table with some")
    return paths


def _any_usable(rows: pl.DataFrame, items: pl.DataFrame) -> bool:
    usable = rows.filter(
        pl.col("unusable").is_null() & pl.col("user_id").is_not_null() & pl.col("timestamp").is_not_null()
    )
    return bool(usable["item_id"].is_in(items["item_id"].implode()).any())
