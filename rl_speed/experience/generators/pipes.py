"""Actors as processes of this machine, with one pipe each for orders and answers."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.util import Finalize
from typing import Any, NoReturn

import torch.multiprocessing  # noqa: F401  # tensors in shared memory travel as handles

from rl_speed.experience.generators.patience import Patience
from rl_speed.experience.generators.protocol import Actor, Answer, Order
from rl_speed.system.errors import ActorError, ActorGoneError, UserError
from rl_speed.system.group_signals import answer_signals, held_signals
from rl_speed.system.import_ahead import fresh_context
from rl_speed.system.output import make_streams_patient

FAREWELL_SECONDS = 2.0


@dataclass(frozen=True)
class _Failure:
    traceback: str
    sentence: str | None  # for the user, who can put it right


@contextmanager
def without_main() -> Iterator[None]:
    """A process started here does not run the caller's script again, as spawned ones do to find what is in it.

    A script that trains at its top level would train in every actor. Nothing of it is needed there: Parts travel whole.
    """
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)}
    vars(main).pop("__file__", None)
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(hidden)


def serve(make_actor: Callable[[], Actor], connection: Connection) -> None:
    """The life of an actor's process: answers each Order with an Answer.

    Ends when it receives None or when the parent is gone. An exception is sent to the parent as text; a UserError comes
    out there as one.
    """
    answer_signals(None)  # the learner decides what happens to its actors
    make_streams_patient()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the learner is gone
        try:
            actor = make_actor()
        except BaseException as error:
            _fail(connection, error)
        with closing(actor):
            while (order := connection.recv()) is not None:
                try:
                    answer = actor.play(order)
                except BaseException as error:
                    _fail(connection, error)
                connection.send(answer)


def _fail(connection: Connection, error: BaseException) -> NoReturn:
    connection.send(_Failure(traceback.format_exc(), str(error) if isinstance(error, UserError) else None))
    raise SystemExit(1) from None


def _end(processes: list[Any], connections: list[Connection], unanswered_orders: list[int]) -> None:
    """Gives actors two seconds to leave, then ends them; empties the lists, and goes on where it was interrupted."""
    for connection in connections:
        try:
            connection.send(None)
        except OSError:
            continue
    deadline = time.monotonic() + FAREWELL_SECONDS
    while processes:
        processes[0].join(max(0.0, deadline - time.monotonic()))
        if processes[0].is_alive():
            processes[0].kill()
            processes[0].join()
        processes.pop(0).close()
    for connection in connections:
        connection.close()
    connections.clear()
    unanswered_orders.clear()


class PipeTransport:
    """A process per actor, with nothing of this one in it, and a pipe to each.

    Args:
        makers: one per actor; pickled, and called in the actor's process.
        timeout_seconds: living actors that owe an answer are given up after this time without any, counted from the
            first order on.
    """

    def __init__(self, makers: Sequence[Callable[[], Actor]], timeout_seconds: float) -> None:
        self.patience = Patience(timeout_seconds)
        self._unanswered_orders = [0] * len(makers)
        self._processes: list[Any] = []
        self._connections: list[Connection] = []
        # Without it a program that forgets `close` would never end: multiprocessing joins its processes at exit, which
        # ignore the signal that it sends them.
        Finalize(self, _end, (self._processes, self._connections, self._unanswered_orders), exitpriority=0)
        try:
            for index, make_actor in enumerate(makers):
                self._start(index, make_actor)
        except BaseException:
            self.close()
            raise

    def _start(self, index: int, make_actor: Callable[[], Actor]) -> None:
        context: Any = fresh_context()
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(make_actor, there), name=f"rl_speed-actor-{index}", daemon=True)
        with held_signals(), without_main():
            process.start()
        there.close()  # so that the end of the process is the end of the pipe
        self._processes.append(process)
        self._connections.append(here)

    @property
    def process_ids(self) -> list[int]:
        """The system's numbers of the actors' processes; empty once closed."""
        return [process.pid for process in self._processes]

    def send(self, actor: int, order: Order) -> None:
        """See Transport."""
        if not any(self._unanswered_orders):
            self.patience.restart()
        try:
            self._connections[actor].send(order)
        except OSError:
            self._read(actor)  # a traceback that it left says more
            self._raise_gone(actor)
        self._unanswered_orders[actor] += 1

    def receive(self, timeout_seconds: float) -> list[tuple[int, Answer]]:
        """See Transport."""
        # A process can end without ending its pipe, where one that it started holds the other end.
        owing = [p.sentinel for p, orders in zip(self._processes, self._unanswered_orders, strict=True) if orders]
        ready = wait([*self._connections, *owing], timeout_seconds)
        answers: list[tuple[int, Answer]] = []
        for actor, connection in enumerate(self._connections):
            if connection in ready:
                answers += [(actor, answer) for answer in self._read(actor)]
        for actor, process in enumerate(self._processes):
            if process.sentinel in ready and self._unanswered_orders[actor]:
                self._raise_gone(actor)
        if answers or not any(self._unanswered_orders):
            self.patience.restart()
        elif self.patience.is_exhausted(timeout_seconds):
            self._raise_silent()
        return answers

    def _read(self, actor: int) -> list[Answer]:
        """What an actor has sent."""
        answers: list[Answer] = []
        connection = self._connections[actor]
        try:
            while connection.poll():
                message: Answer | _Failure = connection.recv()
                if isinstance(message, _Failure) and message.sentence is not None:
                    raise UserError(message.sentence)
                if isinstance(message, _Failure):
                    raise ActorError(f"actor {actor} failed; its traceback:\n{message.traceback}")
                answers.append(message)
        except (EOFError, OSError):
            self._raise_gone(actor)
        self._unanswered_orders[actor] -= len(answers)
        return answers

    def _raise_gone(self, actor: int) -> NoReturn:
        self._processes[actor].join(1.0)
        code = self._processes[actor].exitcode
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit status {code}"
        raise ActorGoneError(f"actor {actor} {how} without a word; the run cannot go on without it") from None

    def _raise_silent(self) -> NoReturn:
        # The one that is furthest behind.
        actor = self._unanswered_orders.index(max(self._unanswered_orders))
        raise ActorError(
            f"actor {actor} has not answered for actors.timeout_seconds = {self.patience.limit_seconds:g}; raise it or "
            f"use fewer actors"
        )

    def close(self) -> None:
        """See Transport; gives the actors two seconds to leave, then ends them."""
        _end(self._processes, self._connections, self._unanswered_orders)
