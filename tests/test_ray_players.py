"""Whole runs with players in Ray: the ratio, what is left behind by every end, and what a run goes on through."""

import json
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

import rl_speed
from tests.clusters import cluster_of, kill_a_node
from tests.command_line import ENDLESS, HANG_SECONDS, assert_all_end, children, start, wait_for_checkpoint

pytestmark = [pytest.mark.ray, pytest.mark.skipif(os.name == "nt", reason="needs signals")]

PLAYERS = ENDLESS + "actors: {kind: ray, count: 2, rollout_env_steps: 2}\n"


@pytest.fixture(autouse=True)
def ray():
    return pytest.importorskip("ray")


def players(processes):
    found = []
    for process in processes:
        with suppress(psutil.Error):  # one that has just ended
            found += [process] if "RayActor" in " ".join(process.cmdline()) else []
    return found


def test_a_run_ends_at_its_limit_with_its_ratio(tmp_path, ray):
    overrides = {"actors.kind": "ray", "actors.count": 2, "logging.directory": str(tmp_path), "envs.count": 2}
    before = set(psutil.Process().children(recursive=True))
    result = rl_speed.train("smoke", {**overrides, "stop.confirm_episodes": 0})
    assert result.stop_reason == "max_env_steps"
    written = json.loads((tmp_path / "version_0" / "result.json").read_text())
    # One gradient step for every four env steps after the prefill, but for those that wait to make a whole batch.
    assert written["env_steps"] == 6000
    assert 0 <= (6000 - 1000) / 4 - written["gradient_steps"] <= 4
    assert not set(psutil.Process().children(recursive=True)) - before
    assert not ray.is_initialized()


@pytest.mark.parametrize("number", [pytest.param(signal.SIGHUP, marks=pytest.mark.exhaustive), signal.SIGTERM])
def test_a_signal_to_the_whole_group_saves_the_run_and_ends_it(tmp_path, number):
    process = start(tmp_path, PLAYERS)
    wait_for_checkpoint(tmp_path, process)
    started = children(process)
    assert len(players(started)) == 2
    os.killpg(process.pid, number)
    output, _ = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 128 + number, output
    assert "Traceback" not in output
    assert "NOT SOLVED (interrupted)" in output
    assert_all_end(started)
    result = json.loads((tmp_path / "lightning_logs/version_0/result.json").read_text())
    assert Path(result["checkpoint"]).name == f"gradient_steps={result['gradient_steps']:09d}"


@pytest.mark.exhaustive
def test_nothing_is_left_of_a_killed_run(tmp_path):
    process = start(tmp_path, PLAYERS)
    wait_for_checkpoint(tmp_path, process)
    started = children(process)
    assert len(players(started)) == 2
    process.kill()
    process.communicate()
    assert_all_end(started)


def test_a_run_goes_on_without_a_killed_player(tmp_path):
    process = start(tmp_path, PLAYERS)
    wait_for_checkpoint(tmp_path, process)
    players(children(process))[0].kill()
    deadline = time.monotonic() + HANG_SECONDS
    while len(players(children(process))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    wait_for_checkpoint(tmp_path, process, count=3)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 128 + signal.SIGINT, output
    assert "it comes back, its" in output
    assert "played anew" in output


@pytest.mark.long
def test_a_run_goes_on_without_a_killed_node(tmp_path):
    with cluster_of(2, cpus=1, head_cpus=1) as cluster:
        process = start(tmp_path, PLAYERS, "--set", f"actors.address={cluster.address}")
        wait_for_checkpoint(tmp_path, process)
        kill_a_node(cluster, players)
        said = []
        reader = threading.Thread(target=lambda: said.extend(iter(process.stdout.readline, "")))
        reader.start()
        deadline = time.monotonic() + HANG_SECONDS
        while not any("it comes back" in line for line in said) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1.0)
        newest = max(path.name for path in (tmp_path / "lightning_logs/version_0/checkpoints").iterdir())
        while (tmp_path / "lightning_logs/version_0/checkpoints" / newest).exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=HANG_SECONDS) == 128 + signal.SIGINT
        reader.join()
        assert not any("Traceback" in line for line in said)
