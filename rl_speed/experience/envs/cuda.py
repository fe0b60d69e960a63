"""Our own emulator on a CUDA device: frames, rewards and ends stay there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rl_speed.config import EnvsConfig
from rl_speed.emulator.cuda import CudaConsoles, Launcher
from rl_speed.emulator.games import find_game
from rl_speed.experience.envs.journal import SeedJournal
from rl_speed.experience.envs.native import console_settings
from rl_speed.records import EnvStep


class CudaVectorEnv:
    """E games on our own emulator, all on the GPU.

    `send` only queues the step, so the caller works on while the games run; whoever needs a value on the host waits.

    Args:
        config: game and preprocessing.
        num_envs: E.
        journal: gives the seeds.
        launcher: where the kernels run; by default on the current CUDA device.

    Raises:
        UserError: the emulator does not have the game, or CUDA does not work here.
    """

    def __init__(
        self, config: EnvsConfig, num_envs: int, journal: SeedJournal, launcher: Launcher | None = None
    ) -> None:
        self.num_envs = num_envs
        game = find_game(config.game)
        self._consoles = CudaConsoles(game, num_envs, console_settings(config, game), launcher)
        self.device = self._consoles.device
        self.num_actions = len(self._consoles.action_names)
        self._journal = journal
        self._lives = torch.zeros(num_envs, dtype=torch.int32, device=self.device)
        self._is_started = False

    def reset(self) -> Tensor:
        """See VectorEnv."""
        frame = self._consoles.seed(torch.from_numpy(self._journal.current_seeds())).clone()
        self._lives = self._consoles.results[:, 1].clone()
        self._is_started = True
        return frame

    def send(self, action: Tensor) -> None:
        """See VectorEnv."""
        self._consoles.step(action)

    def recv(self) -> EnvStep:
        """See VectorEnv."""
        reward, lives, terminated, truncated, *_ = self._consoles.results.unbind(1)
        is_over = (terminated | truncated).bool()
        life_lost = (lives < self._lives) & (lives > 0) & ~is_over
        self._lives = lives.clone()
        frame = self._consoles.observation.clone()
        return EnvStep(frame, reward.to(torch.float32), terminated.bool(), truncated.bool(), life_lost)

    def state_dict(self) -> dict[str, Any]:
        """See VectorEnv."""
        assert self._is_started, "reset comes first"
        return {
            "consoles": self._consoles.save("cpu"),
            "seed": self._journal.seed,
            "frame": self._consoles.observation.to("cpu", copy=True),
            "lives": self._lives.cpu(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> Tensor:
        """See VectorEnv."""
        self._consoles.restore(state["consoles"])
        self._consoles.observation.copy_(state["frame"])
        self._journal.seed = state["seed"]
        self._lives = state["lives"].to(self.device)
        self._is_started = True
        return self._consoles.observation.clone()

    def close(self) -> None:
        """See VectorEnv. Torch gives the memory back with the last reference."""
