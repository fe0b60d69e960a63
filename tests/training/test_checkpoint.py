"""Checkpoints that are broken, foreign, or of another run."""

import os
import shutil
from pathlib import Path

import pytest
import torch

import rl_speed
from rl_speed.system.errors import CheckpointError
from rl_speed.training.checkpoint.folders import experience_file
from rl_speed.training.checkpoint.reading import read_experience, read_model
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


@pytest.mark.parametrize("name", ["experience_rank0.pt", "model.ckpt"])
def test_a_file_that_is_missing_is_called_missing(tmp_path, finished_run, name):
    shutil.copytree(finished_run, tmp_path / "copy")
    newest, older = checkpoints(tmp_path / "copy")[:2]
    (newest / name).unlink()
    with pytest.raises(CheckpointError, match=f"is missing; an older one is usable: --resume {older}"):
        (read_model(newest), read_experience(newest, 0))


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="this system does not name mapped files")
def test_a_replay_stays_in_its_file_until_it_is_looked_at(finished_run):
    folder = checkpoints(finished_run)[0]
    content = read_experience(folder, 0)
    assert content["replay"]["ring"]["frame"].numel() > 0
    assert str(folder / "experience_rank0.pt") in Path("/proc/self/maps").read_text()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not name open files")
def test_everything_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    events = []
    plain_rename, plain_sync = Path.rename, os.fsync

    def rename(self, target):
        events.append(f"rename {Path(target).name}")
        return plain_rename(self, target)

    def sync(descriptor):
        events.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        plain_sync(descriptor)

    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr(os, "fsync", sync)
    changes = {"logging.directory": str(tmp_path), "stop.max_gradient_steps": 5, "trainer.accelerator": "cpu"}
    rl_speed.train("smoke", {**changes, "stop.confirm_episodes": 0})
    start = events.index("sync model.ckpt")
    (name,) = (path.name for path in (tmp_path / "version_0" / "checkpoints").iterdir())
    assert events[start : start + 5] == [
        "sync model.ckpt", "sync experience_rank0.pt", f"sync .{name}.partial", f"rename {name}", "sync checkpoints",
    ]  # fmt: skip


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
