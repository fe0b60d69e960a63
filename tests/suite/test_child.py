"""The process of one run: what it leaves behind however it ends."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest
from filelock import FileLock

from rl_speed.suite import child, run
from rl_speed.suite.folder import locked
from rl_speed.system.errors import ConfigError
from tests.command_line import HANG_SECONDS
from tests.suite.made_up import plan_for, score

SPEC = {"cores": None, "patience_seconds": 60.0, "started": 0.0}


@pytest.fixture
def carry_out(tmp_path, monkeypatch):
    """Does what a process does, with something else in the place of training."""

    def call(work, stop=None, **changes):
        monkeypatch.setattr(run, "train_and_judge", work)
        return child._carry_out({**SPEC, "folder": str(tmp_path), **changes}, stop or threading.Event())

    return call


def failing_with(error):
    def work(spec, stop):
        raise error

    return work


def test_finished_or_interrupted(carry_out):
    assert carry_out(lambda spec, stop: True) == child.FINISHED
    assert carry_out(lambda spec, stop: False) == child.INTERRUPTED


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ConfigError("replay.n_step = 0 must be more\nsecond line"), "replay.n_step = 0 must be more"),
        (ValueError("two\nlines"), "ValueError: two lines"),
        (RuntimeError(), "RuntimeError:"),
        (ConfigError(), "ConfigError"),
    ],
)
def test_a_failure_leaves_its_sentence(carry_out, tmp_path, error, sentence):
    assert carry_out(failing_with(error)) == child.FAILED
    assert json.loads((tmp_path / "failure.json").read_text()) == {"error": sentence}


def test_what_is_refused_because_it_has_to_end_is_no_failure(carry_out, tmp_path):
    stop = threading.Event()
    stop.set()
    assert carry_out(failing_with(ConfigError("ended before its first game")), stop) == child.INTERRUPTED
    assert not (tmp_path / "failure.json").exists()


def test_a_run_that_another_process_has_finished_is_not_done_again(carry_out, tmp_path):
    plan = plan_for("pong", 1, ("smoke",))
    (tmp_path / "score.json").write_text(json.dumps(score(plan, plan.runs()[0], 1.0)))
    assert carry_out(failing_with(ValueError())) == child.FINISHED
    (tmp_path / "score.json").write_text("{}")
    assert carry_out(failing_with(ValueError())) == child.FAILED


def test_a_run_that_another_process_has_is_waited_for_and_then_left(carry_out, tmp_path):
    with locked(tmp_path):
        assert carry_out(lambda spec, stop: True, patience_seconds=-9.9) == child.FAILED
    assert "in use" in json.loads((tmp_path / "failure.json").read_text())["error"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system keeps no process to cores")
def test_a_process_is_kept_to_its_cores():
    code = (
        "import os; from rl_speed.suite.child import take_cores; from rl_speed.system.cores import usable_cores\n"
        "one = [max(os.sched_getaffinity(0))]; take_cores(None); take_cores(one)\n"
        "print(os.sched_getaffinity(0) == set(one), usable_cores().count)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["True", "1"]


def test_the_time_until_another_process_lets_go_is_not_the_runs(carry_out, tmp_path):
    other, seen = FileLock(str(tmp_path / ".lock"), thread_local=False), {}
    other.acquire()
    begun = time.monotonic()
    threading.Timer(0.5, lambda: other.release(force=True)).start()
    assert carry_out(lambda spec, stop: seen.update(spec) or True, started=begun) == child.FINISHED
    assert seen["started"] - begun >= 0.4


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system keeps no process to cores")
def test_cores_that_are_gone_are_a_failure_that_says_so(carry_out, tmp_path):
    assert carry_out(lambda spec, stop: True, cores=[10_000]) == child.FAILED
    assert "OSError" in json.loads((tmp_path / "failure.json").read_text())["error"]


def test_a_failure_is_noted_before_it_is_printed(tmp_path, monkeypatch):
    def full():
        raise OSError("no space left on device")

    monkeypatch.setattr(child.traceback, "print_exc", full)
    with pytest.raises(OSError, match="no space"):
        child._fail(tmp_path, "it broke")
    assert json.loads((tmp_path / "failure.json").read_text()) == {"error": "it broke"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no disk that is always full")
def test_a_full_disk_under_the_log_does_not_end_a_run():
    code = (
        "import sys; from rl_speed.suite import child\n"
        "child._carry_out = lambda spec, stop: print('x' * 99999) or print('x', file=sys.stderr, flush=True) or 0\n"
        "sys.argv = ['', '{\"patience_seconds\": 60}']; sys.exit(child.main())"
    )
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=full, stderr=full, timeout=HANG_SECONDS,
            check=False,
        )  # fmt: skip
    assert ended.returncode == 0
