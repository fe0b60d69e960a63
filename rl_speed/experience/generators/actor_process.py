"""What an actor does in the process that is its own."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from rl_speed.config import EnvsConfig, NetworkConfig
from rl_speed.experience.generators.memory import ActorMemory, load_flat_weights
from rl_speed.experience.generators.player import Player
from rl_speed.experience.generators.protocol import Answer, Order
from rl_speed.experience.parts import Parts
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.system.stage_timer import StageTimer

ACTOR_NICENESS = 10


@dataclass(frozen=True)
class ActorPlan:
    """Everything that an actor needs; it travels once, when the process starts."""

    index: int
    parts: Parts
    envs: EnvsConfig
    network: NetworkConfig
    rollout_env_steps: int  # T
    num_actions: int
    env_seed: int
    policy_seed: int
    env_threads: int  # of the emulators
    threads: int  # of torch
    device: str  # where the network acts, and where the weights are
    use_bf16: bool
    slow_grads: bool
    nice: bool  # yield the cores to the learner


class RolloutActor:
    """Plays its envs with a copy of the acting network; sets threads and priority of the process that it is made in.

    Args:
        plan: what it plays and how.
        memory: holds its own columns only.
    """

    def __init__(self, plan: ActorPlan, memory: ActorMemory) -> None:
        torch.set_num_threads(plan.threads)
        if plan.nice and hasattr(os, "nice"):
            os.nice(ACTOR_NICENESS)
        network = plan.parts.make_network(plan.network, plan.envs.observation_shape, plan.num_actions).to(plan.device)
        network.requires_grad_(plan.slow_grads)
        self._policy = ExploringPolicy(
            network,
            plan.num_actions,
            plan.policy_seed,
            plan.device,
            use_bf16=plan.use_bf16,
            with_autograd=plan.slow_grads,
        )
        env = plan.parts.make_env(plan.envs, plan.envs.count, plan.env_seed, plan.env_threads, can_resume=False)
        self._timer = StageTimer()
        self._player = Player(env, self._policy, plan.envs, plan.index * env.num_envs, self._timer)
        self._memory, self._rollout_env_steps = memory, plan.rollout_env_steps

    def play(self, order: Order) -> Answer:
        """See Actor."""
        load_flat_weights(self._policy.network, self._memory.weights[order.weights_row])
        self._policy.epsilon, self._policy.temperature = order.epsilon, order.temperature
        before = dict(self._timer.seconds)
        space = self._memory.space.part(order.slot)
        for t in range(self._rollout_env_steps):
            self._player.begin()
            self._player.finish(space, t)
        episode_ends = self._player.take_episode_ends(order.env_steps, order.env_steps_stride)
        stage_seconds = {stage: self._timer.seconds[stage] - before[stage] for stage in ("act", "env")}
        return Answer(tuple(episode_ends), stage_seconds)

    def close(self) -> None:
        """See Actor."""
        self._player.close()
