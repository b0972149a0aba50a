"""The variants of a loop that an ablation compares, each a few changes to a recipe; and the short form's sizes."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trackrec.errors import RecipeError
from trackrec.recipe import Recipe, make_recipe
from trackrec.settings import apply_change

CHECKS = {
    "fresh-v": "Does a validator that had no part in the loop find the same gain?",
    "length": "Is the gain due to length?",
}
"""What is checked of the recipe's own loop, beside the variants."""
QUICK_AT_MOST: dict[str, int] = {
    "roles.lm_users": 12,
    "roles.lm_validation_users": 24,
    "distillation.extra_users": 12,
    "judge.warm_up_users": 24,
    "judge.extra_users": 12,
    "loop.rounds": 2,
    "loop.samples_per_user": 3,
    "loop.targets_per_user": 4,
    "evaluation.users": 1,
    "evaluation.validation_targets_per_user": 8,
}
"""The short form takes no more than this of what the recipe asks for. Lengths and rates stay the recipe's."""
QUICK_ROUNDS, QUICK_MINUTES = 1, 27.0
"""Rounds of a variant at most in the short form, and when it begins nothing more: it ends some 3 minutes later."""


@dataclass(frozen=True)
class Variant:
    """A loop that differs from the recipe's in one respect."""

    name: str
    question: str
    changes: tuple[str, ...]
    """``key=value`` each, as for ``--set``."""
    at_least: int = 1
    """Rounds before which it cannot differ from the recipe's loop."""

    @property
    def sets_rounds(self) -> bool:
        """Whether the number of rounds is what it varies."""
        return any(change.startswith("loop.rounds=") for change in self.changes)


VARIANTS = (
    Variant("g-frozen", "no alignment: the generator stays as distilled", ("loop.rounds=0",)),
    Variant("rounds-1", "one round", ("loop.rounds=1",)),
    Variant("other-draws", "nothing but other samples: the yardstick of chance", ("loop.draws=1",)),
    Variant("no-distillation", "the generator starts as the base model", ("loop.distils=false",)),
    Variant("dpo", "one rejected RecCoT a user", ("preferences.loss=dpo",)),
    Variant("softmax-dpo", "several rejected RecCoTs a user", ("preferences.loss=softmax_dpo",)),
    Variant("reward-probability", "paid by P(true label)", ("reward.type=probability",)),
    Variant("reward-log-likelihood", "paid by log P(true label)", ("reward.type=log_likelihood",)),
    Variant("v-lm", "the validator is a language model", ("judge.type=lm",)),
    Variant("v-ranker", "the validator is a ranker that reads the RecCoT's vector", ("judge.type=ranker",)),
    Variant("v-sees-0", "the validator sees no event beside the RecCoT", ("prompts.validator_recent=0",)),
    Variant("v-sees-3", "the validator sees 3 events", ("prompts.validator_recent=3",)),
    Variant("v-sees-all", "the validator sees what the generator sees (the paper)", ("prompts.validator_recent=all",)),
    Variant("samples-8", "n = 8", ("loop.samples_per_user=8",)),
    Variant("samples-2", "n = 2", ("loop.samples_per_user=2",)),
    Variant("k-0", "any difference makes a preference", ("preferences.k=0",)),
    Variant("k-1", "only differences above one standard error do", ("preferences.k=1",)),
    Variant("grounding-0", "false claims cost nothing", ("extra_rewards=[]",)),
    Variant("grounding-0.5", "false claims cost up to 0.5", ("extra_rewards=[{type: grounding, weight: 0.5}]",)),
    Variant("v-frozen", "the first validator judges all rounds", ("loop.retunes=false",), at_least=2),
    Variant("targets-2", "m = 2, for rewards and the validator's training", ("loop.targets_per_user=2",)),
    Variant("targets-10", "m = 10", ("loop.targets_per_user=10",)),
    Variant("rounds-3", "three rounds", ("loop.rounds=3",)),
)
"""In the order in which they run: first what tells most for its time, right after the yardstick of chance."""


def changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """A recipe with some ``key=value`` changes."""
    tree = recipe.model_dump(mode="json")
    for change in changes:
        apply_change(tree, change)
    return make_recipe(tree, ", ".join(changes))


def variant_recipe(recipe: Recipe, variant: Variant, rounds: int) -> Recipe | None:
    """A variant's recipe.

    It has no observer, and goes on whatever its first validator is worth: that is part of what is compared.

    Args:
        recipe: what it varies.
        variant: how.
        rounds: how many it has at most, unless their number is what it varies.

    Returns:
        None if it would not differ from the recipe's own loop.
    """
    alone = changed(recipe, ["observer=null"])
    other = changed(alone, [_with_observers_settings(recipe, change) for change in variant.changes])
    if other == alone or (not variant.sets_rounds and recipe.loop.rounds < variant.at_least):
        return None
    if not variant.sets_rounds:
        rounds = min(recipe.loop.rounds, max(rounds, variant.at_least))
        other = changed(other, [f"loop.rounds={rounds}"])
    return changed(other, [f"name={recipe.name}, {variant.name}", "observer=null", "loop.need_useful_validator=false"])


def _with_observers_settings(recipe: Recipe, change: str) -> str:
    """A change to the observer's type of judge takes the observer's settings along."""
    if recipe.observer is not None and change == f"judge.type={recipe.observer.type}":
        return f"judge={json.dumps(recipe.observer.model_dump(mode='json'))}"
    return change


def quick_recipe(recipe: Recipe) -> Recipe:
    """The short form of a recipe: the same settings on few users."""
    tree: dict[str, Any] = recipe.model_dump(mode="json")
    smaller = []
    for name, most in QUICK_AT_MOST.items():
        value: Any = tree
        for part in name.split("."):
            value = value[part]
        smaller.append(f"{name}={most if value is None else min(value, most)}")
    return changed(recipe, [*smaller, "loop.need_useful_validator=false"])


def chosen_names(only: Sequence[str]) -> list[str]:
    """The checks and variants of these names, or all of them; in the order in which they run.

    Raises:
        RecipeError: an unknown name; the nearest known one is named.
    """
    known = [*CHECKS, *(variant.name for variant in VARIANTS)]
    for name in only:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise RecipeError(f"--only {name}: expected one of {', '.join(known)}; the nearest is {near!r}")
    return [name for name in known if not only or name in only]
