"""What the stages of a run share: models and validators made when first needed, folders, lists of users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel
from transformers import PreTrainedTokenizerBase

from trackrec.checks.gate import is_ours
from trackrec.data.roles import Role
from trackrec.features.encoder import shared_encoder
from trackrec.files.hashes import content_of
from trackrec.files.manifests import FRAME
from trackrec.judges.base import JudgeContext, JudgeName, Validator
from trackrec.judges.lm import LMValidatorSettings
from trackrec.judges.rewards import Reward, RewardContext
from trackrec.lm.generator import Generator
from trackrec.lm.model import LanguageModel, load_tokenizer
from trackrec.lm.training import Progress
from trackrec.pipeline.dataset import Dataset
from trackrec.prompts.domains import DOMAINS, find_domain
from trackrec.prompts.renderer import Renderer
from trackrec.recipe import Recipe
from trackrec.registry import find, make, short_name
from trackrec.run import Run, Stage
from trackrec.settings import ComponentSettings, recorded
from trackrec.teachers.base import Teacher, TeacherContext
from trackrec.teachers.template import TeacherSettings
from trackrec.users.citations import without_citations

FOLDS = (0, 1)
"""LM users are cross-fitted in two halves: the validator that scores a fold was tuned on the other one."""
OUTSIDE = 0
"""Users who are in neither half (validation and ranker users) are scored by the validator of this fold."""
Aside = Literal["none", "fresh"]
"""Validators beside those of the rounds: ``none`` never read a RecCoT; ``fresh`` had no part in the loop."""
READ_BY_VALIDATOR = ("prompts.validator_recent", "prompts.show_statistics", "prompts.target_tags", "prompts.item_tags")
"""Settings of the prompts that the generator's stages record, though nothing in them depends on these."""
_KEPT_ASIDE = tuple(
    f"{place}.{name}"
    for name in ("checkpoint_steps", "trackers")
    for place in ("distillation.training", "alignment.training", "settings.training", "settings.warm_up")
)
"""How often the state of a training is kept, and who is told its figures, changes nothing in what comes out."""


