"""Rec-tuning: the validators of a round, where they start from, and whether their feedback is worth having."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from trackrec.data.roles import Role
from trackrec.errors import RunError
from trackrec.judges.base import JudgeName
from trackrec.judges.lm import LMValidator
from trackrec.metrics.probability import auc
from trackrec.pipeline.components import FOLDS, OUTSIDE, Aside, Components
from trackrec.registry import find
from trackrec.run import Stage

FRESH_SEED = 1000
"""Added to the seed of a validator that has no part in the loop."""


class Tuning:
    """Tunes validators, each kind behind the same interface.

    Args:
        components: models, folders and users.
    """

    def __init__(self, components: Components) -> None:
        self.components, self.recipe = components, components.recipe
        self.run, self.dataset = components.run, components.dataset

    def training_texts(self, kind: JudgeName, number: int, fold: int) -> pl.DataFrame:
        """``user_id, text`` that the validator of a fold is tuned on: never a user of that fold.

        Beside the other half of the LM users, with their RecCoTs of this round, extra LM users with the teacher's.
        """
        others = self.dataset.users(Role.LM, fold=1 - fold)
        extra = self.dataset.users(Role.LM_EXTRA)
        if kind == "lm":
            extra = extra[: self.components.lm_judge.extra_users]
        teacher = self.run.read("teacher").filter((pl.col("sample") == 0) & pl.col("user_id").is_in(extra))
        written = self.components.kept(number).filter(pl.col("user_id").is_in(others))
        return pl.concat([written.select("user_id", "text"), teacher.select("user_id", "text")])

    def warm_up(self, aside: Aside | None = None) -> None:
        """Tune the language model as validator once, on extra LM users with the teacher's RecCoTs: all rounds' start.

        No validator ever scores an extra LM user, so that cross-fitting holds for whatever starts from here.

        Args:
            aside: for a validator beside those of the rounds, see ``tune``.
        """
        folder = self.components.start_folder("lm", aside)
        if "lm" not in self.components.kinds or folder is None:
            return
        name = "tune-lm-start" + (f"-{aside}" if aside else "")
        settings = self.components.lm_judge
        users = self.dataset.users(Role.LM_EXTRA)[: settings.warm_up_users]

        def work(stage: Stage) -> None:
            texts = self.run.read("teacher").filter((pl.col("sample") == 0) & pl.col("user_id").is_in(users))
            if aside == "none":
                texts = texts.with_columns(text=pl.lit(None, dtype=pl.String))
            with self.run.reporter.steps(name) as progress, stage.folder(folder) as partial:
                validator = LMValidator(
                    self.components.model,
                    "validator-start",
                    self.components.renderer,
                    self.dataset.history_rows,
                    settings,
                    progress,
                    training=settings.warm_up,
                    checkpoints=stage.checkpoints("start", settings.warm_up.checkpoint_steps),
                )
                info = validator.fit(self.dataset.targets_of(users), texts, partial, self._seed(aside))
            self.components.model.drop("validator-start")
            stage.counts = info | {"tuned_on": users, "starts_from": "base model"}

        inputs = [self.run.table(table) for table in ("teacher", "targets", "roles")]
        self.components.do(name, work, inputs, self._settings("lm", aside), together=True)

    def tune(self, kind: JudgeName, number: int, aside: Aside | None = None) -> None:
        """Tune a round's validators, one a fold, on the RecCoTs of this round's generator.

        Every round starts anew, from the base model or from where ``warm_up`` left it.

        Args:
            kind: of the validator.
            number: the round.
            aside: for comparison, one fold: ``none`` replaces every RecCoT by the placeholder (TALLRec's way);
                ``fresh`` has another seed from its first weights on, and learns from the users of the half that the
                validator of users outside both halves did not learn from.
        """
        name = f"tune-{kind}-{aside or number}"
        folds = {None: FOLDS, "none": (OUTSIDE,), "fresh": (1 - OUTSIDE,)}[aside]
        start = self.components.start_folder(kind, aside)

        def work(stage: Stage) -> None:
            for fold in folds:
                texts = self.training_texts(kind, number, fold)
                if aside == "none":
                    texts = texts.with_columns(text=pl.lit(None, dtype=pl.String))
                users = texts["user_id"].to_list()
                with self.run.reporter.steps(f"{name} fold {fold}") as progress:
                    steps = self.components.lm_judge.training.checkpoint_steps if kind == "lm" else 0
                    kept = stage.checkpoints(f"fold-{fold}", steps)
                    validator = self.components.validator(kind, number, fold, progress, start, kept)
                    folder = self.components.validator_folder(kind, aside or number, fold)
                    with stage.folder(folder) as partial:
                        info = validator.fit(
                            self._training_targets(kind, users), texts, partial, self._seed(aside) + fold
                        )
                if isinstance(validator, LMValidator):
                    self.components.model.drop(validator.adapter)
                stage.counts[f"fold-{fold}"] = info | {
                    "tuned_on": users if info.get("tuned", True) else [],
                    "starts_from": start.name if start else "base model",
                }

        inputs = [self.run.table(table) for table in (f"write-{number}", "teacher", "targets", "examples", "roles")]
        inputs += [start] if start else []
        self.components.do(name, work, inputs, self._settings(kind, aside), together=kind == "lm")

    def _seed(self, aside: Aside | None) -> int:
        return self.recipe.seed + (FRESH_SEED if aside == "fresh" else 0)

    def _settings(self, kind: JudgeName, aside: Aside | None) -> dict[str, Any]:
        """What decides a tuning, beside its inputs."""
        settings = self.components.judges[kind]
        more = {"adapter": self.recipe.adapter} | ({"seed": self._seed(aside)} if aside == "fresh" else {})
        more |= {} if kind == "lm" else self.components.encoder_settings
        return {"settings": settings} | self.components.prompt_settings | more

    def _training_targets(self, kind: JudgeName, users: Sequence[Any]) -> pl.DataFrame:
        """The ranker learns from everything that its users did after the history; the language model from m targets."""
        learns_all = find("judge", self.components.judges[kind].type).learns_all_targets
        return self.dataset.every_target(users) if learns_all else self.dataset.targets_of(users)

    def check_validator(self) -> None:
        """Feedback worth having: V must beat the user's own share of likes on LM validation users.

        Raises:
            RunError: it does not, and the recipe does not say to go on all the same.
        """
        users = self.dataset.users(Role.LM_VALIDATION)
        kind = self.components.kinds[0]

        def work(stage: Stage) -> None:
            texts = self.components.kept(0).filter(pl.col("user_id").is_in(users)).select("user_id", "sample", "text")
            validator = self.components.loaded_validator(kind, 0)

            def shard(part: Sequence[Any]) -> pl.DataFrame:
                mine = texts.filter(pl.col("user_id").is_in(part))
                return validator.score(self.dataset.targets_of(part), mine)

            scores = stage.shards("check", users, 4 * self.recipe.shard_users, shard, "users")
            both = scores.join(self.dataset.baselines, on=["user_id", "event_id"], how="left", maintain_order="left")
            labels = both["label"].to_numpy()
            stage.counts = {
                "validator": kind,
                "auc": auc(labels, both["yes_probability"].to_numpy()),
                "auc_user_share": auc(labels, both["user_share"].to_numpy()),
                "users": len(users),
                "examples": both.height,
            }

        inputs = [
            self.components.validator_folder(kind, 0, OUTSIDE),
            self.run.table("write-0"),
            self.run.table("targets"),
        ]
        self.components.do("check", work, inputs, {"kind": kind})
        result = self.run.manifest("check")["counts"]
        line = (
            f"V0 ({kind}) on {result['users']} LM validation users: AUC {result['auc']:.3f}; "
            f"the user's own share of likes: {result['auc_user_share']:.3f}"
        )
        if result["auc"] > result["auc_user_share"]:
            self.run.reporter.line(f"{line}. Its feedback is worth having.")
        elif self.recipe.loop.need_useful_validator:
            raise RunError(
                f"{line}. Feedback of a validator that does not beat it is noise, so no generator was aligned. Give "
                "the validator more users or targets, take another judge (judge.type), or go on all the same "
                "with loop.need_useful_validator=false"
            )
        else:
            self.run.reporter.line(f"{line}. Its feedback is close to noise; the recipe says to go on.", style="yellow")
