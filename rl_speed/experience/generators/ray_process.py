"""What an actor does in a process that Ray has started on some machine."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cloudpickle
import numpy as np
import torch

import rl_speed
from rl_speed.experience.generators.actor_process import ActorPlan, RolloutActor
from rl_speed.experience.generators.memory import ActorMemory
from rl_speed.experience.generators.player import RolloutSpace
from rl_speed.experience.generators.protocol import Actor, Answer, Order
from rl_speed.system.errors import UserError

# How often the actor was lost -> the actor, and memory with one slot of its own columns and one row of weights.
ActorMaker = Callable[[int], tuple[Actor, ActorMemory]]


@dataclass(frozen=True)
class Ready:
    """A process has its games, and waits for orders."""

    process_id: int
    node: str


@dataclass(frozen=True)
class Failure:
    """An exception in an actor's process."""

    traceback: str
    sentence: str | None  # for the user, who can put it right


@dataclass(frozen=True)
class Played:
    """An order is carried out."""

    answer: Answer
    rollout: dict[str, np.ndarray[Any, Any]]  # fields of RolloutSpace, [T, E, ...] of this actor's envs


class RayActor:
    """What Ray keeps alive: an Actor, made once the learner has said which of its lives this is.

    Args:
        maker: an ActorMaker, pickled whole.
        version: of the learner's rl_speed.
    """

    def __init__(self, maker: bytes, version: str) -> None:
        self._maker, self._version = maker, version
        self._losses: int | None = None  # None: the games have not begun
        self._actor: Actor | None = None
        self._memory: ActorMemory | None = None

    def prepare(self, losses: int) -> Ready | Failure:
        """Starts the games anew: those of an actor that was lost `losses` times."""
        if self._version != rl_speed.__version__:
            where = f"rl_speed {rl_speed.__version__} is installed on {socket.gethostname()}"
            return Failure("", f"{where}, {self._version} where the learner runs; install the same everywhere")
        try:
            self.close()
            self._actor, self._memory = cloudpickle.loads(self._maker)(losses)
        except BaseException as error:
            return _failure(error)
        self._losses = losses
        return Ready(os.getpid(), socket.gethostname())

    def play(self, losses: int, order: Order, weights: np.ndarray[Any, Any]) -> Played | Failure | None:
        """Carries out an order; None: it is meant for an earlier or later life of this actor."""
        if losses != self._losses:
            return None
        assert self._actor is not None
        assert self._memory is not None
        try:
            np.copyto(self._memory.weights[0].numpy(), weights)
            answer = self._actor.play(replace(order, slot=0, weights_row=0))
        except BaseException as error:
            return _failure(error)
        rollout = {name: tensor.numpy() for name, tensor in self._memory.space.part(0).tensors().items()}
        return Played(answer, rollout)

    def close(self) -> None:
        """Ends the games."""
        actor, self._actor, self._losses = self._actor, None, None
        if actor is not None:
            actor.close()


def _failure(error: BaseException) -> Failure:
    return Failure(traceback.format_exc(), str(error) if isinstance(error, UserError) else None)


def make_player(plan: ActorPlan, num_weights: int, losses: int) -> tuple[Actor, ActorMemory]:
    """An ActorMaker for games, with the first two arguments bound. A lost actor's games begin from other seeds.

    Args:
        plan: seeds of the first life, and everything else.
        num_weights: P, numbers of the network.
        losses: see ActorMaker.
    """
    if losses:
        seeds = np.random.SeedSequence([plan.env_seed, plan.policy_seed, losses]).generate_state(2) >> 1
        plan = replace(plan, env_seed=int(seeds[0]), policy_seed=int(seeds[1]))
    space = RolloutSpace.allocate(plan.rollout_env_steps, plan.envs.count, plan.envs, 1)
    memory = ActorMemory(space, torch.zeros(1, num_weights))
    return RolloutActor(plan, memory), memory
