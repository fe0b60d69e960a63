"""The single env: Gymnasium's own check, and that it is the vector env with one game."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rl_speed.emulator import AtariEnv, AtariVectorEnv
from rl_speed.system.errors import UserError


@pytest.mark.parametrize("arguments", [{}, {"obs_type": "ram"}, {"obs_type": "rgb"}, {"render_mode": "rgb_array"}])
def test_gymnasiums_checker_has_nothing_to_say(arguments):
    env = gymnasium.make("rl_speed/Pong-v5", recompile=False, **arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    env.close()


def test_it_plays_what_the_vector_env_plays():
    env = AtariEnv("pong", recompile=False, max_num_frames_per_episode=60, noop_max=5)
    envs = AtariVectorEnv("pong", 1, recompile=False, max_num_frames_per_episode=60, noop_max=5)
    observation, infos = env.reset(seed=4)
    expected, _ = envs.reset(seed=4)
    assert set(infos) == {"lives", "frame_number", "episode_frame_number"}
    ends = 0
    for step in range(40):
        np.testing.assert_array_equal(observation, expected[0], err_msg=f"step {step}")
        action = step % 6
        observation, reward, terminated, truncated, _ = env.step(action)
        expected, rewards, *_ = envs.step([action])
        assert isinstance(reward, float)
        assert reward == rewards[0]
        if terminated or truncated:
            ends += 1
            with pytest.raises(gymnasium.error.ResetNeeded):
                env.step(0)
            np.testing.assert_array_equal(observation, expected[0])
            observation, _ = env.reset()
            expected = envs.step([0])[0]  # the step that starts the next game
    assert ends >= 2
    env.close()
    envs.close()


def test_a_saved_game_is_a_place_to_search_from():
    env = AtariEnv("pong", recompile=False)
    env.reset(seed=0)
    for _ in range(10):
        env.step(2)
    state = env.save_state()
    futures = []
    for action in (2, 3, 2):
        env.load_state(state)
        futures.append([env.step(action)[0] for _ in range(8)])
    np.testing.assert_array_equal(futures[0], futures[2])
    assert (np.array(futures[0]) != np.array(futures[1])).any()
    env.close()


def test_misuse_is_refused():
    env = AtariEnv("pong", recompile=False)
    assert env.get_action_meanings()[:2] == ["NOOP", "FIRE"]
    env.reset()
    with pytest.raises(UserError, match="actions"):
        env.step(6)
    assert env.render() is None
    env.close()
    with pytest.raises(UserError, match="pongg"):
        AtariEnv("pongg")
