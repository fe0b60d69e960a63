"""What runs inside an actor process: plays rollouts on demand into shared memory."""

from __future__ import annotations

import os
import signal
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch
from torch import Tensor

from rl_speed.config import RunConfig
from rl_speed.experience.envs import make_env
from rl_speed.experience.generators.player import Player, RolloutSpace
from rl_speed.experience.policy import EpsilonGreedyPolicy
from rl_speed.learner.network import QNetwork
from rl_speed.system.stage_timer import StageTimer

ACTOR_NICENESS = 10


@dataclass(frozen=True)
class ActorPlan:
    """Everything that an actor needs; it travels once, when the process starts."""

    index: int
    config: RunConfig
    space: RolloutSpace  # shared memory, fields [S, T, E, ...]: S slots, all actors' envs
    weights: Tensor  # float32 [rows, P], shared: parameters and buffers of networks, flat
    env_seed: int
    policy_seed: int
    env_threads: int
    num_actions: int
    device: str


def flat_weights(network: torch.nn.Module) -> Tensor:
    """All parameters and floating-point buffers of a network as one float32 [P] vector."""
    parts = [*network.parameters(), *network.buffers()]
    return torch.cat([part.detach().reshape(-1).float() for part in parts])


@torch.no_grad()
def load_flat_weights(network: torch.nn.Module, vector: Tensor) -> None:
    """Copies what `flat_weights` returned into a network of the same shape."""
    start = 0
    for part in [*network.parameters(), *network.buffers()]:
        part.copy_(vector[start : start + part.numel()].view_as(part))
        start += part.numel()


def run_actor(plan: ActorPlan, connection: Connection) -> None:
    """Answers each (slot, weights' row, epsilon, env_steps, env_steps_stride) with (episode_ends, act and env seconds).

    Ends when it receives None or when the parent is gone. An exception is sent to the parent as text.
    """
    # Ctrl-C reaches the whole process group; the learner decides what happens to its actors.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _play(plan, connection)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the learner is gone
    except BaseException:
        connection.send(traceback.format_exc())
        raise SystemExit(1) from None


def _play(plan: ActorPlan, connection: Connection) -> None:
    config = plan.config
    torch.set_num_threads(config.actors.threads)
    if config.update.num_shards > 1 and hasattr(os, "nice"):
        # The shards of a minibatch wait for each other: one that has lost its core to an actor stops them all.
        os.nice(ACTOR_NICENESS)
    network = QNetwork(
        config.network,
        config.envs.frame_stack,
        config.envs.frame_height,
        config.envs.image_width,
        plan.num_actions,
    ).to(plan.device)
    network.requires_grad_(config.update.slow_grads)
    policy = EpsilonGreedyPolicy(
        network,
        plan.num_actions,
        plan.policy_seed,
        plan.device,
        use_bf16=config.update.uses_bf16,
        with_autograd=config.update.slow_grads,
    )
    env = make_env(config.envs, config.envs.count, plan.env_seed, plan.env_threads, can_resume=False)
    clock = StageTimer()
    first_env = plan.index * env.num_envs
    player = Player(env, policy, config.envs, first_env, clock)
    columns = slice(first_env, first_env + env.num_envs)
    try:
        while (order := connection.recv()) is not None:
            slot, row, policy.epsilon, env_steps, stride = order
            load_flat_weights(network, plan.weights[row])
            before = dict(clock.seconds)
            space = plan.space.part(slot, slice(None), columns)
            for t in range(config.actors.rollout_env_steps):
                player.begin()
                player.finish(space, t)
            episode_ends = player.take_episode_ends(env_steps, stride)
            seconds = {stage: clock.seconds[stage] - before[stage] for stage in ("act", "env")}
            connection.send((tuple(episode_ends), seconds))
    finally:
        player.close()
