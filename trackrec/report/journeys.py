"""One user's RecCoT through the rounds: where the rounds helped most, and where they hurt most."""

from __future__ import annotations

from typing import Any, NamedTuple

import polars as pl

from trackrec.report.blocks import Block, Checked, Journey, Note, Section, Table, Tone, Version, number, signed
from trackrec.report.names import kind_name
from trackrec.report.run_data import RunData

VALIDATION = "lm_validation"


_TONES: dict[str, Tone] = {"supported": "good", "contradicted": "bad"}


class Change(NamedTuple):
    """How far a user's reward moved from its first round to its last."""

    user: Any
    change: float


def journeys(facts: RunData) -> Section:
    """The LM validation users whose kept RecCoT gained most and lost most."""
    title, short = "One user's RecCoT through the rounds", "Texts"
    kept = _kept(facts)
    if kept is None or kept.is_empty():
        missing = "reccots.parquet holds no kept RecCoT of an LM validation user."
        return Section("texts", title, short, [Note(missing, "missing")])
    unit = (
        "mean P(true label)"
        if facts.setting("reward.type") == "probability"
        else "mean log-likelihood of the true labels"
    )
    judge = f"the {kind_name(facts.kinds[0])} of the last round" if facts.kinds else "the last round's V"
    lead = (
        f"LM validation users, on whom nothing was tuned. The reward is the {unit} under {judge}, the same for all "
        "rounds of a user, so the change is the text's alone. A user has few targets: single users illustrate, they "
        "prove nothing."
    )
    changes = _changes(kept)
    if not changes:
        user = kept["user_id"][0]
        why = "There is one round only" if kept["round"].n_unique() < 2 else "No RecCoT has a reward in two rounds"
        why += ", so nobody can be said to have gained: this is the first user."
        return Section("texts", title, short, [Note(lead), _journey(facts, kept, user, f"User {user}", why)])
    blocks: list[Block] = [Note(lead), _best(facts, kept, changes)]
    if len(changes) > 1:
        blocks.append(_worst(facts, kept, changes))
    up, down = sum(found.change > 0 for found in changes), sum(found.change < 0 for found in changes)
    stayed = len(changes) - up - down
    blocks.append(Note(f"Of all {len(changes)} users, the reward rose for {up}, fell for {down}, stayed for {stayed}."))
    return Section("texts", title, short, blocks)


def _best(facts: RunData, kept: pl.DataFrame, changes: list[Change]) -> Journey:
    user, change = changes[0]
    rose = "rose the most" if change > 0 else "did best, though none rose"
    title = f"User {user}: gained" if change > 0 else f"User {user}"
    return _journey(facts, kept, user, title, f"Of {len(changes)} users, the reward of this one {rose}.")


def _worst(facts: RunData, kept: pl.DataFrame, changes: list[Change]) -> Journey:
    user, change = changes[-1]
    fell = "fell the most" if change < 0 else "did worst, though none fell"
    title = f"User {user}: lost" if change < 0 else f"User {user}"
    return _journey(facts, kept, user, title, f"Of {len(changes)} users, the reward of this one {fell}.")


def _kept(facts: RunData) -> pl.DataFrame | None:
    """``user_id, round, text, reward`` of LM validation users, one row a user and round; gain if there is no reward."""
    table = facts.output("reccots")
    if table is None or not {"user_id", "role", "round", "kind", "text"} <= set(table.columns):
        return None
    mine = table.filter((pl.col("kind") == "kept") & (pl.col("role") == VALIDATION))
    measures = [name for name in ("reward", "gain") if name in mine.columns and mine[name].null_count() < mine.height]
    reward = pl.col(measures[0]) if measures else pl.lit(None, dtype=pl.Float64)
    columns = ("user_id", "round", "text", reward.cast(pl.Float64).fill_nan(None).alias("reward"))
    return mine.select(columns).unique(["user_id", "round"], keep="first").sort("user_id", "round")


def _changes(kept: pl.DataFrame) -> list[Change]:
    """Users with a reward in at least two rounds, the greatest rise first; ties by user."""
    known = kept.drop_nulls("reward").group_by("user_id", maintain_order=True).agg("reward")
    found = [Change(user, rewards[-1] - rewards[0]) for user, rewards in known.iter_rows() if len(rewards) > 1]
    return sorted(found, key=lambda item: -item.change)


