"""Lists to be re-ranked: a few items that the user really met next, among items that the user never touched."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from trackrec.data.log import stable_hash
from trackrec.data.statistics import ItemStatistics
from trackrec.errors import RunError
from trackrec.settings import Settings


class ListSettings(Settings):
    """How lists of candidates are made."""

    real: int = Field(default=4, ge=1)
    """Real events of a list, in the order of time; only a user's last list may have fewer."""
    sampled: int = Field(default=6, ge=0)
    """Items of a list that the user never touched, before or after; fewer where the catalogue has no more."""
    shortest: int = Field(default=2, ge=1)
    """A list with fewer real events than this is left out."""
    per_user: int | None = Field(default=None, ge=1)
    """Most lists of a user, drawn by the user's seed; null: all."""
    sampling: Literal["uniform", "popularity"] = "uniform"
    """How untouched items are drawn: each alike (KAR's way, with which an item's popularity alone gives much away), or
    in proportion to how often the log has them."""

    @property
    def length(self) -> int:
        """Places of a list."""
        return self.real + self.sampled


def build_lists(
    examples: pl.DataFrame,
    interactions: pl.DataFrame,
    items: pl.DataFrame,
    settings: ListSettings,
    seed: int,
    statistics: ItemStatistics | None = None,
) -> pl.DataFrame:
    """Cut each user's examples into lists, four by four in time, and mix items in that the user never touched.

    All that a re-ranker may know of the user is what lies strictly before the time of the list's first event: its
    recent events are that event's. The initial order, from which re-rankers start, is that of a ranker that only
    counts: the item's smoothed share of likes among the users behind ``statistics``, a tie decided by the user's seed.
    Without statistics the order is drawn. Either way the place of an item says nothing of whether it was sampled
    beyond what such a count says.

    Args:
        examples: ``Split.examples``: ``user_id, event_id, item_id, timestamp, label, recent_item_ids,
            recent_ratings``. Rows that are sampled negatives themselves (``sampled``) are left out.
        interactions: ``user_id, item_id`` of the whole log, so that an item which the user touched at any time is
            never taken for an untouched one.
        items: the catalogue that is sampled from: ``item_id``.
        settings: see :class:`ListSettings`.
        seed: with the user's id it fixes the user's lists, whoever else is there.
        statistics: counts among users that are no ranker's (the LM users).

    Returns:
        One row a candidate, by user, list and place: ``user_id, list`` Int32 (0 is the user's earliest) ``, place``
        Int32 (0 is the top of the initial order) ``, item_id, event_id`` (null: sampled) ``, label`` Int8 (1 liked; 0
        real but not liked, or sampled) ``, recent_item_ids, recent_ratings`` (the same for a whole list) ``, raters,
        likes`` Int32 ``, initial`` Float64 (what the order follows; 0 without statistics).

    Raises:
        RunError: a user with examples has no interactions, so that nothing is known to be untouched.

    Source:
        KAR (arXiv 2306.10933, section 4.1): lists of ten for re-ranking, four real and six sampled.
    """
    if "sampled" in examples.columns:
        examples = examples.filter(~pl.col("sampled"))
    # An item that comes twice within a list would be two candidates with one name: the later event goes.
    real = (
        examples.sort("user_id", "timestamp", "event_id")
        .with_columns(list=(pl.int_range(pl.len(), dtype=pl.Int32).over("user_id") // settings.real))
        .unique(["user_id", "list", "item_id"], keep="first", maintain_order=True)
        .filter(pl.len().over("user_id", "list") >= settings.shortest)
    )
    real, sampled = _draw_candidates(real, interactions, items["item_id"].unique().sort(), settings, seed)
    table = pl.concat([real.select(sampled.columns), sampled])
    context = real.group_by("user_id", "list", maintain_order=True).agg(
        pl.col("recent_item_ids", "recent_ratings").first()
    )
    table = table.join(context, on=["user_id", "list"], how="left", maintain_order="left")
    if statistics is None:
        nothing = pl.lit(0, dtype=pl.Int32)
        table = table.with_columns(raters=nothing, likes=nothing, initial=pl.lit(0.0))
    else:
        table = statistics.lookup(table).rename({"like_share_smoothed": "initial"}).drop("mean_rating")
    table = table.sort("user_id", "list", "initial", "draw", descending=[False, False, True, False])
    table = table.with_columns(place=pl.int_range(pl.len(), dtype=pl.Int32).over("user_id", "list"))
    columns = ("user_id", "list", "place", "item_id", "event_id", "label", "recent_item_ids", "recent_ratings")
    return table.select(*columns, "raters", "likes", "initial")


def _draw_candidates(
    real: pl.DataFrame, interactions: pl.DataFrame, pool: pl.Series, settings: ListSettings, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The real rows of the lists that are kept, and their sampled ones, each with a ``draw`` in [0, 1) for ties."""
    touched = _touched(interactions, pool)
    weights = _weights(interactions, pool, settings.sampling)
    kept: list[tuple[Any, int]] = []
    lengths: list[int] = []
    rows: list[npt.NDArray[np.int64]] = []
    draws: tuple[list[npt.NDArray[np.float64]], list[npt.NDArray[np.float64]]] = ([], [])
    sizes = real.group_by("user_id", "list", maintain_order=True).len()
    for (user,), lists in sizes.group_by("user_id", maintain_order=True):
        if user not in touched:
            raise RunError(
                f"User {user!r} has examples but no interactions, so nobody knows which items are untouched: "
                "pass the interactions of the whole log, with user ids of the same type."
            )
        random = np.random.default_rng([seed, stable_hash(user)])
        chosen = np.arange(lists.height)
        if settings.per_user is not None and lists.height > settings.per_user:
            chosen = np.sort(random.choice(lists.height, settings.per_user, replace=False))
        free = weights.copy()
        free[touched[user]] = 0.0
        wanted = min(settings.sampled, int((free > 0).sum()))
        for number, size in lists[chosen.tolist()].select("list", "len").iter_rows():
            kept.append((user, number))
            lengths.append(wanted)
            rows.append(random.choice(len(pool), wanted, replace=False, p=free / free.sum()) if wanted else chosen[:0])
            for part, count in zip(draws, (size, wanted), strict=True):
                part.append(random.random(count))
    keys = pl.DataFrame(kept, schema={name: real.schema[name] for name in ("user_id", "list")}, orient="row")
    real = real.join(keys, on=["user_id", "list"], how="semi", maintain_order="left")
    real = real.with_columns(draw=pl.Series(_flat(draws[0]), dtype=pl.Float64))
    sampled = keys.select(pl.all().repeat_by(pl.Series(lengths, dtype=pl.UInt32))).explode("user_id", "list")
    sampled = sampled.drop_nulls().with_columns(
        item_id=pool.gather(_flat(rows).astype(np.int64)),
        event_id=pl.lit(None, dtype=real.schema["event_id"]),
        label=pl.lit(0, dtype=real.schema["label"]),
        draw=pl.Series(_flat(draws[1]), dtype=pl.Float64),
    )
    return real, sampled


def _flat(parts: list[Any]) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0)


def _touched(interactions: pl.DataFrame, pool: pl.Series) -> dict[Any, npt.NDArray[np.int64]]:
    """Per user the rows of the pool that he touched."""
    rows = pl.DataFrame({"item_id": pool}).with_row_index("row")
    pairs = interactions.select("user_id", "item_id").unique().join(rows, on="item_id", how="left")
    lists = pairs.group_by("user_id").agg(pl.col("row").drop_nulls().cast(pl.Int64))
    return {user: np.asarray(found, dtype=np.int64) for user, found in lists.iter_rows()}


def _weights(
    interactions: pl.DataFrame, pool: pl.Series, sampling: Literal["uniform", "popularity"]
) -> npt.NDArray[np.float64]:
    if sampling == "uniform":
        return np.ones(len(pool))
    counts = interactions.group_by("item_id").len()
    joined = pl.DataFrame({"item_id": pool}).join(counts, on="item_id", how="left", maintain_order="left")
    return joined["len"].fill_null(0).cast(pl.Float64).to_numpy()
