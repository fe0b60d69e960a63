"""Short runs that are resumed, and whether two of them are the same."""

import io

import torch
from rich.console import Console

from rl_speed.config import merge, validate
from rl_speed.training.checkpoint.reading import read_model
from rl_speed.training.checkpoint.resuming import Request
from rl_speed.training.fit import fit
from rl_speed.training.run_folder import run_of
from tests.conftest import TINY

# Games of 25 env steps, so that many end, and fresh seeds in between.
RUN = {
    "envs": {
        "backend": "native",  # whose games begin four times as fast
        "count": 3,
        "max_episode_frames": 100,
        "reseed_env_steps": 40,
        "noop_max": 5,
        "sticky_probability": 0.25,
    },
    "replay": {"prefill_env_steps": 90, "priority_exponent": 0.6, "n_step": 3},
    "network": {"standardise": True, "dueling": True, "noisy": True, "value": "categorical", "atoms": 11},
    "update": {
        "double": True,
        "loss": "huber",
        "env_steps_per_gradient_step": 2.5,
        "gradient_steps_per_batch": 2,
        "learning_rate": 1e-3,
        "averaging_rate": 0.3,
        "threads": 1,
    },
    "annealing": {"gradient_steps": 50, "learning_rate": 1e-4, "n_step": 1, "gamma": 0.9, "importance_exponent": 1.0},
    "exploration": {"decay_env_steps": 150, "temperature": 0.05},
    "stop": {"window_episodes": 5},
    "logging": {"every_seconds": 0.01},
}


def run(directory, gradient_steps, resume=None, **changes):
    content = merge(merge(TINY, RUN), {"stop": {"max_gradient_steps": gradient_steps}})
    content = merge(content, {"logging": {"directory": str(directory)}})
    config = validate(merge(content, changes))
    request = Request(None, "test", config)
    if resume is not None:
        request = Request(resume, "test", config, read_model(resume)["rl_speed"]["kept"], run_of(resume))
    return fit(request, Console(file=io.StringIO()))


def assert_equal(first, second, path=""):
    """Deep equality of nested dictionaries, lists and tensors."""
    assert type(first) is type(second), path
    if isinstance(first, dict):
        assert first.keys() == second.keys(), path
        for key in first:
            assert_equal(first[key], second[key], f"{path}/{key}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), path
        for index, (a, b) in enumerate(zip(first, second, strict=True)):
            assert_equal(a, b, f"{path}/{index}")
    elif isinstance(first, torch.Tensor):
        # Rewards that nobody wrote are NaN.
        assert torch.equal(torch.nan_to_num(first, 7.7), torch.nan_to_num(second, 7.7)), path
    else:
        assert first == second, path
