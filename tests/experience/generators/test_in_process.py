"""Play and train in turn, on the scripted env."""

import torch

from rl_speed.experience.generators.in_process import InProcessGenerator
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.system.stage_timer import StageTimer
from tests.conftest import CountingEnv


def make_in_process(config, env):
    policy = ExploringPolicy(torch.nn.Identity(), env.num_actions, seed=0)
    return InProcessGenerator(env, policy, config.envs, config.actors.rollout_env_steps, StageTimer())


def test_rollouts_follow_one_another_without_a_gap(tiny_config):
    config = tiny_config(actors={"rollout_env_steps": 3})
    generator = make_in_process(config, CountingEnv([4, 6]))
    rollouts = [vars(next(generator)).copy() for _ in range(1)]
    assert rollouts[0]["frame"][:, :, 0, 0].tolist() == [[0, 0], [1, 1], [2, 2]]
    second = next(generator)
    assert second.frame[:, :, 0, 0].tolist() == [[3, 3], [4, 4], [5, 5]]
    assert second.is_first.tolist() == [[False, False], [True, False], [False, False]]
    assert second.terminated.tolist() == [[True, False], [False, False], [False, True]]
    assert second.reward.tolist() == [[4, 4], [5, 5], [6, 6]]
    assert second.env_steps == generator.env_steps == 12


def test_episode_ends_hold_raw_returns_and_lengths(tiny_config):
    config = tiny_config(actors={"rollout_env_steps": 6}, envs={"clip_reward": True})
    rollout = next(make_in_process(config, CountingEnv([4, 6])))
    ends = [(end.env, end.episode_return, end.episode_length_env_steps, end.env_steps) for end in rollout.episode_ends]
    assert ends == [(0, 1 + 2 + 3 + 4, 4, 8), (1, 21, 6, 12)]
    # Numbers of Python: they are written as JSON.
    assert {type(value) for end in ends for value in end} == {int, float}
    # What is learned from is clipped; what is reported is not.
    assert rollout.reward.max() == 1.0


def test_the_games_go_on_while_the_caller_works(tiny_config):
    env = CountingEnv([100])
    generator = make_in_process(tiny_config(), env)
    next(generator)
    assert env.action is not None


def test_a_generator_resumes_in_the_middle_of_a_step(tiny_config):
    config = tiny_config()
    first = make_in_process(config, CountingEnv([100, 100]))
    second = make_in_process(config, CountingEnv([100, 100]))
    for _ in range(5):
        next(first)
    second.load_state_dict(first.state_dict())
    for _ in range(3):
        a, b = next(first), next(second)
        assert torch.equal(a.frame, b.frame)
        assert torch.equal(a.action, b.action)
        assert a.env_steps == b.env_steps
