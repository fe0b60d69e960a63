"""Any Gymnasium env that shows images and takes one of a few actions: the caller's own games."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from rl_speed.config import EnvsConfig
from rl_speed.experience.envs.journal import SeedJournal
from rl_speed.experience.envs.preprocessing import grey_screen, resize_and_crop
from rl_speed.records import EnvStep
from rl_speed.system.arrays import UInt8Array
from rl_speed.system.errors import ConfigError, UserError


class GymnasiumVectorEnv:
    """E envs of the caller's, stepped in turn.

    Of the configuration, the image's size, its crop and the clipping of rewards count; what belongs to ale-py's games
    (the game, its actions, frames per step, no-ops) is the caller's own affair. The envs cannot be saved: a resumed run
    starts them anew.

    Args:
        make: makes one env, with observations uint8 [h, w], [h, w, 1] or [h, w, 3] and discrete actions.
        config: size and crop of a frame.
        num_envs: E.
        seed: each env is started from a seed of its own that derives from it.

    Raises:
        ConfigError: the env shows no images, or its actions are not discrete.
    """

    def __init__(
        self, make: Callable[[], gymnasium.Env[Any, Any]], config: EnvsConfig, num_envs: int, seed: int
    ) -> None:
        self.num_envs, self.device = num_envs, torch.device("cpu")
        self._config = config
        self._journal = SeedJournal(num_envs, seed, None)
        self._envs: list[gymnasium.Env[Any, Any]] = []
        for _ in range(num_envs):
            env = make()
            self.num_actions, self._first_action = _check_spaces(env)
            self._envs.append(env)
        self._lives = np.zeros(num_envs, dtype=np.int64)
        self._action: Tensor | None = None

    def _frame(self, observation: Any) -> UInt8Array:
        return resize_and_crop(np.ascontiguousarray(grey_screen(np.asarray(observation))), self._config)

    def reset(self) -> Tensor:
        """See VectorEnv."""
        frames = []
        for index, env in enumerate(self._envs):
            observation, info = env.reset(seed=self._journal.current_seed(index))
            self._lives[index] = info.get("lives", 0)
            frames.append(self._frame(observation))
        return torch.from_numpy(np.stack(frames))

    def send(self, action: Tensor) -> None:
        """See VectorEnv."""
        self._action = action

    def recv(self) -> EnvStep:
        """See VectorEnv."""
        assert self._action is not None, "recv without send"
        steps = [self._step(index, int(action)) for index, action in enumerate(self._action)]
        self._action = None
        frame, reward, terminated, truncated, life_lost = zip(*steps, strict=True)
        return EnvStep(
            torch.from_numpy(np.stack(frame)),
            torch.tensor(reward, dtype=torch.float32),
            torch.tensor(terminated),
            torch.tensor(truncated),
            torch.tensor(life_lost),
        )

    def _step(self, index: int, action: int) -> tuple[UInt8Array, float, bool, bool, bool]:
        env = self._envs[index]
        observation, reward, terminated, truncated, info = env.step(self._first_action + action)
        reward = _checked(reward)
        lives = int(info.get("lives", 0))
        life_lost = 0 < lives < int(self._lives[index]) and not (terminated or truncated)
        if terminated or truncated:
            observation, info = env.reset()
            lives = int(info.get("lives", 0))
        self._lives[index] = lives
        return self._frame(observation), float(reward), bool(terminated), bool(truncated and not terminated), life_lost

    def state_dict(self) -> dict[str, Any]:
        """Nothing: any env of the caller's may hold what cannot be saved."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> Tensor:
        """See VectorEnv; never called, since there is nothing to restore."""
        raise AssertionError("these envs cannot be restored")

    def close(self) -> None:
        """See VectorEnv."""
        for env in self._envs:
            env.close()
        self._envs = []


def _checked(reward: Any) -> float:
    """A reward that float32 can hold."""
    try:
        with np.errstate(over="ignore"):
            value = float(np.float32(reward))
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value):
        raise UserError(f"env: it gave the reward {reward!r}, from which nothing can be learned; give a finite number")
    return value


def _check_spaces(env: gymnasium.Env[Any, Any]) -> tuple[int, int]:
    """Number of actions and the first action's number."""
    if not isinstance(env, gymnasium.Env):
        raise ConfigError(f"env: it made a {type(env).__name__}; make a gymnasium.Env")
    actions, observations = env.action_space, env.observation_space
    if not isinstance(actions, gymnasium.spaces.Discrete) or actions.n < 2:
        raise ConfigError(f"env: its action space {actions} must be Discrete with two actions or more")
    shape = observations.shape or ()
    is_image = isinstance(observations, gymnasium.spaces.Box) and observations.dtype == np.uint8
    if not is_image or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))):
        raise ConfigError(
            f"env: its observation space {observations} must be a Box of uint8 [rows, columns] or [rows, columns, 3]; "
            f"wrap it so that it shows images, e.g. gymnasium.wrappers.AddRenderObservation"
        )
    return int(actions.n), int(actions.start)
