"""Whole runs of several ranks: they stay one network, resume, end together and leave nothing behind."""

import io
import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from functools import partial

import psutil
import pytest
import torch
from rich.console import Console

import rl_speed
from rl_speed.system.errors import CheckpointError, RankError, UserError
from rl_speed.training.checkpoint.folders import experience_file, find_last
from rl_speed.training.checkpoint.reading import read_experience, read_model
from rl_speed.training.checkpoint.resuming import resume_config
from rl_speed.training.checkpoint.writing import CheckpointWriter
from rl_speed.training.divergence import DivergedError
from rl_speed.training.fit import fit
from tests.command_line import (
    ENDLESS,
    HANG_SECONDS,
    ROOT,
    assert_all_end,
    assert_no_leftovers,
    assert_shared_memory_is_given_back,
    checkpoints,
    children,
    shared_blocks,
    start,
    wait_for_checkpoint,
)
from tests.corridor import EVERYTHING, RUN, Corridor, merged
from tests.resuming import assert_equal, run
from tests.training.ranks.together import free_port, run_script

TWO = {"trainer": {"devices": 2}, "envs": {"count": 4}}

# What each rank of a launcher's does: trains, and keeps its own networks and counters.
LEARN = """
import json, sys, torch, rl_speed
from pytorch_lightning import Callback
from tests.corridor import EVERYTHING, RUN, Corridor, merged

class Keep(Callback):
    def on_train_end(self, trainer, module):
        torch.save({"weights": module.state_dict(), "steps": trainer.global_step}, f"rank{trainer.global_rank}.pt")

content = json.loads(CONTENT)
if __name__ == "__main__":
    result = rl_speed.train("baseline", content, seed=1, env=Corridor, callbacks=[Keep()])
    print(json.dumps([result.stop_reason, result.gradient_steps, result.env_steps]))
"""


def learn(directory, size, *changes):
    content = merged(RUN, {"trainer": {"accelerator": "cpu", "devices": size}})
    for change in (*changes, {"logging": {"directory": str(directory / "logs")}}):
        content = merged(content, change)
    outputs = run_script(f"CONTENT = {json.dumps(json.dumps(content))}\n{LEARN}", size, directory)
    kept = [torch.load(directory / f"rank{rank}.pt") for rank in range(size)]
    return [json.loads(output.splitlines()[-1]) for output in outputs], kept


@pytest.mark.parametrize(
    ("size", "change"),
    [
        pytest.param(2, EVERYTHING, id="two", marks=pytest.mark.slow),
        pytest.param(4, {}, id="four", marks=[pytest.mark.slow, pytest.mark.exhaustive]),
        pytest.param(
            2,
            merged(EVERYTHING, {"actors": {"kind": "subprocess", "rollout_env_steps": 2}, "update": {"shards": 2}}),
            id="actors-and-shards",
            marks=[pytest.mark.slow, pytest.mark.exhaustive],
        ),
        pytest.param(
            2,
            {
                "annealing": {"gradient_steps": 0, "returns": [0.2, 0.9]},
                "update": {"target_sync_rate": 0.05},
                "network": {"noisy": True, "value": "quantile", "quantiles": 7},
            },
            id="returns-anneal-soft-target-noise-and-quantiles",
            marks=pytest.mark.slow,
        ),
        pytest.param(2, {"update": {"compile": True}}, id="compiled", marks=[pytest.mark.slow, pytest.mark.exhaustive]),
    ],
)
def test_all_ranks_have_one_network_to_the_bit_and_it_learns(tmp_path, size, change):
    told, kept = learn(tmp_path, size, change)
    assert told == [told[0]] * size  # they stop at the same batch, and count the same
    assert told[0][:2] == ["max_gradient_steps", 800]
    for rank in kept[1:]:
        assert_equal(rank, kept[0])
    assert any("target_network" in name for name in kept[0]["weights"])
    checkpoint = find_last(tmp_path / "logs")
    assert_equal(dict(read_model(checkpoint)["state_dict"]), dict(kept[0]["weights"]))
    games = [read_experience(checkpoint, rank)["replay"]["ring"]["action"] for rank in range(size)]
    assert not torch.equal(games[0], games[1])  # each plays its own
    assert rl_speed.evaluate(checkpoint, episodes=64, epsilon=0.02, env=Corridor).mean > 0.85
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["version_0"]


