"""Training on prefix trees with ``transformers.Trainer``: the answer (V), a RecCoT (G), preferences (G)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import Field, model_validator
from torch import Tensor
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from trackrec.lm.losses import answer_loss, preference_accuracy, softmax_dpo_loss
from trackrec.lm.merged_lora import MergedAdapter
from trackrec.lm.model import LanguageModel
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


def text_logprobs(model: LanguageModel, hidden: Tensor, example: TreeExample) -> list[Tensor]:
    """Log-probabilities of the tokens of each counted segment; ``hidden`` is one tree's, shape (tokens, width)."""
    predictors = [example.tree.predictors(segment) for segment in example.segments]
    states = hidden[[index for indices in predictors for index in indices]]
    targets = torch.tensor(
        [token for segment in example.segments for token in example.tree.segments[segment]], device=states.device
    )
    # Nothing is kept for a gradient when there is none: a few logits at a time stay in the processor's cache.
    size = len(states) if torch.is_grad_enabled() else 128
    parts = [
        -torch.nn.functional.cross_entropy(model.logits(some), wanted, reduction="none")
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


class _TreeTrainer(Trainer):
    """``transformers.Trainer`` with a loss on prefix trees; ``labels`` only count the units of the loss."""

    def __init__(self, language_model: LanguageModel, loss: Loss, **kwargs: Any) -> None:
        super().__init__(model=language_model.peft, **kwargs)
        self.language_model, self.loss = language_model, loss
        self.model_accepts_loss_kwargs = True  # the loss divides by the units of the whole step itself
        self.figures: list[dict[str, float]] = []

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        hidden = self.language_model.hidden([example.tree for example in inputs["examples"]])
        total, figures = self.loss(self.language_model, hidden, inputs["examples"])
        units = float(num_items_in_batch)
        self.figures.append({"step": self.state.global_step, "loss": total.item() / units, **figures})
        return total / units


class _ProgressCallback(TrainerCallback):
    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.progress(state.global_step, state.max_steps)


class _RefreshCallback(TrainerCallback):
    def __init__(self, merged: MergedAdapter) -> None:
        self.merged = merged

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.merged.refresh()


def train(
    model: LanguageModel,
    adapter: str,
    examples: Sequence[TreeExample],
    loss: Loss,
    settings: TrainingSettings,
    seed: int,
    units: Callable[[TreeExample], int],
    progress: Progress | None = None,
) -> list[dict[str, float]]:
    """Train an adapter in place.

    Args:
        model: the language model, which has the adapter.
        adapter: the adapter's name.
        examples: prefix trees with what is learnt on them.
        loss: one of this module's losses.
        settings: rate, epochs, batch.
        seed: order of the examples.
        units: how many units of the loss an example has (answers, tokens, or 1 a user): what a step averages over.
        progress: called after each optimiser step.

    Returns:
        One row an optimiser step: ``step``, ``loss`` and the loss's own figures (sums over the step).

    Raises:
        ValueError: there is nothing to train on.
    """
    if not examples:
        raise ValueError(f"nothing to train the adapter {adapter!r} on: got no examples")
    model.changed(adapter)

    def collate(batch: list[TreeExample]) -> dict[str, Any]:
        labels = torch.zeros(sum(units(example) for example in batch), dtype=torch.long)
        # The trainer counts the units; `labels` alone it would take for a text whose first token nothing predicts.
        return {"examples": batch, "labels": labels, "shift_labels": labels}

    with tempfile.TemporaryDirectory() as folder, model.use(adapter):
        arguments = TrainingArguments(
            output_dir=folder,
            learning_rate=settings.learning_rate,
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.trees_per_pass,
            gradient_accumulation_steps=settings.trees_per_step // settings.trees_per_pass,
            lr_scheduler_type="cosine",
            warmup_steps=settings.warmup,
            max_grad_norm=settings.max_grad_norm,
            weight_decay=settings.weight_decay,
            gradient_checkpointing=settings.gradient_checkpointing,
            optim="adamw_torch",
            seed=seed,
            data_seed=seed,
            use_cpu=model.device.type == "cpu",
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
        )
        trainer = _TreeTrainer(
            model,
            loss,
            args=arguments,
            train_dataset=list(examples),
            data_collator=collate,
            callbacks=[_ProgressCallback(progress)] if progress else [],
        )
        trainer.remove_callback(PrinterCallback)
        merged = MergedAdapter(model.peft, adapter)
        trainer.add_callback(_RefreshCallback(merged))
        with merged.in_use():
            trainer.train()
        if settings.gradient_checkpointing:
            model.base.gradient_checkpointing_disable()
        model.peft.eval()
        figures = trainer.figures
    return _by_step(figures)


def _by_step(figures: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """Sum the figures of the passes of each optimiser step."""
    steps: dict[float, dict[str, float]] = {}
    for row in figures:
        total = steps.setdefault(row["step"], {"step": row["step"]})
        for key, value in row.items():
            if key != "step":
                total[key] = total.get(key, 0.0) + value
    return list(steps.values())


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
            results.append([part.tolist() for part in text_logprobs(model, hidden, example)])
            if progress:
                progress(done + 1, len(examples))
    return results
