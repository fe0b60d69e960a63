"""Envs of the caller's own behind VectorEnv."""

import re

import gymnasium
import numpy as np
import pytest
import torch

from rl_speed.config import EnvsConfig
from rl_speed.experience.envs.gymnasium_env import GymnasiumVectorEnv
from rl_speed.system.errors import ConfigError, UserError

CONFIG = EnvsConfig(image_height=24, image_width=20, crop_top=2, crop_bottom=2)


class Scripted(gymnasium.Env):
    """Counts its steps; the picture is the count, or its reset's number times 50; lives fall at step 2."""

    def __init__(self, last=4, truncates=False, start=0, shape=(48, 40, 3)):
        self.observation_space = gymnasium.spaces.Box(0, 255, shape, np.uint8)
        self.action_space = gymnasium.spaces.Discrete(3, start=start)
        self.last, self.truncates = last, truncates
        self.resets, self.steps, self.actions, self.seeds = 0, 0, [], []
        self.is_closed = False

    def reset(self, *, seed=None, options=None):
        self.resets += 1
        self.steps = 0
        self.seeds.append(seed)
        return np.full(self.observation_space.shape, 50 * self.resets, dtype=np.uint8), {"lives": 3}

    def step(self, action):
        self.actions.append(int(action))
        self.steps += 1
        is_over = self.steps == self.last
        picture = np.full(self.observation_space.shape, self.steps, dtype=np.uint8)
        ends = (is_over and not self.truncates, is_over and self.truncates)
        return picture, 10.0 * self.steps, *ends, {"lives": 3 if self.steps < 2 else 2}

    def close(self):
        self.is_closed = True


def make(*envs):
    waiting = list(envs)
    return GymnasiumVectorEnv(lambda: waiting.pop(0), CONFIG, len(envs), seed=7)


def step(games, *actions):
    games.send(torch.tensor(actions))
    return games.recv()


@pytest.mark.parametrize("shape", [(48, 40, 3), (48, 40, 1), (48, 40)])
def test_frames_are_grey_of_the_configured_size_and_cropped(shape):
    games = make(Scripted(shape=shape))
    frame = games.reset()
    assert frame.shape == (1, 20, 20)
    assert frame.dtype == torch.uint8
    assert frame.unique().tolist() == [50]
    games.close()


def test_the_step_that_ends_a_game_shows_the_next_ones_first_frame():
    short, long = Scripted(last=2), Scripted(last=3, truncates=True)
    games = make(short, long)
    games.reset()
    first = step(games, 0, 1)
    assert first.frame[:, 0, 0].tolist() == [1, 1]
    assert first.reward.tolist() == [10, 10]
    second = step(games, 0, 1)
    assert second.frame[:, 0, 0].tolist() == [100, 2]
    assert (second.terminated.tolist(), second.truncated.tolist()) == ([True, False], [False, False])
    assert second.life_lost.tolist() == [False, True]  # the end of a game is no lost life
    third = step(games, 0, 1)
    assert (third.terminated.tolist(), third.truncated.tolist()) == ([False, False], [False, True])
    assert third.frame[:, 0, 0].tolist() == [1, 100]
    games.close()
    assert short.is_closed
    assert long.is_closed


def test_actions_begin_where_the_space_does_and_every_env_has_a_seed_of_its_own():
    envs = [Scripted(start=5), Scripted(start=5)]
    games = make(*envs)
    assert games.num_actions == 3
    games.reset()
    step(games, 0, 2)
    assert [env.actions for env in envs] == [[5], [7]]
    assert envs[0].seeds[0] != envs[1].seeds[0]
    assert games.state_dict() == {}
    games.close()


@pytest.mark.parametrize(
    ("env", "part"),
    [
        (gymnasium.make("CartPole-v1"), "Box of uint8"),
        (Scripted(shape=(10, 10, 4)), "Box of uint8"),
        (object(), "it made a object"),
    ],
)
def test_what_shows_no_images_is_refused(env, part):
    with pytest.raises(ConfigError, match=part):
        make(env)


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), 1e39, None, [1.0, 2.0]])
def test_a_reward_that_is_no_number_is_named(reward):
    env = Scripted()
    games = make(env)
    games.reset()
    plain = env.step
    env.step = lambda action: (plain(action)[0], reward, False, False, {})
    with pytest.raises(UserError, match=re.escape(f"env: it gave the reward {reward!r}")):
        step(games, 0)