def go_on(directory, gradient_steps, devices):
    console = io.StringIO()
    request = resume_config(
        find_last(directory), [f"trainer.devices={devices}", f"stop.max_gradient_steps={gradient_steps}"], None
    )
    return fit(request, Console(file=console, width=500)), console.getvalue()


@pytest.mark.slow
def test_a_resumed_run_of_as_many_ranks_equals_an_uninterrupted_one(tmp_path):
    run(tmp_path / "whole", 60, **TWO)
    run(tmp_path / "parts", 26, **TWO)
    go_on(tmp_path / "parts", 60, 2)
    expected, found = (find_last(tmp_path / name) for name in ("whole", "parts"))
    assert expected.name == found.name == "gradient_steps=000000060"
    for key in ("state_dict", "optimizer_states", "global_step"):
        assert_equal(read_model(expected)[key], read_model(found)[key], key)
    for rank in (0, 1):
        kept = [read_experience(folder, rank) for folder in (expected, found)]
        for content in kept:
            del content["random"]  # the global generators of processes that began apart; nothing draws from them
        assert_equal(*kept, f"rank {rank}")
    states = [read_model(folder)["callbacks"]["EpisodeStatistics"] for folder in (expected, found)]
    for state in states:
        for clock in state["clocks"].values():
            (clock or {}).pop("seconds", None)
        state["curve"]["points"] = [point[1:] for point in state["curve"]["points"]]  # without seconds
    assert_equal(*states)
    assert states[0]["episodes"] >= 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after", "save_replay"),
    [(2, 1, True), pytest.param(1, 2, True, marks=pytest.mark.exhaustive), (2, 1, False)],
)
def test_another_number_of_ranks_deals_the_replay_out_anew(tmp_path, before, after, save_replay):
    changes = {"envs": {"count": 4}, "trainer": {"devices": before}, "checkpoint": {"save_replay": save_replay}}
    first = run(tmp_path, 20, **changes)
    old = find_last(tmp_path)
    rings = [read_experience(old, rank)["replay"] for rank in range(before)]
    second, told = go_on(tmp_path, 24, after)
    assert f"the checkpoint is of {before} rank(s) and {after} go on" in told
    assert ("its replay is dealt out anew" in told) is save_replay
    assert ("the replay is filled anew" in told) is not save_replay
    new = find_last(tmp_path)
    # The optimizer and the counters go on.
    assert read_model(new)["optimizer_states"][0]["state"][0]["step"] == second.result["gradient_steps"] == 24
    assert second.result["episodes"] >= first.result["episodes"]
    if save_replay:
        now = [read_experience(new, rank)["replay"]["ring"] for rank in range(after)]
        rows = len(rings[0]["ring"]["frame"])
        were = [ring["ring"] for ring in rings]
        frames = [torch.cat([ring["frame"][:rows] for ring in side], 1) for side in (were, now)]
        assert torch.equal(*frames)
    longer, _ = go_on(tmp_path, 60, after)
    assert longer.result["gradient_steps"] == 60
    played = longer.result["env_steps"] - first.result["env_steps"]
    # 2.5 env steps per gradient step; where the replay was not saved it was filled twice more.
    assert played == pytest.approx(100 + (0 if save_replay else 2 * 90), abs=20)


RANKS = ENDLESS.replace("count: 2", "count: 4")


def ranks_of(process):
    """The processes of ranks 1 and on, which rank 0 has started."""
    started = psutil.Process(process.pid).children()
    return [child for child in started if "spawn_main" in " ".join(child.cmdline())]


def ended(process, number):
    """Its output, once it has ended with that status."""
    output, _ = process.communicate(timeout=HANG_SECONDS)
    assert "Traceback" not in output
    assert process.returncode == number, output
    return output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "actors"), [pytest.param(signal.SIGINT, False, marks=pytest.mark.exhaustive), (signal.SIGTERM, True)]
)
def test_a_signal_to_all_saves_once_and_leaves_no_process(tmp_path, actors, number):
    text = RANKS + "trainer: {devices: 2}\n"
    if actors:
        text += "actors: {kind: subprocess, count: 2, rollout_env_steps: 2}\n"
    before = shared_blocks()
    process = start(tmp_path, text)
    wait_for_checkpoint(tmp_path, process)
    others = children(process)
    os.killpg(process.pid, number)
    output = ended(process, 128 + number)
    assert output.count("NOT SOLVED (interrupted)") == 1
    assert_no_leftovers(tmp_path, others, before)
    result = json.loads((tmp_path / "lightning_logs/version_0/result.json").read_text())
    newest = find_last(tmp_path / "lightning_logs")
    assert newest.name == f"gradient_steps={result['gradient_steps']:09d}"
    assert [read_experience(newest, rank)["dataset"]["gradient_steps"] for rank in (0, 1)] == [
        result["gradient_steps"]
    ] * 2


