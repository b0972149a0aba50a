"""The sentence ledger: is each sentence of a RecCoT true, and what does the validator lose without it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from trackrec.checks.grounding import GroundedSentence, ground
from trackrec.checks.vocabulary import Vocabulary
from trackrec.judges.base import Validator
from trackrec.judges.rewards import Reward, with_target_reward
from trackrec.metrics.intervals import bootstrap_users
from trackrec.metrics.probability import Interval
from trackrec.users.catalogue import Row

WHOLE = 0
"""The number under which the whole text is scored; the text without sentence i (from 0) stands under i + 1."""


def leave_one_out(sentences: Sequence[str]) -> list[str | None]:
    """The whole text, then the text without each sentence in turn; None (the placeholder) where nothing is left.

    >>> leave_one_out(["A.", "B."])
    ['A. B.', 'B.', 'A.']
    """
    rest = [" ".join((*sentences[:out], *sentences[out + 1 :])) for out in range(len(sentences))]
    return [" ".join(sentences) or None, *(text or None for text in rest)]


def ledger_by_target(
    texts: pl.DataFrame,
    targets: pl.DataFrame,
    histories: Mapping[Any, Sequence[Row]],
    vocabulary: Vocabulary,
    validator: Validator,
    reward: Reward,
) -> pl.DataFrame:
    """Every sentence with its verdict and its use on each target.

    The texts of a user are the samples of one call of the validator, so with a language model each is a branch of the
    user's one prefix tree.

    Args:
        texts: ``user_id, text``, one RecCoT a user.
        targets: of these users, as the validator takes them.
        histories: each user's whole LM history, oldest first.
        vocabulary: made from the items.
        validator: who was not tuned on these users.
        reward: in which use is counted.

    Returns:
        ``user_id, sentence`` (from 0), ``sentence_text, words, verdict, event_id, use``: the target's reward with the
        whole text less without the sentence. Above 0: the sentence helps.
    """
    found: dict[Any, list[GroundedSentence]] = {
        user: ground(text or "", histories[user], vocabulary) for user, text in texts.select("user_id", "text").rows()
    }
    schema: dict[str, Any] = {"user_id": texts.schema["user_id"], "sample": pl.Int16, "text": pl.String}
    branches = [
        (user, number, text)
        for user, sentences in found.items()
        if sentences
        for number, text in enumerate(leave_one_out([sentence.text for sentence in sentences]))
    ]
    wanted = targets.filter(pl.col("user_id").is_in([user for user, sentences in found.items() if sentences]))
    reccots = pl.DataFrame(branches, schema=schema, orient="row").filter(
        pl.col("user_id").is_in(wanted["user_id"].unique().implode())
    )
    scored = with_target_reward(validator.score(wanted, reccots), reward)
    whole = scored.filter(pl.col("sample") == WHOLE).select("user_id", "event_id", with_all="target_reward")
    told = [
        (user, number, sentence.text, len(sentence.text.split()), str(sentence.verdict))
        for user, sentences in found.items()
        for number, sentence in enumerate(sentences)
    ]
    shown: dict[str, Any] = {"user_id": texts.schema["user_id"], "sentence": pl.Int16, "sentence_text": pl.String}
    shown |= {"words": pl.Int32, "verdict": pl.String}
    return (
        pl.DataFrame(told, schema=shown, orient="row")
        .join(
            scored.filter(pl.col("sample") != WHOLE)
            .join(whole, on=["user_id", "event_id"])
            .select(
                "user_id",
                (pl.col("sample") - 1).alias("sentence"),
                "event_id",
                (pl.col("with_all") - pl.col("target_reward")).alias("use"),
            ),
            on=["user_id", "sentence"],
        )
        .sort("user_id", "sentence", "event_id")
    )


def ledger_table(by_target: pl.DataFrame) -> pl.DataFrame:
    """``user_id, sentence, sentence_text, words, verdict, targets, use`` (mean over the user's targets)."""
    key = ("user_id", "sentence", "sentence_text", "words", "verdict")
    return by_target.group_by(key, maintain_order=True).agg(
        pl.len().cast(pl.Int32).alias("targets"), pl.col("use").mean()
    )


def first_and_others(by_target: pl.DataFrame) -> pl.DataFrame:
    """Does a rank in the ledger hold on targets that it was not made from?

    The sentences of each user are ranked on every other target; what leaving out costs is measured on the rest.

    Returns:
        ``user_id, first, others``: on the rest, the use of the sentence ranked first (ties: the earlier one) and the
        mean use of the user's other sentences; users with two sentences and two targets at least.
    """
    turn = pl.col("event_id").rank("dense").over("user_id") % 2
    halves = by_target.with_columns(seen=turn == 1)
    ranked = (
        halves.filter("seen")
        .group_by("user_id", "sentence")
        .agg(pl.col("use").mean().alias("rank_by"))
        .sort("user_id", "rank_by", "sentence", descending=[False, True, False])
        .group_by("user_id", maintain_order=True)
        .agg(pl.col("sentence").first().alias("best"))
    )
    rest = (
        halves.filter(~pl.col("seen"))
        .join(ranked, on="user_id")
        .with_columns(is_best=pl.col("sentence") == pl.col("best"))
    )
    return (
        rest.group_by("user_id")
        .agg(
            first=pl.col("use").filter("is_best").mean(),
            others=pl.col("use").filter(~pl.col("is_best")).mean(),
        )
        .drop_nulls()
        .sort("user_id")
    )


def ledger_measures(by_target: pl.DataFrame, seed: int, draws: int) -> dict[str, Interval]:
    """What the ledger says of a set of RecCoTs, with 95% intervals over users.

    ``use``: mean over sentences; ``use_supported``, ``use_contradicted``, ``use_not_checkable``: by verdict;
    ``useful_share``: sentences whose use is above 0; ``first_less_others``: see `first_and_others`. Measures without a
    sentence, or with one user alone, are left out.
    """
    table, measures = ledger_table(by_target), {}

    def add(name: str, users: pl.Series, values: pl.Series) -> None:
        if users.n_unique() > 1:
            measures[name] = bootstrap_users(
                lambda found: float(np.mean(found)), users.to_numpy(), values.to_numpy(), seed=seed, draws=draws
            )

    add("use", table["user_id"], table["use"])
    for verdict in ("supported", "contradicted", "not_checkable"):
        part = table.filter(pl.col("verdict") == verdict)
        add(f"use_{verdict}", part["user_id"], part["use"])
    add("useful_share", table["user_id"], (table["use"] > 0).cast(pl.Float64))
    both = first_and_others(by_target)
    add("first_less_others", both["user_id"], both["first"] - both["others"])
    return measures
