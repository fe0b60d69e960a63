"""The verdict names what limits, what helps and what does not, by what was measured."""

import pytest

from rl_speed.bench.model import diagnosis, rows
from rl_speed.bench.model.rows import STAGE_ORDER
from tests.bench.measurements import described, measured_rows, measurement, solve_run


def texts(lines):
    return {line["label"]: line["text"] for line in lines}


def content(ladder, **changes):
    in_turn = {"actors": {"kind": "in_process"}, "trainer": {"devices": 1}}
    configs = {row["name"]: in_turn for row in ladder}
    return {"rows": ladder, "expectations": [], "solve": [], "configs": configs, "machine": {"cores": 2}} | changes


def test_the_verdict_names_limit_help_and_what_does_not():
    ladder, _ = measured_rows(native=80.0, actors=60.0)
    verdict = texts(diagnosis.verdict(ladder, [solve_run(0, True)]))
    assert verdict["What limits"] == "the gradient steps: 80 % of `baseline`'s time; CPU 90 % busy"
    assert verdict["Helps most"] == "`native`: x 2.00 samples/s"
    assert verdict["Helps too"] == "`actors` x 1.50 samples/s"
    assert verdict["Does not help"] == "`n_envs` x 1.05, `parallel` x 1.02, `slow_grads` x 0.95 samples/s"
    assert verdict["Solved"].startswith("`fast_cpu` with 1 of 1 seeds (0): median 5:00")


def two_rungs(*pairs, **changes):
    """`baseline` and `other` in so many repeats, as pairs of their env steps per second."""
    measurements = [
        measurement(name, repeat, value, **(changes if name == "other" else {}))
        for repeat, pair in enumerate(pairs)
        for name, value in zip(("baseline", "other"), pair, strict=True)
    ]
    return rows.make_rows(described("baseline", "other"), measurements)


def test_a_factor_leads_with_samples_and_has_env_steps_beside_it():
    # 5 samples an env step where `baseline` takes 32.
    fast = two_rungs((40.0, 2000.0), batch_size=240, per_update=48)
    assert texts(diagnosis.verdict(fast, []))["Helps most"] == "`other`: x 7.81 samples/s (x 50.00 env steps/s)"


def test_a_rung_that_is_slower_in_one_repeat_does_not_help():
    verdict = texts(diagnosis.verdict(two_rungs((40.0, 60.0), (40.0, 50.0), (40.0, 38.0)), []))
    assert verdict["Helps most"] == "nothing that was measured"
    assert verdict["Does not help"] == "`other` x 1.25 (0.95 .. 1.50) samples/s"


def test_more_env_steps_without_more_samples_do_not_help():
    verdict = texts(diagnosis.verdict(two_rungs((40.0, 160.0), per_update=4), []))
    assert verdict["Does not help"] == "`other` x 1.00 samples/s"


def test_without_baseline_the_fastest_rung_is_looked_at():
    speeds = {"n_envs": 42.0, "parallel": 41.0}
    ladder = rows.make_rows(described(*speeds), [measurement(name, 0, value) for name, value in speeds.items()])
    verdict = texts(diagnosis.verdict(ladder, []))
    assert "`n_envs`'s time" in verdict["What limits"]
    assert "`baseline` was not measured" in verdict["What helps"]
    assert "Helps most" not in verdict
    assert diagnosis.verdict([], []) == []


def test_a_baseline_that_failed_is_not_called_unmeasured():
    failed = [{"name": "baseline", "group": "ladder", "repeat": 0, "error": "its replay does not fit"}]
    ladder = rows.make_rows(described("baseline", "n_envs"), [*failed, measurement("n_envs", 0, 42.0)])
    assert texts(diagnosis.verdict(ladder, []))["What helps"] == "not known: `baseline` has failed"


@pytest.mark.parametrize("stage", STAGE_ORDER)
def test_every_stage_can_be_what_limits(stage):
    row = measured_rows()[0][0] | {"time_shares": dict.fromkeys(STAGE_ORDER, 0.01) | {stage: 0.94}}
    assert diagnosis.limit(row).startswith(diagnosis.WORDS[stage])


def test_the_details_hold_the_numbers_behind_the_verdict():
    ladder, _ = measured_rows(native=80.0)
    expectations = [
        {"name": name, "expected": 1.1, "measured": 1.0, "error_percent": error}
        for name, error in (("n_envs", 10.0), ("parallel", -20.0))
    ]
    details = texts(diagnosis.details(content(ladder, expectations=expectations, solve=[solve_run(0, True)])))
    assert "With everything but the gradient steps for nothing it would be x 1.25 at most" in details["Baseline"]
    assert "the 2.50 ms of acting and games in 25.0 ms (x 1.11)" in details["Playing apart"]
    assert "`parallel` is x 1.02 on 2" in details["Playing apart"]
    assert "`native` learns from 2,560 samples/s" in details["Fastest"]
    assert "off by 15 % on average, by 20 % at most (`parallel`)" in details["Expected"]
    assert {"Autograd", "Time to solve"} <= set(details)


def test_where_baseline_plays_apart_nothing_is_said_of_playing_apart():
    apart = {"actors": {"kind": "subprocess"}, "trainer": {"devices": 1}}
    details = texts(diagnosis.details(content(measured_rows()[0], configs={"baseline": apart})))
    assert "Baseline" in details
    assert "Playing apart" not in details


def test_the_diagnosis_is_the_verdict_as_one_text():
    whole = diagnosis.with_diagnosis(content(measured_rows()[0], answers={"old": "text"}))
    assert whole["diagnosis"].startswith("What limits: the gradient steps")
    assert "Does not help: `n_envs`" in whole["diagnosis"]
    assert "answers" not in whole
