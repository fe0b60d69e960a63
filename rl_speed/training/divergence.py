"""A run whose numbers are not finite any more has nothing left to learn or to save."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rl_speed.config import UpdateConfig
from rl_speed.system.errors import UserError


class DivergedError(UserError):
    """A loss or a weight is infinite or not a number."""


def is_finite(network: nn.Module) -> bool:
    """Whether all weights of a network are finite; waits for its device."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in network.state_dict().values())


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
        f"{what} is not finite after {gradient_steps:,} gradient steps, so the run has diverged and ends; earlier "
        f"checkpoints are kept; lower update.learning_rate = {update.learning_rate:g} or {clipping}"
    )


def first_not_finite(values: Tensor) -> float | None:
    """The first value that is infinite or not a number; None if all are finite."""
    bad = values[~torch.isfinite(values)]
    return float(bad[0]) if bad.numel() else None
