"""Turns of ranker users: drawn by a seed, spread over the folds."""

from __future__ import annotations

import polars as pl

from trackrec.pipeline.world import with_turns

ROLES = pl.DataFrame(
    {
        "user_id": list(range(40)),
        "role": ["lm"] * 4 + ["ranker"] * 36,
        "fold": [0, 1, 0, 1] + [user % 3 for user in range(36)],
    }
)


def test_turns_go_round_the_folds() -> None:
    turns = with_turns(ROLES, seed=1)
    assert turns["user_id"].to_list() == ROLES["user_id"].to_list()
    assert turns.filter(pl.col("role") == "lm")["turn"].null_count() == 4
    ranker = turns.filter(pl.col("role") == "ranker").sort("turn")
    assert ranker["turn"].to_list() == list(range(36))
    assert ranker["fold"].to_list() == [0, 1, 2] * 12


def test_a_seed_decides_the_turns() -> None:
    assert with_turns(ROLES, seed=1).equals(with_turns(ROLES, seed=1))
    assert not with_turns(ROLES, seed=1).equals(with_turns(ROLES, seed=2))
