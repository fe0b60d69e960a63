"""Runs are started, seen to end, and asked to end, whatever they are."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from rl_speed.suite import schedule
from rl_speed.suite.child import INTERRUPTED, LOST
from rl_speed.suite.folder import END_FILE, RunKey
from rl_speed.suite.schedule import Runner, carry_out, make_runner, spec_of
from rl_speed.system.cores import Cores
from rl_speed.system.errors import UserError
from tests.suite.made_up import made_up_suite, plan_for, suite_of, write_failure, write_score


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
    return suite_of(plan, made_up_suite(tmp_path / "s", plan, leave_out=plan.runs()))


def runner(suite, ends, started, at_once=2):
    """Each run ends as `ends` says for it, by default with a score."""

    def start(spec, slot):
        key = RunKey(spec["seed"], spec["game"], spec["preset"])
        started.append((key, slot))

        def end():
            if key in ends:
                return ends[key](key)
            write_score(suite.out, suite.plan, key, 1.0)
            return 0

        return Run(2, end)

    return Runner(at_once, "", start)


def test_all_runs_are_done_once_and_in_order(suite):
    started, lines = [], []
    carry_out(suite, runner(suite, {}, started), lines.append)
    assert [key for key, _ in started] == suite.plan.runs()
    assert {slot for _, slot in started} == {0, 1}
    assert lines[0] == "4 runs: 0 finished, 4 to do"
    assert "[4/4]" in lines[-1]
    assert "mean 1.00 over 2 games" in lines[-1]
    again = []
    carry_out(suite, runner(suite, {}, again), lines.append)
    assert again == []


def test_a_failure_does_not_end_the_others_and_is_tried_again(suite):
    first, second, third, last = suite.plan.runs()

    def diverge(key):
        write_failure(suite.out, key, "the run has diverged")
        return 1

    ends = {
        first: diverge, second: lambda key: -9, third: lambda key: INTERRUPTED, last: lambda key: LOST,
    }  # fmt: skip
    started, lines = [], []
    carry_out(suite, runner(suite, ends, started), lines.append)
    assert len(started) == 4
    text = "\n".join(lines)
    assert "pong, seed 0: failed: the run has diverged" in text
    assert "was killed by signal 9" in text
    assert "was interrupted and saved" in text
    assert "was lost with its node" in text
    assert json.loads((second.folder(suite.out) / "failure.json").read_text())["error"].endswith("run.log")
    again = []
    carry_out(suite, runner(suite, {}, again), lines.append)
    assert [key for key, _ in again] == suite.plan.runs()


def test_an_old_failure_is_not_taken_for_a_new_one(suite):
    first = suite.plan.runs()[0]
    write_failure(suite.out, first, "of last time")
    (first.folder(suite.out) / END_FILE).touch()
    lines = []
    carry_out(suite, runner(suite, {first: lambda key: 3}, []), lines.append)
    assert "ended with exit status 3" in "\n".join(lines)
    assert "of last time" not in "\n".join(lines)
    assert not (first.folder(suite.out) / END_FILE).exists()  # nor an old wish that it ends for a new one


def test_a_score_that_cannot_be_used_is_made_anew(suite):
    carry_out(suite, runner(suite, {}, []), lambda text: None)
    first, second, *_ = suite.plan.runs()
    (first.folder(suite.out) / "score.json").write_text("{")
    (second.folder(suite.out) / "score.json").write_text('{"evaluation": {}}')
    again = []
    carry_out(suite, runner(suite, {}, again), lambda text: None)
    assert [key for key, _ in again] == [first, second]


def test_an_interrupt_asks_all_runs_in_work_to_end(suite):
    runs = []

    def interrupted():
        raise KeyboardInterrupt

    def start(spec, slot):
        runs.append(Run(1, interrupted) if len(runs) == 1 else Run(100, lambda: INTERRUPTED))
        return runs[-1]

    runs_before = Runner(2, "", start)
    with pytest.raises(KeyboardInterrupt):
        carry_out(suite, runs_before, lambda text: None)
    assert len(runs) == 2
    assert runs[0].was_asked
    assert runs[0].was_killed


def test_runs_are_saved_though_one_cannot_be_asked(suite):
    def of_no_node():
        raise UserError("a node does not see the folder")

    bad, good = Run(3, of_no_node), Run(100, lambda: INTERRUPTED)
    looks = []

    def asked():
        good.was_asked, good.looks = True, 3  # it takes a while to save itself

    good.ask_to_end = asked
    good.kill = lambda: looks.append(good.looks)
    runs = [bad, good]
    with pytest.raises(UserError, match="does not see"):
        carry_out(suite, Runner(2, "", lambda spec, slot: runs[slot]), lambda text: None)
    assert good.was_asked
    assert looks == [0]  # not before it was saved
    assert bad.was_killed


def test_a_full_disk_is_one_sentence_before_runs_fill_it(suite, monkeypatch):
    config = suite.config(suite.plan.runs()[0])
    replay = config.model_copy(update={"replay": config.replay.model_copy(update={"capacity_env_steps": 4_000_000})})
    large = replace(suite, configs=dict.fromkeys(suite.configs, replay))
    monkeypatch.setattr(schedule.shutil, "disk_usage", lambda path: SimpleNamespace(free=30 * 10**9))
    started = []
    with pytest.raises(UserError, match=r"42\.\d GB for their replays .*30\.0 GB are free; make room"):
        carry_out(large, runner(large, {}, started), lambda text: None)
    assert len(started) == 1  # there is room for one, but not for two side by side


def test_what_a_run_may_take_to_save_itself_follows_from_what_there_is_to_save(suite):
    config = suite.config(suite.plan.runs()[0])
    large = config.model_copy(update={"replay": config.replay.model_copy(update={"capacity_env_steps": 4_000_000})})
    with make_runner(suite.plan, {("smoke", "pong"): large}, 4, None) as made:
        assert made.patience_seconds == pytest.approx(4 * 7.13e9 / 50e6, rel=0.01)
        assert "GB of the disk" in made.description
    with make_runner(suite.plan, suite.configs, 4, None) as made:
        assert made.patience_seconds == 60.0


def test_runs_are_told_of_a_quotas_cores_and_no_others(suite, monkeypatch):
    specs = []
    monkeypatch.setattr(schedule, "LocalRun", specs.append)
    monkeypatch.setattr(schedule, "usable_cores", lambda: Cores(2, 2, "2 by the container's quota"))
    monkeypatch.setattr(schedule.os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.setattr(schedule.os, "sched_setaffinity", None, raising=False)
    with make_runner(suite.plan, suite.configs, 2, None) as made:
        for slot in range(2):
            made.start({}, slot)
    assert [spec["cores"] for spec in specs] == [[0], [1]]


def test_a_spec_travels_as_json_with_the_configuration_as_it_was_read_once(suite):
    key = suite.plan.runs()[2]
    spec = json.loads(json.dumps(spec_of(suite.plan, key, suite.out, suite.config(key))))
    assert spec["folder"] == str(key.folder(suite.out))
    assert spec["config"]["envs"]["game"] == key.game
    assert spec["config"]["seed"] == key.seed == 1
    assert spec["config"]["stop"]["max_env_steps"] == 100_000
    assert "source" not in spec
