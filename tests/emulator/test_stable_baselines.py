"""Stable-Baselines3's own algorithms on our envs."""

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from stable_baselines3 import DQN, PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecTransposeImage

from rl_speed.emulator import AtariVectorEnv
from rl_speed.emulator.stable_baselines import AtariVecEnv
from rl_speed.system.errors import UserError

SHORT = {"max_num_frames_per_episode": 60, "noop_max": 4, "recompile": False, "autoreset_mode": "SameStep"}


def make(num_envs=4, **arguments):
    return AtariVecEnv(AtariVectorEnv("pong", num_envs, **{**SHORT, **arguments}))


def test_ends_are_told_as_stable_baselines_wants_them():
    env, plain = make(), AtariVectorEnv("pong", 4, **SHORT)
    env.seed(3)
    np.testing.assert_array_equal(env.reset(), plain.reset(seed=3)[0])
    ended = 0
    for step in range(40):
        actions = np.array([step % 6, 2, 3, 0])
        observation, reward, done, infos = env.step(actions)
        expected, rewards, _, truncated, others = plain.step(actions)
        np.testing.assert_array_equal(observation, expected)
        np.testing.assert_array_equal(reward, rewards)
        assert reward.dtype == np.float32
        for index in np.flatnonzero(done):
            np.testing.assert_array_equal(infos[index]["terminal_observation"], others["final_obs"][index])
            assert infos[index]["TimeLimit.truncated"] == truncated[index]
            assert infos[index]["episode"]["l"] == 15
            ended += 1
    assert ended == 8
    assert env.get_attr("render_mode", [1]) == [None]
    assert env.env_method("get_action_meanings", indices=[0, 1])[1][0] == "NOOP"
    env.close()
    plain.close()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [DQN, PPO])
def test_its_algorithms_learn_on_it(algorithm):
    arguments = {"DQN": {"buffer_size": 600, "learning_starts": 100}, "PPO": {"n_steps": 32, "batch_size": 64}}
    env = make()
    model = algorithm("CnnPolicy", env, seed=0, **arguments[algorithm.__name__])
    model.set_logger(Logger(None, []))  # its own would leave a folder
    model.learn(400)
    assert len(model.ep_info_buffer) > 10
    assert {episode["l"] for episode in model.ep_info_buffer} == {15}
    assert not isinstance(model.get_env(), VecTransposeImage)  # frames come first already
    returns, lengths = evaluate_policy(model, env, n_eval_episodes=5, return_episode_rewards=True)
    assert len(returns) == 5
    assert set(lengths) == {15}
    env.close()


def test_other_envs_are_refused():
    for arguments in ({"autoreset_mode": "NextStep"}, {"batch_size": 2}):
        with pytest.raises(UserError, match="SameStep"):
            make(**arguments)
