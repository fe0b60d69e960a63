"""Actors without games: what they write says which order they carried out, and which weights they saw meanwhile."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Iterator

import torch

from rl_speed.config import EnvsConfig
from rl_speed.experience.generators.memory import ActorMemory
from rl_speed.experience.generators.player import RolloutSpace
from rl_speed.experience.generators.protocol import Answer, Order
from rl_speed.records import EpisodeEnd
from rl_speed.system.errors import UserError


class ScriptedActor:
    """Writes a rollout row by row; the weights are one number, read anew for every row.

    A row's reward is that number, its action the run's env steps before it.
    """

    def __init__(self, index: int, num_envs: int, memory: ActorMemory, max_sleep_seconds: float = 0.0) -> None:
        self.index, self.num_envs = index, num_envs
        self._memory, self._max_sleep_seconds = memory, max_sleep_seconds
        self._random = random.Random()

    def rows(self, order: Order) -> Iterator[None]:
        """Writes one row at each step of the iteration."""
        space = self._memory.space.part(order.slot)
        for t in range(space.action.shape[0]):
            env_steps = order.env_steps + t * order.env_steps_stride
            space.frame[t] = env_steps % 251
            space.is_first[t] = t == 0
            space.action[t] = env_steps
            space.reward[t] = self._memory.weights[order.weights_row, 0]
            space.terminated[t] = env_steps % 2 == 0
            space.truncated[t] = env_steps % 3 == 0
            yield

    def answer(self, order: Order) -> Answer:
        """The first env's game ends in every rollout: the higher the actor's number, the earlier."""
        t = -self.index % self._memory.space.action.shape[1]
        env_steps = order.env_steps + (t + 1) * order.env_steps_stride
        end = EpisodeEnd(self.index * self.num_envs, order.epsilon, 1, env_steps)
        return Answer((end,), {"act": 1.0, "env": 2.0})

    def play(self, order: Order) -> Answer:
        """Carries out an order, now faster, now slower."""
        for _ in self.rows(order):
            time.sleep(self._random.random() * self._max_sleep_seconds)
        return self.answer(order)

    def close(self) -> None:
        """There are no games."""


def make_scripted(index: int, num_envs: int, steps: int, losses: int) -> tuple[ScriptedActor, ActorMemory]:
    """An ActorMaker, with the first three arguments bound."""
    space = RolloutSpace.allocate(steps, num_envs, EnvsConfig(image_height=20, image_width=20), 1)
    memory = ActorMemory(space, torch.zeros(1, 1))
    return ScriptedActor(index, num_envs, memory), memory


class RandomTransport:
    """Actors in this process that play on by a row whenever the dice say so, and answers that dawdle."""

    def __init__(self, actors: list[ScriptedActor], dice: random.Random) -> None:
        self._actors, self._dice = actors, dice
        self._orders: list[deque[Order]] = [deque() for _ in actors]
        self._rows: list[Iterator[None] | None] = [None for _ in actors]
        self._answers: list[deque[Answer]] = [deque() for _ in actors]
        self.may_play = True
        self.is_closed = False

    def send(self, actor: int, order: Order) -> None:
        self._orders[actor].append(order)
        self.play_on()

    def play_on(self, at_least: int = 0) -> None:
        """Lets random actors write a few rows, or finish."""
        for _ in range(at_least + self._dice.choice((0, 0, 1, 3, 20))):
            actor = self._dice.randrange(len(self._actors))
            if not self._orders[actor]:
                continue
            if self._rows[actor] is None:
                self._rows[actor] = self._actors[actor].rows(self._orders[actor][0])
            if next(self._rows[actor], self) is self:
                self._answers[actor].append(self._actors[actor].answer(self._orders[actor].popleft()))
                self._rows[actor] = None

    def receive(self, timeout_seconds: float) -> list[tuple[int, Answer]]:
        assert self.may_play or timeout_seconds == 0, "waits although it said that it was ready"
        self.play_on(at_least=int(timeout_seconds > 0))
        received = []
        for actor in self._dice.sample(range(len(self._actors)), len(self._actors)):
            for _ in range(self._dice.randint(0, len(self._answers[actor]))):
                received.append((actor, self._answers[actor].popleft()))
        return received

    def close(self) -> None:
        self.is_closed = True


class RecordingTransport:
    """Another transport, whose orders are written down."""

    def __init__(self, transport) -> None:
        self.transport = transport
        self.orders: list[tuple[int, Order]] = []

    def send(self, actor: int, order: Order) -> None:
        self.orders.append((actor, order))
        self.transport.send(actor, order)

    def receive(self, timeout_seconds: float) -> list[tuple[int, Answer]]:
        return self.transport.receive(timeout_seconds)

    def close(self) -> None:
        self.transport.close()


def fail() -> ScriptedActor:
    """An actor that cannot be made."""
    raise ValueError("no such game")


def refuse():
    """An actor that meets something that its user can put right."""
    raise UserError("env: it shows no images")
