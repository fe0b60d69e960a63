"""A run counts as solved if its confirmation bears it out; else the bench says why not."""

from rl_speed.bench.model.solving import solving, time_to_solve, why_not_solved
from tests.bench.measurements import confirmation, solve_run


def test_only_a_confirmation_that_reaches_the_goal_counts():
    assert why_not_solved(solve_run(0, True)) is None
    assert why_not_solved(solve_run(0, True) | {"confirmation": confirmation(19.5)}) is None
    # As training itself once recorded it.
    short = solve_run(0, True) | {"confirmation": confirmation(18.97)}
    del short["failed_confirmations"]
    assert why_not_solved(short) == "its confirmation, 18.97, is below the goal of 19.5"
    assert why_not_solved(solve_run(0, True) | {"confirmation": None}) == "no confirmation was played"


def test_a_run_whose_confirmations_failed_names_them():
    failed = [confirmation(18.9) | {"env_steps": 900, "seconds": 280.0}, confirmation(19.1)]
    run = solve_run(1, False, 600.0) | {"stop_reason": "not_confirmed", "failed_confirmations": failed}
    reason = why_not_solved(run)
    assert "it reached a mean of 3.00 in 10:00 (not_confirmed)" in reason
    assert reason.endswith("confirmations below the goal of 19.5: 18.90, 19.10")


def test_runs_without_a_goal_or_a_game_or_a_result():
    assert "no goal" in why_not_solved(solve_run(0, False) | {"stop_reward": None, "avg_reward": None})
    assert "no game ended in 5:00 (max_seconds)" in why_not_solved(solve_run(0, False) | {"avg_reward": None})
    assert why_not_solved({"name": "x", "seed": 0, "error": "broke"}) == "it failed: broke"


def test_time_to_solve_is_of_the_runs_that_count():
    doubted = solve_run(2, True, 100.0) | {"confirmation": confirmation(18.9)}
    runs = [solve_run(0, True, 300.0), solve_run(1, True, 400.0), doubted]
    assert time_to_solve("fast_cpu", runs) == "`fast_cpu` with 2 of 3 seeds (0, 1): median 5:50, 5:00 to 6:40"
    assert time_to_solve("fast_cpu", [doubted]) == "`fast_cpu` with 0 of 1 seeds; fewer than 3 seeds bear no claim"
    text = solving(runs)
    assert "Seed 2 does not count: its confirmation, 18.90" in text
    assert "Seed 0" not in text
    assert solving([]) is None
