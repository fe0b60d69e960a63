"""Curves against slow oracles."""

import numpy as np
import pytest

from rl_speed.suite import curves
from rl_speed.suite.folder import RunKey
from rl_speed.suite.record import Episodes
from rl_speed.suite.reference import human_normalised
from rl_speed.suite.scores import read_games, read_scores
from tests.suite.made_up import made_up_suite, plan_for, write_score


def test_the_running_mean_is_over_the_last_games():
    returns = np.arange(50.0)
    slow = [np.mean(returns[max(0, end - curves.WINDOW_EPISODES) : end]) for end in range(1, 51)]
    assert curves.running_mean(returns) == pytest.approx(slow)


def test_a_point_shows_what_was_known_there():
    episodes = Episodes([1.0, 3.0, 3.0], [10, 30, 30], [2.0, 4.0, 9.0])
    values = curves.at_points(episodes, "env_steps", np.array([0.0, 9.0, 10.0, 29.0, 30.0, 99.0]))
    assert np.isnan(values[:2]).all()
    assert values[2:] == pytest.approx([2.0, 2.0, 5.0, 5.0])
    assert curves.at_points(episodes, "seconds", np.array([2.9]))[0] == 2.0


def suite_of(tmp_path, plan, **options):
    out = made_up_suite(tmp_path / "s", plan, **options)
    scores = read_scores(out, plan)
    return out, scores, read_games(out, list(scores.finished))


def test_a_presets_curve_is_over_its_whole_seeds_from_the_first_game_on(tmp_path):
    plan = plan_for("pong,breakout", 3, ("smoke",))
    lost = RunKey(2, "pong", "smoke")
    _, scores, games = suite_of(tmp_path, plan, leave_out=[lost])
    curve = curves.preset_curve(scores, games, "smoke", "env_steps")
    # Two games each, at half of the env steps and at their end.
    assert curve.x[0] >= 50_000 > curve.x[0] - 100_000 / (curves.POINTS - 1)
    assert curve.x[-1] == 100_000
    first = sorted(human_normalised(key.game, (10.0 + key.seed) / 2) for key in plan.runs() if key.seed < 2)
    last = sorted(human_normalised(key.game, 0.75 * (10.0 + key.seed)) for key in plan.runs() if key.seed < 2)
    assert curve.value[0] == pytest.approx(np.mean(first[1:3]))
    assert curve.value[-1] == pytest.approx(np.mean(last[1:3]))
    assert (curve.low <= curve.value).all()
    assert (curve.value <= curve.high).all()


def test_a_curve_ends_where_the_first_run_does(tmp_path):
    plan = plan_for("pong,breakout", 2, ("smoke",))
    out, *_ = suite_of(tmp_path, plan)
    write_score(out, plan, RunKey(1, "pong", "smoke"), 3.0, seconds=40.0)
    scores = read_scores(out, plan)
    games = read_games(out, list(scores.finished))
    assert curves.preset_curve(scores, games, "smoke", "seconds") is None  # others' first games came after 50 s
    write_score(out, plan, RunKey(1, "pong", "smoke"), 3.0, seconds=60.0)
    scores = read_scores(out, plan)
    curve = curves.preset_curve(scores, read_games(out, list(scores.finished)), "smoke", "seconds")
    assert curve.x[-1] == 60.0


def test_without_games_there_is_no_curve(tmp_path):
    plan = plan_for("pong", 1, ("smoke",))
    out, scores, games = suite_of(tmp_path, plan)
    assert curves.preset_curve(scores, {}, "smoke", "seconds") is None
    assert curves.preset_curve(scores, games, "smoke", "seconds").low is None
    write_score(out, plan, plan.runs()[0], 3.0, returns=[])
    games = read_games(out, plan.runs())
    assert curves.preset_curve(scores, games, "smoke", "seconds") is None
    assert curves.game_curve(scores, games, "smoke", "pong") is None


def test_a_games_band_is_from_the_lowest_to_the_highest_seed(tmp_path):
    plan = plan_for("adventure", 3, ("smoke",))
    _, scores, games = suite_of(tmp_path, plan)
    curve = curves.game_curve(scores, games, "smoke", "adventure")
    assert [curve.low[-1], curve.value[-1], curve.high[-1]] == pytest.approx([7.5, 8.25, 9.0])
    assert curves.preset_curve(scores, games, "smoke", "seconds") is None  # no reference
