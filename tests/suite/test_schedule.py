"""Runs are started, seen to end, and asked to end, whatever they are."""

import json

import pytest

from rl_speed.suite import schedule
from rl_speed.suite.child import INTERRUPTED
from rl_speed.suite.folder import RunKey
from rl_speed.suite.schedule import Runner, carry_out, spec_of
from tests.suite.made_up import made_up_suite, plan_for, write_failure, write_score


class Run:
    """Ends after some looks, with a score or another way to end."""

    def __init__(self, looks, end):
        self.looks, self.end = looks, end
        self.was_asked = self.was_killed = False

    def status(self):
        self.looks -= 1
        return self.end() if self.looks <= 0 else None

    def ask_to_end(self):
        self.was_asked = True
        self.looks = 0

    def kill(self):
        self.was_killed = True


@pytest.fixture
def suite(tmp_path, monkeypatch):
    monkeypatch.setattr(schedule, "LOOK_SECONDS", 0.0)
    plan = plan_for("pong,breakout", 2, ("smoke",))
    return plan, made_up_suite(tmp_path / "s", plan, leave_out=plan.runs())


def runner(plan, out, ends, started, at_once=2):
    """Each run ends as `ends` says for it, by default with a score."""

    def start(spec, slot):
        key = RunKey(spec["seed"], spec["game"], spec["preset"])
        started.append((key, slot))

        def end():
            if key in ends:
                return ends[key](key)
            write_score(out, plan, key, 1.0)
            return 0

        return Run(2, end)

    return Runner(at_once, "", start)


def test_all_runs_are_done_once_and_in_order(suite):
    plan, out = suite
    started, lines = [], []
    assert carry_out(plan, out, runner(plan, out, {}, started), lines.append) is False
    assert [key for key, _ in started] == plan.runs()
    assert {slot for _, slot in started} == {0, 1}
    assert lines[0] == "4 runs: 0 finished, 4 to do"
    assert "[4/4]" in lines[-1]
    assert "mean 1.00 over 2 games" in lines[-1]
    again = []
    assert carry_out(plan, out, runner(plan, out, {}, again), lines.append) is False
    assert again == []


def test_a_failure_does_not_end_the_others_and_is_tried_again(suite):
    plan, out = suite
    first, second, third, _ = plan.runs()

    def diverge(key):
        write_failure(out, key, "the run has diverged")
        return 1

    ends = {first: diverge, second: lambda key: -9, third: lambda key: INTERRUPTED}
    started, lines = [], []
    assert carry_out(plan, out, runner(plan, out, ends, started), lines.append) is True
    assert len(started) == 4
    text = "\n".join(lines)
    assert "pong, seed 0: failed: the run has diverged" in text
    assert "was killed by signal 9" in text
    assert "was interrupted and saved" in text
    assert json.loads((second.folder(out) / "failure.json").read_text())["error"].endswith("run.log")
    again = []
    assert carry_out(plan, out, runner(plan, out, {}, again), lines.append) is False
    assert sorted(key for key, _ in again) == sorted([first, second, third])


def test_an_old_failure_is_not_taken_for_a_new_one(suite):
    plan, out = suite
    first = plan.runs()[0]
    write_failure(out, first, "of last time")
    lines = []
    carry_out(plan, out, runner(plan, out, {first: lambda key: 3}, []), lines.append)
    assert "ended with exit status 3" in "\n".join(lines)
    assert "of last time" not in "\n".join(lines)


def test_an_interrupt_asks_all_runs_in_work_to_end(suite):
    plan, out = suite
    runs = []

    def interrupted():
        raise KeyboardInterrupt

    def start(spec, slot):
        runs.append(Run(1, interrupted) if len(runs) == 1 else Run(100, lambda: INTERRUPTED))
        return runs[-1]

    runs_before = Runner(2, "", start)
    with pytest.raises(KeyboardInterrupt):
        carry_out(plan, out, runs_before, lambda text: None)
    assert len(runs) == 2
    assert runs[0].was_asked
    assert runs[0].was_killed


def test_a_spec_travels_as_json(suite):
    plan, out = suite
    key = plan.runs()[0]
    spec = json.loads(json.dumps(spec_of(plan, key, out)))
    assert spec["folder"] == str(out / "smoke" / "pong" / "seed_0")
    assert spec["changes"][-1]["envs.game"] == "pong"
