"""The reward study: sums by hand, and planted rewards of which is known what choosing brings."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from rewards import KINDS, Judged, choose, lines, mean_squares, one_target_reliability


def test_mean_squares_by_hand() -> None:
    """Rows 1, 3 and 2, 4: texts differ by 1, targets by 2, nothing is left; then one cell is moved by 4."""
    assert mean_squares(np.array([[1.0, 3.0], [2.0, 4.0]])) == (1.0, 0.0)
    between, residual = mean_squares(np.array([[1.0, 3.0], [2.0, 8.0]]))
    # Row means 2 and 5 (squares 2 x 1.5^2 x 2 / 1 = 9); residuals are all 1 in size: 4 x 1 / 1.
    assert (between, residual) == (9.0, 4.0)
    assert one_target_reliability(between, residual, 2) == (9 - 4) / (9 + 4)


def planted(signal: float, noise: float, wrong: float = 0.0, users: int = 30) -> dict[int, Judged]:
    """4 texts by 5 targets; text 0 is better by ``signal``; text 0 has ``wrong`` of 4 claims contradicted."""
    found = {}
    for user in range(users):
        table = noise * np.random.default_rng([5, user]).normal(size=(4, 5)) - 0.6
        table[0] += signal
        claims = np.array([4 * wrong, 0, 0, 0])
        found[user] = Judged(dict.fromkeys(KINDS, table), np.array([1, 0, 1, 0, 1]), claims, np.full(4, 4.0))
    return found


def told(users: dict[int, Judged], study: str, **wanted: object) -> list[dict[str, float]]:
    return [
        line for line in lines(users, 40) if line["study"] == study and all(line[k] == v for k, v in wanted.items())
    ]


def test_without_noise_choosing_carries_over_whole() -> None:
    users = planted(signal=0.2, noise=0.0)
    assert np.isclose(choose(3, users[3], KINDS[0], KINDS[0], 4, 2, 0.0).lead, 0.2 - 0.2 / 4)
    best = told(users, "reliability", targets=5)
    assert all(line["value"] > 0.999 for line in best)


def test_noise_carries_nothing_over() -> None:
    users = planted(signal=0.0, noise=0.3)
    (line,) = told(users, "carried", by=KINDS[0], measured=KINDS[0], samples=4, targets=4)
    assert line["low"] < 0 < line["high"]
    (line,) = told(users, "one_target", reward=KINDS[0])
    assert line["low"] < 0 < line["high"]


def test_a_weight_above_its_worth_gives_a_false_text_up_and_costs_its_use() -> None:
    """Text 0 is worth .04 more and half false: .05 x .5 does not outweigh that, .1 x .5 does."""
    users = planted(signal=0.04, noise=0.0, wrong=0.5)
    rates = {line["weight"]: line["value"] for line in told(users, "wrong", reward=KINDS[0])}
    costs = {line["weight"]: line["value"] for line in told(users, "cost", reward=KINDS[0])}
    assert [rates[w] for w in (0.0, 0.05, 0.1, 0.3)] == [0.5, 0.5, 0.0, 0.0]
    np.testing.assert_allclose([costs[w] for w in (0.0, 0.05, 0.1)], [0, 0, 0.04], atol=1e-5)
