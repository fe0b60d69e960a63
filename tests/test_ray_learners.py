"""Whole runs whose ranks are workers of Ray Train: they go on when a worker or a node is killed, and end together."""

import json
import os
import re
import signal

import psutil
import pytest

import rl_speed
from rl_speed.system.errors import UserError
from rl_speed.training.checkpoint.folders import find_last
from rl_speed.training.checkpoint.reading import read_experience
from tests.clusters import cluster_of, kill_a_node
from tests.command_line import ENDLESS, HANG_SECONDS, assert_all_end, children, start, wait_for_checkpoint
from tests.corridor import RUN, Corridor, merged

pytestmark = [pytest.mark.ray, pytest.mark.skipif(os.name == "nt", reason="needs signals")]

LEARNERS = (
    ENDLESS.replace("count: 2", "count: 4").replace("max_env_steps: null", "max_env_steps: 3000")
    + "trainer: {devices: 2, launcher: ray}\n"
)


@pytest.fixture(autouse=True)
def ray():
    return pytest.importorskip("ray")


def learners(processes):
    return [process for process in processes if "RayTrainWorker" in " ".join(process.cmdline())]


def assert_it_ends_at_its_limit(directory, process):
    output, _ = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert "NOT SOLVED (max_env_steps)" in output
    result = json.loads((directory / "lightning_logs/version_0/result.json").read_text())
    assert 3000 <= result["env_steps"] < 3000 + 16  # whole rollouts of both ranks
    assert result["plan"]["world_size"] == 2
    newest = find_last(directory / "lightning_logs")
    assert [read_experience(newest, rank)["dataset"]["gradient_steps"] for rank in (0, 1)] == [
        result["gradient_steps"]
    ] * 2
    assert not (directory / "lightning_logs/version_0/.ray").exists()
    return output


@pytest.mark.long
def test_a_killed_learner_costs_what_came_after_the_last_checkpoint(tmp_path):
    process = start(tmp_path, LEARNERS)
    wait_for_checkpoint(tmp_path, process)
    started = children(process)
    workers = learners(started)
    assert len(workers) == 2
    workers[0].kill()
    output = assert_it_ends_at_its_limit(tmp_path, process)
    assert re.search(r"a rank was lost: all are started anew, and go on from gradient_steps=\d+", output)
    assert_all_end(started)


@pytest.mark.long
def test_a_killed_node_with_a_learner_and_a_player_on_it(tmp_path):
    text = LEARNERS + "actors: {kind: ray, count: 2, rollout_env_steps: 2}\n"
    with cluster_of(3, cpus=2, head_cpus=0) as cluster:
        process = start(tmp_path, text, "--set", f"actors.address={cluster.address}")
        wait_for_checkpoint(tmp_path, process)
        kill_a_node(cluster, learners)
        assert "a rank was lost" in assert_it_ends_at_its_limit(tmp_path, process)


@pytest.mark.long
def test_ctrl_c_saves_the_run_on_all_ranks(tmp_path):
    process = start(tmp_path, LEARNERS.replace("3000", "null"))
    wait_for_checkpoint(tmp_path, process)
    started = children(process)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 130, output
    assert output.count("NOT SOLVED (interrupted)") == 1
    result = json.loads((tmp_path / "lightning_logs/version_0/result.json").read_text())
    assert find_last(tmp_path / "lightning_logs").name == f"gradient_steps={result['gradient_steps']:09d}"
    assert_all_end(started)


class Refusing(Corridor):
    """A game that the user has to put right."""

    def step(self, action):
        raise UserError("the game wants a coin; insert one")


def test_a_users_mistake_ends_all_at_once_in_its_sentence(tmp_path, ray):
    content = merged(RUN, {"trainer": {"devices": 2, "launcher": "ray"}, "logging": {"directory": str(tmp_path)}})
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(UserError, match="the game wants a coin; insert one"):
        rl_speed.train("baseline", content, env=Refusing)
    assert not ray.is_initialized()
    assert_all_end(set(psutil.Process().children(recursive=True)) - before)
