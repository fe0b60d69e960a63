"""Play and train in one process, in turn."""

from __future__ import annotations

from typing import Any

from rl_speed.config import EnvsConfig
from rl_speed.experience.envs.protocol import VectorEnv
from rl_speed.experience.generators.player import Player, RolloutSpace
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.records import Rollout
from rl_speed.system.stage_timer import StageTimer


class InProcessGenerator:
    """Rollouts of E envs, acted with the module's acting network itself, not a copy.

    Each call leaves the next step begun: envs with threads of their own play on while the caller trains.

    Args:
        env: E games.
        policy: holds the acting network.
        envs: what the games look like and how rewards are learned.
        rollout_env_steps: T, env steps of each env in one rollout.
        timer: charged with act and env.
    """

    def __init__(
        self,
        env: VectorEnv,
        policy: ExploringPolicy,
        envs: EnvsConfig,
        rollout_env_steps: int,
        timer: StageTimer,
    ) -> None:
        self.env_steps = 0
        self._num_envs = env.num_envs
        self._rollout_env_steps = rollout_env_steps
        self._player = Player(env, policy, envs, first_env=0, timer=timer)
        self._space = RolloutSpace.allocate(rollout_env_steps, env.num_envs, envs, device=env.device)

    def __iter__(self) -> InProcessGenerator:
        return self

    def __next__(self) -> Rollout:
        """Plays T env steps of each env."""
        for t in range(self._rollout_env_steps):
            self._player.begin()
            self._player.finish(self._space, t)
        # Before the next step begins: where games are played on a GPU, this waits for all that is queued.
        episode_ends = self._player.take_episode_ends(self.env_steps, self._num_envs)
        self._player.begin()
        self.env_steps += self._rollout_env_steps * self._num_envs
        return self._space.rollout(tuple(episode_ends), self.env_steps)

    def is_ready(self) -> bool:
        """Never: playing takes this process's time."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """See RolloutGenerator."""
        return {"env_steps": self.env_steps, "player": self._player.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """See RolloutGenerator."""
        self.env_steps = state["env_steps"]
        player = state.get("player")
        if not player or not player["env"]:  # an exception broke into the games, or they cannot be saved
            return False
        self._player.load_state_dict(player)
        return True

    def close(self) -> None:
        """See RolloutGenerator."""
        self._player.close()
