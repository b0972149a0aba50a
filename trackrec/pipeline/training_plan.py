"""What a recipe's training will take, before anything is read: weights, memory of each stage, tokens, hours.

From the recipe alone: every text is counted at its budget, every user at the most that the settings allow. The formulas
are those of `trackrec.lm.sizes`; what a card does in a second comes from a list of cards, whose figures say what they
assume.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from trackrec.errors import RecipeError
from trackrec.judges.lm import LMValidatorSettings
from trackrec.lm.generator import AT_ONCE
from trackrec.lm.sizes import BYTES, operations, shape_of, texts_at_once, training_bytes, writing_bytes
from trackrec.lm.training import TrainingSettings
from trackrec.recipe import Recipe
from trackrec.settings import Settings
from trackrec.yaml_text import read_yaml_file

FRAME = 120
"""Tokens of a prompt beside history and RecCoT: instructions and the chat template, about."""
LINE = 24
"""Tokens of an event's line, or of a target, about."""


class GraphicsCard(Settings):
    """What a training card has and does."""

    memory_gb: float = Field(gt=0)
    """Memory that can be used, in 10^9 bytes."""
    train_tflops: float = Field(gt=0)
    """10^12 operations a second that a training pass reaches."""
    read_tflops: float = Field(gt=0)
    """The same where texts are read without gradients."""
    bandwidth_tb: float = Field(gt=0)
    """10^12 bytes a second that go through its memory."""
    write_ms: float = Field(ge=0)
    """Milliseconds of a decoding step beside that way through memory."""


def read_card(name: str) -> tuple[str, GraphicsCard]:
    """A card of the shipped list, or the one of a YAML file.

    Raises:
        RecipeError: there is no such card, or the file holds none.
    """
    shipped = _cards_in(Path(__file__).with_name("cards.yaml"))
    if name in shipped:
        return name, shipped[name]
    if not name.endswith((".yaml", ".yml")):
        raise RecipeError(f"no card {name!r}: expected a YAML file, or one of {', '.join(shipped)}")
    found = _cards_in(Path(name))
    if len(found) != 1:
        raise RecipeError(f"{name} holds {len(found)} cards: expected one")
    return next(iter(found.items()))


def _cards_in(path: Path) -> dict[str, GraphicsCard]:
    try:
        return {name: GraphicsCard.model_validate(card) for name, card in read_yaml_file(path).items()}
    except (AttributeError, RecipeError, ValidationError) as error:
        raise RecipeError(f"{path} holds no cards: {error}") from error


def plan_training(recipe: Recipe, card: str = "h100", processes: int = 1) -> dict[str, Any]:
    """Reckon what a recipe's language model takes.

    Args:
        recipe: all settings.
        card: name or file; see ``read_card``.
        processes: cards that train together; each holds all weights, and one of them writes and scores.

    Returns:
        ``model`` (weights, trained weights, method), ``memory`` (gigabytes of 10^9 bytes by stage, the largest, whether
        the card holds it), ``tokens`` (of each stage over the whole run, in millions) and ``hours`` by stage.

    Raises:
        AssetError: the model's sizes are not known on this machine.
        RecipeError: there is no such card, or a step cannot be shared by so many processes.
    """
    name, does = read_card(card)
    shape, full = shape_of(recipe.model.name), recipe.adapter.method == "full"
    rank = None if full else recipe.adapter.rank
    stages = _trainings(recipe)
    for stage, (settings, *_) in stages.items():
        if settings.trees_per_step % (settings.trees_per_pass * processes):
            raise RecipeError(
                f"{stage}: trees_per_step is {settings.trees_per_step}, which {processes} processes cannot share evenly"
            )
    memory: dict[str, dict[str, int]] = {}
    tokens: dict[str, float] = {}
    hours: dict[str, float] = {}
    for stage, (settings, trees, tree, learnt, times) in stages.items():
        passes = settings.trees_per_pass
        recomputes = settings.gradient_checkpointing
        memory[stage] = training_bytes(
            shape, recipe.model.dtype, rank, passes * tree, passes * learnt, recomputes
        )  # fmt: skip
        tokens[stage] = trees * tree * settings.epochs * times
        each = operations(shape, full, recomputes)["train"]
        hours[stage] = tokens[stage] * each / (does.train_tflops * 1e12 * processes) / 3600
    prompt, text, dtype = _prompt(recipe), recipe.prompts.reccot_tokens, recipe.model.dtype
    reading = operations(shape, full, False)["read"] / (does.read_tflops * 1e12)
    for stage, (users, n) in _writings(recipe).items():
        most = min(AT_ONCE[True][0], users * n)
        held = texts_at_once(shape, dtype, recipe.model.cache_gb, prompt, text, n, most)
        memory[stage] = writing_bytes(shape, dtype, prompt, text, n, held)
        tokens[stage] = users * (prompt + n * text)
        way = (memory[stage]["weights"] + memory[stage]["cache"]) / (does.bandwidth_tb * 1e12)
        written = users * n / held * text * (does.write_ms / 1e3 + way)
        hours[stage] = (users * prompt * reading + written) / 3600
    if isinstance(recipe.judge, LMValidatorSettings) and recipe.loop.rounds:
        both = recipe.roles.lm_users + recipe.roles.lm_validation_users
        memory["score"] = {"weights": 2 * shape.weights * BYTES[dtype]}  # a copy for each half of the users
        tokens["score"] = recipe.loop.rounds * both * _judged(recipe, recipe.loop.samples_per_user + 1)
        hours["score"] = tokens["score"] * reading / 3600
    if not full:  # while it writes or scores, the base model stays in memory beside the copy that does
        for stage in (*_writings(recipe), "score"):
            if stage in memory:
                memory[stage] = {"base": shape.weights * BYTES[dtype]} | memory[stage]
    sums = {stage: sum(parts.values()) for stage, parts in memory.items()}
    largest = max(sums, key=lambda stage: sums[stage])
    return {
        "model": {
            "name": recipe.model.name,
            "weights": shape.weights,
            "trained_weights": shape.weights if full else shape.lora_weights(recipe.adapter.rank),
            "method": "all weights" if full else f"LoRA, rank {recipe.adapter.rank}",
            "kept_on_disk_gb": _kept(recipe, shape.weights if full else shape.lora_weights(recipe.adapter.rank)),
        },
        "memory": {
            "card": f"{processes} x {name} ({does.memory_gb:g} GB each)",
            **{f"{stage}_gb": round(size / 1e9, 1) for stage, size in sums.items()},
            "largest": largest,
            "fits": sums[largest] <= does.memory_gb * 1e9,
        },
        "memory_of_the_largest": {part: round(size / 1e9, 1) for part, size in memory[largest].items()},
        "tokens_million": {stage: round(number / 1e6, 2) for stage, number in tokens.items()},
        "hours": {stage: round(number, 2) for stage, number in hours.items()} | {"all": round(sum(hours.values()), 1)},
    }  # fmt: skip


