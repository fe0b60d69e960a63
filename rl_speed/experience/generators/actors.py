"""Play and train apart: actors fill shared memory with rollouts while the learner trains on earlier ones.

The learner's replay ratio stays locked: while it trains on round r, the actors play rounds r + 1 and r + 2 with the
weights that were there when these were ordered. Which actor was faster does not change what is computed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from rl_speed.config import RunConfig
from rl_speed.experience.generators.actor_process import ActorPlan, RolloutActor
from rl_speed.experience.generators.memory import ActorMemory, RoundMemory, check_fits, flat_weights, shared_bytes
from rl_speed.experience.generators.pipes import PipeTransport
from rl_speed.experience.generators.player import RolloutSpace
from rl_speed.experience.generators.protocol import Transport
from rl_speed.experience.generators.ray_actors import RayMemory, RayTransport
from rl_speed.experience.generators.ray_process import make_player
from rl_speed.experience.generators.rounds import FREE_RUNNING_SLOTS, LOCKED_SLOTS, CompleteRound, RoundScheduler
from rl_speed.experience.parts import Parts
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.records import Rollout
from rl_speed.system.ending import Ending
from rl_speed.system.errors import ActorGoneError
from rl_speed.system.ray_cluster import connect
from rl_speed.system.stage_timer import StageTimer

POLL_SECONDS = 0.5


class ActorGenerator:
    """Rollouts of M actors with E/M envs each, in rounds.

    Args:
        rounds: decides what is ordered.
        memory: where the actors' rollouts are found and weights are published.
        transport: reaches the actors; closed with this generator.
        policy: holds the acting network, epsilon and temperature; actors act with copies.
        timer: charged with waiting, and with the actors' own seconds.
        ending: when the run has to end: a waiting `next` then raises StopIteration.
    """

    def __init__(
        self,
        rounds: RoundScheduler,
        memory: RoundMemory,
        transport: Transport,
        policy: ExploringPolicy,
        timer: StageTimer,
        ending: Ending,
    ) -> None:
        self._rounds, self._memory, self._transport = rounds, memory, transport
        self._policy, self._timer, self._ending = policy, timer, ending

    @property
    def env_steps(self) -> int:
        """See RolloutGenerator."""
        return self._rounds.env_steps

    def __iter__(self) -> ActorGenerator:
        return self

    def __next__(self) -> Rollout:
        """The oldest rollout that all actors have filled; waits for it. Raises ActorError if an actor is lost."""
        self._rounds.take_back()
        try:
            while self._rounds.has_free_slot:
                self._order_round()
            with self._timer.measure("wait"):
                while not self._rounds.is_complete:
                    if self._ending.reason is not None:
                        raise StopIteration
                    self._receive(POLL_SECONDS)
        except ActorGoneError:
            # What ends a run often ends its actors, too.
            if self._ending.reason is not None:
                raise StopIteration from None
            raise
        return self._rollout(self._rounds.lend())

    def _order_round(self) -> None:
        """Publishes the acting network's present weights and orders every actor to fill the next free slot."""
        next_round = self._rounds.order(self._policy.epsilon, self._policy.temperature)
        self._memory.publish(next_round.weights_row, self._policy.network)
        for actor, order in enumerate(next_round.orders):
            self._transport.send(actor, order)

    def _receive(self, timeout_seconds: float) -> None:
        for actor, answer in self._transport.receive(timeout_seconds):
            self._rounds.record(actor, answer)

    def _rollout(self, complete: CompleteRound) -> Rollout:
        """A complete round as a record; charges the actors' seconds."""
        for answer in complete.answers:
            for stage, seconds in answer.stage_seconds.items():
                self._timer.actor_seconds[stage] += seconds / len(complete.answers)
        episode_ends = (end for answer in complete.answers for end in answer.episode_ends)
        by_time = tuple(sorted(episode_ends, key=lambda end: end.env_steps))
        return self._memory.space.part(complete.slot).rollout(by_time, complete.env_steps)

    def is_ready(self) -> bool:
        """Whether every actor has finished the oldest ordered rollout; also once the run has to end."""
        try:
            self._receive(0.0)
        except ActorGoneError:
            if self._ending.reason is None:
                raise
        return self._rounds.is_complete or self._ending.reason is not None

    def state_dict(self) -> dict[str, Any]:
        """The counter only: the games live elsewhere and are started anew."""
        return {"env_steps": self.env_steps}

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """See RolloutGenerator."""
        self._rounds.resume(state["env_steps"])
        return False

    def close(self) -> None:
        """See RolloutGenerator."""
        self._transport.close()


