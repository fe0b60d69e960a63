"""Lightning's side of several ranks: it is told where it is, and may gather and wait; nothing is wrapped or hooked.

Its own DDP re-arms its hooks with each `manual_backward` and never sees gradients of `torch.autograd.grad`, which the
parts of a minibatch use. Here the learner averages gradients itself (learner/mean.py).
"""

from __future__ import annotations

from typing import Any

import torch
from lightning_fabric.plugins import ClusterEnvironment
from pytorch_lightning.strategies import ParallelStrategy
from torch import Tensor

from rl_speed.training.ranks.group import Ranks
from rl_speed.training.ranks.place import Place


class _Environment(ClusterEnvironment):
    """What Lightning asks for; whoever started the ranks is settled already."""

    def __init__(self, place: Place) -> None:
        self._place = place

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        return 0

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._place.world_size

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return self._place.rank

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return self._place.local_rank

    def node_rank(self) -> int:
        return self._place.rank // self._place.local_world_size


class RanksStrategy(ParallelStrategy):
    """Ranks that are there already.

    Args:
        ranks: all of them.
        device: of this one's network.
    """

    strategy_name = "rl_speed_ranks"

    def __init__(self, ranks: Ranks, device: str) -> None:
        super().__init__(cluster_environment=_Environment(ranks.place))
        self._ranks, self._device = ranks, torch.device(device)

    @property
    def root_device(self) -> torch.device:
        """The device of this rank."""
        return self._device

    def model_to_device(self) -> None:
        """Puts the module there."""
        assert self.model is not None
        self.model.to(self._device)

    def barrier(self, name: str | None = None) -> None:
        """Waits for all ranks."""
        self._ranks.barrier()

    def broadcast(self, obj: Any, src: int = 0) -> Any:
        """The object of one rank, on all."""
        return self._ranks.gather_values(obj if self.global_rank == src else None)[src]

    def reduce(self, tensor: Any, group: Any | None = None, reduce_op: Any | None = "mean") -> Any:
        """Sum or mean of a tensor over all ranks."""
        if not isinstance(tensor, Tensor):
            return tensor
        total = tensor.clone()
        self._ranks.sum(total)
        is_mean = isinstance(reduce_op, str) and reduce_op.lower() in ("mean", "avg")
        return total / self.world_size if is_mean else total

    def all_gather(self, tensor: Tensor, group: Any | None = None, sync_grads: bool = False) -> Tensor:
        """The tensors of all ranks, [W, ...]; no gradient flows through."""
        return self._ranks.gather(tensor.detach()).to(tensor.device)
