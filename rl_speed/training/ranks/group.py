"""What ranks tell each other: sums, rows and small values, each called on all ranks at the same point of the run."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from rl_speed.system.errors import RankError
from rl_speed.training.ranks.place import Place

# Rank 0 may play the games of a confirmation for hours; ranks that are gone are noticed by the watch.
_PATIENCE = timedelta(days=7)


class Ranks:
    """The processes that learn together. This class is the run of one process: everything is the identity.

    Attributes:
        place: of this process.
    """

    def __init__(self, place: Place | None = None) -> None:
        self.place = place or Place()

    @property
    def size(self) -> int:
        """W."""
        return self.place.world_size

    @property
    def is_first(self) -> bool:
        """Whether this is the rank that writes and judges."""
        return self.place.is_first

    def sum(self, tensor: Tensor) -> None:
        """Adds up a tensor of all ranks, in place."""

    def gather(self, row: Tensor) -> Tensor:
        """The rows of all ranks, [W, ...] on the CPU."""
        return row[None]

    def copy_from_first(self, tensor: Tensor) -> None:
        """Overwrites a tensor with that of rank 0."""

    def from_first(self, value: Any) -> Any:
        """Rank 0's value, on all ranks; what the others give is ignored."""
        return value

    def gather_values(self, value: Any) -> list[Any]:
        """The values of all ranks, by rank."""
        return [value]

    def barrier(self) -> None:
        """Waits until all ranks are here."""

    @property
    def failure(self) -> Exception | None:
        """What is known of a rank that was lost."""
        return None

    def say_at_last(self, words: Callable[[], str]) -> None:
        """What this process does and says if a loss finds it where it cannot end by itself; called from a thread.

        Args:
            words: notes what there is to note; gives the end of the sentence.
        """

    def release(self) -> None:
        """All ranks have done what they do together: who ends from now on is not missed. May be called twice."""

    def close(self) -> None:
        """Leaves the others; may be called twice."""


class JoinedRanks(Ranks):
    """Several processes, over gloo for the CPU's memory and NCCL for a GPU's.

    The groups are this object's own, not torch's default one: the default one would have Lightning send something with
    every batch and from signal handlers, and torchmetrics whenever a mean is read, on one rank only.

    Args:
        place: of this process.
        store: which all ranks have connected to.
        device: of this rank's network.
        why_lost: waits a moment, and says which rank is gone and why; None if nothing is known.
    """

    def __init__(self, place: Place, store: Any, device: str, why_lost: Callable[[], Exception | None]) -> None:
        super().__init__(place)
        self._why_lost = why_lost
        distributed: Any = dist
        where = place.rank, place.world_size
        self._cpu = distributed.ProcessGroupGloo(distributed.PrefixStore("gloo", store), *where, _PATIENCE)
        self._gpu: Any = None
        if device != "cpu":
            # A rank that is gone is dealt with here, not by ending this process in NCCL's own words.
            os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0")
            options = distributed.ProcessGroupNCCL.Options()
            options._timeout = _PATIENCE
            self._gpu = distributed.ProcessGroupNCCL(distributed.PrefixStore("nccl", store), *where, options)

    def close(self) -> None:
        """See Ranks. What others wait for ends for them, too: the connections are closed."""
        self._cpu = self._gpu = None

    def _wait_for(self, begin: Callable[[], Any]) -> None:
        """Carries a collective out; a rank that is gone comes out as the sentence about it."""
        try:
            begin().wait()
        except RuntimeError as error:
            known = self._why_lost()
            if known is not None:
                raise known from None
            reason = " ".join(str(error).split())[:200]
            raise RankError(f"rank {self.place.rank} cannot reach the other ranks any more ({reason})") from error

    def _group(self, tensor: Tensor) -> Any:
        return self._gpu if tensor.is_cuda else self._cpu

    def sum(self, tensor: Tensor) -> None:
        """See Ranks."""
        self._wait_for(lambda: self._group(tensor).allreduce([tensor]))

    def gather(self, row: Tensor) -> Tensor:
        """See Ranks."""
        row = row.cpu().contiguous()
        rows = [torch.empty_like(row) for _ in range(self.size)]
        self._wait_for(lambda: self._cpu.allgather([rows], [row]))
        return torch.stack(rows)

    def copy_from_first(self, tensor: Tensor) -> None:
        """See Ranks."""
        self._wait_for(lambda: self._group(tensor).broadcast([tensor], _from_first()))

    def from_first(self, value: Any) -> Any:
        """See Ranks."""
        return self.gather_values(value if self.is_first else None)[0]

    def gather_values(self, value: Any) -> list[Any]:
        """See Ranks."""
        content = pickle.dumps(value)
        sizes = self.gather(torch.tensor([len(content)]))[:, 0].tolist()
        row = torch.zeros(max(sizes), dtype=torch.uint8)
        row[: len(content)] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        rows = self.gather(row)
        return [pickle.loads(rows[rank, :size].numpy().tobytes()) for rank, size in enumerate(sizes)]

    def barrier(self) -> None:
        """See Ranks."""
        self.sum(torch.zeros(1))


def _from_first() -> Any:
    options: Any = dist.BroadcastOptions()
    options.rootRank = 0
    return options