def _journey(facts: RunData, kept: pl.DataFrame, user: Any, title: str, lead: str) -> Journey:
    rows = kept.filter(pl.col("user_id") == user).to_dicts()
    first = next((row["reward"] for row in rows if row["reward"] is not None), None)
    versions = []
    for place, row in enumerate(rows):
        change = None if place == 0 or first is None or row["reward"] is None else row["reward"] - first
        same = place > 0 and row["text"] == rows[place - 1]["text"]
        told = "–" if change is None else f"{signed(change)} since round {rows[0]['round']}"
        told = f"{told}, word for word as before" if same else told
        text = row["text"] if row["text"] else "(nothing was written)"
        checked = _checked(facts, user, row["round"])
        versions.append(
            Version(row["round"], text, number(row["reward"]), told if place else "", _tone(change), checked)
        )
    return Journey(title, lead, _history(facts, user), versions, why_items(facts, user))


def _checked(facts: RunData, user: Any, turn: int) -> list[Checked]:
    """The sentences of a kept RecCoT with their verdicts and, for the last round, their use; none if nobody judged."""
    claims = facts.table("claims")
    if claims is None:
        return []
    mine = claims.filter((pl.col("user_id") == user) & (pl.col("round") == turn) & (pl.col("kind") == "kept"))
    uses = _uses(facts, user, turn)
    found = []
    for (place,), part in mine.sort("sentence", maintain_order=True).group_by("sentence", maintain_order=True):
        verdicts = part["verdict"].to_list()
        verdict = next((name for name in ("contradicted", "supported") if name in verdicts), "not_checkable")
        reasons = part.filter((pl.col("verdict") == verdict) & (pl.col("reason") != ""))["reason"]
        why = "; ".join(reasons.unique(maintain_order=True).to_list())
        if place in uses:
            why += f"{'; ' if why else ''}V loses {signed(uses[place])} without it"
        text = part["sentence_text"][0]
        found.append(Checked(text, verdict.replace("_", " "), f"({why})" if why else "", _TONES.get(verdict, "plain")))
    return found


def _uses(facts: RunData, user: Any, turn: int) -> dict[Any, float]:
    """What V loses without each sentence, if the ledger has this user and round."""
    ledger = facts.table("ledger")
    if ledger is None:
        return {}
    mine = ledger.filter((pl.col("user_id") == user) & (pl.col("round") == turn))
    return dict(mine.select("sentence", "use").iter_rows())


def _tone(change: float | None) -> Tone:
    if change is None or abs(change) < 5e-4:
        return "plain"
    return "good" if change > 0 else "bad"


def _history(facts: RunData, user: Any) -> Table | None:
    """The user's history, newest first, as the generator was given it before its prompt's cut."""
    histories, items = facts.table("histories"), facts.table("items")
    if histories is None:
        return None
    mine = histories.filter(pl.col("user_id") == user).sort("position", descending=True)
    if items is not None:
        mine = mine.join(items, on="item_id", how="left", maintain_order="left")
    rows = [
        [_title(row), "/".join(row.get("genres") or []), number(row["rating"], 1).removesuffix(".0")]
        for row in mine.iter_rows(named=True)
    ]
    caption = f"The history, newest first: {len(rows)} items, of which G reads as many as its prompt holds"
    return Table(caption, ["item", "genres", "rating"], rows, folded=True)


def _title(row: dict[str, Any]) -> str:
    title, year = row.get("title") or f"item {row['item_id']}", row.get("year")
    return title if year is None or f"({year})" in title else f"{title} ({year})"


def why_items(facts: RunData, user: Any) -> Table | None:
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


def _predicted(facts: RunData, user: Any, turn: int) -> dict[Any, float]:
    """V's P(Yes) of each target, with the RecCoT of that round, under the validator of that round."""
    table = facts.table(f"matrix-{facts.kinds[0]}-{turn}") if facts.kinds else None
    if table is None:
        return {}
    mine = table.filter((pl.col("user_id") == user) & (pl.col("sample") == turn))
    return dict(mine.select("event_id", "yes_probability").iter_rows())
