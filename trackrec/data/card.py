"""The data card's figures: what a log holds, and what a split makes of it, as plain values for JSON and plots."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from trackrec.data.feedback import FeedbackSettings
from trackrec.data.log import Log
from trackrec.data.split import Split, SplitSettings, count_cold_start

_LONGEST = 40


def first_values(log: Log) -> dict[str, str]:
    """Role (user, item, rating, timestamp, title, year, genres, creator) to its value, times as text in UTC.

    They are those of the first interaction that was kept, and of its item. What it lacks is left out.
    """
    if log.interactions.is_empty():
        return {}
    row = log.interactions.row(0, named=True)
    item = log.items.filter(log.items["item_id"] == row["item_id"]).row(0, named=True)
    moment = datetime.datetime.fromtimestamp(row["timestamp"], datetime.UTC)
    found: dict[str, Any] = {
        "user": row["user_id"],
        "item": row["item_id"],
        "rating": f"{row['rating']:g}",
        "timestamp": f"{moment:%Y-%m-%d %H:%M:%S}",
        "title": item["title"],
        "year": item["year"],
        "genres": " + ".join(item["genres"]),
        "creator": item.get("creator"),
    }
    told = {role: " ".join(str(value).split()) for role, value in found.items() if value not in (None, "")}
    return {role: text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…" for role, text in told.items()}


Figures = dict[str, Any]

_DAY = 86_400
_PERIODS = ((90, "day", "1d"), (600, "week", "1w"), (3650, "month", "1mo"), (20_000, "quarter", "1q"))
"""Up to so many days, the log is drawn by such periods; beyond, by years."""
_MOST_RATINGS = 21
"""Up to so many different ratings each is counted by itself; beyond, in as many equal steps."""
_SHARES = {"least": 0.0, "quarter": 0.25, "median": 0.5, "three_quarters": 0.75, "most": 1.0}
PROMPT_TITLE = 120
"""Characters of a title that reach a prompt; the prompts' renderer cuts there."""

_WITHOUT_TIMES = ("times_from_the_order_of_rows", "times_drawn_since_the_log_has_none")
"""Counts of a log whose times are places in an order."""


