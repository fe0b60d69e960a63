"""Variables of launchers that have started something else."""

import os

from lightning_fabric.utilities.rank_zero import rank_zero_only

from rl_speed.training.launcher import launcher_hidden

VARIABLES = {
    "RANK": "3",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "8",
    "SLURM_PROCID": "3",
    "SLURM_NTASKS": "8",
    "PL_TRAINER_MAX_STEPS": "1",
    "PL_TRAINER_FAST_DEV_RUN": "1",
}


def test_they_are_hidden_and_come_back(monkeypatch):
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURMY", "stays")
    monkeypatch.setattr(rank_zero_only, "rank", 3)
    with launcher_hidden():
        assert not set(VARIABLES) & set(os.environ)
        assert os.environ["SLURMY"] == "stays"
        assert rank_zero_only.rank == 0
    assert {name: os.environ[name] for name in VARIABLES} == VARIABLES
    assert rank_zero_only.rank == 3


def test_a_run_inside_another_launchers_job_is_the_same_run(monkeypatch, tmp_path, here, finished_run):
    config = (finished_run / "run.yaml").read_text()
    (tmp_path / "run.yaml").write_text(config)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rank_zero_only, "rank", 3)
    limit = ["--set", "stop.max_gradient_steps=30"]
    answer = here("train", "--config", "run.yaml", *limit, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    run = tmp_path / "lightning_logs" / "version_0"
    assert list(run.glob("events.out.tfevents.*"))
    assert (run / "result.json").is_file()
    limit = ["--set", "stop.max_gradient_steps=60"]
    answer = here("train", "--resume", "last", *limit, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert (run / "checkpoints" / "gradient_steps=000000060").is_dir()
