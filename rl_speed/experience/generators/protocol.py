"""What generators of experience are, and what travels between a learner and its actors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from rl_speed.records import EpisodeEnd, Rollout


class RolloutGenerator(Protocol):
    """An endless iterator of Rollout, wherever the games are played.

    `next` may raise StopIteration only when the run was asked to stop.
    """

    @property
    def env_steps(self) -> int:
        """Env steps generated so far, all envs together."""

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


@dataclass(frozen=True)
class Order:
    """What one actor is asked to do: play one rollout into its columns of one slot of memory."""

    slot: int  # 0..S-1
    weights_row: int  # 0..R-1, the network to act with
    epsilon: float
    temperature: float
    env_steps: int  # of the run before this rollout, all envs together
    env_steps_stride: int  # of the run in each step of this rollout: all envs together take one


@dataclass(frozen=True)
class Answer:
    """What an actor says when an order is carried out; the rollout itself lies in its slot."""

    episode_ends: tuple[EpisodeEnd, ...]
    stage_seconds: dict[str, float]  # wall time of this rollout in `act` and `env`


class Actor(Protocol):
    """Plays rollouts to order, wherever it runs."""

    def play(self, order: Order) -> Answer:
        """Carries out one order; when it returns, the actor's part of the slot is written."""

    def close(self) -> None:
        """Ends the games."""


class Transport(Protocol):
    """Carries orders to actors and answers back; where actors run is its own affair.

    An actor carries out its orders one after the other and answers each once, in that order.

    Every method but `close` raises ActorError if an actor failed (with its traceback), is gone (ActorGoneError) or has
    been silent for too long.
    """

    def send(self, actor: int, order: Order) -> None:
        """Gives an order to an actor, without waiting for what it does now."""

    def receive(self, timeout_seconds: float) -> list[tuple[int, Answer]]:
        """Actors and their answers since the last call; waits for the first one, but not longer than that."""

    def close(self) -> None:
        """Ends the actors; may be called twice."""
