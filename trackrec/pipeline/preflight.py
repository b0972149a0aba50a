"""What rules a run out is said before it begins: settings that do not go together, and a log that cannot carry them.

`check_settings` reads the recipe alone and comes before the log is read; `check_tables` comes after the data stage and
before any language model is loaded. Both name all that is wrong, with what to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from trackrec.data.log_problems import find_label_problems
from trackrec.data.roles import Role
from trackrec.engines.openai_settings import OpenAISettings
from trackrec.errors import RecipeError, RunError
from trackrec.features.encoder import TextEncoderSettings
from trackrec.judges.lm import LMValidatorSettings
from trackrec.judges.ranker import RankerValidatorSettings
from trackrec.judges.served import ServedValidatorSettings
from trackrec.lm import processes
from trackrec.prompts.domains import find_domain
from trackrec.rankers.compare import ranker_examples, tested_folds
from trackrec.recipe import Recipe

if TYPE_CHECKING:
    from trackrec.pipeline.dataset import Dataset


def check_settings(recipe: Recipe) -> None:
    """Refuse settings that do not go together, whatever the log.

    Raises:
        RecipeError: with all of them.
    """
    find_domain(recipe.prompts.domain)
    found = [
        *_sampling(recipe),
        *_lengths(recipe),
        *_served(recipe),
        *_recent(recipe),
        *_users(recipe),
        *_machine(recipe),
        *_models(recipe),
        *_shares(recipe),
    ]
    if found:
        raise RecipeError("; ".join(found))


def check_tables(recipe: Recipe, dataset: Dataset) -> None:
    """Refuse a log that the recipe's later stages cannot work on.

    Raises:
        RunError: with all that is wrong.
    """
    labels = {
        "feedback": recipe.feedback.kind,
        "like_threshold": recipe.split.like_threshold if recipe.feedback.kind == "threshold" else None,
        "likes_in_histories": _share(dataset.histories["label"]),
        "likes_in_examples": _share(dataset.examples["label"]),
    }
    ratings = pl.concat([dataset.histories["rating"], dataset.examples["rating"]]).value_counts(name="number")
    told = {"different": ratings.height, "counts": ratings.sort("rating").head(1).rows()}
    found = find_label_problems(labels, told)
    items = pl.concat([dataset.histories["item_id"], dataset.examples["item_id"]]).n_unique()
    if items == 1:
        found.append(
            "there is one item, so there is nothing to choose between: is the right column taken for the item?"
        )
    found += _ranker_users(recipe, dataset)
    if found:
        raise RunError("this log cannot carry the recipe: " + "; ".join(found))


def _sampling(recipe: Recipe) -> list[str]:
    if recipe.loop.rounds and recipe.loop.sampling.temperature == 0:
        return [
            "loop.sampling.temperature is 0, so that all samples of a user would be the same text and none could be "
            "preferred: set it to 1"
        ]
    return []


def _lengths(recipe: Recipe) -> list[str]:
    """A generator that writes more than the validator reads."""
    budget = recipe.prompts.reccot_tokens
    places = (("loop.sampling", recipe.loop.sampling), ("loop.writing", recipe.loop.writing))
    return [
        f"{place}.max_new_tokens is {decoding.max_new_tokens}, but the validator reads {budget} tokens of a RecCoT "
        "(prompts.reccot_tokens): leave the one out, so that it follows, or raise the other"
        for place, decoding in places
        if decoding.max_new_tokens > budget
    ]


def _served(recipe: Recipe) -> list[str]:
    """Judges at an endpoint, which would be asked only after hours of distillation."""
    found = []
    for place, judge in (("judge", recipe.judge), ("observer", recipe.observer)):
        if isinstance(judge, ServedValidatorSettings) and isinstance(judge.engine, OpenAISettings):
            engine = judge.engine
            if not engine.consent:
                found.append(
                    f"{place}.engine.consent is false, and the judge would send {engine.what_leaves()}: set it to true "
                    "if they may go there, or take another judge"
                )
            lacking = [name for name in (judge.asks, "scoring") if not getattr(engine.capabilities, name)]
            if lacking:
                found.append(
                    f"{place} needs {' and '.join(lacking)} of its engine, which a server of kind {engine.server!r} "
                    f"lacks: say the right {place}.engine.server, {place}.asks=messages, or take another judge"
                )
    return found


def _recent(recipe: Recipe) -> list[str]:
    """A sequence longer than what the split keeps would be told as that long and be shorter."""
    kept = recipe.split.recent
    asked = {"ranking.recent": recipe.ranking.recent}
    asked |= {f"{place}.recent": settings.recent for place, settings in _rankers(recipe)}
    return [
        f"{name} is {number}, but the split keeps {kept} events before an example (split.recent): lower the one or "
        "raise the other"
        for name, number in asked.items()
        if number > kept
    ]


def _rankers(recipe: Recipe) -> list[tuple[str, RankerValidatorSettings]]:
    """The judges that are rankers, by their place in the recipe."""
    both = (("judge", recipe.judge), ("observer", recipe.observer))
    return [(place, settings) for place, settings in both if isinstance(settings, RankerValidatorSettings)]


def _users(recipe: Recipe) -> list[str]:
    found, roles = [], recipe.roles
    if not roles.lm_validation_users:
        found.append("roles.lm_validation_users is 0, but rounds are compared and promoted on these users: set it to 2")
    if roles.ranker_folds < 3:
        found.append(
            f"roles.ranker_folds is {roles.ranker_folds}, but rankers are trained, stopped and tested on folds of "
            "their own: set it to 3 or more"
        )
    if recipe.ranking.folds is not None and recipe.ranking.folds > roles.ranker_folds:
        found.append(
            f"ranking.folds is {recipe.ranking.folds}, but there are {roles.ranker_folds} (roles.ranker_folds): choose "
            "at most that"
        )
    if roles.ranker_users is not None and roles.ranker_users < 2 * roles.ranker_folds:
        found.append(
            f"roles.ranker_users is {roles.ranker_users}, but each of {roles.ranker_folds} folds needs 2 users, so "
            "that RecCoTs can be swapped: set it higher, or roles.ranker_folds lower"
        )
    for place, settings in _rankers(recipe):
        users, members = roles.lm_users // 2 + roles.lm_extra_users, settings.members
        if users < 2 * members:
            found.append(
                f"{place}.members is {members}, but it learns from {users} users (half of roles.lm_users, and "
                f"roles.lm_extra_users) and needs {2 * members}: lower it, or take more users"
            )
    rankers: list[tuple[str, Any]] = [("ranking", recipe.ranking), *_rankers(recipe)]
    for name, model in rankers:
        if model.backbone == "autoint" and model.model.embedding % model.model.heads:
            found.append(
                f"{name}.model.heads is {model.model.heads}, which does not divide {name}.model.embedding "
                f"({model.model.embedding})"
            )
    return found


def _machine(recipe: Recipe) -> list[str]:
    import torch

    name = recipe.model.device
    if name == "auto":
        return []
    try:
        device = torch.device(name)
    except RuntimeError:
        return [f"model.device is {name!r}, which torch does not know: set it to auto, cpu or cuda"]
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        return [f"model.device is {name!r}, but torch sees {torch.cuda.device_count()} CUDA devices: set it to auto"]
    if device.type not in ("cpu", "cuda", "mps") or (device.type == "mps" and not torch.backends.mps.is_available()):
        return [f"model.device is {name!r}, which this machine does not have: set it to auto, cpu or cuda"]
    return []


def _shares(recipe: Recipe) -> list[str]:
    """Steps that the processes of a launcher cannot share evenly."""
    number = processes.count()
    judge, trainings = recipe.judge, {}
    if recipe.loop.distils:
        trainings["distillation.training"] = recipe.distillation.training
    if recipe.loop.rounds:
        trainings["alignment.training"] = recipe.alignment.training
    if isinstance(judge, LMValidatorSettings):
        trainings |= {"judge.training": judge.training}
        trainings |= {"judge.warm_up": judge.warm_up} if judge.warm_up_users else {}
    return [
        f"{name}.trees_per_step is {training.trees_per_step}, which {number} processes with trees_per_pass "
        f"{training.trees_per_pass} cannot share evenly: set it to a multiple of {number * training.trees_per_pass}"
        for name, training in trainings.items()
        if training.trees_per_step % (number * training.trees_per_pass)
    ]


def _models(recipe: Recipe) -> list[str]:
    """Folders that hold no model. Whether a hub has a name is asked where it is loaded."""
    found = []
    asked = [("model.name", recipe.model.name, "config.json, a tokenizer and safetensors")]
    if isinstance(recipe.encoder, TextEncoderSettings):
        asked.append(("encoder.name", recipe.encoder.name, "modules.json or config.json of a sentence encoder"))
    for setting, name, what in asked:
        path = Path(name).expanduser()
        looks_local = path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or path.is_dir()
        if looks_local and not any((path / file).is_file() for file in ("config.json", "modules.json")):
            found.append(f"{setting} is {name!r}: there is no model in that folder, expected {what}")
    return found


def _ranker_users(recipe: Recipe, dataset: Dataset) -> list[str]:
    """Whether the rankers' folds can be filled, of the users that texts are written for."""
    users = dataset.ranker_users(recipe.write_for)
    try:
        frame, folds = ranker_examples(dataset, users)
        tested_folds(folds, recipe.ranking)
    except (RunError, RecipeError) as error:
        more = "" if recipe.write_for == "all" else f" (write_for is {recipe.write_for}: raise it)"
        return [f"{str(error).rstrip('.')}{more}"]
    sizes = frame.group_by("fold").agg(pl.col("user_id").n_unique())
    if sizes["user_id"].min() == 1:
        return [
            "a fold of ranker users has one user, so that RecCoTs cannot be swapped there: give it more users "
            "(write_for, roles.ranker_users) or set roles.ranker_folds lower"
        ]
    if not dataset.users(Role.LM_VALIDATION):
        return ["there are no LM validation users, on whom rounds are compared: set roles.lm_validation_users"]
    return []


def _share(labels: pl.Series) -> float:
    return float(labels.sum()) / len(labels) if len(labels) else float("nan")
