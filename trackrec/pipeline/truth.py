"""The truth of a run's RecCoTs: every claim judged, and the measures by round."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from trackrec.checks.gate import is_ours
from trackrec.checks.grounding import History, ground
from trackrec.checks.horoscope import Horoscopes, horoscope_rate
from trackrec.checks.reasons import reasons_for
from trackrec.checks.truth_measures import (
    KEY,
    claims_table,
    counts_table,
    deletions,
    distinct,
    found_among,
    ratio,
    rests_on_evidence,
    truth_measures,
    word_count,
)
from trackrec.checks.vocabulary import Vocabulary
from trackrec.data.roles import Role
from trackrec.errors import RunError
from trackrec.metrics.intervals import bootstrap_users, paired_bootstrap
from trackrec.metrics.probability import Interval, auc, gauc
from trackrec.metrics.rows import MetricRow, roles_of
from trackrec.pipeline.dataset import Dataset
from trackrec.prompts.domains import find_domain
from trackrec.recipe import Recipe
from trackrec.run import Run, write_table


def vocabulary_of(recipe: Recipe, dataset: Dataset) -> Vocabulary:
    """The vocabulary of a run, for whoever checks its texts.

    Args:
        recipe: of the run.
        dataset: its tables.
    """
    prompts, ours = recipe.prompts, is_ours(recipe.teacher.type, recipe.loop.distils)
    return Vocabulary(dataset.items, find_domain(prompts.domain), prompts.attributes, recipe.profile, ours)


ARM = "grounding"
HOROSCOPE_USERS = 100
"""The sentences of so many users at most are held against other histories."""
SPECIFICITY_USERS = 200
"""So many users at most are sought among 20 histories, a hundredth of a second each."""


class MeasuredValue(NamedTuple):
    """A measure and what it was taken on."""

    interval: Interval
    users: Sequence[Any]
    """The users that it read; one may be named more than once."""
    examples: int
    """The examples among them: claims, sentences, texts or targets, whatever the measure counts."""


class Truth:
    """Judges the RecCoTs of a run that has written them.

    Args:
        recipe: its recipe.
        run: its folder.
        dataset: its tables.
    """

    def __init__(self, recipe: Recipe, run: Run, dataset: Dataset) -> None:
        self.recipe, self.run, self.dataset = recipe, run, dataset
        self.vocabulary = vocabulary_of(recipe, dataset)

    def judge(self, reccots: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The claims of some RecCoTs (see `claims_table`), and the RecCoTs with ``grounded`` filled."""
        claims = claims_table(reccots, self.dataset.history_rows, self.vocabulary)
        grounded = counts_table(claims).select(*KEY, "grounded")
        filled = reccots.drop("grounded").join(grounded, on=KEY, how="left", maintain_order="left")
        return claims, filled.select(reccots.columns)

    def collect(self) -> None:
        """Judge a finished run anew: tables ``claims`` and ``reasons``, and ``grounded`` in ``reccots.parquet``."""
        path = self.run.folder / "reccots.parquet"
        if not path.is_file():
            raise RunError(f"{self.run.folder} holds no finished run (no reccots.parquet): give the folder of one")
        claims, table = self.judge(self.run.read_output("reccots"))
        made = {self.run.table("claims"): claims, path: table, self.run.table("reasons"): self.reasons(table)}
        with self.run.changing(list(made)):
            for place, part in made.items():
                write_table(place, part)

    def promoted(self, kept: pl.DataFrame) -> int:
        """The round whose generator is used; of a run that has not decided, the last."""
        if "promote" in {path.stem for path in (self.run.folder / "manifests").glob("*.json")}:
            return int(self.run.manifest("promote")["counts"]["promoted"])
        last = kept["round"].max()
        return last if isinstance(last, int) else 0

    def reasons(self, reccots: pl.DataFrame) -> pl.DataFrame:
        """What the promoted round's supported sentences say for and against each target of the users that are tested.

        ``user_id, round, event_id, item_id, label, speaks_for, link, sentence, reason, evidence`` (places in the
        history); a target on which no claim bears has one row, with nulls in the last five.
        """
        kept = reccots.filter(pl.col("kind") == "kept")
        number, targets = self.promoted(kept), self.dataset.targets
        texts = kept.filter(pl.col("round") == number).select("user_id", "text")
        tested = targets.filter(pl.col("role").is_in([Role.LM_VALIDATION, Role.RANKER]))
        rows = []
        for (user, text), part in tested.join(texts, on="user_id", maintain_order="left").group_by(
            "user_id", "text", maintain_order=True
        ):
            own = self.dataset.history_rows[user]
            history = History(own, self.vocabulary.catalogue, self.vocabulary.profile)
            sentences = ground(str(text or ""), own, self.vocabulary)
            for event, item, label in part.select("event_id", "item_id", "label").iter_rows():
                reasons = reasons_for(item, sentences, history, self.vocabulary)
                told: list[tuple[Any, ...]] = [
                    (r.speaks_for, r.link, r.sentence, r.judged.reason, list(r.evidence)) for r in reasons
                ]
                rows += [(user, number, event, item, label, *one) for one in told or [(None,) * 5]]
        schema: dict[str, Any] = {"user_id": targets.schema["user_id"], "round": pl.Int16}
        schema |= {name: targets.schema[name] for name in ("event_id", "item_id", "label")}
        schema |= {"speaks_for": pl.Boolean, "link": pl.String, "sentence": pl.String, "reason": pl.String}
        return pl.DataFrame(rows, schema=schema | {"evidence": pl.List(pl.Int32)}, orient="row")

    def rows(self) -> list[MetricRow]:
        """The measures of the kept RecCoTs, a row a round and measure."""
        table = self.run.read_output("reccots").filter(pl.col("kind") == "kept")
        counts = counts_table(self.run.read("claims").filter(pl.col("kind") == "kept"))
        rounds = sorted(table["round"].unique().to_list())
        return [
            row for number in rounds for row in self._round(number, table.filter(pl.col("round") == number), counts)
        ] + [*self._changes(counts, rounds), *self._explained(), *self._answers()]

    def _round(self, number: int, kept: pl.DataFrame, counts: pl.DataFrame) -> list[MetricRow]:
        mine = counts.filter(pl.col("round") == number)
        seed, draws = self.recipe.seed, self.recipe.evaluation.bootstrap
        judged = truth_measures(mine, seed, draws).items()
        per = {
            "hallucination_rate": "checkable",
            "invented_rate": "checkable",
            "coverage": "sentences",
            "uncited_rate": "on_user",
        }
        sizes = {name: int(mine[per[name]].sum()) if name in per else mine.height for name, _ in judged}
        found = {name: MeasuredValue(interval, mine["user_id"].to_list(), sizes[name]) for name, interval in judged}
        texts = {user: text for user, text in kept.select("user_id", "text").iter_rows() if text}
        found |= self._traced({user: texts[user] for user in list(texts)[:SPECIFICITY_USERS]})
        found["horoscope_rate"] = MeasuredValue(
            *horoscope_rate(
                {user: texts[user] for user in list(texts)[:HOROSCOPE_USERS]},
                Horoscopes(self.dataset.history_rows, self.vocabulary, seed),
                seed,
                draws,
            )
        )
        found["words"] = self.measure(texts, [float(word_count(text)) for text in texts.values()])
        for size in (1, 2):
            within = {user: distinct([text], size) for user, text in texts.items()}
            long = {user: value for user, value in within.items() if not math.isnan(value)}
            found[f"distinct_{size}"] = self.measure(long, list(long.values()))
        users = list(texts)
        found["diversity"] = MeasuredValue(Interval.point(distinct(list(texts.values()), 2)), users, len(users))
        different = len(set(texts.values())) / len(texts) if texts else math.nan
        found["different_texts"] = MeasuredValue(Interval.point(different), users, len(users))
        note = "" if texts else "every text of this round is empty"
        return [self.row(name, measured, number, note) for name, measured in found.items()]

    def _traced(self, texts: dict[Any, str]) -> dict[str, MeasuredValue]:
        """Whether a text leads to its own history, and its claims to their own evidence."""
        histories, seed = self.dataset.history_rows, self.recipe.seed
        found = found_among(texts, histories, self.vocabulary, seed)
        cases = [
            (user, rests_on_evidence(case, self.vocabulary))
            for user, text in texts.items()
            for case in deletions(user, text, histories[user], self.vocabulary, seed)
        ]
        return {
            "specificity": self.measure(found, list(found.values())),
            "deletion_test": self.measure([user for user, _ in cases], [float(rests) for _, rests in cases]),
        }

    def _changes(self, counts: pl.DataFrame, rounds: list[int]) -> list[MetricRow]:
        """How far the hallucination rate of each later round lies from that of the first, on the users of both."""
        rows = []
        first = counts.filter(pl.col("round") == rounds[0]) if rounds else counts
        for number in rounds[1:]:
            both = counts.filter(pl.col("round") == number).join(first, on="user_id", suffix="_first")
            if both.is_empty():
                nobody = MeasuredValue(Interval.point(math.nan), [], 0)
                rows.append(self.row("hallucination_change", nobody, number, "no user has a text of both rounds"))
                continue
            names = ("contradicted", "checkable", "contradicted_first", "checkable_first")
            arrays = [both[name].to_numpy().astype(np.float64) for name in names]
            interval = bootstrap_users(
                lambda wrong, of, wrong_first, of_first: ratio(wrong, of) - ratio(wrong_first, of_first),
                both["user_id"].to_numpy(),
                *arrays,
                seed=self.recipe.seed,
                draws=self.recipe.evaluation.bootstrap,
            )
            note = f"less that of round {rounds[0]}, on the users of both"
            measured = MeasuredValue(interval, both["user_id"].to_list(), int(both["checkable"].sum()))
            rows.append(self.row("hallucination_change", measured, number, note))
        return rows

    def _explained(self) -> list[MetricRow]:
        """For how many targets there is a reason, and whether reasons rank a user's targets (chance: .5)."""
        table = self.run.read("reasons")
        if table.is_empty():
            return []
        scored = table.group_by("user_id", "event_id", "round", "label", maintain_order=True).agg(
            any=pl.col("speaks_for").is_not_null().any().cast(pl.Float64),
            net=(2 * pl.col("speaks_for").cast(pl.Float64) - 1).sum(),
        )
        users, number = scored["user_id"].to_numpy(), int(scored["round"][0])
        seed, draws = self.recipe.seed, self.recipe.evaluation.bootstrap
        asked = scored["user_id"].to_list()
        covered = self.measure(asked, scored["any"].to_list())
        labels, net = scored["label"].to_numpy(), scored["net"].to_numpy()
        rank = bootstrap_users(gauc, users, labels, net, seed=seed, draws=draws)
        ranked = MeasuredValue(rank, asked, len(asked))
        return [
            self.row("reasons_coverage", covered, number, "targets on which a supported claim bears"),
            self.row("reasons_gauc", ranked, number, "GAUC of reasons for less reasons against"),
        ]

    def _answers(self) -> list[MetricRow]:
        """Swap test and sycophancy, from the scores that the run's test arms left."""
        if not self.run.table("test-swapped").is_file():
            return []
        promoted = int(self.run.manifest("promote")["counts"]["promoted"])
        own, swapped = self.run.read(f"test-own-{promoted}"), self.run.read("test-swapped")
        both = own.join(
            swapped.select("user_id", "event_id", other="yes_probability"), on=["user_id", "event_id"], how="inner"
        )
        users, labels = both["user_id"].to_numpy(), both["label"].to_numpy()
        yes, other = both["yes_probability"].to_numpy(), both["other"].to_numpy()
        seed, draws = self.recipe.seed, self.recipe.evaluation.bootstrap
        swap = paired_bootstrap(auc, users, labels, yes, other, seed=seed, draws=draws)
        flattery = bootstrap_users(
            lambda p, y: float(np.mean(p) - np.mean(y)), users, yes, labels, seed=seed, draws=draws
        )
        asked = both["user_id"].to_list()
        notes = {
            "swap_test": "AUC with the own RecCoT less with another user's",
            "sycophancy": "mean P(Yes) less likes",
        }
        rows = {"swap_test": swap, "sycophancy": flattery}
        return [
            self.row(name, MeasuredValue(interval, asked, len(asked)), promoted, notes[name])
            for name, interval in rows.items()
        ]

    def measure(self, users: Iterable[Any], values: Sequence[float]) -> MeasuredValue:
        """The mean of some values, one or more a user, with its interval over users; of one user there is none."""
        asked = list(users)
        if len(set(asked)) < 2:
            return MeasuredValue(Interval.point(float(np.mean(values)) if len(values) else math.nan), asked, len(asked))
        seed, draws = self.recipe.seed, self.recipe.evaluation.bootstrap
        mean = bootstrap_users(lambda v: float(np.mean(v)), asked, values, seed=seed, draws=draws)
        return MeasuredValue(mean, asked, len(asked))

    def row(self, name: str, measured: MeasuredValue, number: int, note: str = "") -> MetricRow:
        """A measure as a row of ``metrics.json``."""
        value, low, high = measured.interval
        users = set(measured.users)
        return MetricRow(
            arm=ARM,
            round=number,
            role=roles_of(users, self.dataset.role_of),
            metric=name,
            value=value,
            low=low,
            high=high,
            users=len(users),
            examples=measured.examples,
            seed=self.recipe.seed,
            note=note,
        )
