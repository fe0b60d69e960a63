"""The ends of a run other than its goal: a limit, and what is given back afterwards."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from rl_speed.config import StopConfig
from rl_speed.experience.dataset import ExperienceDataset
from rl_speed.experience.generators.protocol import RolloutGenerator
from rl_speed.learner.module import DQNModule
from rl_speed.system.ending import Ending


class StopAtLimits(Callback):
    """Ends the run at a limit of env steps, gradient steps or wall time, or when it was asked to stop.

    All ranks have taken as many steps and agreed to the same wishes, so they end at the same batch.

    Args:
        config: the limits.
        dataset: counts env steps.
        ending: wall time, and whether the run was asked to stop.
    """

    def __init__(self, config: StopConfig, dataset: ExperienceDataset, ending: Ending) -> None:
        self._config, self._dataset, self._ending = config, dataset, ending
        self.reason: str | None = None

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Checks the limits after every batch."""
        config = self._config
        reason = self._ending.reason
        if reason != "interrupted":
            if config.max_env_steps is not None and self._dataset.env_steps >= config.max_env_steps:
                reason = "max_env_steps"
            elif config.max_gradient_steps is not None and trainer.global_step >= config.max_gradient_steps:
                reason = "max_gradient_steps"
        self.reason = reason or self.reason
        trainer.should_stop = trainer.should_stop or self.reason is not None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The dataset has ended: a signal or the deadline came while it waited for experience."""
        self.reason = self._ending.reason or self.reason
        trainer.should_stop = trainer.should_stop or self.reason is not None


class CloseAll(Callback):
    """Ends games, actor processes and the learner's threads, however the run ends; comes last."""

    def __init__(self, generator: RolloutGenerator, module: DQNModule) -> None:
        self._generator, self._module = generator, module

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """The normal end."""
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Every other end."""
        self._close()

    def _close(self) -> None:
        self._generator.close()
        self._module.gradient.close()
