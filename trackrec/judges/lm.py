"""The language model as judge: it reads history, RecCoT and target, and answers Yes or No (the paper's V)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import torch
from pydantic import Field

from trackrec.data.log import stable_hash
from trackrec.judges.base import JudgeContext
from trackrec.lm.answers import answers_example, answers_loss, score_answers, single
from trackrec.lm.losses import yes_probability
from trackrec.lm.model import LanguageModel
from trackrec.lm.scoring import MergedCopy
from trackrec.lm.trainer import train
from trackrec.lm.training import (
    Loss,
    Progress,
    TrainingSettings,
    answer_cross_entropy,
    answer_cross_entropy_given,
)
from trackrec.lm.tree import Tree
from trackrec.prompts.renderer import Renderer
from trackrec.settings import ComponentSettings
from trackrec.users.catalogue import Row
from trackrec.users.histories import rows_by_user


class LMValidatorSettings(ComponentSettings):
    """The language model as validator (the paper's)."""

    type: str = "lm"
    training: TrainingSettings = TrainingSettings(learning_rate=1e-3, epochs=2, trees_per_step=4)
    """How it is tuned in every round, each time from the same start."""
    warm_up_users: int = Field(default=0, ge=0)
    """Extra LM users, with the teacher's RecCoTs, on whom it is tuned once, before the rounds: where every round starts
    from. They are never scored. 0: every round starts from the base model (the paper's way)."""
    warm_up: TrainingSettings = TrainingSettings(learning_rate=1e-3, epochs=1, trees_per_step=2)
    """That first tuning."""
    extra_users: int = Field(default=0, ge=0)
    """How many extra LM users, with the teacher's RecCoTs, it learns from beside the other half of the LM users."""
    placeholder_share: float = Field(default=0.2, ge=0, lt=1)
    """Share of training users whose RecCoT gives way to the placeholder, so that P without a RecCoT has a meaning."""
    item_prior: float | None = Field(default=None, gt=0)
    """If set, the item's log-odds of being liked, counted among other LM users after so many likes and as many dislikes
    more, are added to the model's: it then learns what the counts leave open. None: the model alone (the paper's)."""
    token_budget: int = Field(default=1536, ge=1)
    """Most tokens in one forward pass while scoring."""


class LMValidator:
    """A causal language model that answers Yes or No, as an adapter on the shared base.

    Args:
        model: the language model.
        adapter: name of its adapter; ``fit`` and ``load`` make it.
        renderer: makes the prompts.
        histories: each user's history rows, oldest first; all that it sees of them is the last few.
        settings: see :class:`LMValidatorSettings`.
        progress: called while training.
        start: folder of the adapter that ``fit`` starts from; None: a fresh one, which changes nothing.
        training: how ``fit`` tunes; None takes what the settings say of a round.
        checkpoints: where ``fit`` keeps states of its training; None: nowhere.
    """

    Settings = LMValidatorSettings
    kind = "lm"
    learns_all_targets = False
    scores_in_shards = True

    @classmethod
    def make(cls, settings: LMValidatorSettings, context: JudgeContext) -> Self:
        """See :mod:`trackrec.registry`."""
        return cls(
            context.language_model(),
            context.name,
            context.renderer(),
            context.histories,
            settings,
            context.progress,
            context.start,
            checkpoints=context.checkpoints,
        )

    def __init__(
        self,
        model: LanguageModel,
        adapter: str,
        renderer: Renderer,
        histories: Mapping[Any, Sequence[Row]],
        settings: LMValidatorSettings,
        progress: Progress | None = None,
        start: Path | None = None,
        training: TrainingSettings | None = None,
        checkpoints: Path | None = None,
    ) -> None:
        self.checkpoints = checkpoints
        self.model, self.adapter, self.renderer = model, adapter, renderer
        self.histories, self.settings, self.progress = histories, settings, progress
        self.start, self.training = start, training or settings.training
        self._copies = {name: MergedCopy(model, name) for name in (adapter, None)}

    def tree(self, user: Any, text: str | None, targets: Sequence[Row]) -> tuple[Tree, list[int]]:
        """The prompt tree of one RecCoT: last events and RecCoT once, a branch for each target.

        Returns:
            The tree, and the segments (one a target) after which the answer comes.
        """
        return self.tree_of_texts(user, [text], targets)

    def tree_of_texts(self, user: Any, texts: Sequence[str | None], targets: Sequence[Row]) -> tuple[Tree, list[int]]:
        """As ``tree``, with several RecCoTs beside each other: the last events once, the targets under each of them."""
        tree = Tree()
        prefix = tree.add(self.renderer.validator_prefix(self.histories[user]))
        asked = [self.renderer.target_segment(row["item_id"], row["raters"], row["likes"]) for row in targets]
        ends = []
        for text in texts:
            reccot = tree.add(self.renderer.reccot_segment(text), prefix)
            ends += [tree.add(target, reccot) for target in asked]
        return tree, ends

    def fit(self, targets: pl.DataFrame, reccots: pl.DataFrame, folder: Path, seed: int) -> dict[str, Any]:
        """See :class:`Validator`. ``folder`` gets a PEFT adapter."""
        answers = self.renderer.answers
        by_user = rows_by_user(targets)
        examples, without = [], 0
        for row in reccots.sort("user_id").iter_rows(named=True):
            user = row["user_id"]
            drawn = np.random.default_rng([seed, stable_hash(user)]).random() < self.settings.placeholder_share
            text = None if drawn else row["text"]
            without += text is None
            tree, ends = self.tree(user, text, by_user[user])
            liked = [bool(target["label"]) for target in by_user[user]]
            odds = item_log_odds(by_user[user], self.settings.item_prior)
            examples.append(answers_example(tree, ends, answers, liked, odds))
        if self.start is None:
            self.model.add(self.adapter, seed)
        else:
            self.model.load(self.adapter, self.start)
        curve = train(
            self.model,
            self.adapter,
            examples,
            self._loss(),
            self.training,
            seed,
            units=lambda example: len(example.answers),
            progress=self.progress,
            checkpoints=self.checkpoints,
        )
        self.model.save(self.adapter, folder)
        return {
            "users": len(examples),
            "users_with_placeholder": without,
            "examples": sum(len(example.answers) for example in examples),
            "tokens": sum(len(example.tree) for example in examples),
            "curve": curve,
        }

    def _loss(self) -> Loss:
        """The loss that teaches the right answer."""
        answers, given = self.renderer.answers, bool(self.settings.item_prior)
        if not single(answers):
            return answers_loss(answers, given)
        return answer_cross_entropy_given(answers[0][0], answers[1][0]) if given else answer_cross_entropy

    def score(self, targets: pl.DataFrame, reccots: pl.DataFrame) -> pl.DataFrame:
        """See :class:`Validator`."""
        return self._score(self.adapter, targets, reccots, self.settings.item_prior)

    def score_zero_shot(self, targets: pl.DataFrame, reccots: pl.DataFrame) -> pl.DataFrame:
        """What the untuned base model says by itself: as :meth:`score`, without adapter and without the item prior."""
        return self._score(None, targets, reccots, None)

    def _score(
        self, adapter: str | None, targets: pl.DataFrame, reccots: pl.DataFrame, prior: float | None
    ) -> pl.DataFrame:
        by_user, texts = rows_by_user(targets), rows_by_user(reccots)
        trees = [self.tree_of_texts(user, [row["text"] for row in rows], by_user[user]) for user, rows in texts.items()]
        budget, copy = self.settings.token_budget, self._copies[adapter].get()
        logits = score_answers(self.model, adapter, trees, self.renderer.answers, budget, copy)
        pairs = {user: list(both.view(len(texts[user]), -1, 2)) for user, both in zip(texts, logits, strict=True)}
        rows = list(reccots.iter_rows(named=True))
        parts: dict[str, list[Any]] = {"user_id": [], "sample": [], "event_id": [], "label": [], "yes_probability": []}
        for row in rows:
            pair = pairs[row["user_id"]].pop(0)
            known = torch.tensor(item_log_odds(by_user[row["user_id"]], prior) or 0.0, dtype=torch.float64)
            probabilities = yes_probability(pair[:, 0].double() + known, pair[:, 1].double())
            for target, probability in zip(by_user[row["user_id"]], probabilities.tolist(), strict=True):
                parts["user_id"].append(row["user_id"])
                parts["sample"].append(row["sample"])
                parts["event_id"].append(target["event_id"])
                parts["label"].append(target["label"])
                parts["yes_probability"].append(probability)
        schema = pl.Schema(
            {
                "user_id": targets.schema["user_id"],
                "sample": reccots.schema["sample"],
                "event_id": targets.schema["event_id"],
                "label": targets.schema["label"],
                "yes_probability": pl.Float64(),
            }
        )
        return pl.DataFrame(parts, schema=schema)

    def load(self, folder: Path) -> None:
        """See :class:`Validator`."""
        self.model.load(self.adapter, folder)


def item_log_odds(targets: Sequence[Row], prior: float | None) -> list[float]:
    """The items' counted log-odds of being liked; empty if the model is to judge alone (``prior`` None)."""
    if prior is None:
        return []
    return [log((row["likes"] + prior) / (row["raters"] - row["likes"] + prior)) for row in targets]
