"""Training of one ranker."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from ranking_world import make_world

from trackrec.rankers.base import BackboneSettings, RankerSizes
from trackrec.rankers.din import DIN
from trackrec.rankers.examples import Examples, ItemTable, RatingScale, build_examples
from trackrec.rankers.fit import FitSettings, fit_ranker, learning_rate_factor, one_thread, predict, run_epochs, seeded

SETTINGS = FitSettings(epochs=3, batch=64)


def parts() -> tuple[ItemTable, RatingScale, Examples, Examples]:
    world = make_world(users=30)
    items, scale = ItemTable.from_catalogue(world.items), RatingScale.fit(world.examples["recent_ratings"].explode())
    rows = build_examples(world.examples, items, scale, 2)
    return items, scale, rows.take(torch.arange(400)), rows.take(torch.arange(400, 600))


def trained(seed: int, settings: FitSettings = SETTINGS) -> tuple[list[float], list[float], int]:
    items, scale, train, validation = parts()
    with seeded(seed):
        model = DIN(RankerSizes.of(items, scale, train), BackboneSettings())
    result = fit_ranker(model, train, validation, settings, seed)
    return predict(model, validation).tolist(), result.validation_loss, result.best_epoch


def test_schedule_rises_then_falls_to_zero() -> None:
    rates = [learning_rate_factor(step, 100, 0.1) for step in range(101)]
    assert rates[:2] == [0.1, 0.2]
    assert rates[9] == 1.0
    assert rates[100] == pytest.approx(0)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_a_seed_decides_everything_and_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(5)
    first = torch.rand(1)
    torch.manual_seed(5)
    one = trained(1)
    assert torch.rand(1) == first
    assert trained(1) == one
    assert trained(2)[0] != one[0]


def test_the_best_epoch_is_kept() -> None:
    probabilities, losses, best = trained(0, FitSettings(epochs=6, batch=64, learning_rate=0.05, patience=6))
    _, _, _, validation = parts()
    label = validation.label.double()
    kept = torch.nn.functional.binary_cross_entropy(torch.tensor(probabilities, dtype=torch.float64), label)
    assert best == 1 + losses.index(min(losses))
    assert float(kept) == pytest.approx(min(losses), abs=1e-5)


def test_training_stops_when_patience_is_over() -> None:
    _, losses, best = trained(0, FitSettings(epochs=40, batch=64, learning_rate=0.05, patience=2))
    assert len(losses) == best + 2 < 40


def test_one_thread_gives_the_threads_back() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_a_step_is_made_between_one_loss_and_the_next() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(model.weight)
    weights: list[float] = []
    validated = iter([3.0, 1.0, 2.0])

    def losses(order: torch.Tensor, shown: torch.Tensor) -> Iterator[torch.Tensor]:
        assert sorted(order.tolist()) == [0, 1, 2, 3]
        assert shown.all()
        for _ in range(2):
            weights.append(model.weight.item())
            yield model.weight.sum()

    settings = FitSettings(epochs=3, batch=2, warmup=0.0, weight_decay=0.0, learning_rate=0.1)
    result = run_epochs(model, 4, losses, lambda: next(validated), settings, seed=0)
    assert weights[:2] == pytest.approx([1.0, 0.9]), "Adam's first step is the learning rate"
    assert all(later < earlier for earlier, later in itertools.pairwise(weights))
    assert (result.best_epoch, result.validation_loss) == (2, [3.0, 1.0, 2.0])
    assert model.weight.item() == pytest.approx(weights[4]), "as the third epoch found it"
    assert not model.training
