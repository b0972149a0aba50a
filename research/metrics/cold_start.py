"""Metrics broken down by how much was known of the user and the item: cold start, bucket by bucket."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl

from trackrec.metrics.intervals import bootstrap_users, paired_bootstrap
from trackrec.metrics.probability import Interval
from trackrec.rankers.compare import RankingSettings, SplitTables, fold_parts, ranker_examples, tested_folds

EDGES = (0, 1, 5, 20)
"""Lower ends of the buckets: 0, 1-4, 5-19, 20 and more."""
SEEN = ("item_seen", "user_seen")
"""The counts of :func:`count_seen`."""


def count_seen(test: pl.DataFrame, train: pl.DataFrame, histories: pl.DataFrame) -> pl.DataFrame:
    """How often the recommender had met each test example's item and user.

    Args:
        test: ``user_id, event_id, item_id``, of one fold.
        train: the examples that the fold's recommender was trained on: ``user_id, item_id``.
        histories: ``user_id``, one row an event: what each user had done before any example.

    Returns:
        ``user_id, event_id, item_seen, user_seen`` Int64. ``item_seen``: training examples with this item as target.
        ``user_seen``: events in the user's history, and training examples of the user; where folds part users, as
        everywhere here, the latter are none.
    """
    items = train.group_by("item_id").agg(item_seen=pl.len())
    events = pl.concat([histories.select("user_id"), train.select("user_id")])
    users = events.group_by("user_id").agg(user_seen=pl.len())
    joined = (
        test.select("user_id", "event_id", "item_id")
        .join(items, on="item_id", how="left", maintain_order="left")
        .join(users, on="user_id", how="left", maintain_order="left")
    )
    counts = pl.col("item_seen", "user_seen").fill_null(0).cast(pl.Int64)
    return joined.select("user_id", "event_id", counts)


def seen_counts(split: SplitTables, roles: pl.DataFrame, settings: RankingSettings, seed: int) -> pl.DataFrame:
    """How often each test example's item and user were met, for :func:`break_down`.

    Returns:
        ``user_id, event_id, item_seen, user_seen``, one row a test example of
        :func:`trackrec.rankers.compare.compare_arms`.
    """
    frame, folds = ranker_examples(split, roles)
    counts = []
    for fold in tested_folds(folds, settings):
        train, _, test = fold_parts(frame, folds, fold, settings.examples_per_user, seed)
        counts.append(count_seen(test, train, split.histories))
    return pl.concat(counts)


def bucket_names(edges: Sequence[int] = EDGES) -> list[str]:
    """The buckets in words.

    >>> bucket_names()
    ['0', '1-4', '5-19', '20+']
    """
    names = []
    for low, high in zip(edges, [*edges[1:], None], strict=True):
        names.append(f"{low}+" if high is None else str(low) if high == low + 1 else f"{low}-{high - 1}")
    return names


def break_down(
    predictions: pl.DataFrame,
    seen: pl.DataFrame,
    metrics: Mapping[str, Callable[..., float]],
    arm: str,
    baseline: str | None = None,
    *,
    seed: int,
    draws: int = 1000,
    edges: Sequence[int] = EDGES,
    by: Sequence[str] = SEEN,
) -> pl.DataFrame:
    """Metrics of an arm, or its difference from another, within each bucket of each of some counts.

    Args:
        predictions: ``arm, seed, fold, user_id, event_id, label, probability``, as
            :func:`trackrec.rankers.compare.compare_arms` gives them.
        seen: ``user_id, event_id`` and the counts, one row an example; see :func:`count_seen`.
        metrics: name -> statistic, as `trackrec.metrics.intervals.bootstrap_users` takes them.
        arm, baseline: names in ``predictions``; with a baseline the values are differences, paired on the examples.
        seed, draws: of the bootstrap over users within folds, on the average over the seeds of training.
        edges: lower ends of the buckets, ascending from 0.
        by: the counts, columns of ``seen``.

    Returns:
        ``by`` (which count) ``, bucket, metric, value, low, high, users, examples``; a bucket without
        examples has a row with null values, so that it is seen to be empty. Values are null where undefined.
    """
    names = bucket_names(edges)
    tables = [_arm(predictions, name, seen, by) for name in (arm, baseline) if name is not None]
    first = tables[0][0]
    rows = []
    for column in by:
        place = np.searchsorted(np.asarray(edges), first[column].to_numpy(), side="right") - 1
        for number, bucket in enumerate(names):
            inside = place == number
            part = first.filter(pl.Series(inside))
            for metric, statistic in metrics.items():
                value: Interval | None = None
                if part.height:
                    users, folds = part["user_id"].to_numpy(), part["fold"].to_numpy()
                    labels = part["label"].to_numpy()
                    scores = [probabilities[:, inside] for _, probabilities in tables]
                    bootstrap = paired_bootstrap if baseline is not None else bootstrap_users
                    value = bootstrap(statistic, users, labels, *scores, seed=seed, draws=draws, folds=folds)
                figures = [None if value is None or np.isnan(x) else float(x) for x in (value or (0.0, 0.0, 0.0))]
                rows.append((column, bucket, metric, *figures, part["user_id"].n_unique(), part.height))
    schema: dict[str, pl.DataType] = {}
    for kind, columns in ((pl.String(), ("by", "bucket", "metric")), (pl.Float64(), ("value", "low", "high"))):
        schema |= dict.fromkeys(columns, kind)
    schema |= dict.fromkeys(("users", "examples"), pl.Int64())
    return pl.DataFrame(rows, schema=schema, orient="row")


def _arm(predictions: pl.DataFrame, arm: str, seen: pl.DataFrame, by: Sequence[str]) -> tuple[pl.DataFrame, np.ndarray]:
    """The examples of an arm with their counts, and its probabilities, shape (seeds, examples)."""
    table = predictions.filter(pl.col("arm") == arm).sort("seed", "fold", "user_id", "event_id")
    if table.is_empty():
        raise ValueError(f"predictions hold no arm {arm!r}: expected one of {predictions['arm'].unique().to_list()}")
    one = table.filter(pl.col("seed") == table["seed"][0])
    joined = one.join(seen, on=["user_id", "event_id"], how="left", maintain_order="left")
    if joined.height != one.height or any(joined[column].null_count() for column in by):
        raise ValueError(f"seen has {seen.height} rows for {one.height} examples: expected one for each")
    return joined, table["probability"].to_numpy().reshape(-1, one.height)
