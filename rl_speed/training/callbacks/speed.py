"""Speed, loss and exploration as curves over env steps."""

from __future__ import annotations

from typing import Any

import psutil
import pytorch_lightning as pl
from pytorch_lightning import Callback
from torch import Tensor
from torchmetrics import MeanMetric
from torchmetrics.wrappers import Running

from rl_speed.experience.dataset import ExperienceDataset
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.training.callbacks.schedules import Annealing
from rl_speed.training.logger import run_logger
from rl_speed.training.speed import SpeedMeter

LOSSES_IN_MEAN = 100


class SpeedLogger(Callback):
    """Writes a point whenever the meter's window is over.

    Args:
        meter: measures.
        dataset: counts env steps.
        policy: holds epsilon and temperature.
        annealing: how far it is.
    """

    def __init__(
        self, meter: SpeedMeter, dataset: ExperienceDataset, policy: ExploringPolicy, annealing: Annealing
    ) -> None:
        self._meter, self._dataset, self._policy, self._annealing = meter, dataset, policy, annealing
        # Read when this rank's window is over, and the loss is that of all ranks already.
        self._average_loss = Running(MeanMetric(sync_on_compute=False), window=LOSSES_IN_MEAN)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The prefill begins."""
        self._meter.start(self._dataset.env_steps, trainer.global_step)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Before the first batch the prefill has ended."""
        if self._meter.begin_batch(self._dataset.env_steps, trainer.global_step):
            psutil.cpu_percent()  # this call only sets the mark

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Writes a point when the window is over. Only then is the loss read from the device."""
        env_steps = self._dataset.env_steps
        speed = self._meter.end_batch(env_steps, trainer.global_step)
        if speed is None:
            return
        loss: Tensor = outputs["loss"]
        self._average_loss.update(loss.float().mean().cpu())
        logger = run_logger(trainer)
        if logger is not None:
            points = {
                "loss": float(loss[-1]),
                "avg_loss": float(self._average_loss.compute()),
                "epsilon": self._policy.epsilon,
                "temperature": self._policy.temperature,
                "annealing": self._annealing.share,
                "avg_fps": speed.env_steps_per_second,
                "gradient_steps_per_second": speed.gradient_steps_per_second,
                "cpu_percent": psutil.cpu_percent(),
                **{f"time_share/{stage}": share for stage, share in speed.shares.items()},
            }
            logger.write(points, env_steps)
