"""ale-py's vector env behind our interface."""

import numpy as np
from ale_py.vector_env import AtariVectorEnv
from gymnasium.vector import AutoresetMode

from rl_speed.config import EnvsConfig
from rl_speed.experience.envs import make_env
from rl_speed.experience.envs.journal import SeedJournal
from tests.experience.envs.agreement import play


def test_frames_are_those_of_ale_pys_own_env():
    config = EnvsConfig(reseed_env_steps=10_000)
    env = make_env(config, 2, seed=3, threads=1)
    frame, answers = play(env, 100)
    journal = SeedJournal(2, 3, 1)
    other = AtariVectorEnv(
        "pong", num_envs=2, stack_num=1, autoreset_mode=AutoresetMode.SAME_STEP, reward_clipping=False
    )
    observation, _ = other.reset(seed=journal.current_seeds())
    np.testing.assert_array_equal(frame, observation[:, 0])
    generator = np.random.default_rng(0)
    for answer in answers:
        observation, reward, *_ = other.step(generator.integers(6, size=2))
        np.testing.assert_array_equal(answer.frame, observation[:, 0])
        np.testing.assert_array_equal(answer.reward, reward)
    env.close()
    other.close()


def test_envs_do_not_start_alike():
    env = make_env(EnvsConfig(game="space_invaders"), 4, seed=0, threads=1)
    # No-ops move the invaders: their number differs from env to env.
    assert len({one.numpy().tobytes() for one in env.reset()}) > 1
    env.close()
