"""The memory that a learner and its actors share: rollouts go one way, weights the other."""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from rl_speed.config import EnvsConfig
from rl_speed.experience.generators.player import RolloutSpace
from rl_speed.experience.generators.rounds import RoundScheduler
from rl_speed.system.errors import ConfigError
from rl_speed.system.memory import shared_memory_free_bytes


def flat_weights(network: nn.Module) -> Tensor:
    """All parameters and floating-point buffers of a network as one float32 [P] vector."""
    parts = [*network.parameters(), *network.buffers()]
    return torch.cat([part.detach().reshape(-1).float() for part in parts])


@torch.no_grad()
def load_flat_weights(network: nn.Module, vector: Tensor) -> None:
    """Copies what `flat_weights` returned into a network of the same shape."""
    start = 0
    for part in [*network.parameters(), *network.buffers()]:
        part.copy_(vector[start : start + part.numel()].view_as(part))
        start += part.numel()


def actor_columns(index: int, num_envs: int) -> slice:
    """Where the envs of one actor, which has `num_envs`, are among those of all."""
    return slice(index * num_envs, (index + 1) * num_envs)


class RoundMemory(Protocol):
    """Where a learner finds the rollouts of its actors, and leaves weights for them."""

    @property
    def space(self) -> RolloutSpace:
        """On the CPU, fields [S, T, E, ...]: S slots, all actors' envs."""

    def publish(self, row: int, network: nn.Module) -> None:
        """Puts the network's present weights into a row; when it returns, they can be ordered to be acted with."""


@dataclass(frozen=True)
class ActorMemory:
    """Slots that actors write rollouts into, and rows that they read weights from."""

    space: RolloutSpace  # on the CPU, fields [S, T, E, ...]: S slots, all actors' envs or those of one
    weights: Tensor  # float32 [R, P], on the network's device: parameters and buffers, flat

    @classmethod
    def allocate(cls, envs: EnvsConfig, rounds: RoundScheduler, network: nn.Module) -> ActorMemory:
        """Memory of this process; every row holds the network's present weights.

        Args:
            envs: size of the frames.
            rounds: numbers of slots, rows, env steps and envs.
            network: whose weights are published.
        """
        space = RolloutSpace.allocate(rounds.rollout_env_steps, rounds.num_envs, envs, rounds.num_slots)
        return cls(space, flat_weights(network).repeat(rounds.num_weights_rows, 1))

    @classmethod
    def allocate_shared(cls, envs: EnvsConfig, rounds: RoundScheduler, network: nn.Module) -> ActorMemory:
        """The same, in memory that other processes of this machine can map; see `check_fits`."""
        memory = cls.allocate(envs, rounds, network)
        for tensor in [*memory.space.tensors().values(), memory.weights]:
            tensor.share_memory_()  # type: ignore[no-untyped-call]
        return memory

    def of_actor(self, index: int, num_envs: int) -> ActorMemory:
        """What one actor with `num_envs` envs sees of this memory: a view of its own columns, and all weights."""
        columns = actor_columns(index, num_envs)
        return ActorMemory(self.space.part(slice(None), slice(None), columns), self.weights)

    def publish(self, row: int, network: nn.Module) -> None:
        """Writes the network's present weights into a row; when it returns, an actor may read them."""
        self.weights[row].copy_(flat_weights(network))
        if self.weights.is_cuda:
            # An order must not overtake the copy.
            torch.cuda.synchronize(self.weights.device)


def shared_bytes(envs: EnvsConfig, rounds: RoundScheduler, num_weights: int) -> int:
    """Bytes of shared memory that `ActorMemory.allocate_shared` takes: whole pages per tensor.

    Args:
        envs, rounds: see there.
        num_weights: P, of the network's `flat_weights`; 0 where they are on a GPU, and shared there.
    """
    space = RolloutSpace.allocate(rounds.rollout_env_steps, rounds.num_envs, envs, rounds.num_slots, device="meta")
    weights_bytes = rounds.num_weights_rows * num_weights * torch.float32.itemsize
    sizes = [*(tensor.nbytes for tensor in space.tensors().values()), weights_bytes]
    return sum(math.ceil(size / mmap.PAGESIZE) * mmap.PAGESIZE for size in sizes)


def check_fits(needed_bytes: int) -> None:
    """Refuses what does not fit: torch would raise from deep inside, or the first page without room bring SIGBUS.

    Raises:
        ConfigError: there is not so much shared memory.
    """
    free_bytes = shared_memory_free_bytes()
    if free_bytes is not None and needed_bytes > free_bytes:
        raise ConfigError(
            f"rollouts and weights of the actors need {needed_bytes / 1e6:,.1f} MB of shared memory, but "
            f"{free_bytes / 1e6:,.1f} MB are free in /dev/shm; make it larger (docker run --shm-size), lower "
            f"envs.count, actors.count or actors.rollout_env_steps, or set actors.kind=in_process"
        )
