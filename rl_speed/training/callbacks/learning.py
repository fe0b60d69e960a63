"""What the learner needs around its gradient steps: the mean image, the target network, priorities."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from rl_speed.config import UpdateConfig
from rl_speed.experience.replay import Replay, mean_frame
from rl_speed.learner.module import DQNModule
from rl_speed.records import Batch
from rl_speed.system.stage_timer import StageTimer
from rl_speed.training.ranks.group import Ranks


class InputStandardisation(Callback):
    """Measures the mean image once the replay is prefilled, and gives it to all networks, which are QNetworks.

    Args:
        replay: of this rank.
        ranks: whose replays it is the mean of.
    """

    def __init__(self, replay: Replay, ranks: Ranks) -> None:
        self._replay, self._ranks = replay, ranks

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Before the first gradient step of the run; a resumed run has the image in its checkpoint."""
        if trainer.global_step > 0:
            return
        assert isinstance(pl_module, DQNModule)
        sums = self._replay.frame_sums().to(pl_module.device)
        self._ranks.sum(sums)
        mean, deviation = mean_frame(sums)
        for network in {pl_module.online_network, pl_module.target_network, pl_module.acting_network}:
            network.standardise_input(mean, deviation)  # type: ignore[operator]


class TargetSync(Callback):
    """Copies the online network to the target network every so many gradient steps; soft syncs are the module's."""

    def __init__(self, config: UpdateConfig) -> None:
        self._config = config
        self._last_gradient_step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A resumed run counts on."""
        self._last_gradient_step = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Syncs if it is time: a multiple was reached or passed."""
        assert isinstance(pl_module, DQNModule)
        every, last = self._config.target_sync_gradient_steps, self._last_gradient_step
        self._last_gradient_step = trainer.global_step
        if trainer.global_step // every > last // every:
            pl_module.sync_target()


class PriorityUpdate(Callback):
    """Gives the errors of a batch back to the replay as priorities."""

    def __init__(self, replay: Replay, timer: StageTimer) -> None:
        self._replay, self._timer = replay, timer

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        """After every batch."""
        with self._timer.measure("replay"):
            self._replay.update_priorities(batch.index, outputs["td_error"])
