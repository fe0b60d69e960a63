"""One game as a Gymnasium env: the vector env with one."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from rl_speed.emulator.saved_states import SavedStates
from rl_speed.emulator.vector_env import AtariVectorEnv
from rl_speed.system.arrays import UInt8Array
from rl_speed.system.errors import UserError


class AtariEnv(gymnasium.Env[UInt8Array, Any]):
    """A game, preprocessed as AtariVectorEnv does it.

    Args:
        game: in snake_case, e.g. "space_invaders".
        render_mode: "rgb_array" for `render`.
        arguments: see AtariVectorEnv; those about several envs are refused.

    Raises:
        UserError: see AtariVectorEnv.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012

    def __init__(self, game: str, *, render_mode: str | None = None, **arguments: Any) -> None:
        for name in ("num_envs", "batch_size", "num_threads", "thread_affinity_offset", "autoreset_mode", "device"):
            if name in arguments:
                raise UserError(f"{name}: this is one env; leave it out, or make an AtariVectorEnv")
        self._envs = AtariVectorEnv(
            game, 1, num_threads=1, autoreset_mode=AutoresetMode.DISABLED, render_mode=render_mode, **arguments
        )
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": self._envs.metadata["render_fps"]}
        self.observation_space = self._envs.single_observation_space
        self.action_space = self._envs.single_action_space

    def get_action_meanings(self) -> list[str]:
        """Names of the discrete actions, in their order."""
        return self._envs.get_action_meanings()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[UInt8Array, dict[str, Any]]:
        """Starts a new game; see AtariVectorEnv.reset."""
        super().reset(seed=seed)
        if seed is None and self._envs.is_unseeded:
            seed = int(self.np_random.integers(2**32))
        observation, infos = self._envs.reset(seed=seed, options=options)
        return observation[0], _first(infos)

    def step(self, action: Any) -> tuple[UInt8Array, float, bool, bool, dict[str, Any]]:
        """One step; see AtariVectorEnv.step."""
        observation, reward, terminated, truncated, infos = self._envs.step(np.asarray(action)[None])
        return observation[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), _first(infos)

    def save_state(self) -> SavedStates:
        """The game as it is, to the bit."""
        return self._envs.save_states()

    def load_state(self, state: SavedStates) -> tuple[UInt8Array, dict[str, Any]]:
        """Goes on from a saved game; returns what `reset` returns."""
        observation, infos = self._envs.load_states(state)
        return observation[0], _first(infos)

    def render(self) -> UInt8Array | None:
        """The screen, uint8 [height, 160, 3], with render_mode "rgb_array"; else None."""
        screens = self._envs.render()
        return None if screens is None else screens[0]

    def close(self) -> None:
        """Ends the emulator."""
        self._envs.close()


def _first(infos: dict[str, Any]) -> dict[str, Any]:
    return {name: value[0].item() for name, value in infos.items() if name != "env_id"}
