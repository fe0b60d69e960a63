"""torch.compile, whose failures are long."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from rl_speed.learner.gradient import Loss
from rl_speed.records import Batch
from rl_speed.system.errors import ConfigError

_LOGGER = logging.getLogger(__name__)


def compiled(loss: Loss) -> Loss:
    """The loss, compiled when it is first called.

    Raises, at a call:
        ConfigError: torch cannot compile it here.
    """
    function = torch.compile(loss, dynamic=False)
    has_begun = False

    def call(batch: Batch) -> tuple[Tensor, Tensor]:
        nonlocal has_begun
        if not has_begun:
            has_begun = True
            _LOGGER.info("torch compiles the loss, which takes up to a minute; limits are looked at afterwards")
        try:
            result: tuple[Tensor, Tensor] = function(batch)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ConfigError(
                f"update.compile = true: torch cannot compile the loss here ({reason[:200]}); set it to false"
            ) from error
        return result

    return call
