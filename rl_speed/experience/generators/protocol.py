"""What every generator of experience is: an endless iterator of Rollout."""

from __future__ import annotations

from typing import Any, Protocol

from rl_speed.records import Rollout


class RolloutGenerator(Protocol):
    """An endless iterator of Rollout, wherever the games are played.

    `next` may raise StopIteration only when the run was asked to stop.
    """

    env_steps: int  # env steps generated so far, all envs together

    def __next__(self) -> Rollout:
        """The next rollout; its tensors are valid until the next call."""

    def is_ready(self) -> bool:
        """Whether `next` would answer without waiting."""

    def state_dict(self) -> dict[str, Any]:
        """What resumes."""

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Restores what `state_dict` returned; False: the games could not be, and were started anew."""

    def close(self) -> None:
        """Ends games and processes; may be called twice."""
