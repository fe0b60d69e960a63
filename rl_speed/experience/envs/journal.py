"""How games of ale-py are saved: the seed that an env was started from, and its actions since.

ale-py's vector env cannot save its emulators, and a saved ALE leaves out the picture. A game that is started from
its seed and given the same actions is the same game, on every backend and bit for bit. The journal of an env is
kept short by starting its next game from a fresh seed once it has grown long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rl_speed.system.arrays import BoolArray, Int64Array


class SeedJournal:
    """Seeds and actions of E envs since each was last started from a seed.

    Args:
        num_envs: E.
        seed: of the run and process; every env and every fresh start gets its own seed from it.
        reseed_env_steps: length from which an env asks for a fresh seed at the end of its game; None: nothing is
            noted and nothing can be saved.
    """

    def __init__(self, num_envs: int, seed: int, reseed_env_steps: int | None) -> None:
        self.seed = seed
        self.reseed_env_steps = reseed_env_steps
        self._starts = np.zeros(num_envs, dtype=np.int64)
        self._actions: list[list[int]] = [[] for _ in range(num_envs)]

    def current_seed(self, env: int) -> int:
        """The seed, 0..2^31-1, that env was last started from."""
        sequence = np.random.SeedSequence([self.seed, env, int(self._starts[env])])
        return int(sequence.generate_state(1)[0] >> 1)

    def current_seeds(self) -> Int64Array:
        """The seeds of all envs, int64 [E]."""
        return np.array([self.current_seed(env) for env in range(len(self._actions))], dtype=np.int64)

    def record(self, action: Int64Array) -> None:
        """Notes one action per env, int64 [E]."""
        if self.reseed_env_steps is None:
            return
        for actions, value in zip(self._actions, action.tolist(), strict=True):
            actions.append(value)

    def wants_fresh_seed(self, is_over: BoolArray) -> BoolArray:
        """Which of the envs whose game is over (bool [E]) should start the next one from a fresh seed."""
        wants = np.zeros_like(is_over)
        if self.reseed_env_steps is None:
            return wants
        for env in np.flatnonzero(is_over):
            wants[env] = len(self._actions[env]) >= self.reseed_env_steps
        return wants

    def start_fresh(self, env: int) -> int:
        """Notes that env starts from a fresh seed, which is returned."""
        self._starts[env] += 1
        self._actions[env].clear()
        return self.current_seed(env)

    def lengths(self) -> Int64Array:
        """Actions noted per env, int64 [E]."""
        return np.array([len(actions) for actions in self._actions], dtype=np.int64)

    def actions(self, env: int) -> list[int]:
        """The actions of env since its last start from a seed."""
        return self._actions[env]

    def state_dict(self) -> dict[str, Any]:
        """What resumes."""
        assert self.reseed_env_steps is not None, "this journal notes nothing"
        return {
            "seed": self.seed,
            "starts": torch.from_numpy(self._starts.copy()),
            "actions": [torch.tensor(actions, dtype=torch.uint8) for actions in self._actions],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.seed = state["seed"]
        self._starts = state["starts"].numpy().copy()
        self._actions = [actions.tolist() for actions in state["actions"]]
