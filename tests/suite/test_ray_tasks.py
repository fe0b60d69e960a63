"""Runs as tasks of a Ray cluster."""

import json
import signal
import subprocess
import time
from types import SimpleNamespace

import pytest

from rl_speed.suite import ray_tasks
from rl_speed.suite.child import LOST
from rl_speed.suite.placement import Placement
from rl_speed.suite.ray_tasks import TaskRun, ray_runner, run_on_node
from rl_speed.system.errors import UserError
from tests.command_line import HANG_SECONDS, call, command, heed_signals
from tests.suite.made_up import plan_for

# As short as a run can be.
TINY = """
extends: smoke
envs: {backend: classic, count: 2, max_episode_frames: 100, image_height: 20, image_width: 20}
replay: {capacity_env_steps: 2000, prefill_env_steps: 100}
network: {channels: [4], kernels: [4], strides: [4], hidden: 8}
update: {env_steps_per_gradient_step: 4, batch_size: 8, threads: 1}
"""


class RayTaskError(Exception):
    """As Ray's: what the function of a task has raised."""

    def __init__(self, cause):
        self.cause = cause


def ray_that(answer):
    """A module of Ray whose only task has this answer; None: not yet."""

    def get(reference):
        if isinstance(answer, Exception):
            raise answer
        return answer

    return SimpleNamespace(
        wait=lambda references, timeout: ([], references) if answer is None else (references, []), get=get,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (None, None),
        (0, 0),
        (-9, -9),
        (RuntimeError("the node is gone"), LOST),
        (RayTaskError(OSError("Stale file handle")), LOST),
    ],
)
def test_a_tasks_answer_is_its_runs_status(answer, status, tmp_path):
    run = TaskRun(ray_that(answer), object(), tmp_path)
    assert run.status() == status
    run.kill()  # a task that cannot be cancelled is no error


class RunOnNode:
    """Saves itself when it is asked to end, which takes a few looks."""

    def __init__(self, spec):
        self.told, self.looks = [], 3

    def status(self):
        self.looks -= "asked" in self.told
        if "asked" not in self.told:
            raise KeyboardInterrupt  # as Ray has a cancelled task see it
        return 75 if self.looks <= 0 else None

    def ask_to_end(self):
        self.told.append("asked")

    def kill(self):
        self.told.append("killed" if self.looks > 0 else "gone")


def test_a_task_that_is_cancelled_waits_until_its_run_is_saved(tmp_path, monkeypatch):
    runs = []
    monkeypatch.setattr(ray_tasks, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(ray_tasks, "LocalRun", lambda spec: runs.append(RunOnNode(spec)) or runs[-1])
    with pytest.raises(KeyboardInterrupt):
        run_on_node({"folder": str(tmp_path), "patience_seconds": 60.0})
    assert runs[0].told == ["asked", "gone"]


def test_a_task_whose_interrupt_was_lost_finds_the_file(tmp_path, monkeypatch):
    class Patient(RunOnNode):
        def status(self):
            self.looks -= 1
            return 75 if "asked" in self.told else None

        def ask_to_end(self):
            assert self.looks < 0, "before it was asked"
            self.told.append("asked")

    def sleep(seconds):
        if runs and runs[0].looks < 0:
            TaskRun(SimpleNamespace(cancel=lambda *_, **__: None), object(), tmp_path).ask_to_end()

    runs = []
    monkeypatch.setattr(ray_tasks, "LocalRun", lambda spec: runs.append(Patient(spec)) or runs[-1])
    monkeypatch.setattr(ray_tasks.time, "sleep", sleep)
    assert run_on_node({"folder": str(tmp_path), "patience_seconds": 60.0}) == 75


def test_a_run_is_asked_before_it_is_ended(tmp_path):
    cancelled = []
    ray = SimpleNamespace(cancel=lambda reference, force: cancelled.append(force))
    run = TaskRun(ray, object(), tmp_path)
    run.ask_to_end()
    run.kill()
    assert cancelled == [False, True]


def test_a_node_that_does_not_see_the_folder_is_one_sentence(tmp_path):
    status = run_on_node({"folder": str(tmp_path / "nowhere")})
    with pytest.raises(UserError, match="a folder that all nodes share"):
        TaskRun(ray_that(status), object(), tmp_path).status()


@pytest.mark.parametrize("cause", [UserError("a log cannot be written"), ModuleNotFoundError("rl_speed")])
def test_a_node_on_which_no_run_can_start_is_one_sentence(cause, tmp_path):
    with pytest.raises(UserError, match=f"a node of the cluster cannot start a run \\({cause}\\)"):
        TaskRun(ray_that(RayTaskError(cause)), object(), tmp_path).status()


def cluster_with(places, monkeypatch, asked):
    class Cluster:
        ray = SimpleNamespace(remote=lambda **settings: asked.append(settings) or (lambda function: function))

        def places(self, cpus):
            return places // cpus

        def close(self):
            asked.append("closed")

    monkeypatch.setattr("rl_speed.suite.ray_tasks.connect", lambda *_, **__: Cluster())


def test_as_many_runs_as_the_cluster_has_room_for(monkeypatch):
    asked = []
    cluster_with(16, monkeypatch, asked)
    with ray_runner("auto", Placement(1, "", 1), 4) as (count, _):
        assert count == 4
    with ray_runner("auto", Placement(4, "", 4), 4) as (count, _):
        assert count == 16
    assert [settings["num_cpus"] for settings in asked if settings != "closed"] == [4, 1]
    assert asked.count("closed") == 2


def test_no_room_is_one_sentence(monkeypatch):
    asked = []
    cluster_with(2, monkeypatch, asked)
    with pytest.raises(UserError, match="no node has the 4 CPUs"), ray_runner("auto", Placement(1, "", 1), 4):
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


@pytest.mark.ray
def test_a_run_on_a_cluster_is_saved_when_the_suite_is_interrupted(tmp_path):
    pytest.importorskip("ray")
    from tests.clusters import cluster_of

    (tmp_path / "tiny.yaml").write_text(TINY + "checkpoint: {every_seconds: 3600}\nlogging: {print_episodes: true}\n")
    folder = tmp_path / "s" / "tiny" / "pong" / "seed_0"
    with cluster_of(0, cpus=1, head_cpus=1) as cluster:
        process = subprocess.Popen(
            command(
                "suite", "--games", "pong", "--seeds", "1", "--preset", "tiny.yaml", "--env-steps", "100000000",
                "--out", "s", "--at-once", "2", "--address", cluster.address,
            ),
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            preexec_fn=heed_signals,
        )  # fmt: skip
        deadline = time.monotonic() + HANG_SECONDS
        while not ((folder / "run.log").exists() and "episode 1:" in (folder / "run.log").read_text()):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        text = process.communicate(timeout=HANG_SECONDS)[0]
    assert process.returncode == 130, text
    assert list(folder.glob("version_0/checkpoints/*/experience_rank0.pt"))
