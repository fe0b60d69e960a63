"""The command line as a user meets it: bad input gets one sentence, and each command answers."""

import json

import pytest
import torch

from tests.command_line import call

BAD_INPUT = [
    (["train", "--config", "nope"], ["'nope'", "neither a preset nor a file"]),
    (["train", "--config", "x" * 300], ["neither a preset nor a file"]),
    (["train", "--set", "envs.game=pongg"], ["envs.game", "pong"]),
    (["train", "breakot"], ["envs.game", "breakout"]),
    (["train", "breakout", "--set", "envs.game=pongg"], ["envs.game", "pong"]),
    (["doctor", "breakot"], ["envs.game", "breakout"]),
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


def test_a_game_by_itself_takes_the_general_preset(tmp_path, here):
    doctor = here("doctor", "breakout", "--set", "update.precision=fp32", "--set", "update.shards=1", cwd=tmp_path)
    assert doctor.returncode == 0
    assert "preset atari: for any game" in doctor.stdout
    assert "stop.reward = null: breakout is played without a goal" in doctor.stdout


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