def start_actors(
    config: RunConfig,
    parts: Parts,
    policy: ExploringPolicy,
    seeds: list[tuple[int, int]],
    env_threads: int,
    timer: StageTimer,
    ending: Ending,
) -> ActorGenerator:
    """Starts actor processes on this machine, or in a Ray cluster.

    Args:
        config: actors, envs, network and precision, with nothing left to decide.
        parts: what plays and what learns.
        policy: holds the acting network, epsilon and temperature.
        seeds: one env seed and one policy seed per actor.
        env_threads: emulator threads per actor.
        timer: see ActorGenerator.
        ending: see ActorGenerator.

    Raises:
        UserError: there is no Ray, or no cluster with room for the actors.
    """
    rounds = _rounds(config)
    plans = _plans(config, parts, policy, seeds, env_threads)
    start = _start_in_ray if config.actors.kind == "ray" else _start_processes
    memory, transport = start(config, rounds, policy, plans)
    return ActorGenerator(rounds, memory, transport, policy, timer, ending)


def _rounds(config: RunConfig) -> RoundScheduler:
    actors = config.actors
    slots = FREE_RUNNING_SLOTS if actors.free_running else LOCKED_SLOTS
    return RoundScheduler(actors.count, actors.networks, slots, actors.rollout_env_steps, config.total_envs)


def check_shared_memory(config: RunConfig, parts: Parts, num_actions: int, device: str, ranks: int) -> None:
    """Refuses actor processes for whose rollouts and weights there is no room, before any of it is taken.

    Args:
        config: a rank's share, with nothing left to decide.
        parts: what learns.
        num_actions: of the game.
        device: of the learner: weights on a GPU are shared there.
        ranks: on this machine, each with actors of its own.

    Raises:
        ConfigError: there is not enough shared memory.
    """
    if config.actors.kind != "subprocess":
        return
    with torch.random.fork_rng(devices=[]):
        network = parts.make_network(config.network, config.envs.observation_shape, num_actions)
    num_weights = flat_weights(network).numel() if device == "cpu" else 0
    check_fits(ranks * shared_bytes(config.envs, _rounds(config), num_weights))


def _start_processes(
    config: RunConfig, rounds: RoundScheduler, policy: ExploringPolicy, plans: list[ActorPlan]
) -> tuple[RoundMemory, Transport]:
    memory = ActorMemory.allocate_shared(config.envs, rounds, policy.network)
    makers = [partial(RolloutActor, plan, memory.of_actor(plan.index, config.envs.count)) for plan in plans]
    return memory, PipeTransport(makers, config.actors.timeout_seconds)


def _start_in_ray(
    config: RunConfig, rounds: RoundScheduler, policy: ExploringPolicy, plans: list[ActorPlan]
) -> tuple[RoundMemory, Transport]:
    """Actors play on the CPU of their machine, wherever the learner's network is."""
    num_weights = flat_weights(policy.network).numel()
    cpus = max(config.actors.threads, plans[0].env_threads)
    rollout_bytes = sum(
        tensor.nbytes
        for tensor in RolloutSpace.allocate(
            rounds.rollout_env_steps, rounds.num_envs, config.envs, rounds.num_slots, device="meta"
        )
        .tensors()
        .values()
    )
    # Twice what is under way: objects are let go of a moment later than they are done with.
    store_bytes = 2 * (rollout_bytes + rounds.num_weights_rows * num_weights * torch.float32.itemsize)
    cluster = connect("actors.kind = ray", config.actors.address, len(plans) * cpus, store_bytes)
    try:
        memory = RayMemory(config.envs, rounds, cluster.ray.put)
        makers = [partial(make_player, plan, num_weights) for plan in plans]
        return memory, RayTransport(
            cluster, makers, memory, cpus, config.actors.timeout_seconds, config.trainer.world_size
        )
    except BaseException:
        cluster.close()
        raise


def _plans(
    config: RunConfig,
    parts: Parts,
    policy: ExploringPolicy,
    seeds: list[tuple[int, int]],
    env_threads: int,
) -> list[ActorPlan]:
    """What each actor is told when it starts."""
    in_ray = config.actors.kind == "ray"
    # Of a GPU's precision an actor's CPU knows nothing.
    use_bf16 = policy.use_bf16 and not (in_ray and policy.device.type != "cpu")
    return [
        ActorPlan(
            index=index,
            parts=parts,
            envs=config.envs,
            network=config.network,
            rollout_env_steps=config.actors.rollout_env_steps,
            num_actions=policy.num_actions,
            env_seed=env_seed,
            policy_seed=policy_seed,
            env_threads=env_threads,
            threads=config.actors.threads,
            device="cpu" if in_ray else str(policy.device),
            use_bf16=use_bf16,
            slow_grads=policy.with_autograd,
            # The shards of a minibatch wait for each other: one that has lost its core to an actor stops them all.
            nice=config.update.num_shards > 1 and not config.actors.plays_elsewhere,
        )
        for index, (env_seed, policy_seed) in enumerate(seeds)
    ]
