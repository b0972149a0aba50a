"""What is learnt on prefix trees, and how long: the answer (V), a RecCoT (G), preferences (G)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from pydantic import Field, model_validator
from torch import Tensor
from transformers import PreTrainedModel

from trackrec.lm.losses import answer_loss, preference_accuracy, softmax_dpo_loss
from trackrec.lm.model import LanguageModel
from trackrec.lm.trackers import Tracker
from trackrec.lm.tree import Tree
from trackrec.settings import Settings

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""


class TrainingSettings(Settings):
    """One training job of the language model."""

    learning_rate: float = Field(default=1e-3, ge=0)
    """Peak rate of AdamW. LoRA wants about ten to a hundred times the rate of full fine-tuning."""
    epochs: float = Field(default=1.0, ge=0)
    """Passes over the examples."""
    trees_per_step: int = Field(default=8, ge=1)
    """Users (prefix trees) in one optimiser step."""
    trees_per_pass: int = Field(default=1, ge=1)
    """Users in one forward pass; the step accumulates gradients, exactly, over the passes."""
    warmup: float = Field(default=0.1, ge=0, le=1)
    """Share of the steps over which the rate rises; it then falls along a cosine to 0."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this norm."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's weight decay."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    checkpoint_steps: int = Field(default=0, ge=0)
    """Keep the state of the training after every so many optimiser steps, so that one that is killed goes on from there
    and ends as if nothing had happened; 0: never, a killed training begins anew. A state has the size of the trained
    weights and AdamW's two moments (12 bytes a trained weight); two of them are kept until the training ends."""
    trackers: tuple[Tracker, ...] = ()
    """Who gets loss, gradient norm and rate of each step: tensorboard, mlflow, trackio. Each must be installed,
    and its own environment says where it writes (TENSORBOARD_LOGGING_DIR, MLFLOW_TRACKING_URI, TRACKIO_DIR); a tracker
    elsewhere gets these figures and the settings of the training, nothing of a user."""

    @model_validator(mode="after")
    def _passes_make_a_step(self) -> TrainingSettings:
        if self.trees_per_step % self.trees_per_pass:
            raise ValueError(
                f"trees_per_step {self.trees_per_step} is not a multiple of trees_per_pass {self.trees_per_pass}"
            )
        return self


@dataclass
class TreeExample:
    """A prefix tree and what is learnt on it.

    ``segments`` are the branches that count: after each an answer comes (``answers`` holds its token id), or each is a
    text to learn, or they are the samples of a preference group (the chosen one first).
    """

    tree: Tree
    segments: list[int]
    answers: list[int] = field(default_factory=list)
    reference_logprobs: list[float] = field(default_factory=list)
    """Preference groups: log-probability of each sample under the reference, summed over its tokens."""
    weight: float = 1.0
    log_odds: list[float] = field(default_factory=list)
    """What is known of each answer beforehand, added to the model's log-odds of Yes; empty: nothing."""


Loss = Callable[[LanguageModel, Sequence[Tensor], Sequence[TreeExample]], tuple[Tensor, dict[str, float]]]
"""Sum of the loss over the examples' units, given each tree's hidden states (tokens, width), and figures to record."""