@pytest.mark.slow
def test_a_signal_to_one_rank_ends_all_and_saves(tmp_path):
    process = start(tmp_path, RANKS + "trainer: {devices: 4}\n")
    wait_for_checkpoint(tmp_path, process)
    others, ranks = children(process), ranks_of(process)
    assert len(ranks) == 3
    ranks[1].terminate()
    assert "NOT SOLVED (interrupted)" in ended(process, 0)
    assert_all_end(others)


@pytest.mark.slow
@pytest.mark.parametrize("actors", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_kills_at_random_moments_lose_no_checkpoint_and_leave_no_process(tmp_path, actors):
    draw = random.Random(7 + actors)
    text = RANKS + "trainer: {devices: 2}\n"
    if actors:
        text += "actors: {kind: subprocess, count: 2, rollout_env_steps: 2}\n"
    before, resume = shared_blocks(), []
    for _ in range(int(os.environ.get("RL_SPEED_KILLS", "1"))):
        known = {path.name for path in checkpoints(tmp_path)}
        process = start(tmp_path, text, *resume)
        wait_until(lambda known=known: {path.name for path in checkpoints(tmp_path)} - known, process)
        time.sleep(draw.uniform(0.0, 1.5))
        others, ranks = children(process), ranks_of(process)
        is_first = draw.random() < 0.5
        (process if is_first else ranks[0]).kill()
        moment = time.monotonic()
        output = ended(process, -signal.SIGKILL if is_first else 1)
        assert not psutil.wait_procs(others, timeout=30)[1]
        assert time.monotonic() - moment < 30
        if not is_first:
            assert re.findall(r"^Error: .*$", output, re.M) == re.findall(r"^Error: rank 1 is gone.*$", output, re.M)
            assert "go on with --resume " in output
        newest = checkpoints(tmp_path)[0]
        for rank in (0, 1):
            read_experience(newest, rank)
        resume = ["--resume", "last"]
    assert_shared_memory_is_given_back(before)


def wait_until(condition, process):
    deadline = time.monotonic() + HANG_SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_two_agents_of_torchrun_are_two_machines(tmp_path):
    port = free_port()
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1",
        "--rdzv-backend", "static", "--master-addr", "127.0.0.1", "--master-port", str(port),
        "--log-dir", str(tmp_path / "torchrun"),
    ]  # fmt: skip
    run_ = [
        str(ROOT / "cli.py"), "train", "--config", "smoke", "--set", "trainer.num_nodes=2",
        "--set", "stop.max_gradient_steps=100",
    ]  # fmt: skip
    agents = [
        subprocess.Popen(
            [*command, "--node-rank", str(node), *run_], cwd=tmp_path, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for node in range(2)
    ]  # fmt: skip
    outputs = [agent.communicate(timeout=HANG_SECONDS)[0] for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], outputs
    assert "NOT SOLVED (max_gradient_steps)" in outputs[0]
    assert "2 machine(s)" in outputs[0]
    assert "logs:" not in outputs[1]
    newest = find_last(tmp_path / "lightning_logs")
    assert read_experience(newest, 1)["dataset"]["gradient_steps"] == 100


@pytest.mark.slow
@pytest.mark.exhaustive
def test_tasks_of_srun_learn_together(tmp_path):
    port = free_port()
    tasks = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "cli.py"), "train", "--config", "smoke", "--set", "trainer.devices=2",
             "--set", "stop.max_gradient_steps=100"],
            cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "1",
                 "SLURM_PROCID": str(task), "SLURM_LOCALID": str(task), "SLURM_NTASKS": "2", "SLURM_JOB_ID": "4711",
                 "SLURM_NODELIST": "127.0.0.1", "MASTER_PORT": str(port)},
        )
        for task in range(2)
    ]  # fmt: skip
    outputs = [task.communicate(timeout=HANG_SECONDS)[0] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], outputs
    assert "NOT SOLVED (max_gradient_steps)" in outputs[0]
    assert outputs[1] == ""
    assert sorted(path.name for path in (tmp_path / "lightning_logs").iterdir()) == ["version_0"]


