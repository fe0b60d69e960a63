"""A run whose numbers are not finite any more has nothing left to learn or to save."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor

from rl_speed.config import UpdateConfig
from rl_speed.system.errors import UserError


class DivergedError(UserError):
    """A loss or a weight is infinite or not a number."""


def is_finite(trainer: pl.Trainer) -> bool:
    """Whether all weights, and what the optimizer remembers of their gradients, are finite; waits for the device.

    Buffers do not count: a mask may well hold infinities.
    """
    remembered = [
        value for optimizer in trainer.optimizers for state in optimizer.state.values() for value in state.values()
    ]
    tensors = [*trainer.lightning_module.parameters(), *(value for value in remembered if isinstance(value, Tensor))]
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)


def diverged(what: str, gradient_steps: int, update: UpdateConfig) -> DivergedError:
    """The sentence for the user.

    Args:
        what: "the loss" or "a weight", with its value if it has one.
        gradient_steps: of the run when it was seen.
        update: the settings that can be at fault.
    """
    norm = update.max_gradient_norm
    clipping = "set update.max_gradient_norm" if norm is None else f"lower update.max_gradient_norm = {norm:g}"
    return DivergedError(
        f"{what} is not finite after {gradient_steps:,} gradient steps, so the run has diverged and ends; "
        f"lower update.learning_rate = {update.learning_rate:g} or {clipping}"
    )


def first_not_finite(values: Tensor) -> float | None:
    """The first value that is infinite or not a number; None if all are finite."""
    bad = values[~torch.isfinite(values)]
    return float(bad[0]) if bad.numel() else None
