"""From the run's score tables to ``metrics.json``: every figure with its interval, none computed twice."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import polars as pl

from trackrec.data.new_items import NEW
from trackrec.data.roles import Role
from trackrec.files.tables import read_table
from trackrec.judges.rewards import PLACEHOLDER, with_target_reward
from trackrec.metrics.intervals import bootstrap_users, paired_bootstrap
from trackrec.metrics.probability import (
    Interval,
    accuracy,
    auc,
    calibrated_probability,
    can_be_halved,
    gauc,
    log_loss,
    platt_calibration,
    split_half_reliability,
    wilson,
)
from trackrec.metrics.rows import MetricRow, roles_of, write_metrics
from trackrec.pipeline.components import Components
from trackrec.pipeline.dataset import TABLES
from trackrec.pipeline.features import ARMS
from trackrec.pipeline.truth import Truth
from trackrec.run import Stage

Statistic = Callable[..., float]
Array = np.ndarray[Any, Any]
METRICS: dict[str, Statistic] = {"auc": auc, "gauc": gauc, "log_loss": log_loss, "accuracy": accuracy}
CONDITIONAL = "conditional on the one G and V that were trained"


class Results:
    """Collects the metric rows of a finished run.

    Args:
        components: of a run whose loop has ended.
        promoted: the round whose generator is used.
    """

    def __init__(self, components: Components, promoted: int) -> None:
        self.components, self.promoted = components, promoted
        self.run, self.dataset = components.run, components.dataset
        self.recipe, self.kind = components.recipe, components.kinds[0]
        self.rounds = components.rounds
        self.rows: list[MetricRow] = []

    def write(self, truth: Truth) -> None:
        """The stages ``reasons`` and ``metrics``: what RecCoTs say of targets, then all rows in ``metrics.json``.

        Args:
            truth: of the same run, whose measures stand last.
        """
        reccots = self.run.folder / "reccots.parquet"

        def reason(stage: Stage) -> None:
            stage.write("reasons", truth.reasons(read_table(reccots)))

        dataset = [self.run.table(name) for name in TABLES]
        self.components.do(
            "reasons", reason, [reccots, *dataset], {"round": self.promoted} | self.components.prompt_settings
        )

        def work(stage: Stage) -> None:
            path = self.run.folder / "metrics.json"
            write_metrics(path, [*self.all_rows(), *truth.rows()])
            stage.outputs.append(path)

        tables = [*self._test_tables, "din", "claims", "reasons"]
        for kind in self.components.kinds:
            tables += [f"matrix-{kind}-{number}" for number in self.rounds]
            for number in self.rounds[1:]:
                tables += [f"score-{kind}-{number}", f"groups-{kind}-{number}-held-out"]
        settings = {
            "round": self.promoted,
            "kinds": list(self.components.kinds),
            "reward": self.recipe.reward,
            "bootstrap": self._draws,
            "recent": self.recipe.ranking.recent,
            "aligned": {
                f"{kind}-{number}": self._aligned(kind, number)
                for kind in self.components.kinds
                for number in self.rounds[1:]
            },
        }
        inputs = [reccots, *dataset, *(self.run.table(name) for name in tables)]
        self.components.do("metrics", work, inputs, settings | self.components.prompt_settings)

    def all_rows(self) -> list[MetricRow]:
        """Every figure but those of the texts' truth."""
        self.rows = []
        self.recommender()
        self.matrix()
        self.feedback()
        self.ranker()
        judged = pl.concat([self.run.read(f"matrix-{self.kind}-{number}") for number in self.rounds])
        asked = judged["user_id"].to_list()
        self._add("promotion", "round", Interval.point(self.promoted), asked, judged.height)
        return self.rows

    @property
    def _test_tables(self) -> dict[str, tuple[str, int | None]]:
        """Arm and round of each table of scores on ranker users."""
        arms: dict[str, tuple[str, int | None]] = {f"test-own-{r}": ("v_own", r) for r in self.rounds}
        arms |= {"test-swapped": ("v_swapped", self.promoted), "test-placeholder": ("v_placeholder", self.promoted)}
        if self.kind == "lm":
            arms |= {"test-without-reccot": ("v_without_reccot", None), "test-zero-shot": ("v_zero_shot", None)}
        return arms

    def _aligned(self, kind: str, number: int) -> dict[str, Any]:
        """What a preference step recorded of itself that is told here."""
        counts = self.run.manifest(f"align-{kind}-{number}")["counts"]
        return {name: counts[name] for name in ("held_out", "kl") if name in counts}

    def recommender(self) -> None:
        """G then V on ranker users, against V without RecCoT, another user's, zero-shot, and counting."""
        scores = {arm: self.run.read(table) for table, arm in self._test_tables.items()}
        first = next(iter(scores.values()))
        base = first.select("user_id", "event_id", "label").join(
            self.dataset.baselines, on=["user_id", "event_id"], how="left", maintain_order="left"
        )
        for name in ("item_user_mean", "item_mean", "user_share"):
            scores[name, None] = base.rename({name: "yes_probability"}).drop_nulls("yes_probability")
        for (arm, number), table in scores.items():
            self._score_rows(arm, number, table)
        for number in self.rounds:
            self._calibrated("v_own", number, scores["v_own", number])
        final = scores["v_own", self.promoted]
        against = [
            ("v_own", 0),
            ("v_swapped", self.promoted),
            ("v_placeholder", self.promoted),
            ("v_without_reccot", None),
        ]
        for other in against:
            if other != ("v_own", self.promoted) and other in scores:
                self._difference("v_own", self.promoted, final, other, scores[other])

    def _score_rows(self, arm: str, number: int | None, table: pl.DataFrame) -> None:
        for items, part in self._by_items(table):
            users, labels = part["user_id"].to_numpy(), part["label"].to_numpy()
            scores = part["yes_probability"].to_numpy()
            for name, statistic in METRICS.items():
                interval = bootstrap_users(statistic, users, labels, scores, seed=self.recipe.seed, draws=self._draws)
                self._add(arm, name + items, interval, users, part.height, number, CONDITIONAL)

    def _by_items(self, table: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
        """All examples; where some items count as new, also those of new and of other items. What is measured on a
        part bears its name behind."""
        yield "", table
        if NEW in self.dataset.examples.columns:
            said = self.dataset.examples.select("user_id", "event_id", NEW)
            both = table.join(said, on=["user_id", "event_id"], how="left", maintain_order="left")
            yield "_new_items", both.filter(NEW)
            yield "_known_items", both.filter(~pl.col(NEW))

    def _calibrated(self, arm: str, number: int, table: pl.DataFrame) -> None:
        """LogLoss after Platt scaling that was fitted on LM validation users."""
        fitted = self.run.read(f"matrix-{self.kind}-{number}").filter(pl.col("sample") == number)
        if fitted["label"].n_unique() < 2:
            return
        slope, intercept = platt_calibration(fitted["label"].to_numpy(), _logits(fitted))
        probabilities = calibrated_probability(_logits(table), slope, intercept)
        users = table["user_id"].to_numpy()
        interval = bootstrap_users(
            log_loss, users, table["label"].to_numpy(), probabilities, seed=self.recipe.seed, draws=self._draws
        )
        note = "Platt scaling fitted on LM validation users"
        self._add(arm, "log_loss_calibrated", interval, users, table.height, number, note)

    def _difference(
        self, arm: str, number: int | None, table: pl.DataFrame, other: tuple[str, int | None], baseline: pl.DataFrame
    ) -> None:
        """Paired differences of AUC and GAUC on the same examples."""
        both = table.join(
            baseline.select("user_id", "event_id", other="yes_probability"),
            on=["user_id", "event_id"],
            how="inner",
            maintain_order="left",
        )
        note = f"{arm}{'' if number is None else f' of round {number}'} less {other[0]}"
        note += "" if other[1] is None else f" of round {other[1]}"
        for items, part in self._by_items(both):
            users, labels = part["user_id"].to_numpy(), part["label"].to_numpy()
            scores, others = part["yes_probability"].to_numpy(), part["other"].to_numpy()
            for name in ("auc", "gauc"):
                interval = paired_bootstrap(
                    METRICS[name], users, labels, scores, others, seed=self.recipe.seed, draws=self._draws
                )
                self._add(arm, f"{name}_difference{items}", interval, users, part.height, number, note)

    def matrix(self) -> None:
        """AUC of every G(i) with every V(j) on LM validation users."""
        for kind in self.components.kinds:
            for validator in self.rounds:
                scores = self.run.read(f"matrix-{kind}-{validator}")
                for generator in self.rounds:
                    table = scores.filter(pl.col("sample") == generator)
                    interval = bootstrap_users(
                        auc,
                        table["user_id"].to_numpy(),
                        table["label"].to_numpy(),
                        table["yes_probability"].to_numpy(),
                        seed=self.recipe.seed,
                        draws=self._draws,
                    )
                    note = f"validator={kind}:{validator}"
                    self._add("matrix", "auc", interval, table["user_id"], table.height, generator, note)

    def feedback(self) -> None:
        """How reliable the rewards are, and how far the generator learnt them and moved."""
        for kind in self.components.kinds:
            for number in self.rounds[1:]:
                scores = self.run.read(f"score-{kind}-{number}").filter(pl.col("sample") != PLACEHOLDER)
                rewards, labels = reward_arrays(scores, self.components.reward)
                value = split_half_reliability(rewards, labels, seed=self.recipe.seed)
                halved = [user for user, table in rewards.items() if can_be_halved(table, labels[user])]
                arm, size = f"validator_{kind}", sum(rewards[user].size for user in halved)
                self._add(arm, "split_half_reliability", Interval.point(value), halved, size, number)
                counts = self._aligned(kind, number)
                held = counts["held_out"]
                value = held["accuracy"] if held["pairs"] else math.nan
                _, low, high = wilson(round(value * held["pairs"]) if held["pairs"] else 0, held["pairs"])
                self._add(
                    arm,
                    "held_out_preference_accuracy",
                    Interval(value, low, high),
                    self.run.read(f"groups-{kind}-{number}-held-out")["user_id"],
                    held["pairs"],
                    number,
                    "Wilson interval over pairs; pairs of one user are not independent, so it is too narrow",
                )
                if "kl" in counts:
                    kl = counts["kl"]
                    self._add(
                        "generator",
                        "kl",
                        Interval.point(kl["per_sequence"]),
                        self.dataset.users(Role.LM_VALIDATION),
                        kl["texts"],
                        number,
                        "KL(G(r) || G(r-1)), nats a text",
                    )

    def ranker(self) -> None:
        """DIN with and without RecCoT on ranker users: averaged over seeds, users drawn within folds."""
        predictions = self.run.read("din")
        seeds = predictions["seed"].n_unique()
        arms = {}
        for arm in ARMS:
            table = predictions.filter(pl.col("arm") == arm).sort("seed", "fold", "user_id", "event_id")
            one = table.filter(pl.col("seed") == table["seed"][0])
            arms[arm] = (one, table["probability"].to_numpy().reshape(seeds, -1))
        whole = arms[ARMS[0]][0].with_row_index("row")
        folds = whole["fold"].n_unique()
        note = f"DIN, last {self.recipe.ranking.recent} events in view, {seeds} seeds, {folds} folds"
        note += ", the item's text in view" if self.recipe.ranking.item_text else ""
        for items, one in self._by_items(whole):
            users, labels = one["user_id"].to_numpy(), one["label"].to_numpy()
            common: dict[str, Any] = {"seed": self.recipe.seed, "draws": self._draws, "folds": one["fold"].to_numpy()}
            mine = {arm: scores[:, one["row"].to_numpy()] for arm, (_, scores) in arms.items()}
            for arm, scores in mine.items():
                for name in ("auc", "gauc", "log_loss"):
                    interval = bootstrap_users(METRICS[name], users, labels, scores, **common)
                    self._add(arm, name + items, interval, users, one.height, self.promoted, note)
            for other in ("din_no_text", "din_swapped"):
                for name in ("auc", "gauc"):
                    interval = paired_bootstrap(METRICS[name], users, labels, mine["din_own"], mine[other], **common)
                    text = f"din_own less {other}; {note}"
                    self._add("din_own", f"{name}_difference{items}", interval, users, one.height, self.promoted, text)

    @property
    def _draws(self) -> int:
        return self.recipe.evaluation.bootstrap

    def _add(
        self,
        arm: str,
        metric: str,
        interval: Interval,
        users: Iterable[Any],
        examples: int,
        number: int | None = None,
        note: str = "",
    ) -> None:
        """A row; ``users`` are those that the figure read, each as often as may be."""
        value, low, high = interval
        asked = set(users)
        self.rows.append(
            MetricRow(
                arm=arm,
                round=number,
                role=roles_of(asked, self.dataset.role_of),
                metric=metric,
                value=value,
                low=low,
                high=high,
                users=len(asked),
                examples=examples,
                seed=self.recipe.seed,
                note=note,
            )
        )


def _logits(table: pl.DataFrame) -> Array:
    probability = table["yes_probability"].clip(1e-6, 1 - 1e-6).to_numpy()
    logits: Array = np.log(probability / (1 - probability))
    return logits


def reward_arrays(scores: pl.DataFrame, kind: Any) -> tuple[dict[Any, Array], dict[Any, Array]]:
    """Each user's rewards, shape (samples, targets), and the labels of its targets, shape (targets,)."""
    rewards = with_target_reward(scores, kind).sort("user_id", "sample", "event_id")
    arrays, labels = {}, {}
    for (user,), part in rewards.group_by("user_id", maintain_order=True):
        arrays[user] = part["target_reward"].to_numpy().reshape(part["sample"].n_unique(), -1)
        labels[user] = part["label"].to_numpy()[: arrays[user].shape[1]]
    return arrays, labels
