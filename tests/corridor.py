"""A game that is learned within seconds, and only by who looks some steps ahead."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np


class Corridor(gymnasium.Env[Any, Any]):
    """Eight places in a row, shown as a white bar on 20 x 20 pixels; one begins at the second from the left.

    A step to the left end gives 0.1 at once, one to the right end 1.0: six steps away. Who plays at random has 0.23,
    who values only the next reward 0.1, who looks ahead 1.0.
    """

    LENGTH, START, LIMIT = 8, 1, 40

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(0, 255, (20, 20), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.place = self.steps = 0

    def _picture(self) -> np.ndarray[Any, Any]:
        picture = np.zeros((20, 20), dtype=np.uint8)
        picture[:, 2 * self.place + 2 : 2 * self.place + 4] = 255
        return picture

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place, self.steps = self.START, 0
        return self._picture(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.place += 1 if action == 1 else -1
        self.steps += 1
        reward = {0: 0.1, self.LENGTH - 1: 1.0}.get(self.place, 0.0)
        return self._picture(), reward, reward > 0, self.steps >= self.LIMIT, {}
