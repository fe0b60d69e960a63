"""What RayTransport needs of Ray, in one process and with dice: actors that are lost at any moment and come back.

Values travel as bytes, as they do between machines. An actor's process carries out its calls in order; when it is lost,
all of its calls that were not answered fail, but those that may be repeated, which the next process begins with.
"""

from __future__ import annotations

import pickle
import random
from collections import deque
from types import SimpleNamespace
from typing import Any


class RayError(Exception):
    pass


class RayActorError(RayError):
    pass


class ActorDiedError(RayActorError):
    pass


class ActorUnavailableError(RayActorError):
    pass


class ObjectLostError(RayError):
    pass


class OutOfMemoryError(RayError):
    pass


class Promise:
    """A value to come, or an error."""

    def __init__(self) -> None:
        self.is_kept, self.content, self.error = False, b"", None

    def keep(self, value: Any) -> None:
        self.is_kept, self.content = True, pickle.dumps(value)

    def fail(self, error: Exception) -> None:
        self.is_kept, self.error = True, error


class Method:
    def __init__(self, handle: Handle, name: str, is_repeated: bool = False) -> None:
        self._handle, self._name, self._is_repeated = handle, name, is_repeated

    def options(self, max_task_retries: int) -> Method:
        assert max_task_retries == -1
        return Method(self._handle, self._name, is_repeated=True)

    def remote(self, *arguments: Any) -> Promise:
        return self._handle.call(self._name, arguments, self._is_repeated)


class Handle:
    """An actor of one of this module's clusters."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self.calls: deque[tuple[str, tuple[Any, ...], bool, Promise]] = deque()
        self.process: Any = None
        self.is_dead = False
        self.prepare, self.play = Method(self, "prepare"), Method(self, "play")

    def call(self, name: str, arguments: tuple[Any, ...], is_repeated: bool) -> Promise:
        promise = Promise()
        if self.is_dead:
            promise.fail(ActorDiedError("it was ended for good"))
        else:
            self.calls.append((name, arguments, is_repeated, promise))
        return promise

    def step(self, answer_is_lost: bool) -> None:
        """Carries out the oldest call."""
        if self.process is None:
            self.process = self._make()
        if self.calls:
            name, arguments, _, promise = self.calls.popleft()
            known = [a.value() if isinstance(a, Object) else pickle.loads(pickle.dumps(a)) for a in arguments]
            value = getattr(self.process, name)(*known)
            if answer_is_lost and name == "play":
                promise.fail(ActorUnavailableError("the network had a bad moment"))
            else:
                promise.keep(value)

    def lose(self, error: Exception) -> None:
        """The process is gone."""
        self.process = None
        for _, _, is_repeated, promise in self.calls:
            if not is_repeated:
                promise.fail(error)
        self.calls = deque(call for call in self.calls if call[2])


class Object:
    """A value of the cluster, which is gone once nobody refers to it."""

    def __init__(self, value: Any) -> None:
        self.content = pickle.dumps(value)

    def value(self) -> Any:
        return pickle.loads(self.content)


class FakeRay:
    """A cluster whose actors play on while somebody waits for them.

    Args:
        dice: who plays when, and who is lost.
        loss: how likely an actor is lost instead of playing on.
        nodes: CPUs of each.
    """

    exceptions = SimpleNamespace(
        RayError=RayError,
        RayActorError=RayActorError,
        ActorDiedError=ActorDiedError,
        ObjectLostError=ObjectLostError,
        OutOfMemoryError=OutOfMemoryError,
    )

    def __init__(self, dice: random.Random, loss: float = 0.0, nodes: tuple[float, ...] = (64.0,)) -> None:
        self.dice, self.loss, self.cpus = dice, loss, nodes
        self.handles: list[Handle] = []
        self.options_asked: dict[str, Any] = {}
        self.losses = 0

    def nodes(self) -> list[dict[str, Any]]:
        dead = {"Alive": False, "Resources": {"CPU": 1000.0}}
        return [dead, {"Alive": True, "Resources": {}}, *({"Alive": True, "Resources": {"CPU": c}} for c in self.cpus)]

    def available_resources(self) -> dict[str, float]:
        return {"CPU": 0.5}

    def put(self, value: Any) -> Object:
        return Object(value)

    def remote(self, actor: type) -> Any:
        def make(*arguments: Any) -> Handle:
            self.handles.append(Handle(lambda: actor(*arguments)))
            return self.handles[-1]

        def options(**asked: Any) -> Any:
            self.options_asked = asked
            return SimpleNamespace(remote=make)

        return SimpleNamespace(options=options)

    def play_on(self) -> None:
        for _ in range(self.dice.choice((0, 1, 3))):
            handle = self.dice.choice(self.handles)
            if self.dice.random() < self.loss:
                self.losses += 1
                handle.lose(self.dice.choice([ActorUnavailableError, ObjectLostError, OutOfMemoryError])("gone"))
            else:
                handle.step(answer_is_lost=self.dice.random() < self.loss)

    def wait(self, promises: list[Promise], timeout: float) -> tuple[list[Promise], list[Promise]]:
        self.play_on()
        kept = [promise for promise in promises if promise.is_kept][:1]
        return kept, [promise for promise in promises if promise not in kept]

    def get(self, promise: Promise) -> Any:
        assert promise.is_kept, "would wait"
        if promise.error is not None:
            raise promise.error
        return pickle.loads(promise.content)

    def kill(self, handle: Handle, no_restart: bool) -> None:
        assert no_restart
        handle.lose(ActorDiedError("it was ended for good"))
        handle.is_dead = True
