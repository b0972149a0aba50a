"""Why these items? What a user's supported claims say for and against the items that V was asked about."""

from __future__ import annotations

from typing import Any

import polars as pl

from trackrec.report.blocks import Table, number
from trackrec.report.facts import Facts


def why_items(facts: Facts, user: Any) -> Table | None:
    """The user's later items, those that V recommends most first, each with its reasons; None if nobody has judged."""
    reasons, items = facts.table("reasons"), facts.table("items")
    if reasons is None or items is None:
        return None
    mine = reasons.filter(pl.col("user_id") == user)
    if mine.is_empty():
        return None
    predicted = _predicted(facts, user, mine["round"][0])
    titles = dict(items.select("item_id", "title").iter_rows())
    rows = []
    for (event, item), part in mine.group_by("event_id", "item_id", maintain_order=True):
        told: dict[bool, list[str]] = {True: [], False: []}
        for one in part.drop_nulls("speaks_for").iter_rows(named=True):
            told[one["speaks_for"]].append(f"it {one['link']}: {one['reason']}")
        chance, liked = predicted.get(event), "yes" if part["label"][0] else "no"
        rows.append(
            (chance, [titles.get(item, f"item {item}"), number(chance, 2), *map(_listed, told.values()), liked])
        )
    rows.sort(key=lambda row: -(row[0] or 0.0))
    caption = (
        "Why these items? Later ones, those that V recommends most first; reasons come from sentences that the history "
        "bears out"
    )
    return Table(caption, ["item", "V's P(Yes)", "for", "against", "was it liked?"], [cells for _, cells in rows])


def _listed(reasons: list[str]) -> str:
    return "; ".join(reasons) or "–"


def _predicted(facts: Facts, user: Any, turn: int) -> dict[Any, float]:
    """V's P(Yes) of each target, with the RecCoT of that round, under the validator of that round."""
    table = facts.table(f"matrix-{facts.kinds[0]}-{turn}") if facts.kinds else None
    if table is None:
        return {}
    mine = table.filter((pl.col("user_id") == user) & (pl.col("sample") == turn))
    return dict(mine.select("event_id", "yes_probability").iter_rows())
