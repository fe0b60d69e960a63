"""Actors anywhere in a Ray cluster: orders and weights go there, rollouts come back, and who is lost is replaced.

Ray starts a lost actor's process again, wherever there is room. The new one knows nothing: the learner tells it how
often its actor was lost, from which it seeds its games, and orders once more what was not answered.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import cloudpickle
import numpy as np
from torch import nn

import rl_speed
from rl_speed.config import EnvsConfig
from rl_speed.experience.generators.memory import actor_columns, flat_weights
from rl_speed.experience.generators.patience import Patience
from rl_speed.experience.generators.player import RolloutSpace
from rl_speed.experience.generators.protocol import Answer, Order
from rl_speed.experience.generators.ray_process import ActorMaker, Failure, Played, RayActor, Ready
from rl_speed.experience.generators.rounds import RoundScheduler
from rl_speed.system.errors import ActorError, ActorGoneError, UserError
from rl_speed.system.ray_cluster import RayCluster

# An actor that is lost so often without having answered once in between has a reason that does not go away.
MAX_LOSSES_IN_A_ROW = 5
_log = logging.getLogger("rl_speed")


class RayMemory:
    """Slots of this process's memory, that answers are written into, and weights as objects of the cluster.

    Args:
        envs: size of the frames.
        rounds: numbers of slots, rows, env steps and envs.
        put: makes an object of the cluster.
    """

    def __init__(self, envs: EnvsConfig, rounds: RoundScheduler, put: Callable[[Any], Any]) -> None:
        self.space = RolloutSpace.allocate(rounds.rollout_env_steps, rounds.num_envs, envs, rounds.num_slots)
        self._put = put
        # An object lives for as long as its row is not used again: until then actors may have to be given it once more.
        self._references: list[Any] = [None] * rounds.num_weights_rows

    def publish(self, row: int, network: nn.Module) -> None:
        """See RoundMemory."""
        self._references[row] = self._put(flat_weights(network).cpu().numpy())

    def weights(self, row: int) -> Any:
        """The object that a row holds: float32 [P]."""
        return self._references[row]

    def write(self, actor: int, slot: int, rollout: dict[str, np.ndarray[Any, Any]]) -> None:
        """Writes an actor's columns of a slot."""
        num_envs = rollout["action"].shape[1]
        columns = self.space.part(slot, slice(None), actor_columns(actor, num_envs)).tensors()
        for name, tensor in columns.items():
            np.copyto(tensor.numpy(), rollout[name])


@dataclass
class _Line:
    """An actor as the learner sees it."""

    handle: Any
    preparing: Any = None  # the promise to be ready; None: it is
    orders: deque[Order] = field(default_factory=deque)  # unanswered, oldest first
    promised: deque[Any] = field(default_factory=deque)  # answers to the first of them
    losses: int = 0
    losses_in_a_row: int = 0
    ready: Ready | None = None  # where it was heard of last

    @property
    def next_promise(self) -> Any:
        """What has to come next from this actor; None if nothing."""
        return self.preparing if self.preparing is not None else next(iter(self.promised), None)