def answer_cross_entropy(
    model: LanguageModel, hidden: Sequence[Tensor], examples: Sequence[TreeExample]
) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy of the answer token alone, over the whole vocabulary (rec-tuning). One unit an answer."""
    logits, answers = _answer_logits(model, hidden, examples)
    return torch.nn.functional.cross_entropy(logits, answers, reduction="sum"), {}


def answer_cross_entropy_given(yes: int, no: int) -> Loss:
    """Cross-entropy of the answer among the two alone, on top of the examples' ``log_odds``.

    The model learns what the log-odds leave open, and nothing else: over the whole vocabulary it would spend its first
    dozens of steps on moving mass to the two answers, which no score reads (they are normalised over the two).

    Args:
        yes: token id of the answer whose log-odds they are.
        no: token id of the other answer.
    """

    def loss(
        model: LanguageModel, hidden: Sequence[Tensor], examples: Sequence[TreeExample]
    ) -> tuple[Tensor, dict[str, float]]:
        logits, answers = _answer_logits(model, hidden, examples)
        odds = torch.tensor([odds for example in examples for odds in example.log_odds], device=logits.device)
        losses = answer_loss(logits[:, yes] + odds, logits[:, no], (answers == yes).float())
        return losses.sum(), {}

    return loss


def _answer_logits(
    model: LanguageModel, hidden: Sequence[Tensor], examples: Sequence[TreeExample]
) -> tuple[Tensor, Tensor]:
    """Logits where each example's answers come, shape (answers, vocabulary), and the answers' token ids."""
    states = [
        part[[example.tree.last(segment) for segment in example.segments]]
        for part, example in zip(hidden, examples, strict=True)
    ]
    logits = model.logits(torch.cat(states))
    answers = [answer for example in examples for answer in example.answers]
    return logits, torch.tensor(answers, device=logits.device)


def text_logprobs(
    model: LanguageModel, hidden: Tensor, example: TreeExample, merged: PreTrainedModel | None = None
) -> list[Tensor]:
    """Log-probabilities of the tokens of each counted segment; ``hidden`` is one tree's, shape (tokens, width).

    ``merged`` is the copy that the hidden states are from, if they are from one.
    """
    predictors = [example.tree.predictors(segment) for segment in example.segments]
    states = hidden[[index for indices in predictors for index in indices]]
    targets = torch.tensor(
        [token for segment in example.segments for token in example.tree.segments[segment]], device=states.device
    )
    # Nothing is kept for a gradient when there is none: a few logits at a time stay in the processor's cache.
    size = len(states) if torch.is_grad_enabled() else 128
    parts = [
        -torch.nn.functional.cross_entropy(model.logits(some, merged), wanted, reduction="none")
        for some, wanted in zip(states.split(size), targets.split(size), strict=True)
    ]
    logprobs = torch.cat(parts)
    return list(logprobs.split([len(indices) for indices in predictors]))


def text_cross_entropy(
    model: LanguageModel, hidden: Sequence[Tensor], examples: Sequence[TreeExample]
) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy of every token of the counted segments (distillation). One unit a token."""
    parts = [-torch.cat(text_logprobs(model, hidden[row], example)).sum() for row, example in enumerate(examples)]
    return torch.stack(parts).sum(), {}


def preference_loss(beta: float) -> Loss:
    """Softmax-DPO over each user's rejected samples (DPO where there is one) against recorded log-probabilities.

    One unit a user; users are weighted, and the weights average 1 over the data.
    """

    def loss(
        model: LanguageModel, hidden: Sequence[Tensor], examples: Sequence[TreeExample]
    ) -> tuple[Tensor, dict[str, float]]:
        total = torch.zeros((), device=hidden[0].device)
        right = margin = pairs = 0.0
        for row, example in enumerate(examples):
            policy = torch.stack([part.sum() for part in text_logprobs(model, hidden[row], example)])[None]
            reference = torch.tensor([example.reference_logprobs], device=policy.device)
            group = policy[:, 0], reference[:, 0], policy[:, 1:], reference[:, 1:]
            mask = torch.ones_like(group[2], dtype=torch.bool)
            total = total + example.weight * softmax_dpo_loss(*group, mask, beta).sum()
            accuracy, mean_margin, count = preference_accuracy(*group, mask)
            right, margin, pairs = right + accuracy * count, margin + mean_margin * count, pairs + count
        return total, {"preferences_right": right, "margin": margin, "pairs": pairs}

    return loss


@torch.inference_mode()
def sequence_logprobs(
    model: LanguageModel,
    adapter: str | None,
    examples: Sequence[TreeExample],
    progress: Progress | None = None,
    merged: PreTrainedModel | None = None,
) -> list[list[list[float]]]:
    """Log-probability of every token of the counted segments, per example and segment.

    Args:
        model: the language model.
        adapter: which adapter computes; None: the base alone.
        examples: trees with the segments that count.
        progress: called after each example.
        merged: a copy of the model with the adapter merged in, if the caller has one.
    """
    results = []
    with model.use(adapter):
        for done, example in enumerate(examples):
            hidden = model.hidden([example.tree], merged)[0]
            results.append([part.tolist() for part in text_logprobs(model, hidden, example, merged)])
            if progress:
                progress(done + 1, len(examples))
    return results
