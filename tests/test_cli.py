"""The command line as a user meets it, in processes of its own: bad input, signals, broken files, full disks."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from rl_speed.cli import main
from rl_speed.training.checkpoint import experience_file, list_checkpoints

ROOT = Path(__file__).parent.parent

# A run that goes on until it is stopped, with games of 25 env steps and cheap updates.
ENDLESS = """
extends: smoke
envs: {count: 2, max_episode_frames: 100, image_height: 20, image_width: 20}
replay: {capacity_env_steps: 2000, prefill_env_steps: 200}
network: {channels: [4], kernels: [4], strides: [4], hidden: 8}
update: {env_steps_per_gradient_step: 4, batch_size: 8, threads: 1}
stop: {max_env_steps: null, confirm_episodes: 0}
checkpoint: {every_seconds: 0.5, keep: 3}
"""
WITH_ACTORS = ENDLESS + "actors: {kind: subprocess, count: 2, rollout_env_steps: 2}\n"


def command(*arguments):
    return [sys.executable, str(ROOT / "cli.py"), *arguments]


def call(*arguments, cwd, timeout=90, **options):
    return subprocess.run(
        command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False, **options
    )


@pytest.fixture
def here(monkeypatch, capsys):
    """Calls the command line in this process, which spares the imports: exit status, output and errors."""

    def call_here(*arguments, cwd):
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["rl-speed", *arguments])
        capsys.readouterr()
        threads = torch.get_num_threads()
        try:
            main()
            status = 0
        except SystemExit as ended:
            status = ended.code or 0
        torch.set_num_threads(threads)
        captured = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, captured.out, captured.err)

    return call_here


def start(directory, text, *arguments):
    (directory / "run.yaml").write_text(text)
    return subprocess.Popen(
        command("train", "--config", "run.yaml", *arguments),
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def checkpoints(directory):
    return list_checkpoints(directory / "lightning_logs" / "version_0" / "checkpoints")


def wait_for_checkpoint(directory, process, count=1, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if len(checkpoints(directory)) >= count:
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"no checkpoint: {process.communicate()[0]}")


def wait_for_events(directory, process, seconds=60):
    """Waits until the first game is counted: training is under way."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = list((directory / "lightning_logs" / "version_0").glob("events*"))
        if found and found[0].stat().st_size > 0:
            time.sleep(1.0)
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"no games: {process.communicate()[0]}")


def children(process):
    return psutil.Process(process.pid).children(recursive=True)


def assert_no_leftovers(directory, processes, shared_before):
    deadline = time.monotonic() + 10
    while any(process.is_running() for process in processes) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [process for process in processes if process.is_running()]
    assert not [path for path in directory.rglob("*") if ".partial" in path.name]
    assert shared_blocks() <= shared_before


def shared_blocks():
    folder = Path("/dev/shm")
    return set(os.listdir(folder)) if folder.is_dir() else set()


BAD_INPUT = [
    (["train", "--config", "nope"], ["'nope'", "neither a preset nor a file"]),
    (["train", "--config", "x" * 300], ["neither a preset nor a file"]),
    (["train", "--set", "envs.game=pongg"], ["envs.game", "pong"]),
    (["train", "--set", "envs.cuont=1"], ["envs.cuont", "envs.count"]),
    (["train", "--set", "envs.count=-1"], ["envs.count = -1", "greater than or equal to 1"]),
    (["train", "--set", "update.loss=3"], ["update.loss = 3"]),
    (["train", "--max-time", "5 minutes"], ["--max-time", "HH:MM:SS"]),
    (["train", "--max-time", "9" * 400 + ":00:00"], ["--max-time", "HH:MM:SS"]),
    (["train", "--seed", "-1"], ["seed = -1"]),
    (["train", "--resume", "last"], ["--resume last", "no checkpoint"]),
    (["train", "--resume", "nowhere"], ["nowhere", "does not exist"]),
    (["train", "--resume", "last", "--config", "smoke"], ["exclude each other"]),
    (["evaluate", "nowhere"], ["nowhere", "does not exist"]),
    (["play", "nowhere", "--video", "x.mp4"], ["nowhere", "does not exist"]),
    (["train", "--config", "smoke", "--set", "trainer.accelerator=gpu"], ["trainer.accelerator", "CUDA"]),
    (["train", "--config", "smoke", "--set", "replay.device=cuda"], ["replay.device", "CUDA"]),
    (["train", "--config", "smoke", "--set", "replay.capacity_env_steps=999999999999"], ["GB", "lower it"]),
    (["train", "--config", "smoke", "--set", "logging.directory=/proc/none"], ["logging.directory", "another"]),
]


