"""The curve that checkpoints hold."""

from itertools import pairwise

import pytest

from rl_speed.training.return_curve import MOST_POINTS, ReturnCurve


def draw(curve, games):
    for game in games:
        curve.add(0.5 * game, 100 * game, float(game % 7))


def test_a_short_run_is_kept_whole():
    curve = ReturnCurve()
    draw(curve, range(MOST_POINTS))
    assert curve.points == [(0.5 * game, 100 * game, float(game % 7)) for game in range(MOST_POINTS)]


def test_a_long_run_is_thinned_evenly_over_all_of_it():
    curve = ReturnCurve()
    draw(curve, range(10 * MOST_POINTS))
    *games, newest = [env_steps // 100 for _, env_steps, _ in curve.points]
    assert newest == 10 * MOST_POINTS - 1
    assert MOST_POINTS // 2 <= len(games) <= MOST_POINTS
    assert {later - earlier for earlier, later in pairwise(games)} == {16}
    assert games[0] == 0
    assert games[-1] >= 10 * MOST_POINTS - 16


@pytest.mark.parametrize("games", [1, MOST_POINTS, MOST_POINTS + 1, MOST_POINTS + 2, 2 * MOST_POINTS + 1, 4321])
def test_the_newest_game_is_always_its_end(games):
    curve = ReturnCurve()
    draw(curve, range(games))
    seconds = [point[0] for point in curve.points]
    assert seconds[-1] == 0.5 * (games - 1)
    assert seconds == sorted(set(seconds))


def test_it_resumes():
    whole, first, second = ReturnCurve(), ReturnCurve(), ReturnCurve()
    draw(whole, range(5000))
    draw(first, range(2345))
    second.load_state_dict(first.state_dict())
    draw(second, range(2345, 5000))
    assert second.points == whole.points