class Breaking(Corridor):
    """A game that goes wrong on one rank only, after a while."""

    def __init__(self, how):
        super().__init__()
        self.how, self.steps_taken = how, 0

    def step(self, action):
        self.steps_taken += 1
        picture, reward, *rest = super().step(action)
        if multiprocessing.parent_process() is not None and self.steps_taken > 400:
            if self.how == "error":
                raise RuntimeError("the game is broken")
            reward = 1e30
        return picture, reward, *rest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "error", "sentence"),
    [
        (
            "error",
            RankError,
            r"rank 1 has ended: RuntimeError: the game is broken; go on with --resume .*gradient_steps=",
        ),
        ("infinite", DivergedError, r"the loss, .* is not finite .*; the last checkpoint is .*gradient_steps="),
    ],
)
def test_what_goes_wrong_on_one_rank_ends_all_in_one_sentence(tmp_path, how, error, sentence):
    content = merged(RUN, {"trainer": {"devices": 2}, "logging": {"directory": str(tmp_path)}})
    content = merged(content, {"checkpoint": {"every_seconds": 0.05}, "envs": {"clip_reward": False}})
    with pytest.raises(error, match=sentence):
        rl_speed.train("baseline", content, env=partial(Breaking, how))
    result = json.loads((tmp_path / "version_0" / "result.json").read_text())
    assert result["stop_reason"] == {"error": "rank_lost", "infinite": "diverged"}[how]
    newest = find_last(tmp_path)
    assert all(bool(tensor.isfinite().all()) for tensor in read_model(newest)["state_dict"].values())
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_file_that_one_rank_cannot_write_costs_the_checkpoint_on_all(tmp_path):
    content = merged(RUN, {"trainer": {"devices": 2}, "logging": {"directory": str(tmp_path / "logs")}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointWriter, "_make_folder", obstructed)
        with pytest.raises(CheckpointError, match="could not be written"):
            rl_speed.train("baseline", content, env=Corridor)
    assert not [path for path in tmp_path.rglob("*") if ".partial" in path.name]


def obstructed(self, temporary):
    """As it is on rank 0, but with a folder where rank 1's file has to go."""
    if self._ranks.is_first:
        (temporary / experience_file(1)).mkdir(parents=True)


def test_more_gpus_than_there_are_are_refused(monkeypatch):
    monkeypatch.setattr("rl_speed.training.decisions.has_cuda", lambda: True)
    monkeypatch.setattr("rl_speed.training.decisions.gpu_names", lambda: ["a GPU"])
    with pytest.raises(UserError, match=r"trainer\.devices = 2, but this machine has 1 GPU\(s\); set it to 1"):
        rl_speed.train("fast_gpu", {"trainer.devices": 2})


DIFFERENT = """
import sys, os, rl_speed
from rl_speed.system.errors import UserError
if __name__ == "__main__":
    rate = 1e-4 if os.environ["RANK"] == "0" else 2e-4
    try:
        rl_speed.train("smoke", {"trainer.devices": 2, "update.learning_rate": rate})
    except UserError as error:
        print(error)
"""


@pytest.mark.slow
def test_ranks_that_were_asked_for_different_runs_do_not_begin(tmp_path):
    for output in run_script(DIFFERENT, 2, tmp_path):
        assert "rank 1 has another configuration than rank 0 (update.learning_rate)" in output


TWICE = """
import os, rl_speed
if __name__ == "__main__":
    for seed in (1, 2):
        result = rl_speed.train("smoke", {"trainer.devices": 2, "stop.max_gradient_steps": 20}, seed=seed)
        with open(f"rank{os.environ['RANK']}.txt", "a") as file:
            file.write(f"{result.gradient_steps} {result.directory.name}\\n")
"""


@pytest.mark.slow
def test_a_program_may_train_twice_under_one_launcher(tmp_path):
    agent = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "--log-dir", str(tmp_path / "torchrun"),
    ]  # fmt: skip
    (tmp_path / "twice.py").write_text(TWICE)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*agent, "twice.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=HANG_SECONDS,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for rank in (0, 1):
        assert (tmp_path / f"rank{rank}.txt").read_text() == "20 version_0\n20 version_1\n"
