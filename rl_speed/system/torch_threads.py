"""Torch's thread count for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Sets torch's threads in this thread for the block; the caller gets its own number back."""
    import torch

    before = torch.get_num_threads()
    if before == count:  # setting it is not free: OpenMP may start its team anew
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
