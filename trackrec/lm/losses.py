"""The loss functions of the language model, and the measures of how far a preference step moved it.

Log-probabilities of a text are sums over its own tokens (prompt left out), in nats. A "ratio" is the log-probability
under the model in training less that under the frozen reference.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


def yes_probability(yes_logit: Tensor, no_logit: Tensor) -> Tensor:
    """Chance of "Yes", normalised over the two answers alone.

    Args:
        yes_logit: the model's logit of the answer token "Yes", shape (batch,).
        no_logit: likewise for "No", shape (batch,).

    Returns:
        Probabilities in [0, 1], shape (batch,).

    Source:
        TrackRec, section on rec-tuning; the reference code exponentiates probabilities instead, which squeezes every
        score into [0.27, 0.73].

    >>> yes_probability(torch.tensor([2.0]), torch.tensor([2.0]))
    tensor([0.5000])
    """
    return torch.sigmoid(yes_logit - no_logit)


def answer_loss(yes_logit: Tensor, no_logit: Tensor, label: Tensor) -> Tensor:
    """Negative log-likelihood of the true answer among "Yes" and "No".

    Args:
        yes_logit: shape (batch,).
        no_logit: shape (batch,).
        label: 1 for "Yes", 0 for "No", any number type, shape (batch,).

    Returns:
        Loss of each example in nats, shape (batch,).
    """
    logit = yes_logit - no_logit
    return F.binary_cross_entropy_with_logits(logit, label.to(logit.dtype), reduction="none")


def softmax_dpo_loss(
    policy_chosen: Tensor,
    reference_chosen: Tensor,
    policy_rejected: Tensor,
    reference_rejected: Tensor,
    mask: Tensor,
    beta: float,
) -> Tensor:
    """Softmax-DPO: ``-log sigmoid(-log sum_j exp(beta * (ratio_j - ratio_chosen)))``, the sum within one user.

    Never sums over users: each loss depends on its own row alone. With one rejected text it is DPO
    (Rafailov et al. 2023, equation 7).

    Args:
        policy_chosen: log-probability of the chosen text under the model in training, shape (users,).
        reference_chosen: the same under the reference, shape (users,).
        policy_rejected: of the rejected texts, padded to the longest list, shape (users, rejected).
        reference_rejected: shape (users, rejected).
        mask: true where there is a rejected text; what stands elsewhere is never read. Shape (users, rejected).
        beta: strength of the tie to the reference, above 0 (the paper: 0.1).

    Returns:
        Loss of each user, shape (users,).

    Raises:
        ValueError: a user has no rejected text.

    Source:
        Chen et al. 2024, "On Softmax Direct Preference Optimization for Recommendation", equation 11; TrackRec.
    """
    margin = _margins(policy_chosen, reference_chosen, policy_rejected, reference_rejected, mask)
    empty = ~mask.bool().any(dim=1)
    if bool(empty.any()):
        row = int(empty.nonzero()[0])
        raise ValueError(
            f"softmax_dpo_loss: user in row {row} has no rejected text; leave such groups out of the batch"
        )
    # logsumexp and logsigmoid each stay finite where exp overflows, and exact where it vanishes.
    total = torch.logsumexp((-beta * margin).masked_fill(~mask.bool(), -torch.inf), dim=1)
    return -F.logsigmoid(-total)


TIE = 1e-3
"""Margins up to this many nats are no preference: so far two float32 passes over the same long text may differ."""


class PreferenceAccuracy(NamedTuple):
    """How often, and by how much, a model prefers the chosen texts more than its reference does."""

    accuracy: float
    """Share of pairs with a margin above `TIE`; those within it, on either side, count one half. NaN without pairs."""
    margin: float
    """Mean of ratio_chosen - ratio_rejected over the pairs, in nats. NaN without pairs."""
    pairs: int


def preference_accuracy(
    policy_chosen: Tensor,
    reference_chosen: Tensor,
    policy_rejected: Tensor,
    reference_rejected: Tensor,
    mask: Tensor,
) -> PreferenceAccuracy:
    """Accuracy and mean margin over all (chosen, rejected) pairs; shapes as in `softmax_dpo_loss`.

    A model that did not move from its reference has accuracy 0.5 and margin 0.
    """
    margin = _margins(policy_chosen, reference_chosen, policy_rejected, reference_rejected, mask)
    margin = margin.detach()[mask.bool()].double()
    accuracy = (margin > TIE).double().mean() + (margin.abs() <= TIE).double().mean() / 2
    return PreferenceAccuracy(float(accuracy), float(margin.mean()), margin.numel())


class SequenceKL(NamedTuple):
    """Estimates of KL(policy || reference) in nats: plain (k1) and never negative (k3), per sequence and per token."""

    per_sequence: float
    per_token: float
    per_sequence_k3: float
    per_token_k3: float


def sequence_kl(policy: Tensor, reference: Tensor, mask: Tensor) -> SequenceKL:
    """Estimate KL(policy || reference) from texts that the policy itself sampled, untruncated, at temperature 1.

    k1 is the mean of ``log policy - log reference``; k3 adds ``reference / policy - 1``, which is 0 in expectation, so
    that each token's term is never negative and the variance falls. Both are unbiased on the policy's own samples
    only: on texts of the reference they estimate something else.

    Args:
        policy: log-probability of each sampled token under the policy G(r), shape (sequences, tokens).
        reference: the same under the reference G(r-1).
        mask: true for tokens of the text, false for padding, which is never read.

    Returns:
        Means over sequences of the sum over tokens, and means over all tokens.

    Raises:
        ValueError: shapes differ, or no token is left.

    Source:
        Schulman 2020, "Approximating KL Divergence".
    """
    if not policy.shape == reference.shape == mask.shape or policy.ndim != 2 or not bool(mask.any()):
        shapes = f"{tuple(policy.shape)}, {tuple(reference.shape)}, {tuple(mask.shape)}"
        raise ValueError(f"sequence_kl: expected three shapes (sequences, tokens) with a token to count, got {shapes}")
    difference = (policy.detach().double() - reference.detach().double()).masked_fill(~mask.bool(), 0.0)
    k3 = torch.expm1(-difference) + difference
    sequences, tokens = policy.shape[0], int(mask.bool().sum())
    plain_sum, k3_sum = float(difference.sum()), float(k3.sum())
    return SequenceKL(plain_sum / sequences, plain_sum / tokens, k3_sum / sequences, k3_sum / tokens)


def _margins(
    policy_chosen: Tensor, reference_chosen: Tensor, policy_rejected: Tensor, reference_rejected: Tensor, mask: Tensor
) -> Tensor:
    """ratio_chosen - ratio_rejected, shape (users, rejected); masked places may hold anything."""
    users = policy_chosen.shape
    rejected = policy_rejected.shape
    if len(rejected) != 2 or not reference_chosen.shape == users == rejected[:1]:
        raise ValueError(f"expected chosen (users,) and rejected (users, rejected), got {(*users,)} and {(*rejected,)}")
    if not reference_rejected.shape == rejected == mask.shape:
        shapes = f"{(*rejected,)}, {(*reference_rejected.shape,)}, {(*mask.shape,)}"
        raise ValueError(f"expected rejected texts, their reference and their mask of one shape, got {shapes}")
    return (policy_chosen - reference_chosen).unsqueeze(1) - (policy_rejected - reference_rejected)
