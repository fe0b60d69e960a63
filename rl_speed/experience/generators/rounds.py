"""Which rollout is played when, and with which weights: rounds of orders to actors, as plain values.

A round is one rollout of all envs: every actor fills its columns of the same slot. The slots go round: a free one is
ordered, complete when all actors have answered, lent to the caller, and free again at the caller's next call.

Nothing here knows time, processes or tensors, so what is ordered cannot depend on which actor was faster.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from rl_speed.experience.generators.protocol import Answer, Order

# One is read while two are ordered: an actor finds its next order waiting.
LOCKED_SLOTS = 3
# A learner that does not wait has its actors play on for longer.
FREE_RUNNING_SLOTS = 8


@dataclass(frozen=True)
class RoundOrders:
    """One round's orders, and where the weights have to be before these are sent."""

    weights_row: int  # the acting network's present weights go here
    orders: tuple[Order, ...]  # by actor


@dataclass(frozen=True)
class CompleteRound:
    """A round that all actors have answered."""

    slot: int  # lent until `take_back`
    env_steps: int  # of the run up to and including this round, all envs together
    answers: tuple[Answer, ...]  # by actor


class RoundScheduler:
    """Decides what is ordered, and in which order slots and rows of weights are used again.

    Actor i acts with weights that are i modulo `num_networks` rounds older than the newest ones.

    Args:
        num_actors: actors that share a round.
        num_networks: acting networks.
        num_slots: rounds that memory holds: one is lent, the others are ordered.
        rollout_env_steps: T, env steps of each env in a round.
        num_envs: E, envs of all actors together.
    """

    def __init__(
        self, num_actors: int, num_networks: int, num_slots: int, rollout_env_steps: int, num_envs: int
    ) -> None:
        self.num_actors, self.num_networks, self.num_slots = num_actors, num_networks, num_slots
        self.rollout_env_steps, self.num_envs = rollout_env_steps, num_envs
        self.env_steps = 0  # of the run up to and including the newest round that was lent
        self._env_steps_ordered = 0
        self._rounds_ordered = 0
        self._free_slots = deque(range(num_slots))
        self._ordered_slots: deque[int] = deque()  # of rounds under way or complete, oldest first
        self._lent_slot: int | None = None
        self._answers: list[deque[Answer]] = [deque() for _ in range(num_actors)]  # to the rounds under way

    @property
    def num_weights_rows(self) -> int:
        """R: one row for each round under way, and for each older network that still acts in one of them."""
        return self.num_slots + self.num_networks - 1

    @property
    def has_free_slot(self) -> bool:
        """Whether another round can be ordered."""
        return bool(self._free_slots)

    @property
    def is_complete(self) -> bool:
        """Whether all actors have answered the oldest round under way."""
        return all(self._answers)

    def order(self, epsilon: float, temperature: float) -> RoundOrders:
        """Orders the next round into the slot that has been free for longest.

        Args:
            epsilon: that all actors explore with in this round, 0..1.
            temperature: likewise, in units of reward.
        """
        slot, newest = self._free_slots.popleft(), self._rounds_ordered
        orders = tuple(
            Order(slot, self._row(newest - age), epsilon, temperature, self._env_steps_ordered, self.num_envs)
            for age in (min(actor % self.num_networks, newest) for actor in range(self.num_actors))
        )
        self._ordered_slots.append(slot)
        self._rounds_ordered += 1
        self._env_steps_ordered += self.rollout_env_steps * self.num_envs
        return RoundOrders(self._row(newest), orders)

    def _row(self, round_number: int) -> int:
        """Where the weights lie that were newest in a round."""
        return round_number % self.num_weights_rows

    def record(self, actor: int, answer: Answer) -> None:
        """Takes an actor's answer to its oldest order that it has not answered yet."""
        assert len(self._answers[actor]) < len(self._ordered_slots), f"actor {actor} answered without an order"
        self._answers[actor].append(answer)

    def lend(self) -> CompleteRound:
        """Lends the oldest round under way, which has to be complete; nothing else may be lent."""
        assert self.is_complete, "lend before all actors have answered"
        assert self._lent_slot is None, "lend twice"
        slot = self._lent_slot = self._ordered_slots.popleft()
        self.env_steps += self.rollout_env_steps * self.num_envs
        return CompleteRound(slot, self.env_steps, tuple(answers.popleft() for answers in self._answers))

    def take_back(self) -> None:
        """The caller has read what was lent, if anything was: its slot is free."""
        if self._lent_slot is not None:
            self._free_slots.append(self._lent_slot)
            self._lent_slot = None

    def resume(self, env_steps: int) -> None:
        """Counts on from an earlier part of the run; before the first order."""
        assert self._rounds_ordered == 0, "resume after the first order"
        self.env_steps = self._env_steps_ordered = env_steps
