"""What the stages of a run share: models and validators made when first needed, folders, lists of users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel

from trackrec.data.roles import Role
from trackrec.lm.model import LanguageModel
from trackrec.lm.training import Progress
from trackrec.pipeline.world import World
from trackrec.prompts.domains import DOMAINS, find_domain
from trackrec.prompts.profile import ProfileSettings
from trackrec.prompts.renderer import Renderer
from trackrec.ranking.vectors import shared_encoder
from trackrec.reccot.generator import Generator
from trackrec.reccot.ranker_validator import RankerValidator
from trackrec.reccot.teacher import ProfileTeacher
from trackrec.reccot.validator import Kind, LMValidator, Validator
from trackrec.recipe import Recipe
from trackrec.run import Run, Stage

FOLDS = (0, 1)
"""LM users are cross-fitted in two halves: the validator that scores a fold was tuned on the other one."""
OUTSIDE = 0
"""Users who are in neither half (validation and ranker users) are scored by the validator of this fold."""
Aside = Literal["none", "fresh"]
"""Validators beside those of the rounds: ``none`` never read a RecCoT; ``fresh`` had no part in the loop."""
READ_BY_VALIDATOR = ("prompts.validator_recent", "prompts.show_statistics")
"""Settings of the prompts that the generator's stages record, though nothing in them depends on these."""


class Parts:
    """A recipe's working parts. A finished run loads no model: each is made at its first use.

    Args:
        recipe: all settings.
        run: where tables and adapters live.
        world: what the data stage wrote.
    """

    def __init__(self, recipe: Recipe, run: Run, world: World) -> None:
        self.recipe, self.run, self.world = recipe, run, world
        self.kinds: list[Kind] = [recipe.loop.validator]
        if recipe.loop.observer not in (None, recipe.loop.validator):
            self.kinds.append(recipe.loop.observer)
        self.rounds = range(recipe.loop.rounds + 1)

    @cached_property
    def model(self) -> LanguageModel:
        """The language model."""
        return LanguageModel(self.recipe.model, self.recipe.adapter)

    @cached_property
    def renderer(self) -> Renderer:
        """The one renderer."""
        return Renderer(
            self.model.tokenizer, self.world.items, self.recipe.prompts, profile=self.recipe.teacher.profile
        )

    @cached_property
    def generator(self) -> Generator:
        """The generator; which version writes is said by its adapter."""
        return Generator(self.model, self.renderer, self.world.history_rows)

    def validator(
        self, kind: Kind, number: int, fold: int, progress: Progress | None = None, start: Path | None = None
    ) -> Validator:
        """The validator of a kind, round and fold, not yet loaded; ``start``: the adapter that tuning starts from."""
        if kind == "ranker":
            encoder = shared_encoder(self.recipe.ranking.encoder)
            return RankerValidator(self.world, self.world.items, self.recipe.ranker_validator, encoder)
        return LMValidator(
            self.model,
            f"validator-{number}-{fold}",
            self.renderer,
            self.world.history_rows,
            self.recipe.lm_validator,
            progress,
            start,
        )

    def loaded_validator(self, kind: Kind, number: int, fold: int = OUTSIDE) -> Validator:
        """The validator of a kind, round and fold, as it was tuned."""
        validator = self.validator(kind, number, fold)
        validator.load(self.validator_folder(kind, number, fold))
        return validator

    def generator_adapter(self, number: int) -> str:
        """Load the generator of a round and give its adapter's name."""
        name = f"generator-{number}"
        if name not in self.model.adapters:
            self.model.load(name, self.generator_folder(number))
        return name

    def generator_folder(self, number: int, trial: Kind | None = None) -> Path:
        """Where a round's generator is kept; ``trial``: the one aligned to an observer, for comparison alone."""
        return self.run.folder / "adapters" / (f"generator-{number}" + (f"-{trial}" if trial else ""))

    def start_folder(self, kind: Kind, aside: Aside | None = None) -> Path | None:
        """Where the adapter is kept that every round's tuning starts from; None: from the base model."""
        if kind != "lm" or not self.recipe.lm_validator.warm_up_users:
            return None
        return self.run.folder / "adapters" / ("validator-lm-start" + (f"-{aside}" if aside else ""))

    def validator_round(self, number: int) -> int:
        """The round whose validator is in use in a round: its own, unless that of round 0 stays."""
        return number if self.recipe.loop.retunes else 0

    def validator_folder(self, kind: Kind, version: int | Aside, fold: int) -> Path:
        """Where the validator of a round is kept, or one beside the rounds."""
        number = self.validator_round(version) if isinstance(version, int) else version
        return self.run.folder / "adapters" / f"validator-{kind}-{number}-{fold}"

    @cached_property
    def everybody_judged(self) -> list[Any]:
        """Users whose RecCoT of every round is needed: LM, LM validation and the tested ranker users."""
        return [*self.world.users(Role.LM, Role.LM_VALIDATION), *self.world.evaluated]

    @cached_property
    def everybody_tested(self) -> list[Any]:
        """Users on whom nothing was tuned and whose targets are scored: LM validation, then the tested ranker users."""
        return [*self.world.users(Role.LM_VALIDATION), *self.world.evaluated]

    @cached_property
    def sampled(self) -> list[Any]:
        """Users for whom n RecCoTs are drawn: LM users to learn from, LM validation users to see what was learnt."""
        return self.world.users(Role.LM, Role.LM_VALIDATION)

    def do(
        self,
        name: str,
        work: Callable[[Stage], None],
        inputs: Sequence[Path],
        settings: dict[str, Any],
        regardless_of: Sequence[str] = (),
    ) -> None:
        """Run a stage of this loop; its settings are written as plain values."""
        plain = {
            key: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
            for key, value in settings.items()
        }
        self.run.do(name, work, inputs, plain, regardless_of)

    @property
    def model_settings(self) -> dict[str, Any]:
        """What of the recipe decides the base model."""
        return {"model": self.recipe.model}

    @property
    def prompt_settings(self) -> dict[str, Any]:
        """What of the recipe decides prompts and base model; a domain's own file counts by what it says."""
        domain = self.recipe.prompts.domain
        texts = {} if domain in DOMAINS else {"domain": asdict(find_domain(domain))}
        return {"prompts": self.recipe.prompts} | texts | self.profile_settings | self.model_settings

    @property
    def profile_settings(self) -> dict[str, Any]:
        """How much evidence a claim needs, which prompts and checker go by; left out where it is as it always was."""
        profile = self.recipe.teacher.profile
        return {} if profile == ProfileSettings() else {"profile": profile}

    def profile_text(self, user: Any) -> str:
        """The profile writer's text on a user, which is shown where nothing of the RecCoT may be published."""
        renderer = self.renderer
        teacher = ProfileTeacher(self.world.items, renderer.domain, renderer.count_tokens, self.recipe.teacher)
        return teacher.write(user, self.world.history_rows[user], self.recipe.seed)

    def kept(self, number: int) -> pl.DataFrame:
        """The RecCoTs that a round's generator wrote: ``user_id, sample, text, ...``, one a user."""
        return self.run.read(f"write-{number}")
