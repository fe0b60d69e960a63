"""What a player writes down of a life that was lost."""

import torch

from rl_speed.experience.generators.player import Player, RolloutSpace
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.records import EnvStep
from rl_speed.system.stage_timer import StageTimer


class ThreeLives:
    """One game of six env steps with a reward of 1 each; lives are lost in the second and the fourth."""

    num_envs, num_actions, device = 1, 2, torch.device("cpu")

    def __init__(self):
        self.steps = 0

    def reset(self):
        return torch.zeros((1, 20, 20), dtype=torch.uint8)

    def send(self, action):
        self.steps += 1

    def recv(self):
        in_game = (self.steps - 1) % 6 + 1
        return EnvStep(
            torch.full((1, 20, 20), self.steps, dtype=torch.uint8),
            reward=torch.ones(1),
            terminated=torch.tensor([in_game == 6]),
            truncated=torch.tensor([False]),
            life_lost=torch.tensor([in_game in (2, 4)]),
        )


def play(config, steps=7):
    player = Player(ThreeLives(), ExploringPolicy(None, 2, seed=0), config.envs, first_env=3, timer=StageTimer())
    space = RolloutSpace.allocate(steps, 1, config.envs)
    for t in range(steps):
        player.begin()
        player.finish(space, t)
    return space, player.take_episode_ends(100, 1)


def test_a_lost_life_ends_what_is_learned_and_not_the_game(tiny_config):
    space, ends = play(tiny_config(envs={"episodic_life": True}))
    assert space.terminated[:, 0].tolist() == [False, True, False, True, False, True, False]
    # The stack of frames goes on, and so does the return.
    assert space.is_first[:, 0].tolist() == [True, False, False, False, False, False, True]
    assert [(end.env, end.episode_return, end.episode_length_env_steps, end.env_steps) for end in ends] == [
        (3, 6.0, 6, 106)
    ]


def test_without_episodic_life_a_lost_life_is_nothing(tiny_config):
    space, ends = play(tiny_config(envs={"episodic_life": False}))
    assert space.terminated[:, 0].tolist() == [False] * 5 + [True, False]
    assert len(ends) == 1
