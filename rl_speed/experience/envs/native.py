"""Our own emulator on the CPU: the same games, frames, rewards and ends as ale-py's vector env, in less time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl_speed.config import EnvsConfig
from rl_speed.emulator.consoles import Consoles
from rl_speed.emulator.games import Game, find_game
from rl_speed.emulator.records import Step
from rl_speed.emulator.settings import ConsoleSettings
from rl_speed.experience.envs.journal import SeedJournal
from rl_speed.experience.envs.preprocessing import action_names
from rl_speed.records import EnvStep
from rl_speed.system.arrays import UInt8Array


def console_settings(config: EnvsConfig, game: Game) -> ConsoleSettings:
    """The part of the configuration that the emulator knows."""
    return ConsoleSettings(
        actions=action_names(config),
        sticky_probability=config.sticky_probability,
        frame_skip=config.frame_skip,
        max_pool=config.max_pool,
        noop_max=config.noop_max,
        fire_on_reset=config.fire_on_reset,
        max_frames=config.max_episode_frames,
        image_height=config.image_height,
        image_width=config.image_width,
        first_row=config.crop_top,
        rows=config.frame_height,
        mode=config.mode,
        difficulty=config.difficulty,
    )


class NativeVectorEnv:
    """E games on our own emulator.

    `send` returns at once and the games run on threads of their own until `recv`. A saved state is exact, so that
    nothing is played again on resume.

    Args:
        config: game and preprocessing.
        num_envs: E.
        journal: gives the seeds.
        threads: C++ threads, 1 or more.

    Raises:
        UserError: the emulator does not have the game, or there is no C++ compiler.
    """

    def __init__(self, config: EnvsConfig, num_envs: int, journal: SeedJournal, threads: int) -> None:
        self.num_envs, self.device = num_envs, torch.device("cpu")
        game = find_game(config.game)
        self._consoles = Consoles(game, num_envs, console_settings(config, game), threads)
        self.num_actions = len(self._consoles.action_names)
        self._journal = journal
        self._lives = np.zeros(num_envs, dtype=np.int32)
        self._frame: UInt8Array | None = None

    def reset(self) -> Tensor:
        """See VectorEnv."""
        return self._keep(self._consoles.seed(self._journal.current_seeds()))

    def _keep(self, step: Step) -> Tensor:
        self._lives, self._frame = step.lives, step.observation
        return torch.from_numpy(step.observation)

    def send(self, action: Tensor) -> None:
        """See VectorEnv."""
        self._consoles.send(action.numpy())

    def recv(self) -> EnvStep:
        """See VectorEnv."""
        before = self._lives
        step = self._consoles.recv()
        frame = self._keep(step)
        is_over = step.terminated | step.truncated
        life_lost = (step.lives < before) & (step.lives > 0) & ~is_over
        arrays = (step.reward.astype(np.float32), step.terminated, step.truncated, life_lost)
        return EnvStep(frame, *(torch.from_numpy(array) for array in arrays))

    def state_dict(self) -> dict[str, Any]:
        """See VectorEnv."""
        assert self._frame is not None, "reset comes first"
        state: dict[str, Any] = {name: torch.from_numpy(rows) for name, rows in self._consoles.save().items()}
        return {
            "consoles": state,
            "seed": self._journal.seed,
            "frame": torch.from_numpy(self._frame.copy()),
            "lives": torch.from_numpy(self._lives.copy()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> Tensor:
        """See VectorEnv."""
        self._consoles.restore({name: rows.numpy() for name, rows in state["consoles"].items()})
        self._journal.seed = state["seed"]
        self._lives, self._frame = state["lives"].numpy().copy(), state["frame"].numpy().copy()
        return torch.from_numpy(self._frame)

    def close(self) -> None:
        """See VectorEnv."""
        self._consoles.close()
