"""A short run with all that its network can have, and what is exported of it."""

import pytest

import rl_speed
from rl_speed.experience.parts import Parts
from rl_speed.exports.agent import read_agent
from rl_speed.training.checkpoint.folders import resolve

EVERYTHING = {
    "envs": {"count": 2, "image_height": 20, "image_width": 20, "max_episode_frames": 100},
    "network": {
        "channels": [4], "kernels": [4], "strides": [4], "hidden": 8, "dueling": True, "standardise": True,
        "normalise": True, "fused": True,
    },
    "update": {"batch_size": 8, "threads": 1, "precision": "bf16", "averaging_rate": 0.3},
    "replay": {"capacity_env_steps": 600, "prefill_env_steps": 90},
    "stop": {
        "max_env_steps": None, "max_gradient_steps": 40, "confirm_episodes": 2, "confirm_unsolved": True,
        "confirm_epsilon": 0.25,
    },
    "trainer": {"accelerator": "cpu"},
}  # fmt: skip


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """Of a run that ended with two games of confirmation; tests only read it."""
    directory = tmp_path_factory.mktemp("exported")
    logging = {"directory": str(directory), "progress_bar": False}
    return rl_speed.train("smoke", {**EVERYTHING, "logging": logging}, seed=1).directory


@pytest.fixture(scope="session")
def agent(run_folder):
    """Its agent."""
    return read_agent(resolve(run_folder), Parts(), but_env=True)
