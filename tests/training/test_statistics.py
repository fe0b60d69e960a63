"""Running means, criteria and the goal, each against literal numbers."""

import pytest

from tests.training.stand_ins import end, make_statistics


def test_the_mean_is_over_the_window_only():
    statistics = make_statistics(window=3)
    for value in (-21, 1, 2, 3):
        statistics.count(end(value), 0, 12.5)
    assert statistics.average_return == 2.0
    assert statistics.episodes == 4


def test_the_goal_needs_a_full_window_and_a_game_of_every_env():
    statistics = make_statistics(window=4, envs=2)
    for _ in range(3):
        statistics.count(end(21, env=0), 0, 12.5)
    assert not statistics.has_reached_goal
    statistics.count(end(21, env=0), 0, 12.5)
    # Four games, but env 1 is still playing its first: short games end first.
    assert not statistics.has_reached_goal
    statistics.count(end(21, env=1), 0, 12.5)
    assert statistics.has_reached_goal


def test_the_goal_needs_a_full_window_of_one_env_too():
    statistics = make_statistics(window=3, envs=1)
    reached = []
    for _ in range(3):
        statistics.count(end(21), 0, 12.5)
        reached.append(statistics.has_reached_goal)
    assert reached == [False, False, True]


@pytest.mark.parametrize(("values", "expected"), [((19, 20, 19, 20), True), ((19, 20, 19, 19), False)])
def test_the_goal_itself_is_enough(values, expected):
    statistics = make_statistics(window=4, envs=1)
    for value in values:
        statistics.count(end(value), 0, 12.5)
    assert statistics.has_reached_goal == expected


def count_all(statistics, values, envs=1):
    for number, value in enumerate(values, 1):
        statistics.count(end(value, env=number % envs, env_steps=1000 * number), number, 12.5)


def test_clocks_note_when_each_criterion_was_first_met():
    # The window of the goal is another one: the criteria are over 100 games.
    statistics = make_statistics(window=2, envs=1)
    count_all(statistics, [18] * 100 + [21] * 100)
    assert statistics.clocks["mean100_18"] == {"seconds": 12.5, "env_steps": 100_000, "gradient_steps": 100}
    # 19.5 is half of the way from 18 to 21.
    assert statistics.clocks["mean100_19_5"]["env_steps"] == 150_000
    # An exponential mean of a few games says nothing.
    assert statistics.clocks["ema_17"]["env_steps"] == 50_000


def test_no_criterion_is_met_before_each_env_has_finished_a_game():
    statistics = make_statistics(window=2, envs=2)
    for number in range(120):
        statistics.count(end(21, env=0), number, 12.5)
    assert list(statistics.clocks.values()) == [None] * 3
    statistics.count(end(21, env=1), 120, 12.5)
    assert [clock["gradient_steps"] for clock in statistics.clocks.values()] == [120] * 3


def test_with_more_envs_than_the_window_has_games_each_env_counts():
    # The last games to end are the short ones of envs that play their second already.
    statistics = make_statistics(window=2, envs=5, reward=10.0)
    assert statistics.window_episodes == 5
    for env, value in enumerate([0, 0, 0, 21, 21]):
        statistics.count(end(value, env=env), 0, 12.5)
    assert statistics.average_return == pytest.approx(8.4)
    assert not statistics.has_reached_goal
    statistics.count(end(21, env=3), 0, 12.5)
    assert statistics.average_return == pytest.approx(12.6)
    assert statistics.has_reached_goal


def test_where_the_games_were_started_anew_the_means_are_too():
    statistics = make_statistics(window=3, envs=2)
    count_all(statistics, [21] * 120, envs=2)
    assert statistics.has_reached_goal
    statistics.restart_games()
    assert statistics.average_return is None
    for _ in range(3):
        statistics.count(end(21, env=0), 0, 12.5)
    assert not statistics.has_reached_goal
    statistics.count(end(-21, env=1), 0, 12.5)
    assert not statistics.has_reached_goal
    assert statistics.episodes == 124


def test_without_a_goal_none_is_reached():
    statistics = make_statistics(window=1, envs=1, reward=None)
    statistics.count(end(1000), 0, 12.5)
    assert not statistics.has_reached_goal


def test_the_recent_average_is_of_twenty_games():
    statistics = make_statistics(window=3)
    count_all(statistics, range(19))
    assert statistics.recent_average is None
    count_all(statistics, [100, 100])
    assert statistics.recent_average == pytest.approx((sum(range(1, 19)) + 200) / 20)


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


def test_the_curve_is_of_the_mean_and_resumes():
    first, second = make_statistics(window=2), make_statistics(window=2)
    count_all(first, [4, 8, 2])
    assert first.curve.points == [(12.5, 1000, 4.0), (12.5, 2000, 6.0), (12.5, 3000, 5.0)]
    second.load_state_dict(first.state_dict())
    assert second.curve.points == first.curve.points
    older = first.state_dict()
    del older["curve"]  # of a checkpoint that was written before there was one
    third = make_statistics()
    third.load_state_dict(older)
    assert third.curve.points == []
