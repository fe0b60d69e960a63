"""The process of one run: what it leaves behind however it ends."""

import json
import os
import subprocess
import sys
import threading

import pytest

from rl_speed.suite import child, run
from rl_speed.suite.folder import locked
from rl_speed.system.errors import ConfigError


@pytest.fixture
def carry_out(tmp_path, monkeypatch):
    """Does what a process does, with something else in the place of training."""

    def call(work, stop=None):
        monkeypatch.setattr(run, "train_and_judge", work)
        return child._carry_out({"folder": str(tmp_path)}, stop or threading.Event())

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
    (tmp_path / "score.json").write_text("{}")
    assert carry_out(failing_with(ValueError())) == child.FINISHED


def test_a_run_that_another_process_has_is_waited_for_and_then_left(carry_out, tmp_path, monkeypatch):
    monkeypatch.setattr(child, "PATIENCE_SECONDS", -9.9)
    with locked(tmp_path):
        assert carry_out(lambda spec, stop: True) == child.FAILED
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
