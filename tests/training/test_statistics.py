"""Running means, criteria and the goal, each against literal numbers."""

import pytest

from tests.training.stand_ins import end, make_statistics


def test_the_mean_is_over_the_window_only():
    statistics = make_statistics(window=3)
    for value in (-21, 1, 2, 3):
        statistics.count(end(value), 0, 12.5)
    assert statistics.average_return == 2.0
    assert statistics.episodes == 4


def test_solved_needs_a_full_window_and_a_game_of_every_env():
    statistics = make_statistics(window=4, envs=2)
    for _ in range(3):
        statistics.count(end(21, env=0), 0, 12.5)
    assert not statistics.is_solved
    statistics.count(end(21, env=0), 0, 12.5)
    # Four games, but env 1 is still playing its first: short games end first.
    assert not statistics.is_solved
    statistics.count(end(21, env=1), 0, 12.5)
    assert statistics.is_solved


@pytest.mark.parametrize(("values", "expected"), [((19, 20, 19, 20), True), ((19, 20, 19, 19), False)])
def test_the_goal_itself_is_enough(values, expected):
    statistics = make_statistics(window=4, envs=1)
    for value in values:
        statistics.count(end(value), 0, 12.5)
    assert statistics.is_solved == expected


def test_clocks_note_when_each_criterion_was_first_met():
    statistics = make_statistics(window=2, envs=1)
    for number, value in enumerate([17, 18, 18, 20, 21, 21]):
        statistics.count(end(value, env_steps=1000 * number), number, 12.5)
    assert statistics.clocks["mean100_18"] == {"seconds": 12.5, "env_steps": 2000, "gradient_steps": 2}
    # The exponential mean starts at the first return, 17.
    assert statistics.clocks["ema_17"]["env_steps"] == 0
    assert statistics.clocks["mean100_19_5"]["env_steps"] == 4000


def test_the_exponential_mean_by_hand():
    statistics = make_statistics()
    for value in (10, 20, 0):
        statistics.count(end(value), 0, 12.5)
    assert statistics.ema == pytest.approx(0.98 * (0.98 * 10 + 0.02 * 20))


def test_statistics_resume():
    first, second = make_statistics(), make_statistics()
    for number in range(7):
        first.count(end(number, env=number % 2), number, 12.5)
    second.load_state_dict(first.state_dict())
    for statistics in (first, second):
        statistics.count(end(30, env=1), 9, 12.5)
    assert first.state_dict() == second.state_dict()
    assert first.average_return == second.average_return
