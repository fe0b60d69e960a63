"""A game that is learned within seconds, and only by who looks some steps ahead."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

# A run that learns it, and what else a learner can have.
RUN = {
    "envs": {"count": 4, "image_height": 20, "image_width": 20, "frame_stack": 1},
    "replay": {"capacity_env_steps": 4000, "prefill_env_steps": 1000, "gamma": 0.9},
    "network": {"channels": [8], "kernels": [4], "strides": [2], "hidden": 32},
    "update": {
        "batch_size": 32, "learning_rate": 3e-3, "env_steps_per_gradient_step": 4.0, "gradient_steps_per_batch": 4,
        "target_sync_gradient_steps": 20, "threads": 1,
    },
    # Smaller steps at the end: the greedy policy that is judged must not be caught in a swing.
    "annealing": {"gradient_steps": 800, "learning_rate": 1e-4},
    "exploration": {"epsilon_end": 0.15, "decay_env_steps": 3000},
    "stop": {"window_episodes": 50, "reward": 100.0, "max_gradient_steps": 800, "confirm_episodes": 0},
    "trainer": {"accelerator": "cpu"},
}  # fmt: skip

EVERYTHING = {
    "replay": {"n_step": 3, "priority_exponent": 0.6},
    "network": {"dueling": True, "standardise": True, "normalise": True},
    "update": {"double": True, "loss": "huber", "averaging_rate": 0.2},
    "annealing": {"n_step": 1, "gamma": 0.95},
}


def merged(first, second):
    """Two configurations of sections, the second laid over the first."""
    return {name: {**first.get(name, {}), **second.get(name, {})} for name in {**first, **second}}


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
