"""Any Gymnasium env that shows images and takes one of a few actions: of the registry, or the caller's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.error import DependencyNotInstalled
from torch import Tensor

from rl_speed.config import EnvsConfig
from rl_speed.experience.envs.journal import SeedJournal
from rl_speed.experience.envs.preprocessing import grey_screen, resize_and_crop
from rl_speed.experience.envs.registered import missing_package
from rl_speed.records import EnvStep
from rl_speed.system.arrays import UInt8Array
from rl_speed.system.errors import ConfigError, UserError

FRAMES_PER_SECOND = 30  # of a video, where the env does not say


class GymnasiumEnv:
    """One env, step by step, with the face of `ClassicEnv`.

    Of the configuration, the image's size, its crop and the clipping of rewards count; what belongs to ale-py's games
    (the game, its actions, frames per step, no-ops, the time limit) is the env's own affair.

    Args:
        env: with observations uint8 [h, w], [h, w, 1] or [h, w, 3] and discrete actions.
        config: size and crop of a frame; the id, for messages.

    Raises:
        ConfigError: the env shows no images, or its actions are not discrete.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], config: EnvsConfig) -> None:
        self._config = config
        self._named = "env" if config.id is None else f"envs.id = {config.id}"
        self.num_actions, self._first_action = _check_spaces(env, self._named)
        self._env = env
        self.lives = 0

    @property
    def frames_per_second(self) -> int:
        """Of a video in which its time passes as fast as it should."""
        return int(self._env.metadata.get("render_fps") or FRAMES_PER_SECOND)

    def start(self, seed: int | None) -> UInt8Array:
        """Starts a game, from `seed` or (None) as the env goes on; returns the first frame, uint8 [H, W]."""
        try:
            observation, info = self._env.reset(seed=seed)
        except DependencyNotInstalled as error:  # some look for it only here
            raise missing_package(self._named, error) from None
        self.lives = int(info.get("lives", 0))
        return self._frame(observation)

    def play(self, action: int, screens: list[UInt8Array] | None = None) -> tuple[UInt8Array, float, bool, bool]:
        """Takes one step.

        Args:
            action: 0..A-1.
            screens: if given, the picture [h, w, 3] of the step is added to it: what the env renders, or else observes.

        Returns:
            frame uint8 [H, W], raw reward, terminated, truncated.

        Raises:
            UserError: it was asked for a picture and could not give one, or its observation or reward is of no use.
        """
        observation, reward, terminated, truncated, info = self._env.step(self._first_action + action)
        self.lives = int(info.get("lives", 0))
        if screens is not None:
            shows = self._rendered() if self._env.render_mode == "rgb_array" else np.asarray(observation)
            screens.append(_coloured(shows))
        return self._frame(observation), self._checked(reward), bool(terminated), bool(truncated and not terminated)

    def _rendered(self) -> UInt8Array:
        """The env's own picture of itself."""
        try:
            picture = self._env.render()
        except DependencyNotInstalled as error:
            raise missing_package(self._named, error) from None
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{self._named}: it cannot be filmed, its render failed ({type(error).__name__}: {reason}); correct it"
            ) from error
        if not isinstance(picture, np.ndarray):
            given = type(picture).__name__
        elif picture.dtype != np.uint8 or not _is_image(picture.shape):
            given = f"{picture.dtype} {list(picture.shape)}"
        else:
            return picture
        raise UserError(
            f"{self._named}: it cannot be filmed, its render gave {given} and not uint8 [rows, columns, 3]; correct it"
        )

    def _frame(self, observation: Any) -> UInt8Array:
        try:
            grey = grey_screen(np.asarray(observation))
        except ValueError as error:
            raise UserError(f"{self._named}: it observed something else than its space says: {error}") from None
        return resize_and_crop(np.ascontiguousarray(grey), self._config)

    def _checked(self, reward: Any) -> float:
        """A reward that float32 can hold."""
        try:
            with np.errstate(over="ignore"):
                value = float(np.float32(reward))
        except (TypeError, ValueError):
            value = float("nan")
        if not np.isfinite(value):
            raise UserError(
                f"{self._named}: it gave the reward {reward!r}, from which nothing can be learned; give a finite number"
            )
        return value

    def close(self) -> None:
        """Closes the env."""
        self._env.close()


