"""The recipe: every setting of a run, typed, in one tree; read from YAML, changed by ``--set``, written back whole."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, SerializeAsAny, ValidationError, field_validator, model_validator

from trackrec.data.feedback import FeedbackSettings
from trackrec.data.filters import FilterSettings
from trackrec.data.roles import RoleSettings
from trackrec.data.sources import SourceSettings
from trackrec.data.split import SplitSettings
from trackrec.data.statistics import StatisticsSettings
from trackrec.errors import RecipeError
from trackrec.features.encoder import TextEncoderSettings
from trackrec.files.names import why_not
from trackrec.judges.lm import LMValidatorSettings
from trackrec.judges.preferences import PreferenceSettings
from trackrec.judges.rewards import ExtraRewardSettings, LogLikelihoodSettings
from trackrec.knowledge.catalogue import KnowledgeSettings
from trackrec.lm.generator import AlignmentSettings
from trackrec.lm.model import AdapterSettings, LanguageModelSettings
from trackrec.lm.sampling import DecodingSettings
from trackrec.lm.training import TrainingSettings
from trackrec.prompts.budget import follow_budget
from trackrec.prompts.renderer import PromptSettings
from trackrec.rankers.compare import RankingSettings
from trackrec.registry import Choice, component, settings_class, short_name
from trackrec.settings import LATER, ComponentSettings, Positive, Settings, apply_change
from trackrec.teachers.template import TeacherSettings
from trackrec.users.counts import ProfileSettings
from trackrec.yaml_text import read_yaml


class DistillationSettings(Settings):
    """How the generator starts off from the teacher's RecCoTs."""

    lm_users: int | None = Field(default=None, ge=1)
    """Of how many LM users it learns at most, drawn by the seed; null: of all of them. With a number the teacher writes
    for these and the extra LM users alone: the paper's, which is paid by the token, writes for 5% of the users."""
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
    promotion_cut_off: Annotated[float, LATER] = Field(default=0.1, ge=0, le=1)
    """By how much a later round's share of texts that the token limit cut off may exceed that of the generator whose
    place it takes. A text that goes on and on may predict well, since all that it should say is in it somewhere; nobody
    would read it."""
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
    """What the report calls this run; its folder too, unless another is asked for."""
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
    knowledge: KnowledgeSettings = KnowledgeSettings()
    """What is known of items beside the catalogue."""
    profile: ProfileSettings = ProfileSettings()
    """How a history is counted: for the digest, the teacher and the checker alike."""
    prompts: PromptSettings = PromptSettings()
    """What the prompts show."""
    model: LanguageModelSettings = LanguageModelSettings()
    """The language model."""
    adapter: AdapterSettings = AdapterSettings()
    """Shape of the adapters."""
    teacher: Annotated[SerializeAsAny[ComponentSettings], component("teacher", "template")] = TeacherSettings()
    """The writer that distillation learns from."""
    over_budget_share: float = Field(default=0.1, ge=0, le=1)
    """Share of the teacher's texts that may take more than `prompts.reccot_tokens`: they lose whole sentences, and are
    counted. Above it the run stops."""
    distillation: DistillationSettings = DistillationSettings()
    """From the teacher to the first generator."""
    loop: LoopSettings = LoopSettings()
    """The rounds."""
    judge: Annotated[SerializeAsAny[ComponentSettings], component("judge", "lm")] = LMValidatorSettings()
    """The validator that the generator is aligned to: `lm` (the paper's) or `ranker`."""
    observer: Annotated[SerializeAsAny[ComponentSettings], component("judge", "ranker")] | None = None
    """A second judge of another type for the same samples; a trial alignment shows how well the generator can learn
    from it."""
    reward: Annotated[SerializeAsAny[ComponentSettings], component("reward", "log_likelihood")] = (
        LogLikelihoodSettings()
    )
    """What a RecCoT is paid for on each target: `log_likelihood`, or `probability` (the paper)."""
    extra_rewards: tuple[Annotated[SerializeAsAny[ExtraRewardSettings], component("reward", "grounding")], ...] = ()
    """Rewards for the text itself, each with its `weight`: `grounding` takes off what the history contradicts."""
    preferences: PreferenceSettings = PreferenceSettings()
    """From rewards to chosen and rejected."""
    alignment: AlignmentSettings = AlignmentSettings()
    """The generator's preference step."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """How the recommender G then V is tested."""
    write_for: Literal["all"] | Positive = "all"
    """Whom the last generator writes for: every user with a role, or so many ranker users (the tested ones first). A
    ranker is trained with and without RecCoTs on those ranker users."""
    encoder: Annotated[SerializeAsAny[ComponentSettings], component("encoder", "sentence-transformer")] = (
        TextEncoderSettings()
    )
    """From texts to vectors."""
    ranking: RankingSettings = RankingSettings()
    """RecCoT as a feature: ordinary rankers with and without."""
    shard_users: int = Field(default=8, ge=1)
    """Users in a shard, the unit of redo after a crash."""

    @field_validator("name")
    @classmethod
    def _is_no_path(cls, name: str) -> str:
        if reason := why_not(name):
            raise ValueError(f"a recipe's name is also that of files: {reason}")
        return name

    @model_validator(mode="after")
    def _two_judges(self) -> Recipe:
        if self.observer is not None and short_name(self.observer) == short_name(self.judge):
            raise ValueError(f"judge and observer are both of type {self.judge.type!r}: the second one must be another")
        return self

    @model_validator(mode="before")
    @classmethod
    def _earlier_place_of_profile(cls, tree: Any) -> Any:
        """Recipes of earlier runs have it under ``teacher``."""
        teacher = tree.get("teacher") if isinstance(tree, dict) else None
        if isinstance(teacher, dict) and "profile" in teacher and "profile" not in tree:
            rest = {name: value for name, value in teacher.items() if name != "profile"}
            return {**tree, "teacher": rest, "profile": teacher["profile"]}
        return tree

    @model_validator(mode="before")
    @classmethod
    def _one_budget(cls, tree: Any) -> Any:
        """Lengths of RecCoTs that are left out follow ``prompts.reccot_tokens``."""
        return follow_budget(tree) if isinstance(tree, dict) else tree

    @model_validator(mode="after")
    def _enough_extra_users(self) -> Recipe:
        extra = self.roles.lm_extra_users
        wanted = {"distillation.extra_users": self.distillation.extra_users}
        for place in ("judge", "observer"):
            for name in ("extra_users", "warm_up_users"):
                wanted[f"{place}.{name}"] = getattr(getattr(self, place), name, 0)
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
    if changes:
        tree = _with_types(tree)
    for change in changes:
        apply_change(tree, change)
    return make_recipe(tree, str(file))


def make_recipe(tree: dict[str, Any], where: str = "recipe") -> Recipe:
    """A recipe from a tree of settings; errors name the place and the nearest known key."""
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(f"{where}: " + "; ".join(_explain(problem, tree) for problem in error.errors())) from error


def shipped() -> Path:
    """Folder of the recipes that come with the package."""
    return Path(__file__).parent / "recipes"


def dump_recipe(recipe: Recipe) -> str:
    """The recipe with every setting written out, as YAML that ``load_recipe`` reads."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _explain(problem: Any, tree: Any) -> str:
    path = [str(part) for part in problem["loc"]]
    name = ".".join(path)
    if not path:  # of the whole recipe, which is not repeated
        return str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] != "extra_forbidden":
        return f"{name}: {problem['msg']}, got {problem['input']!r}"
    known = _fields(path[:-1], tree)
    near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.0)
    return f"unknown setting {name!r}; the nearest known one is {'.'.join([*path[:-1], *near])!r}"


