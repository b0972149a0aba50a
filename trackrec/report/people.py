"""Who took part, and how far the data and the RecCoTs reach."""

from __future__ import annotations

from typing import Any

import polars as pl

from trackrec.report.blocks import Block, Note, Section, Table, number, spoken
from trackrec.report.names import ARMS, DUTIES, ROLES
from trackrec.report.run_data import RunData


def users(facts: RunData) -> Section:
    """Users by role, and what each role is for."""
    sizes = _role_sizes(facts)
    if not sizes:
        return Section("users", "Who took part", "Users", [Note("The data stage has not finished.", "missing")])
    order = [*(role for role in ROLES if role in sizes), *(role for role in sizes if role not in ROLES)]
    rows = [[ROLES.get(role, role), number(sizes[role]), DUTIES.get(role, "")] for role in order]
    blocks: list[Block] = [
        Table("Users by role; each has one, fixed before anything is trained", ["role", "users", "for"], rows)
    ]
    evaluated = facts.counts("data").get("evaluated")
    if evaluated is not None:
        blocks.append(Note(f"G then V is tested on {number(evaluated)} of the ranker users."))
    split = facts.counts("data").get("split")
    if isinstance(split, dict):
        rows = [[spoken(name), number(count)] for name, count in split.items()]
        blocks.append(Table("From the log to histories and examples", ["what", "count"], rows, folded=True))
    return Section("users", "Who took part", "Users", blocks)


def coverage(facts: RunData) -> Section:
    """For whom there is a RecCoT, which rows of the log were dropped, which texts broke off."""
    blocks: list[Block] = [*_reccot_coverage(facts), *_unfinished(facts), *_log(facts)]
    return Section("coverage", "Coverage", "Coverage", blocks)


def _role_sizes(facts: RunData) -> dict[str, int]:
    table = facts.table("roles")
    if table is not None:
        return dict(table.group_by("role").len().sort("role").iter_rows())
    roles = facts.counts("data").get("roles")
    return roles if isinstance(roles, dict) else {}


def _reccot_coverage(facts: RunData) -> list[Block]:
    vectors, roles = facts.output("vectors"), facts.table("roles")
    if vectors is None or roles is None:
        return [Note("vectors.parquet is missing: for whom there is a RecCoT vector cannot be said.", "missing")]
    has = pl.col("has_reccot") if "has_reccot" in vectors.columns else pl.col("vector").is_not_null()
    both = roles.join(vectors.select("user_id", has.alias("has")), on="user_id", how="left")
    sizes = (
        both.group_by("role")
        .agg(pl.len().alias("users"), pl.col("has").fill_null(False).sum().alias("with"))
        .sort("role")
    )
    rows = [
        [ROLES.get(role, role), number(count), number(covered), f"{covered / count:.0%}"]
        for role, count, covered in sizes.iter_rows()
    ]
    blocks: list[Block] = [Table("Users with a RecCoT vector", ["role", "users", "with a vector", "share"], rows)]
    arms = facts.counts("din").get("coverage")
    if isinstance(arms, dict):
        told = ", ".join(f"{ARMS.get(arm, arm)} {number(count)}" for arm, count in arms.items())
        blocks.append(Note(f"Users with a vector: {told}. Who has none is told so by a mask bit."))
    return blocks


def _unfinished(facts: RunData) -> list[Block]:
    rows = [
        [stage, number(counts.get("texts")), number(counts["unfinished"]), _mean(counts)]
        for stage in facts.manifests
        if "unfinished" in (counts := facts.counts(stage))
    ]
    if not rows:
        return [Note("No stage has written RecCoTs yet.", "missing")]
    return [
        Table(
            "Texts written, and those that broke off at the token limit",
            ["stage", "texts", "broken off", "tokens a text"],
            rows,
        )
    ]


def _mean(counts: dict[str, Any]) -> str:
    return number(counts["tokens"] / counts["texts"], 1) if counts.get("tokens") and counts.get("texts") else "–"


def _log(facts: RunData) -> list[Block]:
    log = facts.counts("data").get("log")
    if not isinstance(log, dict):
        return []
    rows = [[spoken(name), number(count)] for name, count in log.items()]
    return [Table("Rows of the log that were kept and dropped, by reason", ["what", "count"], rows, folded=True)]