class Components:
    """A recipe's working parts. A finished run loads no model: each is made at its first use.

    Args:
        recipe: all settings.
        run: where tables and adapters live.
        dataset: what the data stage wrote.
    """

    def __init__(self, recipe: Recipe, run: Run, dataset: Dataset) -> None:
        self.recipe, self.run, self.dataset = recipe, run, dataset
        self.judges: dict[JudgeName, ComponentSettings] = {
            short_name(settings): settings for settings in (recipe.judge, recipe.observer) if settings is not None
        }
        self.kinds = list(self.judges)
        self.rounds = range(recipe.loop.rounds + 1)

    @property
    def lm_judge(self) -> LMValidatorSettings:
        """Settings of the language model as judge; the defaults if the recipe has none."""
        settings = self.judges.get("lm")
        return settings if isinstance(settings, LMValidatorSettings) else LMValidatorSettings()

    @cached_property
    def reward(self) -> Reward:
        """What a RecCoT earns on each target."""
        reward: Reward = make("reward", self.recipe.reward, self.reward_context)
        return reward

    @property
    def reward_context(self) -> RewardContext:
        """What rewards may ask for."""
        recipe, prompts = self.recipe, self.recipe.prompts
        ours = is_ours(recipe.teacher.type, recipe.loop.distils)
        return RewardContext(self.dataset.items, prompts.domain, prompts.attributes, recipe.profile, ours)

    def teacher(self, settings: ComponentSettings | None = None) -> Teacher:
        """The recipe's teacher, or one of other settings."""
        context = TeacherContext(self.dataset.items, self.renderer, self.recipe.profile)
        teacher: Teacher = make("teacher", settings or self.recipe.teacher, context)
        return teacher

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's; prompts are known before the model is loaded."""
        return load_tokenizer(self.recipe.model)

    @cached_property
    def model(self) -> LanguageModel:
        """The language model."""
        return LanguageModel(self.recipe.model, self.recipe.adapter, self.tokenizer)

    @cached_property
    def renderer(self) -> Renderer:
        """The one renderer."""
        return Renderer(self.tokenizer, self.dataset.items, self.recipe.prompts, profile=self.recipe.profile)

    @cached_property
    def generator(self) -> Generator:
        """The generator; which version writes is said by its adapter."""
        return Generator(self.model, self.renderer, self.dataset.history_rows)

    def validator(
        self,
        kind: JudgeName,
        number: int,
        fold: int,
        progress: Progress | None = None,
        start: Path | None = None,
        checkpoints: Path | None = None,
    ) -> Validator:
        """The validator of a kind, round and fold, not yet loaded.

        ``start``: the adapter that tuning starts from; ``checkpoints``: where its states are kept meanwhile.
        """
        context = JudgeContext(
            name=f"validator-{number}-{fold}",
            items=self.dataset.items,
            split=self.dataset,
            histories=self.dataset.history_rows,
            language_model=lambda: self.model,
            renderer=lambda: self.renderer,
            encoder=lambda: shared_encoder(self.recipe.encoder),
            progress=progress,
            start=start,
            checkpoints=checkpoints,
        )
        validator: Validator = make("judge", self.judges[kind], context)
        return validator

    def scores_in_shards(self, kind: JudgeName) -> bool:
        """Whether a judge scores so slowly that a restart should go on where it stopped."""
        return bool(find("judge", self.judges[kind].type).scores_in_shards)

    def loaded_validator(self, kind: JudgeName, number: int, fold: int = OUTSIDE) -> Validator:
        """The validator of a kind, round and fold, as it was tuned."""
        validator = self.validator(kind, number, fold)
        validator.load(self.run.written(self.validator_folder(kind, number, fold)))
        return validator

    def generator_adapter(self, number: int) -> str:
        """Load the generator of a round and give its adapter's name."""
        name = f"generator-{number}"
        if name not in self.model.adapters:
            self.model.load(name, self.run.written(self.generator_folder(number)))
        return name

    def generator_folder(self, number: int, trial: JudgeName | None = None) -> Path:
        """Where a round's generator is kept; ``trial``: the one aligned to an observer, for comparison alone."""
        return self.run.folder / "adapters" / (f"generator-{number}" + (f"-{trial}" if trial else ""))

    def start_folder(self, kind: JudgeName, aside: Aside | None = None) -> Path | None:
        """Where the adapter is kept that every round's tuning starts from; None: from the base model."""
        if kind != "lm" or not self.lm_judge.warm_up_users:
            return None
        return self.run.folder / "adapters" / ("validator-lm-start" + (f"-{aside}" if aside else ""))

    def validator_round(self, number: int) -> int:
        """The round whose validator is in use in a round: its own, unless that of round 0 stays."""
        return number if self.recipe.loop.retunes else 0

    def validator_folder(self, kind: JudgeName, version: int | Aside, fold: int) -> Path:
        """Where the validator of a round is kept, or one beside the rounds."""
        number = self.validator_round(version) if isinstance(version, int) else version
        return self.run.folder / "adapters" / f"validator-{kind}-{number}-{fold}"

    @cached_property
    def everybody_judged(self) -> list[Any]:
        """Users whose RecCoT of every round is needed: LM, LM validation and the tested ranker users."""
        return [*self.dataset.users(Role.LM, Role.LM_VALIDATION), *self.dataset.evaluated]

    @cached_property
    def everybody_tested(self) -> list[Any]:
        """Users on whom nothing was tuned and whose targets are scored: LM validation, then the tested ranker users."""
        return [*self.dataset.users(Role.LM_VALIDATION), *self.dataset.evaluated]

    @cached_property
    def sampled(self) -> list[Any]:
        """Users for whom n RecCoTs are drawn: LM users to learn from, LM validation users to see what was learnt."""
        return self.dataset.users(Role.LM, Role.LM_VALIDATION)

    def do(
        self,
        name: str,
        work: Callable[[Stage], None],
        inputs: Sequence[Path],
        settings: dict[str, Any],
        regardless_of: Sequence[str] = (),
        together: bool = False,
    ) -> None:
        """Run a stage of this loop; its settings are written as plain values, with what is in files that they name."""
        plain = {
            key: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
            for key, value in settings.items()
        }
        content = content_of(plain)
        plain |= {key: recorded(value) for key, value in settings.items() if isinstance(value, BaseModel)}
        settings = plain | ({"content": content} if content else {})
        self.run.do(name, work, inputs, settings, (*regardless_of, *_KEPT_ASIDE), together)

    @property
    def model_settings(self) -> dict[str, Any]:
        """What of the recipe decides the base model."""
        return {"model": self.recipe.model}

    @property
    def encoder_settings(self) -> dict[str, Any]:
        """What of the recipe decides the text encoder."""
        return {"encoder": self.recipe.encoder}

    @property
    def domain_settings(self) -> dict[str, Any]:
        """A domain's own file counts by what it says; a known domain is named among the prompts."""
        domain = self.recipe.prompts.domain
        return {} if domain in DOMAINS else {"domain": asdict(find_domain(domain))}

    @property
    def prompt_settings(self) -> dict[str, Any]:
        """What decides prompts and base model, and what the chat template makes of the settings here and now."""
        told = {"prompts": self.recipe.prompts, "profile": self.recipe.profile, FRAME: self.renderer.frame_hash}
        return told | self.domain_settings | self.model_settings

    def profile_text(self, user: Any) -> str:
        """The template teacher's text on a user, which is shown where nothing of the RecCoT may be published."""
        settings = self.recipe.teacher if isinstance(self.recipe.teacher, TeacherSettings) else TeacherSettings()
        history = self.dataset.histories.filter(pl.col("user_id") == user)
        return without_citations(self.teacher(settings).write(history, self.recipe.seed)["text"][0])

    def kept(self, number: int) -> pl.DataFrame:
        """The RecCoTs that a round's generator wrote: ``user_id, sample, text, ...``, one a user."""
        return self.run.read(f"write-{number}")
