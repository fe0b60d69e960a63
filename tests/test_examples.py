"""The examples run."""

import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parent.parent / "examples"


def ppo(*arguments):
    return subprocess.run([sys.executable, EXAMPLES / "ppo.py", *arguments], capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["rl_speed", "ale"])
def test_ppo(engine):
    done = ppo("--total-steps", "1024", "--num-envs", "4", "--engine", engine)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all("env steps" in line and "nan" not in line for line in lines)


@pytest.mark.slow
def test_ppo_refuses_what_cannot_be():
    for arguments, word in ((["--total-steps", "100"], "at least 2048"), (["--game", "pongg"], "pongg")):
        done = ppo(*arguments)
        assert done.returncode == 2
        assert word in done.stderr


def imported(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_advantages_of_a_game_that_ends_and_of_one_that_is_cut_off():
    module = imported("ppo")
    settings = module.Settings(gamma=0.5, gae_lambda=1.0)
    rewards = torch.tensor([[1.0, 1.0], [2.0, 2.0], [0.0, 0.0]])
    values = torch.tensor([[10.0, 10.0], [20.0, 20.0], [8.0, 8.0]])
    terminations = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])  # the first ends, the second is cut off
    ends = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    found = module.generalised_advantages((rewards, values, terminations, ends), torch.tensor([4.0, 4.0]), settings)
    last = 0.5 * 4 - 8
    ended, cut = 2 - 20, 2 + 0.5 * 8 - 20
    first = 1 + 0.5 * 20 - 10
    expected = [[first + 0.5 * ended, first + 0.5 * cut], [ended, cut], [last, last]]
    torch.testing.assert_close(found, torch.tensor(expected))


TINY = [
    "envs.count=2", "envs.image_height=20", "envs.image_width=20", "envs.max_episode_frames=200",
    "network.channels=[4]", "network.kernels=[4]", "network.strides=[4]", "network.hidden=8",
    "replay.prefill_env_steps=200", "update.threads=1", "trainer.accelerator=cpu",
]  # fmt: skip


def search_command(*arguments):
    fields = [text for field in TINY for text in ("--set", field)]
    return [
        sys.executable,
        EXAMPLES / "optuna_search.py",
        "--preset",
        "smoke",
        "--env-steps",
        "1000",
        *fields,
        *arguments,
    ]


def states_and_values(folder):
    import optuna

    storage = f"sqlite:///{folder / 'optuna.db'}"
    (name,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=name, storage=storage).trials
    return [trial.state.name for trial in trials], [trial.params for trial in trials]


@pytest.mark.slow
@pytest.mark.parametrize("how", [pytest.param("SIGINT", marks=pytest.mark.exhaustive), "SIGKILL"])
def test_a_search_goes_on_where_it_was_stopped(tmp_path, how):
    pytest.importorskip("optuna")

    def search(*arguments):
        return subprocess.run(search_command(*arguments), cwd=tmp_path, capture_output=True, text=True)

    first = search("--trials", "1")
    assert first.returncode == 0, first.stderr
    process = subprocess.Popen(
        search_command("--trials", "3"), cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while len(list((tmp_path / "optuna.db_runs").glob("version_*"))) < 2:
        assert process.poll() is None, process.communicate()[1]
    process.send_signal(getattr(signal, how))
    errors = process.communicate()[1]
    if how == "SIGINT":
        assert "the same command goes on" in errors
    assert states_and_values(tmp_path)[0] == ["COMPLETE", "FAIL" if how == "SIGINT" else "RUNNING"]
    last = search("--trials", "3")
    assert last.returncode == 0, last.stderr
    assert last.stdout.startswith("1 of 3 trials are done; every run has seed 0")
    assert "best of 3 not pruned: trial" in last.stdout
    states, values = states_and_values(tmp_path)
    assert states.count("COMPLETE") == 3
    assert len({str(value) for value in values}) == 4  # nothing is tried twice


@pytest.mark.slow
def test_a_search_refuses_what_cannot_be(tmp_path):
    pytest.importorskip("optuna")
    for arguments, word in ((["--game", "pongg"], "pongg"), (["--storage", "no/where.db"], "no/where.db")):
        done = subprocess.run(search_command(*arguments), cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 2
        assert word in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "optuna.db").exists()


@pytest.mark.slow
def test_a_trial_that_falls_behind_is_ended_and_saved(tmp_path):
    optuna = pytest.importorskip("optuna")
    module = imported("optuna_search")
    fixed = [{"stop.max_env_steps": 1000, "stop.reward": None, "logging.directory": str(tmp_path)}, *TINY]

    def study(lower):
        made = optuna.create_study(direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=lower))
        made.optimize(lambda trial: module.mean_return(trial, "smoke", fixed, 1000), n_trials=1)
        return made.trials[0]

    pruned, whole = study(lower=100.0), study(lower=-100.0)  # between which all games of Pong are
    assert (pruned.state.name, whole.state.name) == ("PRUNED", "COMPLETE")
    assert list(pruned.intermediate_values) == [min(whole.intermediate_values)]
    assert list(whole.intermediate_values) == list(range(min(whole.intermediate_values), module.REPORTS))
    ends = [json.loads((tmp_path / f"version_{number}/result.json").read_text()) for number in (0, 1)]
    assert [end["stop_reason"] for end in ends] == ["interrupted", "max_env_steps"]
    assert ends[0]["env_steps"] < ends[1]["env_steps"]
    assert Path(ends[0]["checkpoint"]).is_dir()
    assert whole.value == ends[1]["avg_reward"]
