"""Two checks on a loop that has ended: is the gain there for a validator that had no part in it, and is it length?"""

from __future__ import annotations

from typing import Any, Literal

import polars as pl

from research.equal_length import givers_of_like_length, to_equal_length
from research.metrics.significance import PairedContrast, contrast_of_gains, paired_contrast
from trackrec.data.roles import Role
from trackrec.errors import RunError
from trackrec.judges.rewards import PLACEHOLDER
from trackrec.metrics.probability import auc, log_likelihood
from trackrec.pipeline.components import OUTSIDE, Components
from trackrec.pipeline.tuning import Tuning
from trackrec.run import Stage

METRICS = {"auc": auc, "log_likelihood": log_likelihood}
FIRST, LAST, STRANGER, FIRST_CUT, LAST_CUT = range(5)
"""Sample numbers of the texts that are scored: round 0's, the last round's, that of another user of like length, and
the first two cut to equal length. `PLACEHOLDER` is there too."""
Judge = Literal["last", "fresh"]
"""The last round's validator, or one that had no part in the loop. Neither gave feedback to any generator."""
FEEDBACK = "feedback"
"""The validators that did, those of all rounds before the last: their mean."""


class LoopChecks:
    """Checks the generator of the last round, on LM validation users.

    Args:
        components: of a run whose loop has ended.

    Raises:
        RunError: a loop without rounds, of which there is nothing to check.
    """

    def __init__(self, components: Components) -> None:
        self.components, self.recipe = components, components.recipe
        self.run, self.dataset = components.run, components.dataset
        self.kind, self.last = components.kinds[0], components.recipe.loop.rounds
        if not self.last:
            raise RunError(
                "the recipe has no rounds (loop.rounds: 0), so no generator learnt from feedback that could be "
                "checked: check a run with one round or more"
            )
        self.users = self.dataset.users(Role.LM_VALIDATION)
        self.draws, self.seed = self.recipe.evaluation.bootstrap, self.recipe.seed

    def fresh(self) -> None:
        """No private code between G and V: a validator with weights, order and users of its own finds the gain too.

        It is tuned on the last round's RecCoTs of the LM users that the loop's validator of validation users did not
        learn from. If the recipe warms its validators up, the fresh one has a warm-up of its own.
        """
        tuning = Tuning(self.components)
        tuning.warm_up("fresh")
        tuning.tune(self.kind, self.last, "fresh")
        tables = {judge: self._scored(judge) for judge in ("last", "fresh")}
        givers = sorted({self.components.validator_round(number) for number in range(self.last)})
        matrices = [f"matrix-{self.kind}-{number}" for number in givers]

        def work(stage: Stage) -> None:
            scores = {judge: self.run.read(table) for judge, table in tables.items()}
            feedback = pl.concat([self.run.read(name) for name in matrices])
            feedback = feedback.filter(pl.col("sample").is_in([0, self.last])).with_columns(
                sample=pl.when(pl.col("sample") == 0).then(FIRST).otherwise(LAST)
            )
            rows = []
            loop: dict[str, pl.DataFrame] = {FEEDBACK: feedback, "last": scores["last"]}
            told = f"round {self.last} less round 0"
            for judge, table in (loop | {"fresh": scores["fresh"]}).items():
                rows += self._gain(judge, told, table, LAST, FIRST)
            for judge, table in loop.items():
                rows += self._less(f"{judge} less fresh", told, (table, LAST, FIRST), (scores["fresh"], LAST, FIRST))
            told = f"round {self.last} less no RecCoT"
            for judge, table in scores.items():
                rows += self._gain(judge, told, table, LAST, PLACEHOLDER)
            pair = [(scores[judge], LAST, PLACEHOLDER) for judge in ("last", "fresh")]
            rows += self._less("last less fresh", told, pair[0], pair[1])
            tuned = self.run.manifest(f"tune-{self.kind}-fresh")["counts"][f"fold-{1 - OUTSIDE}"]
            stage.counts = {"round": self.last, "tuned_on_users": len(tuned["tuned_on"]), "rows": rows}

        inputs = [self.run.table(name) for name in (*tables.values(), *matrices)]
        self.components.do("check-fresh-v", work, inputs, {"draws": self.draws})

    def length(self) -> None:
        """The gain with both texts cut to equal length, and the gain that another user's text of like length has.

        Judged by the last round's validator, and by the fresh one if it has been tuned.
        """
        judges: list[Judge] = ["last"]
        if self.components.validator_folder(self.kind, "fresh", 1 - OUTSIDE).exists():
            judges.append("fresh")
        tables = {judge: self._scored(judge) for judge in judges}

        def work(stage: Stage) -> None:
            rows = []
            whole, cut = f"round {self.last} less round 0", f"round {self.last} less round 0, cut to equal length"
            for judge, name in tables.items():
                table = self.run.read(name)
                rows += self._gain(judge, whole, table, LAST, FIRST)
                rows += self._gain(judge, cut, table, LAST_CUT, FIRST_CUT)
                rows += self._less(
                    judge, f"{whole}: whole less cut", (table, LAST, FIRST), (table, LAST_CUT, FIRST_CUT)
                )
                rows += self._gain(judge, f"round {self.last} less no RecCoT", table, LAST, PLACEHOLDER)
                rows += self._gain(judge, "another user's of like length less no RecCoT", table, STRANGER, PLACEHOLDER)
                rows += self._gain(
                    judge, f"round {self.last} less another user's of like length", table, LAST, STRANGER
                )
            texts = self.run.read("check-texts").drop_nulls("text")
            means = dict(texts.group_by("sample").agg(pl.col("tokens").mean()).iter_rows())
            names = {FIRST: "round 0", LAST: f"round {self.last}", STRANGER: "another user's"}
            names |= {FIRST_CUT: "round 0, cut", LAST_CUT: f"round {self.last}, cut"}
            lengths = {name: float(means[sample]) for sample, name in names.items()}
            stage.counts = {"round": self.last, "mean_tokens": lengths, "rows": rows}

        self.components.do(
            "check-length", work, [self.run.table(name) for name in tables.values()], {"draws": self.draws}
        )

    def _texts(self) -> None:
        """The table ``check-texts``: ``user_id, sample, text, tokens``."""

        def work(stage: Stage) -> None:
            count = self.components.renderer.count_tokens
            first, last = (self._kept(number) for number in (0, self.last))
            givers = givers_of_like_length([count(text) for text in last])
            rows: list[tuple[Any, int, str | None]] = []
            for place, user in enumerate(self.users):
                cut = to_equal_length(first[place], last[place], count)
                told = {FIRST: first[place], LAST: last[place], STRANGER: last[givers[place]]}
                told |= {FIRST_CUT: cut[0], LAST_CUT: cut[1]}
                rows += [(user, PLACEHOLDER, None), *((user, sample, text) for sample, text in told.items())]
            schema = {"user_id": self.dataset.roles.schema["user_id"], "sample": pl.Int16(), "text": pl.String()}
            tokens = [None if text is None else count(text) for _, _, text in rows]
            table = pl.DataFrame(rows, schema=schema, orient="row")
            stage.write("check-texts", table.with_columns(tokens=pl.Series(tokens, dtype=pl.Int32)))

        inputs = [self.run.table(f"write-{number}") for number in (0, self.last)]
        self.components.do("check-texts", work, inputs, self.components.model_settings)

    def _kept(self, number: int) -> list[str]:
        texts = dict(self.components.kept(number).select("user_id", "text").iter_rows())
        return [texts[user] for user in self.users]

    def _scored(self, judge: Judge) -> str:
        """Let a validator read all texts; gives the table's name, that of its stage."""
        self._texts()
        name, fold = f"check-scores-{judge}", OUTSIDE if judge == "last" else 1 - OUTSIDE
        folder = self.components.validator_folder(self.kind, self.last if judge == "last" else "fresh", fold)

        def work(stage: Stage) -> None:
            validator = self.components.validator(self.kind, self.last, fold)
            validator.load(folder)
            texts = self.run.read("check-texts").select("user_id", "sample", "text")

            def shard(users: Any) -> pl.DataFrame:
                mine = texts.filter(pl.col("user_id").is_in(users))
                scored = mine.unique(["user_id", "text"], keep="first", maintain_order=True)
                scores = validator.score(self.dataset.targets_of(users), scored).rename({"sample": "scored"})
                same = mine.join(
                    scored.rename({"sample": "scored"}), on=["user_id", "text"], nulls_equal=True, maintain_order="left"
                )
                found = same.join(scores, on=["user_id", "scored"], maintain_order="left_right")
                return found.select("user_id", "sample", pl.exclude("user_id", "sample", "text", "scored"))

            stage.shards(name, self.users, self.recipe.shard_users, shard, "users")

        inputs = [folder, self.run.table("check-texts"), self.run.table("targets")]
        self.components.do(
            name, work, inputs, {"shard_users": self.recipe.shard_users} | self.components.prompt_settings
        )
        return name

    def _gain(self, judge: str, gain: str, table: pl.DataFrame, text: int, other: int) -> list[dict[str, Any]]:
        users, labels, mine = _arrays(table, text)
        theirs = _arrays(table, other)[2]
        rows = []
        for name, statistic in METRICS.items():
            found = paired_contrast(statistic, users, labels, mine, theirs, seed=self.seed, draws=self.draws)
            rows.append(_row(judge, gain, name, found, users))
        return rows

    def _less(
        self, judge: str, gain: str, one: tuple[pl.DataFrame, int, int], other: tuple[pl.DataFrame, int, int]
    ) -> list[dict[str, Any]]:
        """One gain less another, each the table of scores and the numbers of its two texts."""
        users, labels, _ = _arrays(one[0], one[1])
        first, second = ((_arrays(table, text)[2], _arrays(table, less)[2]) for table, text, less in (one, other))
        rows = []
        for name, statistic in METRICS.items():
            found = contrast_of_gains(statistic, users, labels, first, second, seed=self.seed, draws=self.draws)
            rows.append(_row(judge, gain, name, found, users))
        return rows


def _row(judge: str, gain: str, metric: str, found: PairedContrast, users: Any) -> dict[str, Any]:
    head = {"judge": judge, "gain": gain, "metric": metric}
    return head | found.as_row() | {"users": len(set(users)), "examples": len(users)}


def _arrays(table: pl.DataFrame, sample: int) -> tuple[Any, Any, Any]:
    """Users, labels and P(Yes) with one text, the last one a row for each validator if the table has several."""
    order = [name for name in ("validator", "user_id", "event_id") if name in table.columns]
    mine = table.filter(pl.col("sample") == sample).sort(order)
    judges = mine["validator"].n_unique() if "validator" in mine.columns else 1
    first = mine.head(mine.height // judges)
    scores = mine["yes_probability"].to_numpy()
    return first["user_id"].to_numpy(), first["label"].to_numpy(), scores.reshape(judges, -1) if judges > 1 else scores
