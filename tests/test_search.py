"""The search on validation users: what is tried, what is chosen, and that every arm gets the same."""

from __future__ import annotations

from ranking_world import make_world

from research.comparison.job import SEARCH
from trackrec.rankers.adaptor import AdaptorSettings
from trackrec.rankers.compare import RankingSettings, Trial, compare_arms, search
from trackrec.rankers.fit import FitSettings


def test_the_first_seed_chooses_and_the_others_follow() -> None:
    losses = {(0.1, 1): 0.6, (0.2, 1): 0.5, (0.3, 1): 0.5, (0.2, 2): 0.9, (0.2, 3): 0.9}
    asked: list[tuple[float | None, int]] = []

    def train(trial: Trial, seed: int) -> tuple[float, str]:
        asked.append((trial.weight_decay, seed))
        assert trial.weight_decay is not None
        return losses[trial.weight_decay, seed], f"{trial.weight_decay} {seed}"

    found = search([Trial(weight_decay=decay) for decay in (0.1, 0.2, 0.3)], train, [1, 2, 3])
    assert found == [(1, "0.2 1"), (1, "0.2 2"), (1, "0.2 3")], "of equal losses the first wins"
    assert asked == [(0.1, 1), (0.2, 1), (0.3, 1), (0.2, 2), (0.2, 3)]


def test_a_trial_changes_only_what_it_names() -> None:
    fit, adaptor = FitSettings(epochs=5), AdaptorSettings()
    assert (SEARCH[0].fit(fit), SEARCH[0].adapt(adaptor)) == (fit, adaptor)
    changed = SEARCH[1].fit(fit)
    assert (changed.epochs, changed.weight_decay, changed.learning_rate) == (3, 1.0, fit.learning_rate)
    assert SEARCH[1].adapt(adaptor) == adaptor.model_copy(update={"kind": "linear", "output": 4})
    assert Trial(epochs=0.01).fit(fit).epochs == 1


def test_what_is_tested_is_the_trial_that_the_validation_users_chose() -> None:
    """A trial that learns nothing (a huge decay, one epoch) loses; its place in the list does not matter."""
    world = make_world(users=60)
    base = RankingSettings(recent=0, seeds=1, folds=1, fit=FitSettings(epochs=8, batch=64, learning_rate=0.02))
    hopeless = Trial(weight_decay=500.0, epochs=0.1)
    plain = compare_arms(world, world.roles, world.items, {"no text": None}, base, seed=3)
    for place, trials in enumerate([(Trial(), hopeless), (hopeless, Trial())]):
        settings = base.model_copy(update={"search": trials})
        found = compare_arms(world, world.roles, world.items, {"no text": None}, settings, seed=3)
        assert found["trial"].unique().to_list() == [place]
        assert found.drop("trial").equals(plain.drop("trial"))
