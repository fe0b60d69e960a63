"""What a run and a bench leave behind when they are stopped, killed, or out of disk space."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.command_line import (
    ENDLESS,
    HANG_SECONDS,
    WITH_ACTORS,
    actors_of,
    assert_all_end,
    assert_no_leftovers,
    assert_shared_memory_is_given_back,
    call,
    checkpoints,
    children,
    command,
    shared_blocks,
    start,
    wait_for_checkpoint,
    wait_for_events,
)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        pytest.param(signal.SIGINT, ENDLESS, id="ctrl-c", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, ENDLESS, id="sigterm", marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, ENDLESS, id="sighup", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, WITH_ACTORS, id="ctrl-c-actors", marks=pytest.mark.slow),
        pytest.param(
            signal.SIGTERM, WITH_ACTORS, id="sigterm-actors", marks=[pytest.mark.slow, pytest.mark.exhaustive]
        ),
    ],
)
def test_a_signal_saves_the_run_and_ends_it(tmp_path, here, number, text):
    before = shared_blocks()
    process = start(tmp_path, text)
    wait_for_checkpoint(tmp_path, process)
    actors = children(process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # Ctrl-C reaches the whole group
    else:
        process.send_signal(number)
    output, _ = process.communicate(timeout=HANG_SECONDS)
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
    output, _ = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 128 + signal.SIGTERM
    assert "NOT SOLVED (interrupted)" in output
    assert len(checkpoints(tmp_path)) == 1


@pytest.mark.slow
def test_a_killed_run_leaves_a_usable_checkpoint_and_no_orphans(tmp_path, here):
    before = shared_blocks()
    process = start(tmp_path, WITH_ACTORS)
    wait_for_checkpoint(tmp_path, process, count=2)
    actors = children(process)
    assert actors
    process.kill()
    process.communicate()
    assert_all_end(actors)
    assert_shared_memory_is_given_back(before)
    resumed = here("train", "--resume", "last", "--set", "stop.max_gradient_steps=1", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr


@pytest.mark.slow
def test_a_killed_actor_ends_the_run_with_a_checkpoint(tmp_path):
    process = start(tmp_path, WITH_ACTORS)
    wait_for_checkpoint(tmp_path, process)
    before = {path.name for path in checkpoints(tmp_path)}
    actors = actors_of(process)
    actors[0].kill()
    output, _ = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 1
    assert "was killed by signal 9" in output
    # One more than the periodic ones: what was learned since is saved.
    assert checkpoints(tmp_path)[0].name > max(before)
    assert_all_end(actors)


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


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_bench_leaves_no_processes(tiny_file, tmp_path, number):
    process = subprocess.Popen(
        command("bench", tiny_file, "--seconds-per-rung", "60", "--repeats", "1", "--out", "r"),
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + HANG_SECONDS
    children = []
    while not children and time.monotonic() < deadline:
        time.sleep(0.2)
        children = psutil.Process(process.pid).children(recursive=True)
    time.sleep(3)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(number)
    output, _ = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    assert "Traceback" not in output
    assert_all_end(children)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_film_leaves_nothing(tmp_path, finished_run, number):
    shutil.copytree(finished_run, tmp_path / "run")
    process = subprocess.Popen(
        command("play", str(tmp_path / "run" / "lightning_logs" / "version_0"), "--video", "film.mp4"), cwd=tmp_path
    )
    deadline = time.monotonic() + HANG_SECONDS
    while not list(tmp_path.glob(".film.*.partial.mp4")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(number)
    status = process.wait(timeout=HANG_SECONDS)
    assert not list(tmp_path.glob(".film*"))
    assert (status, (tmp_path / "film.mp4").exists()) in [(128 + number, False), (0, True)]
