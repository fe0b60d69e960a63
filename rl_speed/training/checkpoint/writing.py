"""Writes checkpoints."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback
from pytorch_lightning.plugins import TorchCheckpointIO

from rl_speed.experience.dataset import ExperienceDataset
from rl_speed.system.durable import sync_file, sync_folder
from rl_speed.system.errors import CheckpointError
from rl_speed.training.checkpoint.folders import MODEL_FILE, checkpoint_name, experience_file, list_checkpoints
from rl_speed.training.checkpoint.random_state import random_state
from rl_speed.training.checkpoint.reading import FORMAT, first_line
from rl_speed.training.divergence import DivergedError, diverged, is_finite
from rl_speed.training.plan import Plan

_REPLACED = ".replaced"


class PlainCheckpointIO(TorchCheckpointIO):
    """Writes model files straight to their place; the folder around them is what appears at once.

    Lightning's own goes through a file in the system's folder for temporary files, which may be full and is not
    cleared after a kill.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Saves to a local path."""
        _save(checkpoint, Path(path))


def _save(content: dict[str, Any], path: Path) -> None:
    with path.open("wb") as file:
        torch.save(content, file)
        sync_file(file)


class CheckpointWriter(Callback):
    """Saves the run every so many seconds, at its end, and when it fails.

    Args:
        plan: the run; it is stored in the checkpoint.
        preset: its name; likewise.
        dataset: replay and games.
        directory: where the checkpoints' folders go.
        elapsed_seconds: wall time of the run so far.
        notify: prints a sentence for the user.
    """

    def __init__(
        self,
        plan: Plan,
        preset: str,
        dataset: ExperienceDataset,
        directory: Path,
        elapsed_seconds: Callable[[], float],
        notify: Callable[[str], None],
    ) -> None:
        self._plan, self._config, self._preset = plan, plan.config.checkpoint, preset
        self._dataset, self._directory = dataset, directory
        self._elapsed_seconds, self._notify = elapsed_seconds, notify
        self._next_save = time.monotonic() + self._config.every_seconds
        self._gradient_steps_at_start: int | None = None
        self.newest: Path | None = None
        self._saved: Path | None = None  # the newest, as long as it holds all that there is to know
        self.error: CheckpointError | None = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds what the command line needs to know about the run."""
        checkpoint["rl_speed"] = {
            "format": FORMAT,
            "preset": self._preset,
            "config": self._plan.asked.model_dump(mode="json"),
            "plan": self._plan.summary(),
            "kept": self._plan.kept(),
            "parts": self._plan.parts.names(),
            "num_actions": self._plan.num_actions,
            "elapsed_seconds": self._elapsed_seconds(),
        }

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Saves if it is time; a failure is told and the run goes on."""
        is_due = time.monotonic() >= self._next_save
        if trainer.strategy.reduce_boolean_decision(is_due, all=False):
            self.save(trainer)
            self._next_save = time.monotonic() + self._config.every_seconds

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes where this part of the run begins: what failed before its first step has nothing to save."""
        self._gradient_steps_at_start = trainer.global_step
        if trainer.is_global_zero and self._directory.is_dir():
            self._tidy(trainer.global_step)

    def _tidy(self, gradient_steps: int) -> None:
        """Clears up after a run that was killed while it saved, and after later checkpoints that were not resumed."""
        for path in self._directory.glob(f".*{_REPLACED}"):
            final = path.with_name(path.name.removeprefix(".").removesuffix(_REPLACED))
            if not final.exists():
                path.rename(final)
        for path in self._directory.glob(".gradient_steps=*"):
            shutil.rmtree(path, ignore_errors=True)
        for path in list_checkpoints(self._directory):
            if path.name > checkpoint_name(gradient_steps):
                # Its run goes on from an older one: it must not be taken for the newest.
                shutil.rmtree(path.with_name(f"{path.name}.set_aside"), ignore_errors=True)
                path.rename(path.with_name(f"{path.name}.set_aside"))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves the end of the run, while Lightning still holds all that belongs to it."""
        self.save(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Saves what there is, if the run got anywhere; the exception itself goes on."""
        if self._gradient_steps_at_start is None or trainer.global_step <= self._gradient_steps_at_start:
            return
        if isinstance(exception, DivergedError):
            return
        try:
            self.save(trainer)
        except Exception as error:  # the first exception is what the user has to see
            self._notify(f"the run could not be saved either: {first_line(error)}")

    def forget_newest(self) -> None:
        """The next save writes even if no gradient step was taken since the last one."""
        self._saved = None

    def save(self, trainer: pl.Trainer) -> None:
        """Writes one checkpoint; on failure tells the user and leaves the older ones alone.

        Raises:
            DivergedError: weights are not finite; older checkpoints are better ones.
        """
        name = checkpoint_name(trainer.global_step)
        final, temporary = self._directory / name, self._directory / f".{name}.partial"
        if self._saved == final:
            return
        if not is_finite(trainer):
            raise diverged("a weight", trainer.global_step, self._plan.config.update)
        try:
            if trainer.is_global_zero:
                shutil.rmtree(temporary, ignore_errors=True)
                temporary.mkdir(parents=True)
            trainer.strategy.barrier("checkpoint folder")
            trainer.save_checkpoint(temporary / MODEL_FILE)
            self._save_experience(temporary / experience_file(trainer.global_rank))
            trainer.strategy.barrier("checkpoint written")
            if trainer.is_global_zero:
                sync_folder(temporary)
                replaced = final.with_name(f".{name}{_REPLACED}")
                if final.exists():
                    final.rename(replaced)
                temporary.rename(final)
                sync_folder(self._directory)  # before an older one is removed
                shutil.rmtree(replaced, ignore_errors=True)
                for path in list_checkpoints(self._directory)[self._config.keep :]:
                    _remove(path)
        except (OSError, RuntimeError) as error:
            # torch reports a full disk as a RuntimeError of its zip writer.
            shutil.rmtree(temporary, ignore_errors=True)
            older = list_checkpoints(self._directory)
            kept = f"the older {older[0]} is kept" if older else "there is no older one"
            self.error = CheckpointError(
                f"checkpoint {final} could not be written ({first_line(error)}); make room or set "
                f"logging.directory to another disk; {kept}"
            )
            self._notify(str(self.error))
            return
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        self.newest, self._saved, self.error = final, final, None

    def _save_experience(self, path: Path) -> None:
        dataset = self._dataset
        content = {
            "format": FORMAT,
            "replay": dataset.replay.state_dict() if self._config.save_replay else None,
            # Games that an exception has broken into are in no state to be saved.
            "generator": dataset.generator.state_dict() if dataset.is_at_rest else {"env_steps": dataset.env_steps},
            "dataset": dataset.state_dict(),
            "random": random_state(),
        }
        _save(content, path)


def _remove(folder: Path) -> None:
    """Deletes a checkpoint; it loses its name first, so that half of one is never taken for a whole one."""
    hidden = folder.with_name(f".{folder.name}.removed")
    shutil.rmtree(hidden, ignore_errors=True)
    folder.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)
