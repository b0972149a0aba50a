"""The recipe: every setting of a run, typed, in one tree; read from YAML, changed by ``--set``, written back whole."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from trackrec.data.feedback import FeedbackSettings
from trackrec.data.filters import FilterSettings
from trackrec.data.roles import RoleSettings
from trackrec.data.sources import SourceSettings
from trackrec.data.split import SplitSettings
from trackrec.data.statistics import StatisticsSettings
from trackrec.errors import RecipeError
from trackrec.lm.model import AdapterSettings, LanguageModelSettings
from trackrec.lm.sampling import DecodingSettings
from trackrec.lm.training import TrainingSettings
from trackrec.prompts.renderer import PromptSettings
from trackrec.ranking.compare import RankingSettings
from trackrec.reccot.generator import AlignmentSettings
from trackrec.reccot.preferences import PreferenceSettings
from trackrec.reccot.ranker_validator import RankerValidatorSettings
from trackrec.reccot.rewards import RewardSettings
from trackrec.reccot.teacher import TeacherSettings
from trackrec.reccot.validator import Kind, LMValidatorSettings
from trackrec.settings import Positive, Settings
from trackrec.yaml_text import read_yaml


class DistillationSettings(Settings):
    """How the generator starts off from the teacher's RecCoTs."""

    texts_per_user: int = Field(default=2, ge=1)
    """Differently worded texts a user; they share one reading of the prompt."""
    extra_users: int = Field(default=0, ge=0)
    """How many of the extra LM users are learnt from, beside the LM users."""
    training: TrainingSettings = TrainingSettings(learning_rate=1e-3, epochs=1, trees_per_step=4)
    """The fine-tuning."""


class LoopSettings(Settings):
    """The alternating feedback between generator and validator."""

    rounds: int = Field(default=2, ge=0)
    """Rounds after distillation."""
    validator: Kind = "lm"
    """Which kind of validator the generator is aligned to."""
    observer: Kind | None = None
    """A second kind that judges the same samples; a trial alignment shows how well the generator can learn from it."""
    targets_per_user: int = Field(default=8, ge=1)
    """m: on how many interactions after the history a RecCoT is judged."""
    samples_per_user: int = Field(default=4, ge=2)
    """n: RecCoTs drawn for each user in a round."""
    sampling: DecodingSettings = DecodingSettings(temperature=1.0)
    """How they are drawn. Preference training and the KL need temperature 1 and nothing cut off."""
    writing: DecodingSettings = DecodingSettings(temperature=0.0)
    """How the RecCoT that is kept is decoded; 0 is greedy."""
    distils: bool = True
    """Whether the generator learns from the teacher's texts first; if not, it starts out as the base model."""
    retunes: bool = True
    """Whether each round tunes validators of its own; if not, those of round 0 judge all rounds."""
    draws: int = Field(default=0, ge=0)
    """Number of the draw of samples: another one gives other samples of the same generator, and all that follows."""
    promotion_margin: float = Field(default=0.005, ge=0)
    """What a later round's generator must add to the AUC on LM validation users to take an earlier one's place; smaller
    differences are noise at a few hundred examples."""
    need_useful_validator: bool = True
    """Stop before any alignment unless the validator beats the user's own share of likes on LM validation users."""


class EvaluationSettings(Settings):
    """How generator and validator are tested together, on ranker users."""

    users: int | None = Field(default=None, ge=1)
    """How many ranker users are tested in each round; null: all of them."""
    targets_per_user: int = Field(default=8, ge=1)
    """Interactions tested for each of them."""
    validation_targets_per_user: int = Field(default=8, ge=1)
    """The same for LM validation users."""
    bootstrap: int = Field(default=1000, ge=100)
    """Draws behind a 95% interval (users are resampled)."""


