"""TorchRL on our envs, where it is installed (`pip install torchrl`)."""

import gymnasium
import pytest

import rl_speed.emulator

pytest.importorskip("torchrl")

from torchrl.envs import GymEnv, GymWrapper


def test_one_env():
    rollout = GymEnv(rl_speed.emulator.registration.env_id("pong"), recompile=False).rollout(20)
    assert rollout["observation"].shape == (20, 4, 84, 84)
    assert rollout["next", "reward"].shape == (20, 1)


def test_many_envs_that_it_resets_one_by_one():
    arguments = {"autoreset_mode": "Disabled", "max_num_frames_per_episode": 40, "recompile": False}
    envs = gymnasium.make_vec("rl_speed/Pong-v5", num_envs=3, **arguments)
    rollout = GymWrapper(envs).rollout(30, break_when_any_done=False)
    assert rollout["observation"].shape == (3, 30, 4, 84, 84)
    assert rollout["next", "truncated"].sum() == 9
