"""Ends a run that has diverged, before its priorities and checkpoints are spoilt."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback
from torch import Tensor

from rl_speed.config import UpdateConfig
from rl_speed.training.callbacks.exchange import Exchange
from rl_speed.training.divergence import diverged, first_not_finite


class EndDiverged(Callback):
    """Looks at the losses of each batch; comes before everyone who uses what the batch has learned.

    Losses on a GPU are looked at now and then: each look waits for the device. A loss is that of all ranks, and by the
    exchanged clock they all look at the same batch.

    Args:
        config: named in the sentence for the user.
        every_seconds: between two looks at a GPU.
        exchange: has the run's wall time.
    """

    def __init__(self, config: UpdateConfig, every_seconds: float, exchange: Exchange) -> None:
        self._config, self._every_seconds, self._exchange = config, every_seconds, exchange
        self._next_look = 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Raises DivergedError if a loss is not finite."""
        loss: Tensor = outputs["loss"]
        if loss.device.type != "cpu":
            if self._exchange.seconds < self._next_look:
                return
            self._next_look = self._exchange.seconds + self._every_seconds
        value = first_not_finite(loss)
        if value is not None:
            raise diverged(f"the loss, {value},", trainer.global_step, self._config)
