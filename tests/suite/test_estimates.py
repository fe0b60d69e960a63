"""The numbers against slow oracles, and intervals that mean something."""

import builtins

import numpy as np
import pytest

from rl_speed.suite import estimates
from rl_speed.system.errors import UserError

# [S, G]: five seeds, three games.
SCORES = np.array([[0.1, 0.9, 2.0], [0.2, 0.8, 2.5], [0.3, 1.1, 0.4], [0.4, 1.2, 0.2], [0.5, 0.7, 3.0]])


def slow_iqm(values):
    """Drops a quarter of the values, rounded down, at each end."""
    ordered = sorted(values)
    cut = len(ordered) // 4
    kept = ordered[cut : len(ordered) - cut]
    return sum(kept) / len(kept)


def slow_improvement(first, second):
    shares = []
    for game in range(first.shape[1]):
        pairs = [(x, y) for x in first[:, game] for y in second[:, game]]
        shares.append(sum(1.0 if x > y else 0.5 if x == y else 0.0 for x, y in pairs) / len(pairs))
    return sum(shares) / len(shares)


def test_aggregates_are_those_of_the_oracle():
    found = estimates.aggregates(SCORES)
    means = [sum(SCORES[:, game]) / 5 for game in range(3)]
    assert found["IQM"].value == pytest.approx(slow_iqm(SCORES.ravel()))
    assert found["median"].value == pytest.approx(sorted(means)[1])
    assert found["mean"].value == pytest.approx(sum(means) / 3)
    gaps = [max(0.0, 1.0 - value) for value in SCORES.ravel()]
    assert found["optimality gap"].value == pytest.approx(sum(gaps) / 15)


def test_the_interval_is_that_of_a_slow_stratified_bootstrap():
    found = estimates.aggregates(SCORES)
    draw = np.random.default_rng(7)
    slow = {name: [] for name in ("IQM", "mean")}
    for _ in range(4000):
        drawn = np.array([[SCORES[draw.integers(5), game] for game in range(3)] for _ in range(5)])
        slow["IQM"].append(slow_iqm(drawn.ravel()))
        slow["mean"].append(drawn.mean())
    for name, values in slow.items():
        low, high = np.percentile(values, [2.5, 97.5])
        assert found[name].low == pytest.approx(low, abs=0.03)
        assert found[name].high == pytest.approx(high, abs=0.03)
        assert found[name].low < found[name].value < found[name].high


def test_the_same_scores_have_the_same_interval():
    assert estimates.aggregates(SCORES) == estimates.aggregates(SCORES.copy())


@pytest.mark.parametrize("scores", [SCORES[:1], SCORES[:, :1]], ids=["one seed", "one game"])
def test_one_seed_or_one_game_bears_no_interval(scores):
    for estimate in estimates.aggregates(scores).values():
        assert estimate.low is None
        assert estimate.high is None
    assert estimates.aggregates(scores)["IQM"].value == pytest.approx(slow_iqm(scores.ravel()))


def test_probability_of_improvement():
    other = np.array([[0.3, 0.9, 1.0], [0.3, 1.0, 1.0]])
    found = estimates.probability_of_improvement(SCORES, other)
    assert found.value == pytest.approx(slow_improvement(SCORES, other))
    assert found.low < found.value < found.high
    back = estimates.probability_of_improvement(other, SCORES)
    assert back.value == pytest.approx(1 - found.value)
    assert estimates.probability_of_improvement(SCORES + 10, SCORES).value == 1.0
    assert estimates.probability_of_improvement(SCORES[:1], other).low is None


def test_the_mean_of_a_games_seeds():
    found = estimates.mean_of_seeds([1.0, 2.0, 6.0])
    assert found.value == 3.0
    # Of the tables: Student's t with two degrees of freedom is 4.303 at 97.5 %; the deviation is the root of 7.
    assert found.low == pytest.approx(3.0 - 4.303 * (7 / 3) ** 0.5, abs=0.001)
    assert found.high == pytest.approx(3.0 + 4.303 * (7 / 3) ** 0.5, abs=0.001)
    assert estimates.mean_of_seeds([4.0]) == estimates.Estimate(4.0)
    assert estimates.mean_of_seeds([4.0, 4.0]) == estimates.Estimate(4.0, 4.0, 4.0)


def test_the_interval_of_few_seeds_holds_the_mean_as_often_as_it_says():
    draw = np.random.default_rng(3)
    found = [estimates.mean_of_seeds(draw.normal(size=3)) for _ in range(500)]
    assert np.mean([one.low < 0.0 < one.high for one in found]) == pytest.approx(0.95, abs=0.03)


def test_a_curve_is_the_aggregate_at_each_point():
    scores = np.stack([SCORES, SCORES * 2], axis=-1)  # [S, G, P]
    value, low, high = estimates.curve(scores)
    assert value == pytest.approx([slow_iqm(SCORES.ravel()), slow_iqm(2 * SCORES.ravel())])
    assert (low < value).all()
    assert (value < high).all()
    assert estimates.curve(scores[:1])[1:] == (None, None)


def test_a_missing_scipy_is_one_sentence(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("scipy"):
            raise ImportError("No module named 'scipy'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'rl-speed\[suite\]'"):
        estimates.check_scipy()
