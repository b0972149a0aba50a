"""What the validator paid, and what of it became preferences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from trackrec.judges.rewards import PLACEHOLDER, reward_table
from trackrec.registry import make, settings_of
from trackrec.report.blocks import Block, Note, Plot, Plots, Section, Table, number, signed, spoken
from trackrec.report.names import FILTERS, ROLES, kind_name
from trackrec.report.plots import histograms
from trackrec.report.run_data import RunData

Rewards = Mapping[tuple[str, int], pl.DataFrame]
"""Kind of the validator and round -> rewards of the samples, the placeholder's aside."""


def rewards(facts: RunData) -> Section:
    """Distributions of reward and gain by round, for each kind of validator."""
    title, short = "Rewards and gains of the sampled RecCoTs", "Rewards"
    tables = dict(_scored(facts))
    if not tables:
        return Section("rewards", title, short, [Note("No sampled RecCoT has been scored.", "missing")])
    unit = "P(true label)" if facts.setting("reward.type") == "probability" else "log-likelihood, nats a target"
    lead = (
        f"Reward: V's mean {unit}, over the user's targets. Gain: reward less that of the placeholder, so what this "
        "text added. Round r shows texts of G(r−1) judged by V(r−1). V changes, so neither rewards nor gains of "
        "different rounds say which generator is better: the G × V matrix does."
    )
    parts = [_histogram(tables, kind, column) for kind in facts.kinds for column in ("reward", "gain")]
    head = ["validator, round", "texts", "users", "mean reward", "mean gain", "gain above 0", "spread within a user"]
    rows = [_reward_row(kind, turn, table) for (kind, turn), table in tables.items()]
    plots = Plots([plot for plot in parts if plot is not None])
    return Section("rewards", title, short, [Note(lead), plots, Table("Rewards and gains by round", head, rows)])


def filters(facts: RunData) -> Section:
    """What each filter between reward and preference took away."""
    title, short = "From rewards to preferences", "Filters"
    tables = [table for kind in facts.kinds if (table := _filter_table(facts, kind)) is not None]
    if not tables:
        return Section("filters", title, short, [Note("No preferences have been formed.", "missing")])
    lead = (
        "A user is counted at the first filter that drops it. The groups of LM validation users are held out: G is "
        "never aligned on them."
    )
    blocks: list[Block] = [Note(lead), *tables]
    return Section("filters", title, short, blocks)


def _scored(facts: RunData) -> Iterator[tuple[tuple[str, int], pl.DataFrame]]:
    reward = make("reward", settings_of("reward", facts.setting("reward", {"type": "log_likelihood"})))
    for kind in facts.kinds:
        for turn in facts.rounds:
            scores = facts.table(f"score-{kind}-{turn}")
            if scores is not None and (scores["sample"] != PLACEHOLDER).any():
                yield (kind, turn), reward_table(scores, reward).filter(pl.col("sample") != PLACEHOLDER)


def _histogram(tables: Rewards, kind: str, column: str) -> Plot | None:
    parts = {
        f"round {turn}": table[column].drop_nulls().to_numpy() for (of, turn), table in tables.items() if of == kind
    }
    parts = {name: values for name, values in parts.items() if values.size}
    if not parts:
        return None
    name = kind_name(kind)
    svg = histograms(f"{column} by round, {name}", parts, f"{column.capitalize()}, {name}", zero=column == "gain")
    zero = " Dashed: no gain." if column == "gain" else ""
    return Plot(svg, f"{column.capitalize()} of each text; the line is the median, the middle 98% is in view.{zero}")


def _reward_row(kind: str, turn: int, table: pl.DataFrame) -> list[str]:
    gain = table["gain"].drop_nulls()
    within = table.group_by("user_id").agg(pl.col("reward").std())["reward"].drop_nulls()
    return [
        f"{kind}, round {turn}",
        number(table.height),
        number(table["user_id"].n_unique()),
        number(_mean(table["reward"])),
        signed(_mean(gain)),
        f"{_mean(gain > 0):.0%}" if gain.len() else "–",
        number(_mean(within)),
    ]


def _mean(series: pl.Series) -> float:
    return float(series.cast(pl.Float64).to_numpy().mean()) if series.len() else float("nan")


def _filter_table(facts: RunData, kind: str) -> Table | None:
    columns = {
        f"round {turn}, {ROLES.get(role, role)}": counts
        for turn in facts.rounds
        for role, counts in facts.counts(f"prefer-{kind}-{turn}").items()
        if isinstance(counts, dict)
    }
    if not columns:
        return None
    names = list(dict.fromkeys(name for counts in columns.values() for name in counts))
    rows = [
        [FILTERS.get(name, spoken(name)), *(number(counts.get(name)) for counts in columns.values())] for name in names
    ]
    return Table(f"Filters under the {kind_name(kind)}", ["in the order of the filters", *columns], rows)
