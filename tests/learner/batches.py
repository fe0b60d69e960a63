"""Batches made for a test."""

import torch

from rl_speed.records import Batch


def make_batch(gradient_steps, size=8, stack=2):
    draw = torch.Generator().manual_seed(1)
    shape = (gradient_steps, size)

    def observation():
        frames = torch.randint(0, 256, (*shape, 42, 42, stack), dtype=torch.uint8, generator=draw)
        return frames.movedim(-1, 2)

    valid = torch.ones(shape, dtype=torch.bool)
    valid[:, :3] = False  # more in the first half than in the second
    return Batch(
        observation(),
        torch.randint(0, 3, shape, generator=draw),
        torch.randn(shape, generator=draw),
        torch.full(shape, 0.9),
        observation(),
        valid,
        torch.rand(shape, generator=draw),
        torch.zeros(shape, dtype=torch.int64),
    )
