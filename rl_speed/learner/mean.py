"""The mean gradient of processes that learn together, in one sum per gradient step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rl_speed.system.stage_timer import StageTimer


class GradientMean:
    """Makes the gradients of all ranks' minibatches those of one minibatch that holds all their samples.

    Everything lies in one flat tensor, because networks of this size cost latency and not bandwidth.

    Args:
        sum_over_ranks: adds up a tensor of all ranks, in place.
        timer: charged with reduce, the ranks' waiting for each other included.
    """

    def __init__(self, sum_over_ranks: Callable[[Tensor], None], timer: StageTimer) -> None:
        self._sum_over_ranks, self._timer = sum_over_ranks, timer
        self._flat = torch.empty(0)

    @torch.no_grad()
    def __call__(self, parameters: list[torch.nn.Parameter], loss: Tensor, num_valid: Tensor) -> Tensor:
        """Replaces the parameters' gradients by the mean over all ranks, weighted by their valid samples.

        Args:
            parameters: with the gradients of this rank's minibatch; those that the loss does not reach have none.
            loss: [], mean over the valid samples.
            num_valid: [], their number.

        Returns:
            the mean loss [] over all ranks: one that is not finite anywhere is so everywhere.
        """
        with self._timer.measure("reduce"):
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            size = sum(gradient.numel() for gradient in gradients)
            if self._flat.numel() != size + 2 or self._flat.device != loss.device:
                self._flat = torch.empty(size + 2, device=loss.device)
            *parts, _ = torch.split(self._flat, [*(gradient.numel() for gradient in gradients), 2])
            views = [part.view_as(gradient) for part, gradient in zip(parts, gradients, strict=True)]
            torch._foreach_copy_(views, gradients)
            self._flat[-2], self._flat[-1] = loss, 1.0
            self._flat.mul_(num_valid)
            self._sum_over_ranks(self._flat)
            self._flat[:-1].div_(self._flat[-1].clamp(min=1))
            torch._foreach_copy_(gradients, views)
            return self._flat[-2].clone()
