"""What the runs have left."""

import numpy as np

from rl_speed.suite.folder import RunKey
from rl_speed.suite.reference import human_normalised
from rl_speed.suite.scores import read_games, read_scores
from tests.suite.made_up import made_up_suite, plan_for, write_failure

LOST, FAILED = RunKey(1, "pong", "smoke"), RunKey(2, "breakout", "smoke")


def test_every_run_is_finished_failed_or_missing(tmp_path):
    plan = plan_for("pong,breakout,adventure", 3, ("smoke",))
    out = made_up_suite(tmp_path / "s", plan, leave_out=[LOST, FAILED])
    write_failure(out, FAILED, "it broke")
    scores = read_scores(out, plan)
    assert scores.missing == [LOST]
    assert scores.failed == {FAILED: "it broke"}
    assert len(scores.finished) == 7
    assert scores.of_game("smoke", "pong") == [10.0, 12.0]
    assert scores.ranked_games == ["pong", "breakout"]
    assert scores.whole_seeds("smoke") == [0]
    assert np.allclose(scores.matrix("smoke"), [[human_normalised(game, 10.0) for game in ("pong", "breakout")]])


def test_a_suite_that_has_just_begun_has_an_empty_matrix(tmp_path):
    plan = plan_for("pong,breakout", 2, ("smoke",))
    out = made_up_suite(tmp_path / "s", plan, leave_out=plan.runs())
    scores = read_scores(out, plan)
    assert scores.matrix("smoke").shape == (0, 2)
    assert scores.missing == plan.runs()


def test_a_broken_file_is_a_failure_that_says_so(tmp_path):
    plan = plan_for("pong", 2, ("smoke",))
    out = made_up_suite(tmp_path / "s", plan)
    first, second = plan.runs()
    (first.folder(out) / "score.json").write_text("{")
    (second.folder(out) / "score.json").unlink()
    (second.folder(out) / "failure.json").write_text("[]")
    (second.folder(out) / "episodes.csv").write_text("seconds,env_steps,return\n1,x,2\n")
    scores = read_scores(out, plan)
    assert "start the suite again" in scores.failed[first]
    assert "cannot be read" in scores.failed[second]
    assert read_games(out, [first, second]).keys() == {first}
