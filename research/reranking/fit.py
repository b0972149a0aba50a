"""Training of one re-ranker: the losses of its kind, and the schedule and early stopping of the other rankers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

from research.reranking.examples import ListExamples
from research.reranking.registry import as_reranker
from trackrec.rankers.examples import VectorTable
from trackrec.rankers.fit import FitResult, FitSettings, run_epochs

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

    def losses(order: Tensor, shown: Tensor) -> Iterator[Tensor]:
        for batch in train.with_vectors(train.vector * shown).batches(settings.batch, order):
            yield loss_of(reranker(batch, users, items), batch.label, batch.mask)

    def validate() -> float:
        return float(loss_of(score_lists(model, validation, users, items), validation.label, validation.mask))

    return run_epochs(model, len(train), losses, validate, settings, seed)


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
