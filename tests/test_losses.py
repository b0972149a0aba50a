"""Losses: numbers worked out by hand, equality with DPO and TRL, stability, and properties that must hold."""

from __future__ import annotations

import math
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from trackrec.lm.losses import (
    answer_loss,
    preference_accuracy,
    sequence_kl,
    softmax_dpo_loss,
    yes_probability,
)

T = torch.tensor
SEEDS = st.integers(0, 10_000)


def group_batch(seed: int, users: int = 5, rejected: int = 4) -> tuple[torch.Tensor, ...]:
    """Chosen, its reference, rejected, its reference, mask: each user with 1 to ``rejected`` rejected texts."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return -60 + 10 * torch.randn(*shape, generator=generator, dtype=torch.float64)

    lengths = torch.randint(1, rejected + 1, (users,), generator=generator)
    mask = torch.arange(rejected) < lengths.unsqueeze(1)
    return draw(users), draw(users), draw(users, rejected), draw(users, rejected), mask


def test_yes_probability_by_hand() -> None:
    # odds of e^(ln 3) = 3 to 1, whatever the level of both logits
    torch.testing.assert_close(yes_probability(T([math.log(3), 100.0]), T([0.0, 100.0])), T([0.75, 0.5]))


def test_answer_loss_by_hand() -> None:
    loss = answer_loss(T([math.log(3), math.log(3), 200.0]), T([0.0, 0.0, 0.0]), T([1, 0, 0]))
    torch.testing.assert_close(loss, T([-math.log(0.75), -math.log(0.25), 200.0]))


def dpo_loss(chosen: Tensor, of_chosen: Tensor, rejected: Tensor, of_rejected: Tensor, beta: float) -> Tensor:
    """Rafailov et al. 2023, equation 7; each log-probability is followed by that under the reference."""
    return -F.logsigmoid(beta * ((chosen - of_chosen) - (rejected - of_rejected)))


def test_one_rejected_by_hand() -> None:
    # ratios: chosen -10 + 12 = 2, rejected -20 + 19 = -1; beta * 3 = ln 3 when beta = ln(3) / 3: sigmoid = 3/4
    one = T([[True]]).bool()
    loss = softmax_dpo_loss(T([-10.0]), T([-12.0]), T([[-20.0]]), T([[-19.0]]), one, beta=math.log(3) / 3)
    torch.testing.assert_close(loss, T([-math.log(0.75)]))


def test_softmax_dpo_by_hand() -> None:
    # user 0: exp(beta (ratio_j - ratio_chosen)) = 1/2 and 1/4, sum 3/4: -log sigmoid(-log 3/4) = log(1 + 3/4).
    # user 1: one rejected with 3: log(1 + 3); its padding is never read.
    rejected = T([[math.log(0.5), math.log(0.25)], [math.log(3), math.nan]]) / 0.1
    zeros = torch.zeros(2)
    mask = T([[True, True], [True, False]])
    loss = softmax_dpo_loss(zeros, zeros, rejected, torch.zeros(2, 2), mask, beta=0.1)
    torch.testing.assert_close(loss, T([math.log(1.75), math.log(4)]))


def test_an_unmoved_model_has_the_loss_of_guessing() -> None:
    chosen, _, rejected, _, mask = group_batch(0)
    loss = softmax_dpo_loss(chosen, chosen, rejected, rejected, mask, beta=0.1)
    torch.testing.assert_close(loss, torch.log(1.0 + mask.sum(dim=1).double()))


@given(SEEDS, st.floats(0.01, 5))
def test_softmax_dpo_with_one_rejected_is_dpo(seed: int, beta: float) -> None:
    chosen, reference, rejected, reference_rejected, _ = group_batch(seed, rejected=1)
    ones = torch.ones(5, 1, dtype=torch.bool)
    softmax = softmax_dpo_loss(chosen, reference, rejected, reference_rejected, ones, beta)
    torch.testing.assert_close(softmax, dpo_loss(chosen, reference, rejected[:, 0], reference_rejected[:, 0], beta))


@given(SEEDS)
def test_each_user_stands_alone(seed: int) -> None:
    """Permuting users permutes losses, the order of rejected texts does not matter, nor does who shares the batch."""
    batch = group_batch(seed)
    loss = softmax_dpo_loss(*batch, beta=0.1)
    generator = torch.Generator().manual_seed(seed)
    users = torch.randperm(5, generator=generator)
    torch.testing.assert_close(softmax_dpo_loss(*(part[users] for part in batch), beta=0.1), loss[users])
    samples = torch.randperm(4, generator=generator)
    turned = (*batch[:2], *(part[:, samples] for part in batch[2:]))
    torch.testing.assert_close(softmax_dpo_loss(*turned, beta=0.1), loss)
    torch.testing.assert_close(softmax_dpo_loss(*(part[:1] for part in batch), beta=0.1), loss[:1])


@given(SEEDS)
def test_the_loss_pushes_chosen_up_and_rejected_down(seed: int) -> None:
    chosen, reference, rejected, reference_rejected, mask = group_batch(seed)
    chosen.requires_grad_()
    rejected.requires_grad_()
    loss = softmax_dpo_loss(chosen, reference, rejected, reference_rejected, mask, beta=0.1)
    loss.sum().backward()
    assert (chosen.grad < 0).all()
    assert (rejected.grad[mask] > 0).all()
    assert (rejected.grad[~mask] == 0).all()
    # Shifting all ratios of a user alike changes nothing.
    torch.testing.assert_close(rejected.grad.sum(dim=1), -chosen.grad)
    nearer = softmax_dpo_loss(chosen + 1, reference, rejected, reference_rejected, mask, beta=0.1)
    assert (nearer < loss).all()


@pytest.mark.parametrize("gap", [1e4, -1e4])
def test_softmax_dpo_stays_finite_where_exp_overflows(gap: float) -> None:
    chosen = torch.zeros(1, requires_grad=True)
    rejected = T([[gap, gap, math.inf]], requires_grad=True)
    mask = T([[True, True, False]])
    loss = softmax_dpo_loss(chosen, torch.zeros(1), rejected, torch.zeros(1, 3), mask, beta=0.1)
    loss.sum().backward()
    # above: beta * gap + log 2; below: nothing is left to learn
    torch.testing.assert_close(loss.detach(), T([max(0.1 * gap + math.log(2), 0.0)]))
    expected = T([[0.05, 0.05, 0.0]]) if gap > 0 else torch.zeros(1, 3)
    torch.testing.assert_close(rejected.grad, expected)
    torch.testing.assert_close(chosen.grad, -expected.sum(dim=1))


def test_softmax_dpo_is_finite_up_to_the_largest_float() -> None:
    rejected = T([[3e38, 3e38]], requires_grad=True)
    loss = softmax_dpo_loss(torch.zeros(1), torch.zeros(1), rejected, torch.zeros(1, 2), T([[True, True]]), beta=0.1)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert rejected.grad.isfinite().all()


def test_softmax_dpo_keeps_tiny_losses() -> None:
    # log(1 + e^-50) is 0 when 1 + e^-50 is rounded; the loss itself is e^-50
    loss = softmax_dpo_loss(T([50.0]), T([0.0]), T([[0.0]]), T([[0.0]]), T([[True]]), beta=1.0)
    torch.testing.assert_close(loss, T([math.exp(-50)]), rtol=1e-5, atol=0)


def test_a_group_without_rejected_is_refused() -> None:
    zeros = torch.zeros(2, 1)
    with pytest.raises(ValueError, match="user in row 1 has no rejected text"):
        softmax_dpo_loss(zeros[:, 0], zeros[:, 0], zeros, zeros, T([[True], [False]]), beta=0.1)
    with pytest.raises(ValueError, match=r"chosen \(users,\) and rejected \(users, rejected\), got \(3,\)"):
        softmax_dpo_loss(torch.zeros(3), torch.zeros(3), zeros, zeros, zeros.bool(), beta=0.1)


@pytest.mark.slow  # importing TRL alone takes ten seconds
@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_dpo_is_that_of_trl(beta: float) -> None:
    """TRL's own loss method, with a model that hands over given log-probabilities."""
    trainer_module = pytest.importorskip("trl.trainer.dpo_trainer")
    generator = torch.Generator().manual_seed(0)
    per_token = -3 * torch.rand(6, 4, generator=generator)
    reference = per_token.sum(dim=1) + torch.randn(6, generator=generator)
    outputs = SimpleNamespace(
        log_probs=per_token,
        entropy=torch.zeros(6, 4),
        mean_logits=torch.zeros(6, 4),
        is_top1=torch.zeros(6, 4, dtype=torch.bool),
    )
    trainer = MagicMock(
        beta=beta,
        loss_types=["sigmoid"],
        loss_weights=[1.0],
        f_divergence_type="reverse_kl",
        ld_alpha=None,
        precompute_ref_logps=True,
        use_weighting=False,
        aux_loss_enabled=False,
        label_smoothing=0.0,
    )
    trainer.accelerator.gather_for_metrics = trainer.accelerator.gather = lambda tensor: tensor
    inputs = {
        "input_ids": torch.zeros(6, 5, dtype=torch.long),
        "attention_mask": torch.ones(6, 5, dtype=torch.long),
        "completion_mask": torch.ones(6, 5, dtype=torch.long),
        "ref_chosen_logps": reference[:3],
        "ref_rejected_logps": reference[3:],
    }
    model = MagicMock(return_value=outputs)
    theirs = trainer_module.DPOTrainer._compute_loss(trainer, model, inputs, return_outputs=False)
    policy = per_token.sum(dim=1)
    torch.testing.assert_close(dpo_loss(policy[:3], reference[:3], policy[3:], reference[3:], beta).mean(), theirs)


