"""The vector env for Stable-Baselines3, which asks for envs of its own kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import Wrapper
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv

from rl_speed.emulator.vector_env import AtariVectorEnv
from rl_speed.system.arrays import BoolArray, Float32Array, UInt8Array
from rl_speed.system.errors import UserError


class AtariVecEnv(VecEnv):  # type: ignore[misc, unused-ignore]  # where it is not installed
    """An AtariVectorEnv as a VecEnv, with the infos that Stable-Baselines3 learns from and logs.

    Returns that are logged are those of whole games, and not clipped.

    Args:
        envs: with AutoresetMode.SAME_STEP, which is how Stable-Baselines3 resets.

    Raises:
        UserError: envs of another mode, or with batch_size.

    Source: Stable-Baselines3 2.7, vectorized environments.
    """

    def __init__(self, envs: AtariVectorEnv) -> None:
        if envs.metadata["autoreset_mode"] != AutoresetMode.SAME_STEP or envs.batch_size != envs.num_envs:
            raise UserError("envs: Stable-Baselines3 needs autoreset_mode='SameStep' and no batch_size")
        self.envs = envs
        self.render_mode = envs.render_mode
        if envs.is_on_gpu:
            raise UserError("envs: Stable-Baselines3 wants arrays in main memory; make the envs with device='cpu'")
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)
        self.metadata = envs.metadata
        self._returns = np.zeros(envs.num_envs)
        self._lengths = np.zeros(envs.num_envs, dtype=np.int64)

    def reset(self) -> UInt8Array:
        """Starts new games, from the seeds that `seed` gave."""
        seeds = None if self._seeds[0] is None else [int(seed) for seed in self._seeds if seed is not None]
        observation, infos = self.envs.reset(seed=seeds, options=self._options[0] or None)
        self.reset_infos = _texts(infos)
        self._reset_seeds()
        self._reset_options()
        self._returns[:], self._lengths[:] = 0, 0
        return observation

    def step_async(self, actions: np.ndarray[Any, Any]) -> None:
        """Starts a step."""
        self.envs.send(actions)

    def step_wait(self) -> tuple[UInt8Array, Float32Array, BoolArray, list[dict[str, Any]]]:
        """Waits for it. Where a game ended, infos hold its last observation, its return and its length."""
        observation, reward, terminated, truncated, infos = self.envs.recv()
        done: BoolArray = terminated | truncated
        self._returns += infos["reward"]
        self._lengths += 1
        texts = _texts(infos)
        for index in np.flatnonzero(done):
            ended = texts[index]
            ended["terminal_observation"] = infos["final_obs"][index]
            ended["TimeLimit.truncated"] = bool(truncated[index] and not terminated[index])
            if infos["game_over"][index]:
                ended["episode"] = {"r": float(self._returns[index]), "l": int(self._lengths[index])}
                self._returns[index], self._lengths[index] = 0, 0
        return observation, reward.astype(np.float32), done, texts

    def close(self) -> None:
        """Ends the emulator."""
        self.envs.close()

    def get_images(self) -> Sequence[UInt8Array | None]:
        """The games' screens."""
        return self.envs.render() or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute, once for each env."""
        return [getattr(self.envs, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """The envs are one object: there is nothing to set in one of them."""
        raise UserError(f"{attr_name}: envs that are one object cannot be changed one by one; make new ones")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """What a method of the envs, which are one object, says; once for each index."""
        result = getattr(self.envs, method_name)(*method_args, **method_kwargs)
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[Wrapper[Any, Any, Any, Any]], indices: Any = None) -> list[bool]:
        """No wrapper of single envs is in use; what Monitor does, this does."""
        return [issubclass(wrapper_class, Monitor) for _ in self._get_indices(indices)]


def _texts(infos: dict[str, Any]) -> list[dict[str, Any]]:
    """A dictionary for each env, of what there is one number of."""
    names = ("lives", "frame_number", "episode_frame_number")
    columns = [infos[name].tolist() for name in names]
    return [dict(zip(names, numbers, strict=True)) for numbers in zip(*columns, strict=True)]
