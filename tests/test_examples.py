"""The examples run."""

import importlib.util
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


def test_advantages_of_a_game_that_ends_and_of_one_that_is_cut_off():
    spec = importlib.util.spec_from_file_location("ppo", EXAMPLES / "ppo.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["ppo"] = module
    spec.loader.exec_module(module)
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