def _prompt(recipe: Recipe) -> int:
    return FRAME + recipe.prompts.history_tokens


def _judged(recipe: Recipe, texts: int) -> int:
    """Tokens of the validator's tree of a user: what it sees of the history, and under each text its targets."""
    recent = recipe.prompts.validator_recent
    seen = recipe.prompts.history_tokens if recent == "all" else min(recent * LINE, recipe.prompts.history_tokens)
    return FRAME + seen + texts * (recipe.prompts.reccot_tokens + recipe.loop.targets_per_user * LINE)


def _trainings(recipe: Recipe) -> dict[str, tuple[TrainingSettings, int, int, int, int]]:
    """Of each training: settings, trees of an epoch, tokens of a tree, positions learnt in it, how often it is done."""
    loop, text, taught = recipe.loop, recipe.prompts.reccot_tokens, recipe.distillation
    rounds, users = loop.rounds, recipe.roles.lm_users
    learnt = min(taught.lm_users or users, users) + taught.extra_users
    compared = min(loop.samples_per_user, recipe.preferences.max_rejected + 1) * text
    found = {}
    if loop.distils:
        texts = taught.texts_per_user * text
        found["distil"] = (taught.training, learnt, _prompt(recipe) + texts, texts, 1)
    if rounds:
        found["align"] = (recipe.alignment.training, users, _prompt(recipe) + compared, compared, rounds)
    judge = recipe.judge
    if isinstance(judge, LMValidatorSettings):
        times = (rounds if loop.retunes else 0) + 1
        targets, tree = loop.targets_per_user, _judged(recipe, 1)
        half = users // 2 + judge.extra_users
        # Two folds in every round, each from the other half; and once, for one fold, without any RecCoT.
        found["tune"] = (judge.training, (2 * times + 1) * half, tree, targets, 1)
        if judge.warm_up_users:
            found["warm_up"] = (judge.warm_up, judge.warm_up_users, tree, targets, 1)
    return found


def _writings(recipe: Recipe) -> dict[str, tuple[int, int]]:
    """Of each kind of writing: users over the whole run, and texts a user."""
    loop, roles = recipe.loop, recipe.roles
    learners = roles.lm_users + roles.lm_validation_users
    tested = recipe.evaluation.users or roles.ranker_users or 0
    rest = 0 if recipe.write_for == "all" else recipe.write_for
    found = {"write": ((loop.rounds + 1) * (learners + tested) + rest, 1)}
    if loop.rounds:
        found["sample"] = (loop.rounds * learners, loop.samples_per_user)
    return found


def _kept(recipe: Recipe, trained: int) -> float:
    """Gigabytes of all versions of generator and validators, in float32, and of two states of a training."""
    rounds = recipe.loop.rounds + 1
    validators = (2 * rounds + 1) if isinstance(recipe.judge, LMValidatorSettings) else 0
    states = [settings.checkpoint_steps for settings, *_ in _trainings(recipe).values()]
    return round((4 * trained * (rounds + validators + 2) + (24 * trained if any(states) else 0)) / 1e9, 1)
