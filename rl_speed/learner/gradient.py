"""One minibatch's gradient, whole or on several cores: each computes it for a part, and the parts are averaged.

The kernels of a small network are too short for torch's own threads: two of them make an update of `fast_cpu` 1.3 times
as fast, two halves of the minibatch 1.5 times (docs/notebook.md).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from rl_speed.config import UpdateConfig
from rl_speed.records import Batch

Loss = Callable[[Batch], tuple[Tensor, Tensor]]


class Gradient:
    """Computes losses and gradients of a minibatch, in parts on threads where the configuration asks for it.

    Args:
        loss: of a (part of a) minibatch: loss [] as a mean over its valid samples, and errors [B].
        config: sizes of the parts, and precision of the loss.
    """

    def __init__(self, loss: Loss, config: UpdateConfig) -> None:
        self._loss = loss
        self._config, self._num_shards, self._uses_bf16 = config, config.num_shards, config.uses_bf16
        self._pool: ThreadPoolExecutor | None = None

    def __call__(self, minibatch: Batch, parameters: list[torch.nn.Parameter]) -> tuple[Tensor, Tensor]:
        """Sets the parameters' gradients.

        Returns:
            loss [] and |td_error| [B], detached.
        """
        if self._num_shards == 1:
            loss, error, gradients = self._part(minibatch, parameters)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            return loss, error
        return self._in_parts(minibatch, parameters)

    def _in_parts(self, minibatch: Batch, parameters: list[torch.nn.Parameter]) -> tuple[Tensor, Tensor]:
        if self._pool is None:
            # Torch's thread count is each thread's own.
            self._pool = ThreadPoolExecutor(
                self._num_shards - 1, "shard", initializer=torch.set_num_threads, initargs=(torch.get_num_threads(),)
            )
        parts = minibatch.parts(self._config.shard_sizes(len(minibatch.action)))
        others = [self._pool.submit(self._part, part, parameters) for part in parts[1:]]
        results = [self._part(parts[0], parameters), *(other.result() for other in others)]
        valid = torch.stack([part.is_valid.sum() for part in parts])
        share = valid / valid.sum().clamp(min=1)
        with torch.no_grad():
            for index, parameter in enumerate(parameters):
                gradients = [result[2][index] for result in results]
                if gradients[0] is None:  # the loss does not depend on it
                    parameter.grad = None
                    continue
                total = gradients[0] * share[0]
                for number in range(1, self._num_shards):
                    total.addcmul_(gradients[number], share[number])
                parameter.grad = total
            loss = (torch.stack([result[0] for result in results]) * share).sum()
        return loss, torch.cat([result[1] for result in results])

    def _part(self, part: Batch, parameters: list[torch.nn.Parameter]) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        # Autocast is each thread's own; its cache is not, and would go on with the bfloat16 copies of weights that an
        # earlier gradient step, or another part, has made.
        with torch.autocast(part.action.device.type, torch.bfloat16, enabled=self._uses_bf16, cache_enabled=False):
            loss, error = self._loss(part)
        # A network of the caller's own may have parameters that the loss does not reach.
        return loss.detach(), error, torch.autograd.grad(loss, parameters, allow_unused=True)

    def close(self) -> None:
        """Ends the threads; they come back with the next call."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
