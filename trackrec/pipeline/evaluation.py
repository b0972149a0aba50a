"""What the loop achieved: the G x V matrix and the promoted round, and G then V as a recommender on ranker users."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl

from trackrec.data.roles import Role
from trackrec.judges.base import Validator
from trackrec.judges.lm import LMValidator
from trackrec.metrics.probability import auc
from trackrec.pipeline.components import OUTSIDE, Components
from trackrec.run import Stage, text_hash


class Evaluation:
    """The tests of a finished loop.

    Args:
        components: of a run whose loop has ended.
    """

    def __init__(self, components: Components) -> None:
        self.components, self.run, self.dataset = components, components.run, components.dataset
        self.recipe = components.recipe
        self.rounds = components.rounds

    def matrix(self) -> None:
        """Every generator's RecCoTs under every validator, on LM validation users; one table a validator.

        Rewards of different rounds cannot be compared, since the validator changes: generators are compared under the
        same validators.
        """
        users = self.dataset.users(Role.LM_VALIDATION)
        for kind in self.components.kinds:
            for number in self.rounds:
                name = f"matrix-{kind}-{number}"

                def work(stage: Stage, kind: Any = kind, number: int = number, name: str = name) -> None:
                    texts = pl.concat([self._texts(g, users, sample=g) for g in self.rounds])
                    self._score(stage, name, self.components.loaded_validator(kind, number), texts)

                inputs = [self.run.table(f"write-{g}") for g in self.rounds]
                folder = self.components.validator_folder(kind, number, OUTSIDE)
                self.components.do(name, work, [*inputs, folder, self.run.table("targets")], {"kind": kind})

    def promote(self) -> int:
        """The round whose generator is used: a later one only if it is better under the same validators by a margin.

        A generator is judged by its mean AUC under the aligned kind's validators of all rounds, on LM validation users,
        and by how many of its texts on them were cut off.

        Returns:
            The promoted round.
        """
        kind, settings = self.components.kinds[0], self.components.recipe.loop
        margin, more = settings.promotion_margin, settings.promotion_cut_off
        users = self.dataset.users(Role.LM_VALIDATION)

        def work(stage: Stage) -> None:
            scores = pl.concat([self.run.read(f"matrix-{kind}-{number}") for number in self.rounds])
            means, cut_off = {}, {}
            for generator in self.rounds:
                mine = scores.filter(pl.col("sample") == generator)
                parts = mine.partition_by("validator", maintain_order=True)
                means[generator] = float(
                    np.mean([auc(part["label"].to_numpy(), part["yes_probability"].to_numpy()) for part in parts])
                )
                texts = self.components.kept(generator).filter(pl.col("user_id").is_in(users))
                cut_off[generator] = 1.0 - float(np.mean(texts["finished"].to_numpy()))
            best = promoted_round(means, margin, cut_off, more)
            stage.counts = {"promoted": best, "mean_auc": means, "cut_off": cut_off}

        inputs = [self.run.table(f"{name}-{n}") for n in self.rounds for name in (f"matrix-{kind}", "write")]
        self.components.do("promote", work, inputs, {"kind": kind, "margin": margin, "cut_off": more})
        counts = self.run.manifest("promote")["counts"]
        said = "; ".join(
            f"round {n} AUC {counts['mean_auc'][n]:.3f}, {counts['cut_off'][n]:.0%} of its texts cut off"
            for n in counts["mean_auc"]
        )
        self.run.reporter.line(f"promoted: the generator of round {counts['promoted']} (LM validation users: {said})")
        return int(counts["promoted"])

    def recommend(self, promoted: int) -> None:
        """G then V as a recommender on ranker users, whom nothing was tuned on; each arm's scores are one table."""
        users = self.dataset.evaluated
        kind = self.components.kinds[0]
        for number in self.rounds:
            self._arm(f"test-own-{number}", kind, number, self._texts(number, users))
        own = self._texts(promoted, users)
        order = np.random.default_rng([self.recipe.seed, 2]).permutation(len(users))
        giver = np.empty_like(order)
        giver[order] = np.roll(order, 1)
        self._arm("test-swapped", kind, promoted, own.with_columns(text=own["text"].gather(giver)))
        nothing = own.with_columns(text=pl.lit(None, dtype=pl.String))
        self._arm("test-placeholder", kind, promoted, nothing)
        if kind == "lm":  # a ranker that never saw a RecCoT is the arm "din_no_text"
            self._arm("test-without-reccot", kind, "none", nothing)
            self._arm("test-zero-shot", kind, "zero-shot", own)

    def _arm(self, name: str, kind: Any, version: int | Literal["none", "zero-shot"], texts: pl.DataFrame) -> None:
        folder = None if version == "zero-shot" else self.components.validator_folder(kind, version, OUTSIDE)

        def work(stage: Stage) -> None:
            number = version if isinstance(version, int) else self.recipe.loop.rounds + 1
            validator: Validator = self.components.validator(kind, number, OUTSIDE)
            if folder is not None:
                validator.load(folder)
            score = validator.score_zero_shot if isinstance(validator, LMValidator) and version == "zero-shot" else None
            self._score(stage, name, validator, texts, score)

        inputs = [self.run.table("targets")] + ([folder] if folder is not None else [])
        settings = {"texts": text_hash(texts), "version": version} | self.components.prompt_settings
        if version == "zero-shot":  # scores of runs from before this was so are not taken over
            settings["item_prior"] = None
        self.components.do(name, work, inputs, settings)

    def _texts(self, number: int, users: Sequence[Any], sample: int = 0) -> pl.DataFrame:
        """A round's kept RecCoTs of some users, in their order."""
        order = pl.DataFrame({"user_id": users}, schema={"user_id": self.dataset.roles.schema["user_id"]})
        kept = order.join(
            self.components.kept(number).select("user_id", "text"), on="user_id", how="left", maintain_order="left"
        )
        return kept.select("user_id", pl.lit(sample, dtype=pl.Int16).alias("sample"), "text")

    def _score(
        self,
        stage: Stage,
        name: str,
        validator: Validator,
        texts: pl.DataFrame,
        score: Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame] | None = None,
    ) -> None:
        score = score or validator.score

        def shard(part: Sequence[int]) -> pl.DataFrame:
            rows = texts[part[0] : part[-1] + 1]
            return score(self.dataset.targets_of(rows["user_id"].to_list()), rows)

        size = 4 * self.recipe.shard_users if validator.scores_in_shards else max(1, texts.height)
        table = stage.shards(name, range(texts.height), size, shard, "RecCoTs")
        if name.startswith("matrix"):
            stage.write(name, table.with_columns(validator=pl.lit(name.removeprefix("matrix-"))))
        stage.counts = {"scores": table.height, "users": texts["user_id"].n_unique()}


def promoted_round(means: Mapping[int, float], margin: float, cut_off: Mapping[int, float], more: float) -> int:
    """The earliest round that no later one beats by more than ``margin``, each held against the best before it.

    Args:
        means: what each round's generator reached, by round.
        margin: what a later round must add to take the place of an earlier one.
        cut_off: each round's share of texts that the token limit cut off.
        more: how much higher than that of the earlier round this may be.

    >>> ended = {0: 0.0, 1: 0.0, 2: 0.0}
    >>> promoted_round({0: 0.70, 1: 0.704, 2: 0.712}, 0.005, ended, 0.1)
    2
    >>> promoted_round({0: 0.70, 1: 0.704, 2: 0.7005}, 0.005, ended, 0.1)
    0
    >>> promoted_round({0: 0.70, 1: 0.71, 2: 0.75}, 0.005, {0: 0.0, 1: 0.02, 2: 0.5}, 0.1)
    1
    """
    best = min(means)
    for number in sorted(means):
        if means[number] > means[best] + margin and cut_off[number] <= cut_off[best] + more:
            best = number
    return best
