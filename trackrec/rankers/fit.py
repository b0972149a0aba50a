"""Training of any ranker: AdamW, a warm-up and cosine schedule by step, early stopping on validation users."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from trackrec.errors import RunError
from trackrec.progress import Reporter
from trackrec.rankers.base import Ranker, Trainable
from trackrec.rankers.examples import Examples, VectorTable
from trackrec.settings import Settings


class FitSettings(Settings):
    """Training of a ranker."""

    epochs: int = Field(default=5, ge=1)
    """Most passes over the training examples."""
    patience: int = Field(default=2, ge=1)
    """Stop after this many epochs in a row without a better LogLoss on the validation users."""
    batch: int = Field(default=512, ge=1)
    """Examples a step."""
    learning_rate: float = Field(default=3e-3, ge=0)
    """Highest learning rate, reached after the warm-up."""
    warmup: float = Field(default=0.1, ge=0, le=1)
    """Share of all steps over which the learning rate rises; then it falls along a cosine to zero."""
    weight_decay: float = Field(default=1e-2, ge=0)
    """AdamW's decay of all weights but biases and vectors."""
    vector_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of training examples, drawn anew in each epoch, whose text vector is switched off by its mask bit, so that
    the prediction without a RecCoT means something."""
    device: Literal["auto", "cpu"] = "auto"
    """auto: a CUDA device where there is one, the forward pass in bfloat16; cpu: the processor, in float32."""


@dataclass(frozen=True)
class FitResult:
    """What a training did."""

    best_epoch: int
    """Epoch (from 1) whose weights were kept."""
    training_loss: list[float]
    """Mean LogLoss of each epoch's training batches, in nats."""
    validation_loss: list[float]
    """LogLoss on the validation examples after each epoch, in nats."""
    seconds: list[float]
    """Seconds of each epoch's training steps."""
    cpu_seconds: list[float]
    """Processor time of those, over all threads."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's random numbers follow from the seed inside, and go on as if nothing had happened afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes with one thread inside: floats do not depend on the number of cores, and these small models
    lose more to a busy second core than they gain from a free one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def learning_rate_factor(step: int, steps: int, warmup: float) -> float:
    """Factor of the highest learning rate at a step (from 0): linear rise, then a cosine to 0 at ``steps``.

    >>> [round(learning_rate_factor(step, 10, 0.2), 3) for step in (0, 1, 2, 6)]
    [0.5, 1.0, 1.0, 0.5]
    """
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def fit_ranker(
    model: Ranker,
    train: Examples,
    validation: Examples,
    settings: FitSettings,
    seed: int,
    vectors: VectorTable | None = None,
    reporter: Reporter | None = None,
) -> FitResult:
    """Train in place; the model ends with the weights of its best epoch, in evaluation mode, on the processor.

    Args:
        model: build it inside :func:`seeded` to have its first weights follow from a seed too.
        train, validation: of different users.
        settings: see :class:`FitSettings`.
        seed: order of examples, dropout, examples without a vector.
        vectors: text vectors, for a model that takes text.
        reporter: gets a line an epoch.

    Raises:
        RunError: no examples to train on or to stop by.
    """
    if not len(train) or not len(validation):
        raise RunError(
            f"A ranker got {len(train)} training and {len(validation)} validation examples, but needs some of both: "
            "give the split more ranker users or folds."
        )
    device = torch.device("cuda" if settings.device == "auto" and torch.cuda.is_available() else "cpu")
    model.to(device)
    train, validation = train.to(device), validation.to(device)
    vectors = None if vectors is None else vectors.to(device)
    on_gpu = device.type == "cuda"

    def losses(order: Tensor, shown: Tensor) -> Iterator[Tensor]:
        for batch in train.with_vectors(train.vector * shown.to(device)).batches(settings.batch, order.to(device)):
            with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu):
                logits = model(batch, vectors)
            yield binary_cross_entropy_with_logits(logits.float(), batch.label)

    def validate() -> float:
        logits = predict_logits(model, validation, vectors)
        return float(binary_cross_entropy_with_logits(logits, validation.label))

    return run_epochs(model, len(train), losses, validate, settings, seed, reporter)


def run_epochs(
    model: Trainable,
    count: int,
    losses: Callable[[Tensor, Tensor], Iterable[Tensor]],
    validate: Callable[[], float],
    settings: FitSettings,
    seed: int,
    reporter: Reporter | None = None,
) -> FitResult:
    """The training loop of all rankers; the model ends with the weights of its best epoch, on the processor.

    Args:
        model: trained in place, on the device where it is.
        count: examples (or lists) of an epoch.
        losses: given the epoch's order, int64, and which examples show their vector, bool, both of shape (count,), the
            loss of each batch of ``settings.batch``; a step is made between one and the next.
        validate: the loss on the validation users.
        settings: see :class:`FitSettings`.
        seed: of the orders, the dropout and the examples without a vector.
        reporter: gets a line an epoch.
    """
    optimizer = torch.optim.AdamW(_parameter_groups(model, settings), lr=settings.learning_rate, fused=True)
    steps = settings.epochs * math.ceil(count / settings.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, steps, settings.warmup)
    )
    best, best_epoch, best_weights = math.inf, 0, copy.deepcopy(model.state_dict())
    training_loss: list[float] = []
    validation_loss: list[float] = []
    seconds: list[float] = []
    cpu_seconds: list[float] = []
    with seeded(seed):
        for epoch in range(1, settings.epochs + 1):
            started, cpu_started = time.perf_counter(), time.process_time()
            model.train()
            order, shown = torch.randperm(count), torch.rand(count) >= settings.vector_dropout
            found = []
            for loss in losses(order, shown):
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                found.append(loss.detach())
            training_loss.append(float(torch.stack(found).double().mean()))
            seconds.append(time.perf_counter() - started)
            cpu_seconds.append(time.process_time() - cpu_started)
            validation_loss.append(validate())
            if reporter is not None:
                reporter.line(
                    f"epoch {epoch} of {settings.epochs}: LogLoss {training_loss[-1]:.4f} in training, "
                    f"{validation_loss[-1]:.4f} on validation users; {count / seconds[-1]:,.0f} examples/s"
                )
            if validation_loss[-1] < best:
                best, best_epoch, best_weights = validation_loss[-1], epoch, copy.deepcopy(model.state_dict())
            elif epoch - best_epoch >= settings.patience:
                break
    model.load_state_dict(best_weights)
    model.to(torch.device("cpu"))
    model.eval()
    return FitResult(best_epoch, training_loss, validation_loss, seconds, cpu_seconds)


@torch.no_grad()
def predict_logits(model: Ranker, examples: Examples, vectors: VectorTable | None = None, batch: int = 8192) -> Tensor:
    """Logits, shape (examples,); an example's logit does not depend on the others."""
    model.eval()
    parts = [model(part, vectors) for part in examples.batches(batch)]
    return torch.cat(parts) if parts else torch.zeros(0)


def predict(model: Ranker, examples: Examples, vectors: VectorTable | None = None) -> npt.NDArray[np.float64]:
    """Probabilities that the users like the targets, float64, shape (examples,)."""
    return np.asarray(torch.sigmoid(predict_logits(model, examples, vectors).double()).numpy(), dtype=np.float64)


def _parameter_groups(model: Trainable, settings: FitSettings) -> list[dict[str, object]]:
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    rest = [weight for weight in model.parameters() if weight.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
