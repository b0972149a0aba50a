"""The alternating loop: generator and validator teach each other in turns.

Read :meth:`Loop.all_rounds` first: it is the algorithm. Every step is a stage of the run (see
``trackrec.run``): it reads tables and adapters, writes its own, and is skipped when it is already there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from trackrec.checks.gate import ACCUSING, may_accuse
from trackrec.data.log import stable_hash
from trackrec.data.roles import Role
from trackrec.judges.base import JudgeName, Validator
from trackrec.judges.preferences import build_groups
from trackrec.judges.rewards import PLACEHOLDER
from trackrec.lm.model import adapter_hash
from trackrec.lm.sampling import DecodingSettings
from trackrec.pipeline.components import FOLDS, OUTSIDE, READ_BY_VALIDATOR, Components
from trackrec.pipeline.teacher_texts import beyond_validator, check_teacher_texts
from trackrec.pipeline.tuning import Tuning
from trackrec.registry import make
from trackrec.run import Stage
from trackrec.teachers.base import write_texts


class Loop:
    """The rounds of a recipe.

    Args:
        components: models, folders and users.
    """

    def __init__(self, components: Components) -> None:
        self.components, self.recipe = components, components.recipe
        self.run, self.dataset = components.run, components.dataset
        self.tuning = Tuning(components)

    def all_rounds(self) -> None:
        """The method, from the teacher's texts to the last validator."""
        self.teach()
        self.distil()
        self.write(0)
        self.tuning.warm_up()
        for kind in self.components.kinds:
            self.tuning.tune(kind, 0)
        self.tuning.check_validator()
        for number in range(1, self.recipe.loop.rounds + 1):
            self.sample(number)
            for kind in self.components.kinds:
                self.score(kind, number)
                self.prefer(kind, number)
                self.align(kind, number)
            self.write(number)
            for kind in self.components.kinds if self.recipe.loop.retunes else ():
                self.tuning.tune(kind, number)

    def teach(self) -> None:
        """The teacher writes for the users whom distillation or a validator's training reads."""
        recipe = self.recipe
        users = self.dataset.users(Role.LM, Role.LM_EXTRA, Role.LM_VALIDATION)
        if recipe.distillation.lm_users is not None:
            users = [*self._taught(), *self.dataset.users(Role.LM_EXTRA)]

        def work(stage: Stage) -> None:
            per_user, seed = recipe.distillation.texts_per_user, recipe.seed * 1000
            table = write_texts(
                self.components.teacher(), self.dataset.histories, self.components.renderer, seed, per_user, users
            )
            histories, renderer = self.dataset.histories, self.components.renderer
            counts, lines = check_teacher_texts(table, users, histories, renderer, recipe.over_budget_share)
            stage.write("teacher", table)
            stage.counts = counts
            for line in lines:
                self.run.reporter.line(line, style="yellow")

        settings = {
            "teacher": recipe.teacher,
            "texts": recipe.distillation.texts_per_user,
        } | self.components.prompt_settings
        if recipe.distillation.lm_users is not None:
            settings |= {"lm_users": recipe.distillation.lm_users}
        self.components.do("teach", work, [self.run.table("histories"), self.run.table("roles")], settings)

    def _taught(self) -> list[Any]:
        """The LM users whose texts by the teacher are learnt, in the order of the roles."""
        users, number = self.dataset.users(Role.LM), self.recipe.distillation.lm_users
        if number is None:
            return users
        drawn = set(sorted(users, key=lambda user: stable_hash(f"{self.recipe.seed}/taught/{user}"))[:number])
        return [user for user in users if user in drawn]

    def distil(self) -> None:
        """The generator learns to write from the teacher's texts, unless it is to start as the base model."""
        recipe = self.recipe
        extra = self.dataset.users(Role.LM_EXTRA)[: recipe.distillation.extra_users]

        def work(stage: Stage) -> None:
            users = [*self._taught(), *extra]
            texts = self.run.read("teacher").filter(pl.col("user_id").is_in(users))
            curve: list[dict[str, float]] = []
            if recipe.loop.distils:
                with self.run.reporter.steps("distil") as progress:
                    curve = self.components.generator.distil(
                        "generator-0",
                        texts,
                        recipe.distillation.training,
                        recipe.seed,
                        progress,
                        stage.checkpoints("generator", recipe.distillation.training.checkpoint_steps),
                    )
            else:  # a fresh adapter changes nothing
                users, texts = [], texts.clear()
                self.components.model.add("generator-0", recipe.seed)
            with stage.folder(self.components.generator_folder(0)) as folder:
                self.components.model.save("generator-0", folder)
            self.components.model.drop("generator-0")  # whoever needs it loads what was saved
            stage.counts = {"users": len(users), "texts": texts.height, "curve": curve, "tuned_on": users}

        settings: dict[str, Any] = {"distillation": recipe.distillation, "adapter": recipe.adapter}
        settings |= {} if recipe.loop.distils else {"distils": False}
        settings |= self.components.prompt_settings
        self.components.do("distil", work, [self.run.table("teacher")], settings, READ_BY_VALIDATOR, together=True)

    def write(self, number: int) -> None:
        """The generator of a round writes the RecCoT that is kept, for all users that this round needs."""
        self.write_for(f"write-{number}", number, self.components.everybody_judged)

    def write_for(self, name: str, number: int, users: Sequence[Any]) -> None:
        """The generator of a round writes one RecCoT for each of some users, into the table ``name``."""
        settings = self.recipe.loop.writing
        self._write_table(name, number, users, 1, settings, self.recipe.seed * 10)

    def sample(self, number: int) -> None:
        """The generator of the round before draws n RecCoTs for each LM and LM validation user."""
        loop = self.recipe.loop
        seed = self.recipe.seed * 10 + number + loop.draws * 1_000_003
        self._write_table(
            f"sample-{number}", number - 1, self.components.sampled, loop.samples_per_user, loop.sampling, seed
        )

    def _write_table(
        self, name: str, number: int, users: Sequence[Any], n: int, decoding: DecodingSettings, seed: int
    ) -> None:
        folder = self.components.generator_folder(number)

        def work(stage: Stage) -> None:
            writer = None
            origin = adapter_hash(folder)

            def shard(part: Sequence[Any]) -> pl.DataFrame:
                nonlocal writer
                writer = writer or self.components.generator.writer(self.components.generator_adapter(number))
                return writer.write(part, n, decoding, seed).with_columns(adapter_hash=pl.lit(origin))

            size = max(1, self.recipe.shard_users * 16 // n)
            table = stage.shards(name, users, size, shard, "users")
            lengths = table["token_ids"].list.len()
            stage.counts = {
                "users": len(users),
                "texts": table.height,
                "tokens": int(lengths.sum()),
                "unfinished": int((~table["finished"]).sum()),
                "beyond_validator": beyond_validator(table["text"], self.components.renderer),
            }

        settings = {"decoding": decoding, "n": n, "seed": seed, "users": users, "shard_users": self.recipe.shard_users}
        settings |= self.components.prompt_settings
        self.components.do(name, work, [folder, self.run.table("histories")], settings, READ_BY_VALIDATOR)

    def score(self, kind: JudgeName, number: int) -> None:
        """The validators of the round before judge the samples and the placeholder on each user's targets."""
        samples = self.run.read(f"sample-{number}").select("user_id", "sample", "text")
        users = pl.Series("user_id", self.components.sampled, dtype=samples.schema["user_id"])
        placeholder = pl.DataFrame([users]).with_columns(
            sample=pl.lit(PLACEHOLDER, dtype=pl.Int16), text=pl.lit(None, dtype=pl.String)
        )
        texts = pl.concat([samples, placeholder])
        fold_of = {user: fold for fold in FOLDS for user in self.dataset.users(Role.LM, fold=fold)}

        def work(stage: Stage) -> None:
            validators: dict[int, Validator] = {}

            def shard(part: Sequence[Any]) -> pl.DataFrame:
                rows = []
                for fold in FOLDS:
                    users = [user for user in part if fold_of.get(user, OUTSIDE) == fold]
                    if users:
                        if fold not in validators:
                            validators[fold] = self.components.loaded_validator(kind, number - 1, fold)
                        mine = texts.filter(pl.col("user_id").is_in(users)).sort("user_id", "sample")
                        rows.append(validators[fold].score(self.dataset.targets_of(users), mine))
                return pl.concat(rows)

            size = self.recipe.shard_users if self.components.scores_in_shards(kind) else len(self.components.sampled)
            table = stage.shards(f"score-{kind}-{number}", self.components.sampled, size, shard, "users")
            scored_by = {
                f"{kind}-{self.components.validator_round(number - 1)}-{fold}": [
                    user for user in self.components.sampled if fold_of.get(user, OUTSIDE) == fold
                ]
                for fold in FOLDS
            }
            stage.counts = {"scores": table.height, "scored_by": scored_by}

        inputs = [self.components.validator_folder(kind, number - 1, fold) for fold in FOLDS]
        inputs += [self.run.table(f"sample-{number}"), self.run.table("targets")]
        self.components.do(
            f"score-{kind}-{number}",
            work,
            inputs,
            {"shard_users": self.recipe.shard_users} | self.components.prompt_settings,
        )

    def prefer(self, kind: JudgeName, number: int) -> None:
        """Rewards become preference groups; each filter is counted. LM validation users' groups are held out."""
        recipe = self.recipe

        def work(stage: Stage) -> None:
            scores, samples = self.run.read(f"score-{kind}-{number}"), self.run.read(f"sample-{number}")
            texts = samples.select("user_id", "sample", "text", "finished").join(
                self._penalties(scores, samples, stage), on=["user_id", "sample"], how="left", maintain_order="left"
            )
            for role in (Role.LM, Role.LM_VALIDATION):
                users = self.dataset.users(role)
                groups, counts = build_groups(
                    scores.filter(pl.col("user_id").is_in(users)),
                    texts.filter(pl.col("user_id").is_in(users)),
                    recipe.preferences,
                    self.components.reward,
                )
                stage.write(f"groups-{kind}-{number}" + ("" if role == Role.LM else "-held-out"), groups)
                stage.counts[str(role)] = counts

        inputs = [self.run.table(f"score-{kind}-{number}"), self.run.table(f"sample-{number}")]
        inputs += [self.run.table("histories"), self.run.table("items")] if recipe.extra_rewards else []
        settings: dict[str, Any] = {
            "preferences": recipe.preferences,
            "reward": recipe.reward,
            "extra_rewards": [settings.model_dump(mode="json") for settings in recipe.extra_rewards],
        }
        if recipe.extra_rewards:
            open_gate = may_accuse(self.run.folder, recipe.teacher.type, recipe.loop.distils)
            settings |= self.components.domain_settings | {"may_accuse": open_gate}
        self.components.do(f"prefer-{kind}-{number}", work, inputs, settings)

    def _penalties(self, scores: pl.DataFrame, samples: pl.DataFrame, stage: Stage) -> pl.DataFrame:
        """``user_id, sample, penalty``: what the extra rewards, with their weights, take off each sample's reward."""
        taken, recipe = samples.select("user_id", "sample", penalty=pl.lit(0.0)), self.recipe
        for settings in recipe.extra_rewards:
            weight = settings.weight
            if settings.type == ACCUSING and not may_accuse(self.run.folder, recipe.teacher.type, recipe.loop.distils):
                weight = 0.0
                self.run.reporter.line(
                    f"[yellow]extra_rewards: {ACCUSING} counts 0: nobody knows how often the checker is wrong on these "
                    "texts (trackrec check-the-checker).[/yellow]"
                )
            reward = make("reward", settings, self.components.reward_context)
            earned = reward(scores, samples, self.dataset.histories)
            for column in set(earned.columns) - {"user_id", "sample", "reward"}:
                stage.counts[f"{column}_claims"] = int(earned[column].sum())
            both = taken.join(earned, on=["user_id", "sample"], how="left", maintain_order="left")
            taken = both.select("user_id", "sample", pl.col("penalty") - weight * pl.col("reward"))
        return taken

    def align(self, kind: JudgeName, number: int) -> None:
        """The preference step from the generator of the round before; to an observer's feedback only as a trial."""
        recipe = self.recipe
        trial = None if kind == self.components.kinds[0] else kind
        name = f"align-{kind}-{number}"
        folder = self.components.generator_folder(number, trial)

        def work(stage: Stage) -> None:
            groups = self.run.read(f"groups-{kind}-{number}")
            held_out = self.run.read(f"groups-{kind}-{number}-held-out")
            samples = self.run.read(f"sample-{number}")
            new = "generator-new"
            self.components.model.load(new, self.components.generator_folder(number - 1))
            curve: list[dict[str, float]] = []
            if groups.height:
                with self.run.reporter.steps(name) as progress:
                    curve = self.components.generator.align(
                        new,
                        groups,
                        samples,
                        recipe.alignment,
                        recipe.seed + number,
                        progress,
                        stage.checkpoints("generator", recipe.alignment.training.checkpoint_steps),
                    )
            else:
                self.run.reporter.line(
                    f"{name}: no preference passed the filters; the generator stays.", style="yellow"
                )
            with stage.folder(folder) as partial:
                self.components.model.save(new, partial)
            with self.run.reporter.steps(f"{name}: held-out preferences", "users") as progress:
                accuracy = self.components.generator.preference_accuracy(new, held_out, samples, progress)
            stage.counts = {
                "groups": groups.height,
                "tuned_on": groups["user_id"].to_list(),
                "curve": curve,
                "held_out": {"accuracy": accuracy.accuracy, "margin": accuracy.margin, "pairs": accuracy.pairs},
            }
            if trial is None:
                decoding = DecodingSettings(max_new_tokens=recipe.loop.sampling.max_new_tokens)
                users = self.dataset.users(Role.LM_VALIDATION)
                written = self.components.generator.writer(new).write(users, 1, decoding, recipe.seed)
                old = self.components.generator_adapter(number - 1)
                with self.run.reporter.steps(f"{name}: KL", "users") as progress:
                    kl = self.components.generator.divergence(old, written, progress)
                stage.counts["kl"] = kl._asdict() | {"texts": written.height}
            self.components.model.drop(new)

        inputs = [self.components.generator_folder(number - 1), self.run.table(f"sample-{number}")]
        inputs += [self.run.table(f"groups-{kind}-{number}{suffix}") for suffix in ("", "-held-out")]
        settings = {"alignment": recipe.alignment} | self.components.prompt_settings
        if trial is not None:  # it makes another folder and no KL: not the stage of this name where this kind aligns
            settings["trial"] = True
        self.components.do(name, work, inputs, settings, READ_BY_VALIDATOR, together=True)
