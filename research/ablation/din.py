"""A variant's RecCoTs as a feature of the ranker, on ranker users who are nobody's test users here."""

from __future__ import annotations

from typing import Any

import polars as pl

from research.comparison.setup import Setup, contrasts
from trackrec.errors import RunError
from trackrec.features.encoder import ITEM_VECTORS, shared_encoder, user_vectors
from trackrec.metrics.probability import auc, gauc
from trackrec.pipeline.components import Components
from trackrec.pipeline.item_text import item_sources
from trackrec.pipeline.loop import Loop
from trackrec.rankers.arm import Arm
from trackrec.rankers.compare import compare_arms
from trackrec.run import Stage

METRICS = {"auc": auc, "gauc": gauc}


class DinJudge:
    """Trains the recipe's ranker on RecCoTs of two origins.

    The first fold of ranker users is left out altogether, the second is judged, the third stops the training, the
    others train: with one fold tested (``ranking.folds: 1``) nobody who is judged here is a test user there.

    Args:
        base: of the recipe's run.
    """

    def __init__(self, base: Components) -> None:
        self.base, self.run, self.dataset, self.recipe = base, base.run, base.dataset, base.recipe
        users = self.dataset.ranker_users(self.recipe.write_for)
        folds = sorted(users["fold"].unique().to_list())
        if len(folds) < 4:
            raise RunError(
                f"--din needs 4 folds of ranker users (one kept out of sight, one judged, one that stops the training, "
                f"one that trains), the recipe has {len(folds)}: set roles.ranker_folds, or leave out --din"
            )
        self.users = users.filter(pl.col("fold") != folds[0])

    def judge(self, name: str, head: dict[str, Any], components: Components, number: int, against: int) -> None:
        """The rows of one variant, in the manifest of the stage ``name``.

        Args:
            name: of the stage.
            head: what each row begins with.
            components: of the variant, whose loop has ended.
            number: its last round.
            against: the round of the recipe's own generator that it is compared with.
        """
        mine = self._trained(f"ablated-din-{head['variant']}", components, number)
        theirs = self._trained(f"ablated-din-recipe-{against}", self.base, against)
        draws, seed = self.recipe.evaluation.bootstrap, self.recipe.seed

        def work(stage: Stage) -> None:
            setup = Setup(
                "ctr", self.recipe.ranking.backbone, self.recipe.ranking.recent, self.recipe.ranking.seeds, True
            )
            rows = []
            arms = {table: self.run.read(table) for table in (mine, theirs)}
            for metric in METRICS:
                found = contrasts(setup, metric, arms, [(mine, theirs)], seed, draws)[0]
                kept = {key: found[key] for key in ("metric", "value", "against_value", "difference", "lower", "upper")}
                kept |= {key: found[key] for key in ("p", "users", "examples", "seeds")}
                rows.append(head | {"judge": setup.model, "judges": 1} | kept)
            stage.counts = {"rows": rows}

        self.base.do(name, work, [self.run.table(mine), self.run.table(theirs)], {"draws": draws, "head": head})

    def _trained(self, name: str, components: Components, number: int) -> str:
        """Train and predict with a generator's RecCoTs; gives the table's name, that of its stage."""
        texts = self._texts(components, number)
        settings = self.recipe.ranking.model_copy(update={"folds": 1})
        items = item_sources(self.base)

        def work(stage: Stage) -> None:
            wanted = self.users.select("user_id").join(texts, on="user_id", how="left", maintain_order="left")
            vectors = user_vectors(wanted, shared_encoder(self.recipe.encoder))
            with self.run.reporter.steps(name, "trainings") as progress:
                predictions = compare_arms(
                    self.dataset,
                    self.users,
                    self.dataset.items,
                    {name: Arm(vectors, items=items, item_components=settings.item_components)},
                    settings,
                    self.recipe.seed,
                    progress=progress,
                )
            stage.write(name, predictions)
            stage.counts = {"users": wanted.height, "with_text": wanted["text"].count()}

        inputs = [components.run.table(f"write-{number}"), components.run.table(_rest(number))]
        inputs += [self.run.table(table) for table in ("examples", "roles", *([ITEM_VECTORS] if items else []))]
        self.base.do(name, work, inputs, {"ranking": settings, "users": self.users.height})
        return name

    def _texts(self, components: Components, number: int) -> pl.DataFrame:
        """``user_id, text`` of the ranker users: what the loop had written, and the rest, which is written now."""
        written = components.kept(number).select("user_id", "text")
        rest = self.users.filter(~pl.col("user_id").is_in(written["user_id"].implode()))["user_id"].to_list()
        Loop(components).write_for(_rest(number), number, rest)
        return pl.concat([written, components.run.read(_rest(number)).select("user_id", "text")])


def _rest(number: int) -> str:
    return f"ablated-write-{number}"
