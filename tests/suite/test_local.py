"""A run as a process of this machine."""

import json
import sys

import pytest

from rl_speed.suite import local
from rl_speed.system.errors import UserError
from tests.command_line import HANG_SECONDS


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts a program in the place of a run."""

    def begin(code, most_cores=None):
        real = local.subprocess.Popen
        monkeypatch.setattr(
            local.subprocess,
            "Popen",
            lambda arguments, **options: real([sys.executable, "-c", code, *arguments[3:]], **options),
        )
        return local.LocalRun({"folder": str(tmp_path), "seed": 3, "most_cores": most_cores})

    return begin


def test_it_is_told_its_spec_and_its_words_go_to_the_log(start, tmp_path):
    run = start("import sys; print(sys.argv[1]); sys.exit(3)")
    run._process.wait(HANG_SECONDS)
    assert run.status() == 3
    spec = json.loads((tmp_path / "run.log").read_text())
    assert spec["seed"] == 3
    assert spec["started"] > 0


@pytest.mark.parametrize("most_cores", [None, 1])
def test_it_uses_no_more_cores_than_it_may(start, most_cores, tmp_path):
    run = start("import os; print(os.environ.get('RL_SPEED_CORES'))", most_cores)
    run._process.wait(HANG_SECONDS)
    assert (tmp_path / "run.log").read_text().strip() == str(most_cores)


def test_it_hears_that_it_has_to_end(start):
    run = start("import os, sys; os.read(0, 1); sys.exit(75)")
    assert run.status() is None
    run.ask_to_end()
    run._process.wait(HANG_SECONDS)
    assert run.status() == 75
    run.kill()  # what is gone is no error


def test_what_has_ended_is_not_killed_again(start, monkeypatch):
    """Its number may be a stranger's by then."""
    killed = []
    monkeypatch.setattr(local, "kill_group", killed.append)
    monkeypatch.setattr(local, "kill_tree", killed.append)
    run = start("pass")
    run._process.wait(HANG_SECONDS)
    for _ in range(3):
        assert run.status() == 0
        run.kill()
    assert killed == [run._process.pid]


def test_what_cannot_be_started_is_one_sentence(start, tmp_path):
    (tmp_path / "run.log").mkdir()
    with pytest.raises(UserError, match=r"run\.log cannot be started \(.*directory"):
        start("pass")


def test_it_can_be_ended_at_once(start):
    run = start("import time; time.sleep(600)")
    run.kill()
    assert run.status() == -9