class GymnasiumVectorEnv:
    """E such envs, stepped in turn. They cannot be saved: a resumed run starts them anew.

    Args:
        make: makes one env; see GymnasiumEnv.
        config: see GymnasiumEnv.
        num_envs: E.
        seed: each env is started from a seed of its own that derives from it.

    Raises:
        ConfigError: see GymnasiumEnv.
    """

    def __init__(
        self, make: Callable[[], gymnasium.Env[Any, Any]], config: EnvsConfig, num_envs: int, seed: int
    ) -> None:
        self.num_envs, self.device = num_envs, torch.device("cpu")
        self._seeds = SeedJournal(num_envs, seed, None).current_seeds().tolist()
        self._envs = [GymnasiumEnv(make(), config) for _ in range(num_envs)]
        self.num_actions = self._envs[0].num_actions
        self._action: Tensor | None = None

    def reset(self) -> Tensor:
        """See VectorEnv."""
        return torch.from_numpy(np.stack([env.start(seed) for env, seed in zip(self._envs, self._seeds, strict=True)]))

    def send(self, action: Tensor) -> None:
        """See VectorEnv; the work is done in `recv`."""
        self._action = action

    def recv(self) -> EnvStep:
        """See VectorEnv."""
        assert self._action is not None, "recv without send"
        steps = [_step(env, int(action)) for env, action in zip(self._envs, self._action, strict=True)]
        self._action = None
        frame, reward, terminated, truncated, life_lost = zip(*steps, strict=True)
        return EnvStep(
            torch.from_numpy(np.stack(frame)),
            torch.tensor(reward, dtype=torch.float32),
            torch.tensor(terminated),
            torch.tensor(truncated),
            torch.tensor(life_lost),
        )

    def state_dict(self) -> dict[str, Any]:
        """Nothing: any env may hold what cannot be saved."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> Tensor:
        """See VectorEnv; never called, since there is nothing to restore."""
        raise AssertionError("these envs cannot be restored")

    def close(self) -> None:
        """See VectorEnv."""
        for env in self._envs:
            env.close()
        self._envs = []


def _step(env: GymnasiumEnv, action: int) -> tuple[UInt8Array, float, bool, bool, bool]:
    """One step, and the start of the next game where it ends one."""
    lives = env.lives
    frame, reward, terminated, truncated = env.play(action)
    if terminated or truncated:
        return env.start(None), reward, terminated, truncated, False
    return frame, reward, terminated, truncated, 0 < env.lives < lives


def _coloured(picture: UInt8Array) -> UInt8Array:
    """A picture [h, w], [h, w, 1] or [h, w, 3] as [h, w, 3]."""
    if picture.ndim == 2:
        picture = picture[..., None]
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture


def _is_image(shape: tuple[int, ...]) -> bool:
    """Whether this is the shape of a grey or coloured picture."""
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))


def _check_spaces(env: gymnasium.Env[Any, Any], named: str) -> tuple[int, int]:
    """Number of actions and the first action's number."""
    if not isinstance(env, gymnasium.Env):
        raise ConfigError(f"{named}: it made a {type(env).__name__}; make a gymnasium.Env")
    is_by_id = named != "env"
    actions, observations = env.action_space, env.observation_space
    if not isinstance(actions, gymnasium.spaces.Discrete) or actions.n < 2:
        takes_option = is_by_id and "continuous" in inspect.signature(type(env.unwrapped).__init__).parameters
        hint = "; set envs.options.continuous to false" if takes_option else ""
        raise ConfigError(f"{named}: its action space {actions} must be Discrete with two actions or more{hint}")
    shape = observations.shape or ()
    is_image = isinstance(observations, gymnasium.spaces.Box) and observations.dtype == np.uint8
    if not is_image or not _is_image(shape):
        hint = (
            "set envs.render_observation to true for the picture that it renders"
            if is_by_id
            else "wrap it so that it shows images, e.g. gymnasium.wrappers.AddRenderObservation"
        )
        raise ConfigError(
            f"{named}: its observation space {' '.join(str(observations).split())} must be a Box of uint8 "
            f"[rows, columns] or [rows, columns, 3]; {hint}"
        )
    return int(actions.n), int(actions.start)
