"""Runs as tasks of a Ray cluster."""

import json
from types import SimpleNamespace

import pytest

from rl_speed.suite.placement import Placement
from rl_speed.suite.ray_tasks import TaskRun, ray_runner, run_on_node
from rl_speed.system.errors import UserError
from tests.command_line import call
from tests.suite.made_up import plan_for

# As short as a run can be.
TINY = """
extends: smoke
envs: {backend: classic, count: 2, max_episode_frames: 100, image_height: 20, image_width: 20}
replay: {capacity_env_steps: 2000, prefill_env_steps: 100}
network: {channels: [4], kernels: [4], strides: [4], hidden: 8}
update: {env_steps_per_gradient_step: 4, batch_size: 8, threads: 1}
"""


def ray_that(answer):
    """A module of Ray whose only task has this answer; None: not yet."""

    def get(reference):
        if isinstance(answer, Exception):
            raise answer
        return answer

    return SimpleNamespace(
        wait=lambda references, timeout: ([], references) if answer is None else (references, []), get=get
    )


@pytest.mark.parametrize(("answer", "status"), [(None, None), (0, 0), (-9, -9), (RuntimeError("the node is gone"), 1)])
def test_a_tasks_answer_is_its_runs_status(answer, status):
    run = TaskRun(ray_that(answer), object())
    assert run.status() == status
    run.kill()  # a task that cannot be cancelled is no error


def test_a_node_that_does_not_see_the_folder_is_one_sentence(tmp_path):
    status = run_on_node({"folder": str(tmp_path / "nowhere")})
    with pytest.raises(UserError, match="a folder that all nodes share"):
        TaskRun(ray_that(status), object()).status()


def cluster_with(places, monkeypatch, asked):
    class Cluster:
        ray = SimpleNamespace(remote=lambda **settings: asked.append(settings) or (lambda function: function))

        def places(self, cpus):
            return places // cpus

        def close(self):
            asked.append("closed")

    monkeypatch.setattr("rl_speed.suite.ray_tasks.connect", lambda *_: Cluster())


def test_as_many_runs_as_the_cluster_has_room_for(monkeypatch):
    asked = []
    cluster_with(16, monkeypatch, asked)
    with ray_runner("auto", Placement(1, ""), 4) as (count, _):
        assert count == 4
    with ray_runner("auto", Placement(4, ""), 4) as (count, _):
        assert count == 16
    assert [settings["num_cpus"] for settings in asked if settings != "closed"] == [4, 1]
    assert asked.count("closed") == 2


def test_no_room_is_one_sentence(monkeypatch):
    asked = []
    cluster_with(2, monkeypatch, asked)
    with pytest.raises(UserError, match="no node has the 4 CPUs"), ray_runner("auto", Placement(1, ""), 4):
        pass
    assert asked == ["closed"]


@pytest.mark.ray
def test_a_suite_on_a_cluster_of_two_nodes(tmp_path):
    pytest.importorskip("ray")
    from tests.clusters import cluster_of

    (tmp_path / "tiny.yaml").write_text(TINY)
    with cluster_of(1, cpus=1, head_cpus=1) as cluster:
        answer = call(
            "suite", "--games", "pong,breakout", "--seeds", "1", "--preset", "tiny.yaml", "--env-steps", "600",
            "--episodes", "2", "--out", "s", "--at-once", "2", "--address", cluster.address, cwd=tmp_path,
        )  # fmt: skip
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "runs in the Ray cluster at once: 2" in answer.stdout
    for key in plan_for("pong,breakout", 1, ("smoke",)).runs():
        content = json.loads((tmp_path / "s" / "tiny" / key.game / "seed_0" / "score.json").read_text())
        assert content["training"]["stop_reason"] == "max_env_steps"
