"""Play and train apart: actor processes fill shared memory, only orders and episode ends travel through pipes.

The learner's replay ratio stays locked: while it trains on round r, the actors play rounds r + 1 and r + 2 with the
weights that were there when these were ordered. Which process was faster does not change what is computed.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from threading import Event
from typing import Any

import torch
import torch.multiprocessing as mp

from rl_speed.config import RunConfig
from rl_speed.experience.generators.actor_process import ActorPlan, flat_weights, run_actor
from rl_speed.experience.generators.player import RolloutSpace
from rl_speed.experience.policy import EpsilonGreedyPolicy
from rl_speed.records import EpisodeEnd, Rollout
from rl_speed.system.errors import ActorError
from rl_speed.system.stage_timer import StageTimer

POLL_SECONDS = 0.5


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """A process started here ignores Ctrl-C from its first instruction on, before it can say so itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class SubprocessGenerator:
    """Rollouts of M actor processes with E/M envs each.

    Args:
        config: actors, envs and network.
        policy: holds the online network and epsilon; actors act with copies.
        num_actions: A.
        seeds: one env seed and one policy seed per actor.
        env_threads: emulator threads per actor.
        clock: charged with waiting, and with the actors' own seconds.
        stop: set when the run should end: a waiting `next` then raises StopIteration.
    """

    def __init__(
        self,
        config: RunConfig,
        policy: EpsilonGreedyPolicy,
        num_actions: int,
        seeds: list[tuple[int, int]],
        env_threads: int,
        clock: StageTimer,
        stop: Event,
    ) -> None:
        self.env_steps = 0
        self._config, self._policy, self._clock, self._stop = config, policy, clock, stop
        # One rollout is being read, the others are ordered: an actor finds its next order waiting.
        self._num_slots = 8 if config.actors.free_running else 3
        self._space = RolloutSpace.allocate(
            config.actors.rollout_env_steps, config.total_envs, config.envs, self._num_slots
        )
        for tensor in self._space.tensors().values():
            tensor.share_memory_()  # type: ignore[no-untyped-call]
        # A row per order under way and per acting network: no row is written while an actor may read it.
        rows = self._num_slots + config.actors.networks - 1
        self._weights = flat_weights(policy.network).repeat(rows, 1)  # [rows, P]
        self._weights.share_memory_()  # type: ignore[no-untyped-call]
        self._round = 0
        self._last_sign = time.monotonic()
        self._ordered: deque[int] = deque()  # slots that actors are filling or have filled, oldest first
        self._free: deque[int] = deque(range(self._num_slots))
        self._lent: int | None = None  # the slot whose rollout the caller is reading
        self._answers: list[deque[Any]] = [deque() for _ in range(config.actors.count)]
        self._env_steps_ordered = 0
        self._processes: list[Any] = []
        self._connections: list[Connection] = []
        context = mp.get_context("spawn")
        for index, (env_seed, policy_seed) in enumerate(seeds):
            here, there = context.Pipe()
            plan = ActorPlan(
                index, config, self._space, self._weights, env_seed, policy_seed, env_threads, num_actions,
                str(policy.device),
            )  # fmt: skip
            process = context.Process(target=run_actor, args=(plan, there), name=f"rl_speed-actor-{index}", daemon=True)
            with _ctrl_c_ignored():
                process.start()
            there.close()  # so that the end of the process is the end of the pipe
            self._processes.append(process)
            self._connections.append(here)

    def __iter__(self) -> SubprocessGenerator:
        return self

    def __next__(self) -> Rollout:
        """The oldest rollout that all actors have filled; waits for it."""
        if self._lent is not None:
            self._free.append(self._lent)
            self._lent = None
        while self._free:
            self._order()
        with self._clock.measure("wait"):
            self._wait_for_round()
        slot = self._ordered.popleft()
        episode_ends: list[EpisodeEnd] = []
        for answers in self._answers:
            ends, spent = answers.popleft()
            episode_ends += ends
            for stage, seconds in spent.items():
                self._clock.actor_seconds[stage] += seconds / len(self._answers)
        self._lent = slot
        self.env_steps += self._config.total_envs * self._config.actors.rollout_env_steps
        space = self._space.part(slot)
        return space.rollout(tuple(sorted(episode_ends, key=lambda end: end.env_steps)), self.env_steps)

    def _order(self) -> None:
        """Publishes the online network's present weights and orders every actor to fill the next free slot."""
        slot = self._free.popleft()
        rows = self._weights.shape[0]
        self._weights[self._round % rows].copy_(flat_weights(self._policy.network))
        if self._weights.is_cuda:
            # The order must not overtake the copy.
            torch.cuda.synchronize(self._weights.device)
        for index, connection in enumerate(self._connections):
            age = min(index % self._config.actors.networks, self._round)  # rounds
            row = (self._round - age) % rows
            order = (slot, row, self._policy.epsilon, self._env_steps_ordered, self._config.total_envs)
            try:
                connection.send(order)
            except (BrokenPipeError, ConnectionResetError):
                self._raise_dead(index)
        if not self._ordered:
            self._last_sign = time.monotonic()  # patience begins with the first order
        self._round += 1
        self._env_steps_ordered += self._config.total_envs * self._config.actors.rollout_env_steps
        self._ordered.append(slot)

    def is_ready(self) -> bool:
        """Whether every actor has finished the oldest ordered rollout; also once the run was asked to stop."""
        try:
            self._collect(0.0)
        except StopIteration:
            return True
        return all(self._answers) or self._stop.is_set()

    def _wait_for_round(self) -> None:
        while not all(self._answers):
            if self._stop.is_set():
                raise StopIteration
            self._collect(POLL_SECONDS)

    def _check_patience(self) -> None:
        """Gives up actors that live but do not answer."""
        patience = self._config.actors.timeout_seconds
        if time.monotonic() - self._last_sign > patience:
            silent = [index for index, answers in enumerate(self._answers) if not answers]
            raise ActorError(
                f"actor {silent[0]} has not answered for actors.timeout_seconds = {patience:g}; raise it or use "
                f"fewer actors"
            )

    def _collect(self, timeout_seconds: float) -> None:
        """Takes what the actors have sent. Raises ActorError if one died, failed or is silent for too long."""
        pending = list(self._connections)
        ready = wait([*pending, *(process.sentinel for process in self._processes)], timeout_seconds)
        for index, connection in enumerate(self._connections):
            while connection.poll():
                try:
                    answer = connection.recv()
                except (EOFError, ConnectionResetError):
                    self._raise_dead(index)
                if isinstance(answer, str):
                    raise ActorError(f"actor {index} failed; its traceback:\n{answer}")
                self._answers[index].append(answer)
                self._last_sign = time.monotonic()
        for index, process in enumerate(self._processes):
            if process.sentinel in ready and not self._answers[index]:
                self._raise_dead(index)
        if self._ordered and not all(self._answers):
            self._check_patience()
        else:
            self._last_sign = time.monotonic()

    def _raise_dead(self, index: int) -> None:
        if self._stop.is_set():
            raise StopIteration
        self._processes[index].join(1.0)
        code = self._processes[index].exitcode
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit status {code}"
        raise ActorError(f"actor {index} {how} without a word; the run cannot go on without it")

    def state_dict(self) -> dict[str, Any]:
        """The counter only: the games live in other processes and are started anew."""
        return {"env_steps": self.env_steps}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """See RolloutGenerator."""
        self.env_steps = self._env_steps_ordered = state["env_steps"]
        return False

    def close(self) -> None:
        """See RolloutGenerator; gives the actors two seconds to leave, then ends them."""
        for connection in self._connections:
            try:
                connection.send(None)
            except OSError:
                continue
        deadline = time.monotonic() + 2.0
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
        for connection in self._connections:
            connection.close()
        self._processes, self._connections = [], []
