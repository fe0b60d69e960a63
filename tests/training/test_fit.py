"""Whole runs: their limits, and games on a GPU."""

import json

import pytest

from rl_speed.config import load_config
from rl_speed.training.checkpoint.resuming import Request
from rl_speed.training.fit import fit


def test_the_deadline_holds_in_the_prefill_too(tmp_path, here):
    (tmp_path / "run.yaml").write_text(
        "extends: baseline\nreplay: {prefill_env_steps: 90000}\nstop: {max_seconds: 2, confirm_episodes: 0}\n"
    )
    answer = here("train", "--config", "run.yaml", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    result = json.loads((tmp_path / "lightning_logs/version_0/result.json").read_text())
    assert (result["stop_reason"], result["gradient_steps"]) == ("max_seconds", 0)
    assert 0 < result["env_steps"] < 90_000


@pytest.mark.gpu
def test_a_run_learns_from_games_on_the_gpu(tmp_path):
    changes = {
        "envs.count": 64, "replay.capacity_env_steps": 20_000, "replay.prefill_env_steps": 4000,
        "update.batch_size": 256, "stop.max_env_steps": 12_000, "stop.confirm_episodes": 0,
        "logging.directory": str(tmp_path), "logging.progress_bar": "false",
    }  # fmt: skip
    config = load_config("cuda", [f"{name}={value}" for name, value in changes.items()])
    result = fit(Request(None, "cuda", config)).result
    assert result["env_steps"] >= 12_000
    assert result["gradient_steps"] > 50
