"""What every backend keeps to: its state comes back, a lost life ends no game, it closes."""

import numpy as np
import pytest
import torch

from rl_speed.config import EnvsConfig
from rl_speed.experience.envs import make_env
from tests.experience.envs.agreement import assert_same, play


@pytest.mark.parametrize(
    "backend",
    [pytest.param("classic", marks=pytest.mark.slow), "ale_vector", pytest.param("native", marks=pytest.mark.slow)],
)
def test_games_come_back_bit_for_bit(backend):
    # Short episodes and frequent fresh seeds: the journals of the envs have different lengths.
    config = EnvsConfig(
        backend=backend, game="breakout", max_episode_frames=230, reseed_env_steps=70, sticky_probability=0.25
    )
    env, other = (make_env(config, 3, seed=seed, threads=1) for seed in (7, 8))
    play(env, 137)
    frame = other.load_state_dict(env.state_dict())
    expected, resumed = play(env, 150, seed=1, start=False)[1], play(other, 150, seed=1, start=False)[1]
    assert_same(expected, resumed)
    np.testing.assert_array_equal(frame.shape, expected[0].frame.shape)
    env.close()
    other.close()


@pytest.mark.parametrize("backend", ["classic", "ale_vector", pytest.param("native", marks=pytest.mark.slow)])
def test_a_lost_life_does_not_end_the_game(backend):
    env = make_env(EnvsConfig(backend=backend, game="breakout"), 1, seed=1, threads=1)
    env.reset()
    lives_lost = overs = 0
    for step in range(1500):
        env.send(torch.tensor([1 if step % 20 == 0 else 0]))  # FIRE now and then, never move
        answer = env.recv()
        lives_lost += int(answer.life_lost[0])
        overs += int(answer.terminated[0])
        if overs:
            break
    assert (lives_lost, overs) == (4, 1)
    env.close()


@pytest.mark.parametrize("backend", ["classic", "ale_vector", "native"])
def test_closing_twice_is_allowed(backend):
    env = make_env(EnvsConfig(backend=backend), 1, seed=1, threads=1)
    env.close()
    env.close()