class Recipe(Settings):
    """Everything that decides what a run does."""

    name: str = "movielens-100k"
    """What the report calls this run."""
    seed: int = Field(default=17, ge=0, le=2**31 - 1)
    """All randomness follows from it."""
    source: SourceSettings = SourceSettings()
    """The interaction log and the catalogue."""
    filters: FilterSettings = FilterSettings()
    """Which part of the log is used."""
    feedback: FeedbackSettings = FeedbackSettings()
    """What counts as a like."""
    split: SplitSettings = SplitSettings()
    """Histories and examples."""
    roles: RoleSettings = RoleSettings()
    """How many users do what."""
    statistics: StatisticsSettings = StatisticsSettings()
    """What is counted of each item, among LM users."""
    prompts: PromptSettings = PromptSettings()
    """What the prompts show."""
    model: LanguageModelSettings = LanguageModelSettings()
    """The language model."""
    adapter: AdapterSettings = AdapterSettings()
    """Shape of the adapters."""
    teacher: TeacherSettings = TeacherSettings()
    """The writer that distillation learns from."""
    distillation: DistillationSettings = DistillationSettings()
    """From the teacher to the first generator."""
    loop: LoopSettings = LoopSettings()
    """The rounds."""
    reward: RewardSettings = RewardSettings()
    """What a RecCoT is paid for."""
    preferences: PreferenceSettings = PreferenceSettings()
    """From rewards to chosen and rejected."""
    alignment: AlignmentSettings = AlignmentSettings()
    """The generator's preference step."""
    lm_validator: LMValidatorSettings = LMValidatorSettings()
    """The language model as validator."""
    ranker_validator: RankerValidatorSettings = RankerValidatorSettings()
    """The ranker as validator."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """How the recommender G then V is tested."""
    write_for: Literal["all"] | Positive = "all"
    """Whom the last generator writes for: every user with a role, or so many ranker users (the tested ones first). A
    ranker is trained with and without RecCoTs on those ranker users."""
    ranking: RankingSettings = RankingSettings()
    """RecCoT as a feature: ordinary rankers with and without."""
    shard_users: int = Field(default=8, ge=1)
    """Users in a shard, the unit of redo after a crash."""

    @model_validator(mode="after")
    def _enough_extra_users(self) -> Recipe:
        extra = self.roles.lm_extra_users
        wanted = {
            "distillation.extra_users": self.distillation.extra_users,
            "lm_validator.extra_users": self.lm_validator.extra_users,
            "lm_validator.warm_up_users": self.lm_validator.warm_up_users,
        }
        for name, number in wanted.items():
            if number > extra:
                raise ValueError(f"{name} asks for {number} of the {extra} extra LM users (roles.lm_extra_users)")
        return self


def load_recipe(path: Path | str, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: a YAML file, or the name of a shipped recipe ("demo", "lastfm-2k", "movielens-100k", "paper", "quick").
        changes: ``key=value`` each, the key with dots ("loop.rounds=1"), the value in YAML.

    Raises:
        RecipeError: no such file, not YAML, an unknown key (the nearest known one is named), or a value out of range.
    """
    file = Path(path)
    if not file.is_file() and file.suffix == "" and (shipped() / f"{file.name}.yaml").is_file():
        file = shipped() / f"{file.name}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(recipe.stem for recipe in shipped().glob("*.yaml")))
        raise RecipeError(f"no recipe {str(path)!r}: expected a YAML file, or one of the shipped recipes {known}")
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"the recipe {file} cannot be read ({error}): expected YAML in UTF-8") from error
    tree = read_yaml(text, str(file)) or {}
    if not isinstance(tree, dict):
        raise RecipeError(f"{file} holds {type(tree).__name__}, expected settings (key: value)")
    for change in changes:
        apply_change(tree, change)
    return make_recipe(tree, str(file))


def make_recipe(tree: dict[str, Any], where: str = "recipe") -> Recipe:
    """A recipe from a tree of settings; errors name the place and the nearest known key."""
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(f"{where}: " + "; ".join(_explain(problem) for problem in error.errors())) from error


def shipped() -> Path:
    """Folder of the recipes that come with the package."""
    return Path(__file__).parent / "recipes"


def dump_recipe(recipe: Recipe) -> str:
    """The recipe with every setting written out, as YAML that ``load_recipe`` reads."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def apply_change(tree: dict[str, Any], change: str) -> None:
    """Put one ``key=value`` into a tree of settings; the key has dots, the value is YAML."""
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set got {change!r}, expected key=value such as loop.rounds=1")
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise RecipeError(f"--set {change}: {parent!r} is a value, not a group of settings")
    tree[last] = read_yaml(value, f"--set {change}: the value")


def _explain(problem: Any) -> str:
    path = [str(part) for part in problem["loc"]]
    name = ".".join(path)
    if problem["type"] != "extra_forbidden":
        return f"{name}: {problem['msg']}, got {problem['input']!r}"
    known = _fields(path[:-1])
    near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.0)
    return f"unknown setting {name!r}; the nearest known one is {'.'.join([*path[:-1], *near])!r}"


def _fields(path: Sequence[str]) -> list[str]:
    """Names of the settings of a group."""
    group: type[BaseModel] = Recipe
    for part in path:
        annotation = group.model_fields[part].annotation if part in group.model_fields else None
        options = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, BaseModel)]
        if not options:
            return []
        group = options[0]
    return list(group.model_fields)