def _fields(path: Sequence[str], tree: Any) -> list[str]:
    """Names of the settings of a group; ``tree`` says of which type it is where it can be swapped."""
    group: type[BaseModel] = Recipe
    choice: Choice | None = None
    for part in path:
        tree = _inside(tree, part)
        if not part.isdigit():  # a place in a list is no name
            field = group.model_fields[part]
            choice = next(_choices([*field.metadata, field.annotation]), None)
            options = [a for a in (field.annotation, *get_args(field.annotation)) if isinstance(a, type)]
            group = next((a for a in options if issubclass(a, BaseModel)), BaseModel)
        if choice is not None and isinstance(tree, dict):
            group = settings_class(choice.kind, str(tree.get("type", choice.default)))
    return list(group.model_fields)


def _with_types(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with the types of components written out where none is given, so that a change of type is seen."""
    for name, field in Recipe.model_fields.items():
        choice = next(_choices([*field.metadata, field.annotation]), None)
        if choice is not None and isinstance(tree.get(name), dict):
            tree[name] = {"type": choice.default} | tree[name]
    return tree


def _inside(tree: Any, part: str) -> Any:
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return tree[int(part)]
    return tree.get(part) if isinstance(tree, dict) else None


def _choices(annotations: Sequence[Any]) -> Iterator[Choice]:
    """The component choices in annotations, however deep."""
    for annotation in annotations:
        if isinstance(annotation, Choice):
            yield annotation
        yield from _choices([*get_args(annotation), *getattr(annotation, "__metadata__", ())])
