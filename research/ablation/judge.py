"""A variant's last RecCoTs against those of the recipe's own loop: by validators, by length and by truth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from research.ablation.variants import Variant
from research.metrics.significance import paired_contrast
from trackrec.checks.truth_measures import sample_counts
from trackrec.checks.vocabulary import Vocabulary
from trackrec.data.roles import Role
from trackrec.judges.base import JudgeName
from trackrec.judges.rewards import grounding_penalty
from trackrec.metrics.probability import auc, log_likelihood
from trackrec.pipeline.components import Components
from trackrec.prompts.domains import find_domain
from trackrec.run import Stage

Row = dict[str, Any]
METRICS = {"auc": auc, "log_likelihood": log_likelihood}


class ValidatorJudge:
    """Lets the validators of the recipe's run, and the variant's own, read the RecCoTs of LM validation users.

    Args:
        base: the recipe's own parts, made for this variant alone: the variant's language model is no longer in memory.
    """

    def __init__(self, base: Components) -> None:
        self.base, self.run, self.dataset = base, base.run, base.dataset
        self.users = self.dataset.users(Role.LM_VALIDATION)
        self.seed, self.draws = base.recipe.seed, base.recipe.evaluation.bootstrap

    def judge(self, name: str, variant: Variant, head: Row, components: Components, against: int) -> None:
        """All the rows of a variant, with what it cost, in the manifest of the stage ``name`` of the recipe's run.

        Args:
            name: of the stage.
            variant: what was varied.
            head: what each row begins with.
            components: of the variant, whose loop has ended and whose last validator has written the table ``own``.
            against: the round of the recipe's own generator that it is compared with.
        """
        base, number = self.base, components.recipe.loop.rounds

        def work(stage: Stage) -> None:
            written = self._written(components, number)
            table = pl.concat([self._scores(kind, written) for kind in base.kinds])
            stage.write(name, table)
            rows = []
            for kind in base.kinds:
                other = self._matrix(kind).filter(pl.col("sample") == against)
                rows += self._contrasts(kind, table.filter(pl.col("validator").str.starts_with(f"{kind}-")), other)
            last = f"{base.kinds[0]}-{against}"
            own = self._matrix(base.kinds[0]).filter((pl.col("sample") == against) & (pl.col("validator") == last))
            rows += self._contrasts("own", components.run.read("own").with_columns(validator=pl.lit(last)), own)
            rows += self._of_texts(written, self._written(base, against))
            stage.counts = {
                "about": head
                | {"question": variant.question, "changes": list(variant.changes), "rounds": number}
                | _cost(components)
                | {"unfinished": float((~written["finished"]).sum() / max(1, written.height))},
                "rows": [head | row for row in rows],
            }

        inputs = [components.run.table(f"write-{number}"), components.run.table("own"), self.run.table("targets")]
        inputs += [self.run.table(f"write-{judge}") for judge in base.rounds]
        inputs += [self.run.table(f"matrix-{kind}-{judge}") for kind in base.kinds for judge in base.rounds]
        settings = {"draws": self.draws, "changes": list(variant.changes), "against": against}
        base.do(name, work, inputs, settings)

    def _written(self, components: Components, number: int) -> pl.DataFrame:
        """A round's RecCoTs of LM validation users."""
        return components.kept(number).filter(pl.col("user_id").is_in(self.users)).sort("user_id")

    def _matrix(self, kind: JudgeName) -> pl.DataFrame:
        """What the recipe's validators of a kind give to the RecCoTs of all its rounds."""
        return pl.concat([self.run.read(f"matrix-{kind}-{judge}") for judge in self.base.rounds])

    def _scores(self, kind: JudgeName, written: pl.DataFrame) -> pl.DataFrame:
        """The RecCoTs under each validator of the recipe's run; what one of its own rounds wrote is read off."""
        base = self.base
        before = pl.concat(
            [
                base.kept(number).select("user_id", "text", round=pl.lit(number, dtype=pl.Int16))
                for number in base.rounds
            ]
        ).unique(["user_id", "text"], keep="first", maintain_order=True)
        texts = written.select("user_id", "text").join(
            before, on=["user_id", "text"], how="left", maintain_order="left"
        )
        known = texts.drop_nulls("round").select("user_id", sample="round")
        new = texts.filter(pl.col("round").is_null()).select(
            "user_id", pl.lit(0, dtype=pl.Int16).alias("sample"), "text"
        )
        tables = []
        with self.run.reporter.bar(f"judged by {kind}", len(base.rounds), "validators") as advance:
            for number in base.rounds:
                matrix = self.run.read(f"matrix-{kind}-{number}")
                tables.append(matrix.join(known, on=["user_id", "sample"], how="semi"))
                if new.height:
                    scores = base.loaded_validator(kind, number).score(
                        self.dataset.targets_of(new["user_id"].to_list()), new
                    )
                    tables.append(scores.with_columns(validator=pl.lit(f"{kind}-{number}")).select(matrix.columns))
                advance(1, True)
        return pl.concat(tables)

    def _contrasts(self, judge: str, table: pl.DataFrame, other: pl.DataFrame) -> list[Row]:
        """A variant less the recipe, paired over users; with several validators, on the mean over them."""
        order = ["validator", "user_id", "event_id"]
        mine, theirs = table.sort(order), other.sort(order)
        judges = mine["validator"].n_unique()
        first = mine.head(mine.height // judges)
        users, labels = first["user_id"].to_numpy(), first["label"].to_numpy()
        scores = [part["yes_probability"].to_numpy().reshape(judges, -1) for part in (mine, theirs)]
        rows = []
        for name, statistic in METRICS.items():
            found = paired_contrast(statistic, users, labels, *scores, seed=self.seed, draws=self.draws)
            rows.append(
                {"judge": judge, "judges": judges, "metric": name} | found.as_row() | _size(users, first.height)
            )
        return rows

    def _of_texts(self, mine: pl.DataFrame, theirs: pl.DataFrame) -> list[Row]:
        """How long the RecCoTs are, and which share of their checkable claims the history contradicts."""
        prompts = self.base.recipe.prompts
        vocabulary = Vocabulary(
            self.dataset.items, find_domain(prompts.domain), prompts.attributes, self.base.recipe.profile
        )
        values: dict[str, list[Any]] = {"tokens": [], "contradicted_share": []}
        for table in (mine, theirs):
            values["tokens"].append(table["token_ids"].list.len().cast(pl.Float64).to_numpy())
            counts = sample_counts(table, self.dataset.history_rows, vocabulary)
            values["contradicted_share"].append(grounding_penalty(counts["contradicted"], counts["checkable"], 1.0))
        users, rows = mine["user_id"].to_numpy(), []
        for name, both in values.items():
            found = paired_contrast(
                lambda _, value: float(np.mean(value)),
                users, np.zeros(len(users)), *both, seed=self.seed, draws=self.draws,
            )  # fmt: skip
            rows.append({"judge": "text", "judges": 1, "metric": name} | found.as_row() | _size(users, len(users)))
        return rows


def _size(users: Iterable[Any], examples: int) -> Row:
    return {"users": len(set(users)), "examples": examples}


def _cost(components: Components) -> Row:
    """Seconds that a variant took, and that it did not take since the recipe's run had done the stage."""
    manifests = [
        components.run.manifest(path.stem) for path in sorted((components.run.folder / "manifests").glob("*.json"))
    ]
    shared = [manifest for manifest in manifests if "borrowed_from" in manifest]
    spent = sum(manifest["seconds"] for manifest in manifests) - sum(manifest["seconds"] for manifest in shared)
    saved = sum(manifest["seconds"] for manifest in shared)
    return {"seconds": round(spent, 1), "shared_seconds": round(saved, 1), "shared_stages": len(shared)}