class RayTransport:
    """An actor of Ray's per ActorMaker, on any node.

    Args:
        cluster: closed with this transport.
        makers: one per actor; pickled whole, code included.
        memory: where weights are and answers go.
        cpus: that each actor needs.
        timeout_seconds: actors that owe an answer are given up after this time without any, whether they live or not.
        ranks: learners that have as many actors in the cluster each.

    Raises:
        UserError: the cluster has too few CPUs.
    """

    def __init__(
        self,
        cluster: RayCluster,
        makers: Sequence[ActorMaker],
        memory: RayMemory,
        cpus: int,
        timeout_seconds: float,
        ranks: int = 1,
    ) -> None:
        self._cluster, self._memory, self._ray = cluster, memory, cluster.ray
        self.patience = Patience(timeout_seconds)
        self._lines: list[_Line] = []
        _check_places(cluster, len(makers) * ranks, cpus)
        # SPREAD: nodes in turn; and inside of a placement group, as a learner started by Ray may be, not only there.
        remote = self._ray.remote(RayActor).options(
            num_cpus=cpus, max_restarts=-1, max_task_retries=0, scheduling_strategy="SPREAD"
        )
        for maker in makers:
            line = _Line(remote.remote(cloudpickle.dumps(maker), rl_speed.__version__))
            self._lines.append(line)
            self._prepare(line)

    @property
    def process_ids(self) -> list[int | None]:
        """The system's numbers of the actors' processes, on whichever machine; None: not heard of yet."""
        return [None if line.ready is None else line.ready.process_id for line in self._lines]

    def _prepare(self, line: _Line) -> None:
        # The one call that Ray may repeat: it is carried out by the process that comes back, as soon as it does.
        line.preparing = line.handle.prepare.options(max_task_retries=-1).remote(line.losses)

    def _call(self, line: _Line, order: Order) -> None:
        line.promised.append(line.handle.play.remote(line.losses, order, self._memory.weights(order.weights_row)))

    def send(self, actor: int, order: Order) -> None:
        """See Transport."""
        if not any(line.orders for line in self._lines):
            self.patience.restart()
        line = self._lines[actor]
        line.orders.append(order)
        if line.preparing is None:
            self._call(line, order)

    def receive(self, timeout_seconds: float) -> list[tuple[int, Answer]]:
        """See Transport."""
        answers: list[tuple[int, Answer]] = []
        heard, wait_seconds = False, timeout_seconds
        while promises := {line.next_promise: i for i, line in enumerate(self._lines) if line.next_promise is not None}:
            kept, _ = self._ray.wait(list(promises), timeout=wait_seconds)
            if not kept:
                break
            heard, wait_seconds = True, 0.0
            answer = self._take(promises[kept[0]], kept[0])
            if answer is not None:
                answers.append((promises[kept[0]], answer))
        if heard or not any(line.orders for line in self._lines):
            self.patience.restart()
        elif self.patience.is_exhausted(timeout_seconds):
            self._raise_silent()
        return answers

    def _take(self, actor: int, promise: Any) -> Answer | None:
        """What an actor has said, or that it is lost: answers are handed on, the rest is dealt with."""
        line, errors = self._lines[actor], self._ray.exceptions
        try:
            said: Ready | Played | Failure | None = self._ray.get(promise)
        except errors.ActorDiedError as error:
            self._raise_dead(actor, error)
        except (errors.RayActorError, errors.ObjectLostError, errors.OutOfMemoryError):
            said = None
        except errors.RayError as error:
            raise ActorError(f"actor {actor} failed; its traceback:\n{error}") from None
        if isinstance(said, Failure):
            self._raise_failed(actor, said)
        if isinstance(said, Ready):
            line.ready, line.preparing = said, None
            for order in line.orders:
                self._call(line, order)
        elif isinstance(said, Played):
            line.losses_in_a_row = 0
            line.promised.popleft()
            self._memory.write(actor, line.orders.popleft().slot, said.rollout)
            return said.answer
        else:
            self._replace(actor)
        return None

    def _replace(self, actor: int) -> None:
        """An actor's process is gone, or was, with what it had not answered: the next one plays that anew."""
        line = self._lines[actor]
        line.losses += 1
        line.losses_in_a_row += 1
        where = "" if line.ready is None else f" (process {line.ready.process_id} on {line.ready.node})"
        if line.losses_in_a_row >= MAX_LOSSES_IN_A_ROW:
            raise ActorGoneError(
                f"actor {actor} was lost {line.losses_in_a_row} times in a row without an answer{where}; Ray's logs "
                f"there say more, and actors.kind = in_process shows what happens"
            )
        unfinished = "unfinished rollout is" if len(line.orders) == 1 else f"{len(line.orders)} unfinished rollouts are"
        _log.warning("actor %d was lost%s: it comes back, its %s played anew", actor, where, unfinished)
        line.promised.clear()
        self._prepare(line)

    def _raise_dead(self, actor: int, error: Exception) -> NoReturn:
        """Ray does not start it again: its process could not even make a RayActor, or somebody ended it for good."""
        said = str(error)
        if "No module named 'rl_speed'" in said:
            raise UserError(
                "actors.kind = ray: a node of the cluster has no rl_speed; install the learner's version on every node"
            ) from None
        raise ActorGoneError(f"actor {actor} cannot be started again: {said}") from None

    def _raise_failed(self, actor: int, failure: Failure) -> NoReturn:
        if failure.sentence is not None:
            raise UserError(failure.sentence)
        raise ActorError(f"actor {actor} failed; its traceback:\n{failure.traceback}")

    def _raise_silent(self) -> NoReturn:
        # The one that is furthest behind.
        actor = max(range(len(self._lines)), key=lambda i: len(self._lines[i].orders))
        line = self._lines[actor]
        limit = f"actors.timeout_seconds = {self.patience.limit_seconds:g}"
        if line.preparing is not None:
            how = "come back" if line.losses else "started"
            raise ActorGoneError(
                f"actor {actor} has not {how} within {limit}; the cluster has {self._cluster.description()}: start "
                f"nodes, use fewer actors or raise it"
            )
        raise ActorError(f"actor {actor} has not answered for {limit}; raise it or use fewer actors")

    def close(self) -> None:
        """See Transport; ends the cluster too, if it was started here."""
        lines, self._lines = self._lines, []
        for line in lines:
            try:
                self._ray.kill(line.handle, no_restart=True)
            except Exception as error:  # the cluster is gone
                _log.debug("an actor was not ended: %s", error)
        self._cluster.close()


def _check_places(cluster: RayCluster, count: int, cpus: int) -> None:
    """Ray would wait for more nodes for ever."""
    places = cluster.places(cpus)
    if places < count:
        each = "one CPU" if cpus == 1 else f"{cpus} CPUs"
        fix = f", or set actors.count to {places}" if places else ""
        raise UserError(
            f"actors.count = {count} players need {each} each, but the nodes of the Ray cluster have room for "
            f"{places}; start more nodes{fix}"
        )
