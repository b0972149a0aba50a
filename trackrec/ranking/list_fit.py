"""Training of one re-ranker: the losses of its kind, and the schedule and early stopping of the other rankers."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

from trackrec.ranking.features import VectorTable
from trackrec.ranking.fit import FitResult, FitSettings, learning_rate_factor, seeded
from trackrec.ranking.list_examples import ListExamples
from trackrec.ranking.rerankers import as_reranker

NO_CANDIDATE = -1e9
"""The score of padding inside a softmax; not minus infinity, whose gradient is undefined."""


def list_cross_entropy(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy between where the likes of a list are and the softmax of its scores.

    Args:
        scores: shape (lists, length).
        labels: 1.0 liked, 0.0 not, shape (lists, length).
        mask: where a candidate is, bool, shape (lists, length).

    Returns:
        Mean over the lists that have a like, in nats, a scalar; 0 if none has. With several likes each has the same
        share of the target, so that every list counts alike.

    Source:
        Ai et al. 2018 (DLCM), section 4.4 (attention rank; labels of 0 and 1 give this target), taken over by SetRank;
        PRM's equation 7 is the same without the division by the number of likes.
    """
    likes = (labels * mask).sum(dim=1)
    target = labels * mask / likes.clamp(min=1).unsqueeze(1)
    losses = -(target * log_softmax(scores.masked_fill(~mask, NO_CANDIDATE), dim=1)).sum(dim=1)
    return losses.sum() / (likes > 0).sum().clamp(min=1)


def candidate_cross_entropy(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """LogLoss of each candidate by itself, mean over all candidates of the batch, in nats (MIR's loss)."""
    losses = binary_cross_entropy_with_logits(scores, labels, reduction="none") * mask
    return losses.sum() / mask.sum().clamp(min=1)


def fit_reranker(
    model: nn.Module,
    train: ListExamples,
    validation: ListExamples,
    settings: FitSettings,
    seed: int,
    users: VectorTable | None = None,
    items: VectorTable | None = None,
) -> FitResult:
    """Train in place; the model ends with the weights of its best epoch, in evaluation mode.

    Args:
        model: a re-ranker; its paper's loss is used (``Reranker.pointwise``), also for stopping early.
        train, validation: of different users.
        settings: as for other rankers; ``batch`` counts lists.
        seed: order of lists, dropout, lists without a vector.
        users, items: text vectors, for a model that reads them.
    """
    reranker = as_reranker(model)
    loss_of = candidate_cross_entropy if reranker.pointwise else list_cross_entropy
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    rest = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
    steps = settings.epochs * math.ceil(len(train) / settings.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, steps, settings.warmup)
    )
    best, best_epoch, best_weights = math.inf, 0, copy.deepcopy(model.state_dict())
    training_loss: list[float] = []
    validation_loss: list[float] = []
    with seeded(seed):
        for epoch in range(1, settings.epochs + 1):
            model.train()
            order = torch.randperm(len(train))
            on = torch.rand(len(train)) >= settings.vector_dropout
            shown = train.with_vectors(train.vector * on)
            losses = []
            for batch in shown.batches(settings.batch, order):
                loss = loss_of(reranker(batch, users, items), batch.label, batch.mask)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(float(loss.detach()))
            training_loss.append(float(np.mean(losses)))
            scores = score_lists(model, validation, users, items)
            validation_loss.append(float(loss_of(scores, validation.label, validation.mask)))
            if validation_loss[-1] < best:
                best, best_epoch, best_weights = validation_loss[-1], epoch, copy.deepcopy(model.state_dict())
            elif epoch - best_epoch >= settings.patience:
                break
    model.load_state_dict(best_weights)
    model.eval()
    return FitResult(best_epoch, training_loss, validation_loss)


@torch.no_grad()
def score_lists(
    model: nn.Module,
    lists: ListExamples,
    users: VectorTable | None = None,
    items: VectorTable | None = None,
    batch: int = 2048,
) -> Tensor:
    """Scores, shape (lists, length), each list's by itself; those of padding mean nothing."""
    model.eval()
    parts = [as_reranker(model)(part, users, items) for part in lists.batches(batch)]
    return torch.cat(parts) if parts else torch.zeros(lists.item.shape)