def describe_log(log: Log) -> Figures:
    """What a log holds.

    Returns:
        ``size``, ``dates`` (first, last, days, the longest gaps, and whether they are ``places`` in an order, for a
        log without times), ``activity`` (events a user), ``popularity`` (events an item), ``ratings`` (value or lower
        end of a step, and how many), ``titles`` (lengths, what is odd), and ``by_period`` (the beginning of each day,
        week, ... and its number of interactions).
    """
    rows = log.interactions
    users = rows.group_by("user_id").len().sort("len", "user_id", descending=[True, False])
    items = rows.group_by("item_id").len().sort("len", descending=True)
    pairs = rows.height - log.counts.get("kept_repeated_pairs", 0)
    top = max(1, items.height // 100)
    return {
        "size": {
            "interactions": rows.height,
            "users": users.height,
            "items_touched": items.height,
            "items_in_catalogue": log.items.height,
            "items_never_touched": log.items.height - items.height,
            "density": pairs / (users.height * items.height),
        },
        "dates": _dates(rows["timestamp"]) | {"places": any(name in log.counts for name in _WITHOUT_TIMES)},
        "by_period": _by_period(rows["timestamp"]),
        "activity": _shares_of(users["len"])
        | {
            "users_with_one": int((users["len"] == 1).sum()),
            "most_active": [[str(user), number] for user, number in users.head(5).iter_rows()],
            "histogram": _by_doubling(users["len"]),
        },
        "popularity": _shares_of(items["len"])
        | {
            "items_with_one": int((items["len"] == 1).sum()),
            "share_of_top_hundredth": int(items["len"].head(top).sum()) / rows.height,
            "by_rank": _by_rank(items["len"]),
        },
        "ratings": _ratings(rows["rating"]),
        "titles": _titles(log.items),
    }


def describe_split(log: Log, split: Split, settings: SplitSettings, feedback: FeedbackSettings) -> Figures:
    """What a split makes of a log.

    Returns:
        ``users`` (in the log, kept, left out by reason), ``histories`` (lengths, how many are cut at the longest that
        is allowed), ``examples`` (how many, a user), ``labels`` (share of likes among both), ``cold`` (shares of users
        and examples that no past can help with).
    """
    lengths = split.histories.group_by("user_id").len()["len"]
    each = split.examples.group_by("user_id").len()["len"]
    cold = split.counts | count_cold_start(log.interactions, split.histories, split.examples)
    users = split.counts["users_in_log"]
    left_out = {name: number for name, number in split.counts.items() if name.startswith("dropped_")}
    real = split.examples.filter(~pl.col("sampled")) if "sampled" in split.examples.columns else split.examples
    return {
        "users": {"in_log": users, "with_history_and_examples": len(lengths), **left_out},
        "histories": _shares_of(lengths)
        | {
            "interactions": split.histories.height,
            "at_the_limit": int((lengths >= settings.max_history).sum()),
            "limit": settings.max_history,
            "by_length": [[int(a), int(b)] for a, b in lengths.value_counts().sort("len").iter_rows()],
        },
        "examples": _shares_of(each) | {"interactions": real.height, "histogram": _by_doubling(each)},
        "labels": {
            "feedback": feedback.kind,
            "like_threshold": settings.like_threshold if feedback.kind == "threshold" else None,
            "likes_in_histories": _mean(split.histories["label"]),
            "likes_in_examples": _mean(split.examples["label"]),
            "users_with_both_labels": _with_both(split.examples),
            "sampled_negatives": split.counts.get("sampled_negatives", 0),
            "missing_negatives": split.counts.get("missing_negatives", 0),
        },
        "cold": {
            "users_without_history": 1 - len(lengths) / users,
            "examples_of_cold_items": cold["examples_of_cold_items"] / max(1, split.examples.height),
            "cold_items": cold["cold_items"],
        },
    }


def day(seconds: int) -> str:
    """The day of a time, in UTC."""
    return f"{datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(seconds)):%Y-%m-%d}"


def _dates(times: pl.Series) -> Figures:
    moments = times.unique().sort()
    gaps = pl.DataFrame({"from": moments[:-1], "to": moments[1:]}).with_columns(length=pl.col("to") - pl.col("from"))
    longest = gaps.sort("length", "from", descending=[True, False]).head(3)
    first, last = int(moments[0]), int(moments[-1])
    return {
        "first": day(first),
        "last": day(last),
        "days": round((last - first) / _DAY, 2),
        "different_times": len(moments),
        "longest_gaps": [
            {"from": day(a), "to": day(b), "days": round(length / _DAY, 2)} for a, b, length in longest.iter_rows()
        ],
    }


def _by_period(times: pl.Series) -> Figures:
    days = (int(times.max()) - int(times.min())) / _DAY  # type: ignore[arg-type]
    name, every = next(((name, every) for limit, name, every in _PERIODS if days <= limit), ("year", "1y"))
    dates = pl.from_epoch(times, time_unit="s").dt.truncate(every).dt.date().alias("begins")
    counts = dates.to_frame().group_by("begins").len().sort("begins").upsample("begins", every=every)
    return {
        "period": name,
        "counts": [[str(begins), number or 0] for begins, number in counts.select("begins", "len").iter_rows()],
    }


def _shares_of(values: pl.Series) -> Figures:
    found: Figures = {name: int(values.quantile(share, "nearest") or 0) for name, share in _SHARES.items()}
    return found | {"mean": round(_mean(values), 3)}


def _mean(values: pl.Series) -> float:
    return float(values.sum()) / len(values) if len(values) else float("nan")


def _by_doubling(values: pl.Series) -> list[list[int]]:
    """How many values are 1, 2 to 3, 4 to 7, ...: the least of each step and its number."""
    steps = np.bincount(np.log2(np.maximum(values.to_numpy(), 1)).astype(np.int64))
    return [[2**step, int(number)] for step, number in enumerate(steps)]


def _by_rank(ordered: pl.Series) -> list[list[int]]:
    """Ranks, evenly spaced in their logarithm, and the number that has each rank."""
    ranks = np.unique(np.geomspace(1, len(ordered), 60).round().astype(np.int64))
    return [[int(rank), int(ordered[int(rank) - 1])] for rank in ranks]


def _ratings(ratings: pl.Series) -> Figures:
    values = ratings.rename("rating").value_counts(name="number").sort("rating")
    if values.height > _MOST_RATINGS:
        numbers, ends = np.histogram(ratings.to_numpy(), bins=_MOST_RATINGS - 1)
        return {"different": values.height, "steps": True, "counts": _plain(ends[:-1].tolist(), numbers.tolist())}
    return {"different": values.height, "steps": False, "counts": _plain(*(column.to_list() for column in values))}


def _plain(values: Sequence[float], numbers: Sequence[int]) -> list[list[float]]:
    return [[round(float(value), 6), int(number)] for value, number in zip(values, numbers, strict=True)]


def _titles(items: pl.DataFrame) -> Figures:
    titles = items["title"]
    lengths = titles.str.len_chars()
    longest = items.filter(lengths == lengths.max())["title"][0]
    return _shares_of(lengths) | {
        "longest": str(longest)[:200],
        "cut_in_prompts": int((lengths > PROMPT_TITLE).sum()),
        "examples": titles.unique(maintain_order=True).head(5).str.slice(0, 80).to_list(),
        "with_genres": _mean(items["genres"].list.len() > 0),
        "with_year": _mean(items["year"].is_not_null()),
    }


def _with_both(examples: pl.DataFrame) -> int:
    each = examples.group_by("user_id").agg(pl.col("label").n_unique())
    return int((each["label"] == 2).sum())
