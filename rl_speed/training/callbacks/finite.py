"""Ends a run that has diverged, before its priorities and checkpoints are spoilt."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback
from torch import Tensor

from rl_speed.config import UpdateConfig
from rl_speed.training.divergence import diverged, first_not_finite


class EndDiverged(Callback):
    """Looks at the losses of each batch; comes before everyone who uses what the batch has learned.

    Losses on a GPU are looked at now and then: each look waits for the device.

    Args:
        config: named in the sentence for the user.
        every_seconds: between two looks at a GPU.
    """

    def __init__(self, config: UpdateConfig, every_seconds: float) -> None:
        self._config, self._every_seconds = config, every_seconds
        self._next_look = 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Raises DivergedError if a loss is not finite."""
        loss: Tensor = outputs["loss"]
        if loss.device.type != "cpu":
            if time.monotonic() < self._next_look:
                return
            self._next_look = time.monotonic() + self._every_seconds
        value = first_not_finite(loss)
        if value is not None:
            raise diverged(f"the loss, {value},", trainer.global_step, self._config)
