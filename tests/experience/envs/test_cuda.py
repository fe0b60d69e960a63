"""Envs on the GPU give what those on the CPU give; their kernels run on the CPU here."""

import numpy as np
import pytest
import torch

from rl_speed.config import EnvsConfig
from rl_speed.emulator.games import find_game
from rl_speed.experience.envs.cuda import CudaVectorEnv
from rl_speed.experience.envs.journal import SeedJournal
from rl_speed.experience.envs.native import NativeVectorEnv
from rl_speed.experience.generators.in_process import InProcessGenerator
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.system.stage_timer import StageTimer
from tests.emulator.factory import simulated


@pytest.mark.slow
@pytest.mark.parametrize("frames", [{}, {"frame_skip": 1}, {"frame_skip": 2, "max_pool": False}], ids=str)
def test_the_env_gives_what_the_cpus_does(frames):
    config = EnvsConfig(
        game="breakout",
        crop_top=10,
        actions=("NOOP", "RIGHT", "LEFT", "FIRE"),
        max_episode_frames=150,
        noop_max=4,
        **frames,
    )
    ours = CudaVectorEnv(config, 2, SeedJournal(2, 4, None), simulated(find_game("breakout")))
    other = NativeVectorEnv(config, 2, SeedJournal(2, 4, None), threads=1)
    assert torch.equal(ours.reset(), other.reset())
    rng = np.random.default_rng(1)
    middle = None
    for step in range(90):
        action = torch.from_numpy(rng.integers(ours.num_actions, size=2))
        ours.send(action)
        other.send(action)
        answers = [vars(env.recv()) for env in (ours, other)]
        for name, value in answers[0].items():
            assert torch.equal(value, answers[1][name]), f"{name} of step {step}"
        if step == 50:
            middle = ours.state_dict(), answers[0]["frame"].clone(), other.state_dict()
    assert middle is not None
    ours.reset()
    assert torch.equal(ours.load_state_dict(middle[0]), middle[1])
    other.load_state_dict(middle[2])
    for env in (ours, other):
        env.send(torch.tensor([1, 2]))
    assert all(torch.equal(a, b) for a, b in zip(*(vars(env.recv()).values() for env in (ours, other)), strict=True))
    other.close()
    ours.close()


def test_rollouts_are_those_of_the_cpus_env(tiny_config):
    config = tiny_config(
        envs={"count": 2, "max_episode_frames": 60, "image_height": 42, "image_width": 42, "noop_max": 2},
        actors={"rollout_env_steps": 8},
    )
    envs = (
        CudaVectorEnv(config.envs, 2, SeedJournal(2, 4, None), simulated(find_game("pong"))),
        NativeVectorEnv(config.envs, 2, SeedJournal(2, 4, None), threads=1),
    )
    policies = (ExploringPolicy(torch.nn.Identity(), 6, seed=0) for _ in envs)
    ours, other = (
        InProcessGenerator(env, policy, config.envs, 8, StageTimer())
        for env, policy in zip(envs, policies, strict=True)
    )
    ends = 0
    for _ in range(5):
        first, second = vars(next(ours)), vars(next(other))
        for name, value in first.items():
            same = torch.equal(value, second[name]) if isinstance(value, torch.Tensor) else value == second[name]
            assert same, name
        ends += len(first["episode_ends"])
    assert ends == 4  # each game is cut off after 15 steps
    envs[1].close()
