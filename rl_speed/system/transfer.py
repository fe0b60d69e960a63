"""The way of tensors between the games and the learner's device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_ALIGNMENT = 8  # bytes, the largest element


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device; the caller's memory may be used again at once, if it is not page-locked itself.

    Towards a GPU it goes through page-locked memory, so that nothing waits for what is queued there.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    # Towards the CPU a copy that is not waited for may be read before it has arrived.
    return tensor.to(device)


class Parcel:
    """Memory on a device for tensors of fixed shapes, which travel there in one piece: each copy has to be launched.

    Args:
        examples: of the tensors.
        device: where they go.

    Attributes:
        tensors: on the device; each `send` writes over them.
    """

    def __init__(self, examples: Sequence[Tensor], device: torch.device) -> None:
        self._shapes = [(example.shape, example.dtype) for example in examples]
        self._starts, end = [], 0
        for example in examples:
            self._starts.append(end)
            end += -(-example.nbytes // _ALIGNMENT) * _ALIGNMENT
        self._memory = torch.empty(end, dtype=torch.uint8, device=device)
        self.tensors = self._tensors_in(self._memory)

    def send(self, tensors: Sequence[Tensor]) -> None:
        """Copies tensors of the examples' shapes there; their memory may be used again at once."""
        # New memory each time: an earlier parcel may not have left yet. Torch keeps what is page-locked for the next.
        host = torch.empty(len(self._memory), dtype=torch.uint8, pin_memory=self._memory.is_cuda)
        for place, tensor in zip(self._tensors_in(host), tensors, strict=True):
            place.copy_(tensor)
        self._memory.copy_(host, non_blocking=True)

    def _tensors_in(self, memory: Tensor) -> tuple[Tensor, ...]:
        return tuple(
            memory[start : start + shape.numel() * dtype.itemsize].view(dtype).view(shape)
            for start, (shape, dtype) in zip(self._starts, self._shapes, strict=True)
        )
