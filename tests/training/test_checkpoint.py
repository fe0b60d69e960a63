"""Checkpoints that are broken, foreign, or of another run."""

import os
import shutil
from pathlib import Path

import pytest
import torch

from rl_speed.training.checkpoint.folders import experience_file
from tests.command_line import checkpoints


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
    if damage == "truncated":  # what is offered is the same each time
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