def test_preference_accuracy_by_hand() -> None:
    # chosen ratios 2 and 0; rejected ratios (1, 5) and (0, padding): margins 1, -3, 0
    measured = preference_accuracy(
        T([-8.0, -5.0]),
        T([-10.0, -5.0]),
        T([[-9.0, -5.0], [-7.0, math.nan]]),
        T([[-10.0, -10.0], [-7.0, 0.0]]),
        T([[True, True], [True, False]]),
    )
    assert measured == (0.5, pytest.approx(-2 / 3), 3)


def test_an_unmoved_model_prefers_nothing() -> None:
    chosen, _, rejected, _, mask = group_batch(3)
    assert preference_accuracy(chosen, chosen, rejected, rejected, mask) == (0.5, 0.0, int(mask.sum()))


def test_without_pairs_there_is_no_accuracy() -> None:
    empty, none = torch.zeros(0), torch.zeros(0, 2)
    accuracy, margin, pairs = preference_accuracy(empty, empty, none, none, none.bool())
    assert math.isnan(accuracy)
    assert math.isnan(margin)
    assert pairs == 0


@given(SEEDS)
def test_a_higher_chosen_text_never_lowers_accuracy(seed: int) -> None:
    chosen, reference, rejected, reference_rejected, mask = group_batch(seed)
    before = preference_accuracy(chosen, reference, rejected, reference_rejected, mask)
    after = preference_accuracy(chosen + 5, reference, rejected, reference_rejected, mask)
    assert after.accuracy >= before.accuracy
    assert after.margin == pytest.approx(before.margin + 5)