@pytest.mark.parametrize(("arguments", "parts"), BAD_INPUT, ids=range(len(BAD_INPUT)))
def test_bad_input_gets_one_sentence_and_status_2(tmp_path, here, arguments, parts):
    if "CUDA" in parts and torch.cuda.is_available():
        pytest.skip("CUDA is there, so this is no mistake")
    answer = here(*arguments, cwd=tmp_path)
    assert answer.returncode == 2
    last = answer.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    for part in parts:
        assert part in last


@pytest.mark.slow
def test_a_users_mistake_ends_the_program_without_a_traceback(tmp_path):
    answer = call("train", "--config", "smoke", "--set", "envs.game=pongg", cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert "Traceback" not in answer.stderr + answer.stdout


def test_doctor_and_configs_answer(tmp_path, here):
    doctor = here("doctor", cwd=tmp_path)
    assert doctor.returncode == 0
    assert "preset fast_" in doctor.stdout
    configs = here("configs", cwd=tmp_path)
    assert "baseline" in configs.stdout


@pytest.mark.parametrize(
    ("number", "text"),
    [
        pytest.param(signal.SIGINT, WITH_ACTORS, id="ctrl-c"),
        pytest.param(signal.SIGTERM, ENDLESS, id="sigterm", marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_the_run_and_ends_it(tmp_path, here, number, text):
    before = shared_blocks()
    process = start(tmp_path, text)
    wait_for_checkpoint(tmp_path, process)
    actors = children(process)
    asked = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # Ctrl-C reaches the whole group
    else:
        process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert time.monotonic() - asked < 10
    assert process.returncode == 128 + number
    assert "Traceback" not in output
    assert "NOT SOLVED (interrupted)" in output
    assert_no_leftovers(tmp_path, actors, before)
    result = json.loads((tmp_path / "lightning_logs/version_0/result.json").read_text())
    assert Path(result["checkpoint"]).name == f"gradient_steps={result['gradient_steps']:09d}"
    limit = result["env_steps"] + 400
    resumed = here("train", "--resume", "last", "--set", f"stop.max_env_steps={limit}", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    again = json.loads((tmp_path / "lightning_logs/version_0/result.json").read_text())
    assert again["stop_reason"] == "max_env_steps"
    assert again["gradient_steps"] > result["gradient_steps"]
    assert again["episodes"] > result["episodes"]
    assert again["seconds"] > result["seconds"]


@pytest.mark.slow
def test_a_signal_that_comes_twice_at_once_still_saves(tmp_path):
    """make and timeout pass SIGTERM on to the whole group, so one wish arrives twice."""
    process = start(tmp_path, ENDLESS, "--set", "checkpoint.every_seconds=1000")
    wait_for_events(tmp_path, process)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert "NOT SOLVED (interrupted)" in output
    assert len(checkpoints(tmp_path)) == 1


def test_the_deadline_holds_in_the_prefill_too(tmp_path, here):
    (tmp_path / "run.yaml").write_text(
        "extends: baseline\nreplay: {prefill_env_steps: 90000}\nstop: {max_seconds: 2, confirm_episodes: 0}\n"
    )
    answer = here("train", "--config", "run.yaml", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    result = json.loads((tmp_path / "lightning_logs/version_0/result.json").read_text())
    assert (result["stop_reason"], result["gradient_steps"]) == ("max_seconds", 0)
    assert 0 < result["env_steps"] < 90_000


@pytest.mark.slow
def test_a_killed_run_leaves_a_usable_checkpoint_and_no_orphans(tmp_path, here):
    before = shared_blocks()
    process = start(tmp_path, WITH_ACTORS)
    wait_for_checkpoint(tmp_path, process, count=2)
    actors = children(process)
    assert actors
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while any(actor.is_running() for actor in actors) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [actor for actor in actors if actor.is_running()]
    assert shared_blocks() <= before
    resumed = here("train", "--resume", "last", "--set", "stop.max_gradient_steps=1", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr


@pytest.mark.slow
def test_a_killed_actor_ends_the_run_with_a_checkpoint(tmp_path):
    process = start(tmp_path, WITH_ACTORS)
    wait_for_checkpoint(tmp_path, process)
    before = {path.name for path in checkpoints(tmp_path)}
    actors = [child for child in children(process) if "spawn_main" in " ".join(child.cmdline())]
    killed = time.monotonic()
    actors[0].kill()
    output, _ = process.communicate(timeout=20)
    assert time.monotonic() - killed < 10
    assert process.returncode == 1
    assert "was killed by signal 9" in output
    # One more than the periodic ones: what was learned since is saved.
    assert checkpoints(tmp_path)[0].name > max(before)
    assert not [actor for actor in actors if actor.is_running()]


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """A short run with two checkpoints."""
    directory = tmp_path_factory.mktemp("finished")
    (directory / "run.yaml").write_text(ENDLESS)
    answer = call(
        "train",
        "--config",
        "run.yaml",
        "--set",
        "stop.max_gradient_steps=60",
        "--set",
        "checkpoint.every_seconds=0.02",
        cwd=directory,
    )
    assert answer.returncode == 0, answer.stderr
    assert len(checkpoints(directory)) >= 2
    return directory


@pytest.mark.parametrize("damage", ["truncated", "foreign", "empty", "experience"])
def test_a_broken_checkpoint_offers_the_next_older_one(tmp_path, finished_run, here, damage):
    directory = tmp_path / "copy"
    shutil.copytree(finished_run, directory)
    newest, older = checkpoints(directory)[:2]
    model = newest / (experience_file(0) if damage == "experience" else "model.ckpt")
    if damage == "foreign":
        torch.save({"weights": torch.zeros(3)}, model)
    else:
        model.write_bytes(b"" if damage == "empty" else model.read_bytes()[:1000])
    answer = here("train", "--resume", "last", cwd=directory)
    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr
    last = answer.stderr.strip().splitlines()[-1]
    assert str(newest.name) in last
    offered = last.split("--resume ")[-1].strip()
    assert Path(directory, offered).name == older.name
    again = here("train", "--resume", offered, "--set", "stop.max_gradient_steps=61", cwd=directory)
    assert again.returncode == 0, again.stderr


def test_a_checkpoint_with_code_inside_is_not_executed(tmp_path, here):
    import pickle

    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "executed"),))

    newest = tmp_path / "checkpoints" / "gradient_steps=000000001"
    newest.mkdir(parents=True)
    (newest / "model.ckpt").write_bytes(pickle.dumps(Trap()))
    answer = here("evaluate", str(newest), cwd=tmp_path)
    assert answer.returncode == 2
    assert not (tmp_path / "executed").exists()


@pytest.mark.slow
def test_a_full_disk_keeps_the_run_and_the_older_checkpoint(tmp_path, finished_run):
    directory = tmp_path / "copy"
    shutil.copytree(finished_run, directory)
    newest = checkpoints(directory)[0]

    def limit_file_size():
        # As a full disk does, this makes a write fail in the middle of a file.
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    answer = call(
        "train",
        "--resume",
        "last",
        "--set",
        "stop.max_gradient_steps=80",
        cwd=directory,
        preexec_fn=limit_file_size,
    )
    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr
    assert "could not be written" in answer.stdout
    assert "80 gradient steps" in answer.stdout
    assert checkpoints(directory)[0] == newest
    assert not list(directory.rglob("*.partial"))


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("envs.game=breakout", "envs.game cannot change from 'pong' to 'breakout'"),
        ("network.hidden=32", "network.hidden cannot change"),
        ("replay.capacity_env_steps=3000", "replay.capacity_env_steps cannot change"),
        ("actors.kind=subprocess", "actors.kind cannot change"),
        ("seed=7", "seed cannot change"),
    ],
)
def test_a_resume_that_does_not_fit_is_refused_and_costs_nothing(finished_run, here, override, part):
    newest = checkpoints(finished_run)[0]
    before = {path.name: path.read_bytes() for path in newest.iterdir()}
    answer = here("train", "--resume", "last", "--set", override, cwd=finished_run)
    assert answer.returncode == 2
    assert part in answer.stderr
    assert checkpoints(finished_run)[0] == newest
    assert {path.name: path.read_bytes() for path in newest.iterdir()} == before


def test_evaluate_writes_its_result(tmp_path, finished_run, here):
    answer = here("evaluate", str(finished_run / "lightning_logs/version_0"), "--episodes", "3", "--json", "e.json",
                  cwd=tmp_path)  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    content = json.loads((tmp_path / "e.json").read_text())
    assert len(content["returns"]) == content["episodes"] == 3
    assert content["mean"] == pytest.approx(sum(content["returns"]) / 3)
    assert f"mean {content['mean']:.2f}" in answer.stdout


def test_play_writes_a_video_that_can_be_watched(tmp_path, finished_run, here):
    import imageio.v2 as imageio
    import numpy as np

    answer = here("play", str(finished_run / "lightning_logs/version_0"), "--video", "game.mp4", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    with imageio.get_reader(tmp_path / "game.mp4") as reader:
        facts = reader.get_meta_data()
        pictures = [reader.get_data(index) for index in (0, 40)]
    assert facts["fps"] == 60
    # 100 frames of the game and two seconds of its final score.
    assert facts["duration"] == pytest.approx((100 + 120) / 60, abs=0.1)
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() > 50
    assert pictures[0][:40].max() > 200, "the score is not shown"


@pytest.mark.parametrize("path", ["/proc/x.mp4", "game.gif", "game", "."])
def test_an_unusable_video_path_gets_one_sentence(finished_run, here, path):
    answer = here("play", "lightning_logs/version_0", "--video", path, cwd=finished_run)
    assert answer.returncode == 2
    assert f"--video {path}" in answer.stderr
