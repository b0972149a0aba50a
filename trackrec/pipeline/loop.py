"""The alternating loop: generator and validator teach each other in turns.

Read :meth:`Loop.all_rounds` first: it is the algorithm. Every step is a stage of the run (see ``trackrec.run``): it
reads tables and adapters, writes its own, and is skipped when it is already there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from trackrec.data.roles import Role
from trackrec.errors import RunError
from trackrec.lm.model import adapter_hash
from trackrec.lm.sampling import DecodingSettings
from trackrec.metrics import auc
from trackrec.pipeline.parts import FOLDS, OUTSIDE, Parts
from trackrec.reccot.preferences import build_groups
from trackrec.reccot.rewards import PLACEHOLDER
from trackrec.reccot.teacher import ProfileTeacher, write_texts
from trackrec.reccot.validator import Kind, LMValidator, Validator
from trackrec.run import Stage


class Loop:
    """The rounds of a recipe.

    Args:
        parts: models, folders and users.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts, self.run, self.world, self.recipe = parts, parts.run, parts.world, parts.recipe

    def all_rounds(self) -> None:
        """The method, from the teacher's texts to the last validator."""
        self.teach()
        self.distil()
        self.write(0)
        self.warm_up()
        for kind in self.parts.kinds:
            self.tune(kind, 0)
        self.check_validator()
        for number in range(1, self.recipe.loop.rounds + 1):
            self.sample(number)
            for kind in self.parts.kinds:
                self.score(kind, number)
                self.prefer(kind, number)
                self.align(kind, number)
            self.write(number)
            for kind in self.parts.kinds:
                self.tune(kind, number)

    def teach(self) -> None:
        """The teacher writes for the users whom distillation or a validator's training reads."""
        recipe = self.recipe
        users = self.world.users(Role.LM, Role.LM_EXTRA, Role.LM_VALIDATION)

        def work(stage: Stage) -> None:
            renderer = self.parts.renderer
            teacher = ProfileTeacher(self.world.items, renderer.domain, renderer.count_tokens, recipe.teacher)
            per_user, seed = recipe.distillation.texts_per_user, recipe.seed * 1000
            table = write_texts(teacher, users, self.world.history_rows, renderer, seed, per_user)
            stage.write("teacher", table)
            stage.counts = {"users": len(users), "texts": table.height}

        settings = {"teacher": recipe.teacher, "texts": recipe.distillation.texts_per_user} | self.parts.prompt_settings
        self.parts.do("teach", work, [self.run.table("histories"), self.run.table("roles")], settings)

    def distil(self) -> None:
        """The generator learns to write from the teacher's texts."""
        recipe = self.recipe
        extra = self.world.users(Role.LM_EXTRA)[: recipe.distillation.extra_users]

        def work(stage: Stage) -> None:
            users = [*self.world.users(Role.LM), *extra]
            texts = self.run.read("teacher").filter(pl.col("user_id").is_in(users))
            with self.run.reporter.steps("distil") as progress:
                curve = self.parts.generator.distil(
                    "generator-0", texts, recipe.distillation.training, recipe.seed, progress
                )
            with stage.folder(self.parts.generator_folder(0)) as folder:
                self.parts.model.save("generator-0", folder)
            stage.counts = {"users": len(users), "texts": texts.height, "curve": curve, "tuned_on": users}

        settings = {"distillation": recipe.distillation, "adapter": recipe.adapter}
        self.parts.do("distil", work, [self.run.table("teacher")], settings | self.parts.prompt_settings)

    def write(self, number: int) -> None:
        """The generator of a round writes the RecCoT that is kept, for all users that this round needs."""
        self.write_for(f"write-{number}", number, self.parts.everybody_judged)

    def write_for(self, name: str, number: int, users: Sequence[Any]) -> None:
        """The generator of a round writes one RecCoT for each of some users, into the table ``name``."""
        settings = self.recipe.loop.writing
        self._write_table(name, number, users, 1, settings, self.recipe.seed * 10)

    def sample(self, number: int) -> None:
        """The generator of the round before draws n RecCoTs for each LM and LM validation user."""
        loop = self.recipe.loop
        seed = self.recipe.seed * 10 + number
        self._write_table(
            f"sample-{number}", number - 1, self.parts.sampled, loop.samples_per_user, loop.sampling, seed
        )

    def _write_table(
        self, name: str, number: int, users: Sequence[Any], n: int, decoding: DecodingSettings, seed: int
    ) -> None:
        folder = self.parts.generator_folder(number)

        def work(stage: Stage) -> None:
            writer = None
            origin = adapter_hash(folder)

            def shard(part: Sequence[Any]) -> pl.DataFrame:
                nonlocal writer
                writer = writer or self.parts.generator.writer(self.parts.generator_adapter(number))
                return writer.write(part, n, decoding, seed).with_columns(adapter_hash=pl.lit(origin))

            size = max(1, self.recipe.shard_users * 16 // n)
            table = stage.shards(name, users, size, shard, "users")
            lengths = table["token_ids"].list.len()
            stage.counts = {
                "users": len(users),
                "texts": table.height,
                "tokens": int(lengths.sum()),
                "unfinished": int((~table["finished"]).sum()),
            }

        settings = {"decoding": decoding, "n": n, "seed": seed, "users": users, "shard_users": self.recipe.shard_users}
        self.parts.do(name, work, [folder, self.run.table("histories")], settings | self.parts.prompt_settings)

    def training_texts(self, kind: Kind, number: int, fold: int) -> pl.DataFrame:
        """``user_id, text`` that the validator of a fold is tuned on: never a user of that fold.

        Beside the other half of the LM users, with their RecCoTs of this round, extra LM users with the teacher's.
        """
        others = self.world.users(Role.LM, fold=1 - fold)
        extra = self.world.users(Role.LM_EXTRA)
        if kind == "lm":
            extra = extra[: self.recipe.lm_validator.extra_users]
        teacher = self.run.read("teacher").filter((pl.col("sample") == 0) & pl.col("user_id").is_in(extra))
        written = self.parts.kept(number).filter(pl.col("user_id").is_in(others))
        return pl.concat([written.select("user_id", "text"), teacher.select("user_id", "text")])

    def warm_up(self, without_reccot: bool = False) -> None:
        """Tune the language model as validator once, on extra LM users with the teacher's RecCoTs: all rounds' start.

        No validator ever scores an extra LM user, so that cross-fitting holds for whatever starts from here.
        """
        folder = self.parts.start_folder("lm", without_reccot)
        if "lm" not in self.parts.kinds or folder is None:
            return
        name = "tune-lm-start" + ("-none" if without_reccot else "")
        settings = self.recipe.lm_validator
        users = self.world.users(Role.LM_EXTRA)[: settings.warm_up_users]

        def work(stage: Stage) -> None:
            texts = self.run.read("teacher").filter((pl.col("sample") == 0) & pl.col("user_id").is_in(users))
            if without_reccot:
                texts = texts.with_columns(text=pl.lit(None, dtype=pl.String))
            with self.run.reporter.steps(name) as progress, stage.folder(folder) as partial:
                validator = LMValidator(
                    self.parts.model,
                    "validator-start",
                    self.parts.renderer,
                    self.world.history_rows,
                    settings,
                    progress,
                    training=settings.warm_up,
                )
                info = validator.fit(self.world.targets_of(users), texts, partial, self.recipe.seed)
            stage.counts = info | {"tuned_on": users, "starts_from": "base model"}

        inputs = [self.run.table(table) for table in ("teacher", "targets", "roles")]
        self.parts.do(
            name, work, inputs, {"settings": settings} | self.parts.prompt_settings | {"adapter": self.recipe.adapter}
        )

    def tune(self, kind: Kind, number: int, without_reccot: bool = False) -> None:
        """Tune a round's validators, one a fold, on the RecCoTs of this round's generator.

        Every round starts anew, from the base model or from where ``warm_up`` left it.

        Args:
            kind: of the validator.
            number: the round.
            without_reccot: every RecCoT is replaced by the placeholder (TALLRec's way), for comparison; one fold.
        """
        name = f"tune-{kind}-{'none' if without_reccot else number}"
        folds = (OUTSIDE,) if without_reccot else FOLDS
        settings = self.recipe.lm_validator if kind == "lm" else self.recipe.ranker_validator
        start = self.parts.start_folder(kind, without_reccot)

        def work(stage: Stage) -> None:
            for fold in folds:
                texts = self.training_texts(kind, number, fold)
                if without_reccot:
                    texts = texts.with_columns(text=pl.lit(None, dtype=pl.String))
                users = texts["user_id"].to_list()
                with self.run.reporter.steps(f"{name} fold {fold}") as progress:
                    validator = self.parts.validator(kind, number, fold, progress, start)
                    folder = self.parts.validator_folder(kind, number, fold)
                    if without_reccot:
                        folder = folder.with_name(f"validator-{kind}-none-{fold}")
                    with stage.folder(folder) as partial:
                        info = validator.fit(
                            self._training_targets(kind, users), texts, partial, self.recipe.seed + fold
                        )
                stage.counts[f"fold-{fold}"] = info | {
                    "tuned_on": users,
                    "starts_from": start.name if start else "base model",
                }

        inputs = [self.run.table(table) for table in (f"write-{number}", "teacher", "targets", "examples", "roles")]
        inputs += [start] if start else []
        self.parts.do(
            name, work, inputs, {"settings": settings} | self.parts.prompt_settings | {"adapter": self.recipe.adapter}
        )

    def _training_targets(self, kind: Kind, users: Sequence[Any]) -> pl.DataFrame:
        """The ranker learns from everything that its users did after the history; the language model from m targets."""
        return self.world.targets_of(users) if kind == "lm" else self.world.every_target(users)

    def check_validator(self) -> None:
        """Feedback worth having: V must beat the user's own share of likes on LM validation users.

        Raises:
            RunError: it does not, and the recipe does not say to go on all the same.
        """
        users = self.world.users(Role.LM_VALIDATION)
        kind = self.parts.kinds[0]

        def work(stage: Stage) -> None:
            texts = self.parts.kept(0).filter(pl.col("user_id").is_in(users)).select("user_id", "sample", "text")
            validator = self.parts.loaded_validator(kind, 0)

            def shard(part: Sequence[Any]) -> pl.DataFrame:
                mine = texts.filter(pl.col("user_id").is_in(part))
                return validator.score(self.world.targets_of(part), mine)

            scores = stage.shards("check", users, 4 * self.recipe.shard_users, shard, "users")
            both = scores.join(self.world.baselines, on=["user_id", "event_id"], how="left", maintain_order="left")
            labels = both["label"].to_numpy()
            stage.counts = {
                "validator": kind,
                "auc": auc(labels, both["yes_probability"].to_numpy()),
                "auc_user_share": auc(labels, both["user_share"].to_numpy()),
                "users": len(users),
                "examples": both.height,
            }

        inputs = [self.parts.validator_folder(kind, 0, OUTSIDE), self.run.table("write-0"), self.run.table("targets")]
        self.parts.do("check", work, inputs, {"kind": kind})
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
                "the validator more users or targets, take the other kind (loop.validator), or go on all the same "
                "with loop.need_useful_validator=false"
            )
        else:
            self.run.reporter.line(
                f"[yellow]{line}. Its feedback is close to noise; the recipe says to go on.[/yellow]"
            )

    def score(self, kind: Kind, number: int) -> None:
        """The validators of the round before judge the samples and the placeholder on each user's targets."""
        samples = self.run.read(f"sample-{number}").select("user_id", "sample", "text")
        users = pl.Series("user_id", self.parts.sampled, dtype=samples.schema["user_id"])
        placeholder = pl.DataFrame([users]).with_columns(
            sample=pl.lit(PLACEHOLDER, dtype=pl.Int16), text=pl.lit(None, dtype=pl.String)
        )
        texts = pl.concat([samples, placeholder])
        fold_of = {user: fold for fold in FOLDS for user in self.world.users(Role.LM, fold=fold)}

        def work(stage: Stage) -> None:
            validators: dict[int, Validator] = {}

            def shard(part: Sequence[Any]) -> pl.DataFrame:
                rows = []
                for fold in FOLDS:
                    users = [user for user in part if fold_of.get(user, OUTSIDE) == fold]
                    if users:
                        if fold not in validators:
                            validators[fold] = self.parts.loaded_validator(kind, number - 1, fold)
                        mine = texts.filter(pl.col("user_id").is_in(users)).sort("user_id", "sample")
                        rows.append(validators[fold].score(self.world.targets_of(users), mine))
                return pl.concat(rows)

            size = self.recipe.shard_users if kind == "lm" else len(self.parts.sampled)
            table = stage.shards(f"score-{kind}-{number}", self.parts.sampled, size, shard, "users")
            scored_by = {
                f"{kind}-{number - 1}-{fold}": [
                    user for user in self.parts.sampled if fold_of.get(user, OUTSIDE) == fold
                ]
                for fold in FOLDS
            }
            stage.counts = {"scores": table.height, "scored_by": scored_by}

        inputs = [self.parts.validator_folder(kind, number - 1, fold) for fold in FOLDS]
        inputs += [self.run.table(f"sample-{number}"), self.run.table("targets")]
        self.parts.do(
            f"score-{kind}-{number}",
            work,
            inputs,
            {"shard_users": self.recipe.shard_users} | self.parts.prompt_settings,
        )

    def prefer(self, kind: Kind, number: int) -> None:
        """Rewards become preference groups; each filter is counted. LM validation users' groups are held out."""
        recipe = self.recipe

        def work(stage: Stage) -> None:
            scores, samples = self.run.read(f"score-{kind}-{number}"), self.run.read(f"sample-{number}")
            for role in (Role.LM, Role.LM_VALIDATION):
                users = self.world.users(role)
                groups, counts = build_groups(
                    scores.filter(pl.col("user_id").is_in(users)),
                    samples.filter(pl.col("user_id").is_in(users)).select("user_id", "sample", "text"),
                    recipe.preferences,
                    recipe.reward.kind,
                )
                stage.write(f"groups-{kind}-{number}" + ("" if role == Role.LM else "-held-out"), groups)
                stage.counts[str(role)] = counts

        inputs = [self.run.table(f"score-{kind}-{number}"), self.run.table(f"sample-{number}")]
        self.parts.do(
            f"prefer-{kind}-{number}", work, inputs, {"preferences": recipe.preferences, "reward": recipe.reward}
        )

    def align(self, kind: Kind, number: int) -> None:
        """The preference step from the generator of the round before; to an observer's feedback only as a trial."""
        recipe = self.recipe
        trial = None if kind == self.parts.kinds[0] else kind
        name = f"align-{kind}-{number}"
        folder = self.parts.generator_folder(number, trial)

        def work(stage: Stage) -> None:
            groups = self.run.read(f"groups-{kind}-{number}")
            held_out = self.run.read(f"groups-{kind}-{number}-held-out")
            samples = self.run.read(f"sample-{number}")
            new = "generator-new"
            self.parts.model.load(new, self.parts.generator_folder(number - 1))
            curve: list[dict[str, float]] = []
            if groups.height:
                with self.run.reporter.steps(name) as progress:
                    curve = self.parts.generator.align(
                        new, groups, samples, recipe.alignment, recipe.seed + number, progress
                    )
            else:
                self.run.reporter.line(
                    f"[yellow]{name}: no preference passed the filters; the generator stays.[/yellow]"
                )
            with stage.folder(folder) as partial:
                self.parts.model.save(new, partial)
            with self.run.reporter.steps(f"{name}: held-out preferences", "users") as progress:
                accuracy = self.parts.generator.preference_accuracy(new, held_out, samples, progress)
            stage.counts = {
                "groups": groups.height,
                "tuned_on": groups["user_id"].to_list(),
                "curve": curve,
                "held_out": {"accuracy": accuracy.accuracy, "margin": accuracy.margin, "pairs": accuracy.pairs},
            }
            if trial is None:
                decoding = DecodingSettings(max_new_tokens=recipe.loop.sampling.max_new_tokens)
                users = self.world.users(Role.LM_VALIDATION)
                written = self.parts.generator.writer(new).write(users, 1, decoding, recipe.seed)
                old = self.parts.generator_adapter(number - 1)
                with self.run.reporter.steps(f"{name}: KL", "users") as progress:
                    kl = self.parts.generator.divergence(old, written, progress)
                stage.counts["kl"] = kl._asdict() | {"texts": written.height}
            self.parts.model.drop(new)

        inputs = [self.parts.generator_folder(number - 1), self.run.table(f"sample-{number}")]
        inputs += [self.run.table(f"groups-{kind}-{number}{suffix}") for suffix in ("", "-held-out")]
        self.parts.do(name, work, inputs, {"alignment": recipe.alignment} | self.parts.prompt_settings)