def test_sequence_kl_by_hand() -> None:
    # differences: ln 2, 0 and (second sequence) -ln 2; two sequences, three tokens
    policy = T([[math.log(0.5), -1.0], [math.log(0.25), math.nan]])
    reference = T([[math.log(0.25), -1.0], [math.log(0.5), math.inf]])
    measured = sequence_kl(policy, reference, T([[True, True], [True, False]]))
    # k3: (1/2 - 1 + ln 2) + 0 + (2 - 1 - ln 2) = 1/2
    assert measured == pytest.approx((0, 0, 0.25, 0.5 / 3))


def test_sequence_kl_finds_the_planted_divergence_and_k3_varies_less() -> None:
    p, q = T([0.5, 0.3, 0.2], dtype=torch.float64), T([0.4, 0.35, 0.25], dtype=torch.float64)
    truth = float((p * (p / q).log()).sum())
    tokens = torch.multinomial(p, 400_000, replacement=True, generator=torch.Generator().manual_seed(0)).view(-1, 10)
    measured = sequence_kl(p.log()[tokens], q.log()[tokens], torch.ones(tokens.shape, dtype=torch.bool))
    assert measured.per_token == pytest.approx(truth, abs=1.5e-3)
    assert measured.per_token_k3 == pytest.approx(truth, abs=2e-4)
    assert measured.per_sequence == pytest.approx(10 * measured.per_token)
    assert measured.per_sequence_k3 == pytest.approx(10 * measured.per_token_k3)


@given(SEEDS)
def test_k3_is_never_negative_and_zero_without_a_move(seed: int) -> None:
    _, _, policy, reference, mask = group_batch(seed)
    assert sequence_kl(policy, reference / 4 + policy * 3 / 4, mask).per_token_k3 >= 0
    assert sequence_kl(policy, policy, mask) == (0, 0, 0, 0)


def test_sequence_kl_refuses_what_has_no_token() -> None:
    with pytest.raises(ValueError, match="with a token to count"):
        sequence_kl(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool))
