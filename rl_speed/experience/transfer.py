"""The way of a tensor between the games and the learner's device."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device; the caller's memory may be used again at once, if it is not page-locked itself.

    Towards a GPU it goes through page-locked memory, so that nothing waits for what is queued there.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    # Towards the CPU a copy that is not waited for may be read before it has arrived.
    return tensor.to(device)
