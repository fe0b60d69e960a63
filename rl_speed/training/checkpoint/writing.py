"""Writes checkpoints."""

from __future__ import annotations

import shutil
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
from rl_speed.training.callbacks.exchange import Exchange
from rl_speed.training.checkpoint.folders import MODEL_FILE, checkpoint_name, experience_file, list_checkpoints
from rl_speed.training.checkpoint.random_state import random_state
from rl_speed.training.checkpoint.reading import FORMAT, first_line
from rl_speed.training.divergence import DivergedError, diverged, is_finite
from rl_speed.training.plan import Plan
from rl_speed.training.ranks.group import Ranks

_REPLACED = ".replaced"


class PlainCheckpointIO(TorchCheckpointIO):
    """Writes model files straight to their place; the folder around them is what appears at once.

    Lightning's own goes through a file in the system's folder for temporary files, which may be full and is not
    cleared after a kill.

    Attributes:
        error: of the last save; it is not raised, because the other ranks wait for this one behind the save.
    """

    def __init__(self) -> None:
        super().__init__()
        self.error: OSError | RuntimeError | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Saves to a local path."""
        self.error = None
        try:
            _save(checkpoint, Path(path))
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError of its zip writer
            self.error = error


def _save(content: dict[str, Any], path: Path) -> None:
    with path.open("wb") as file:
        torch.save(content, file)
        sync_file(file)


class CheckpointWriter(Callback):
    """Saves the run every so many seconds, at its end, and when it fails; all ranks at the same batch.

    Args:
        plan: the run; it is stored in the checkpoint.
        preset: its name; likewise.
        dataset: replay and games.
        directory: where the checkpoints' folders go.
        exchange: has the wall time of the run.
        ranks: each writes a file of its own into the folder.
        notify: prints a sentence for the user.
    """

    def __init__(
        self,
        plan: Plan,
        preset: str,
        dataset: ExperienceDataset,
        directory: Path,
        exchange: Exchange,
        ranks: Ranks,
        notify: Callable[[str], None],
    ) -> None:
        self._plan, self._config, self._preset = plan, plan.config.checkpoint, preset
        self._dataset, self._directory = dataset, directory
        self._exchange, self._ranks, self._notify = exchange, ranks, notify
        self._next_save = 0.0
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
            "elapsed_seconds": self._exchange.elapsed_seconds(),
        }

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Saves if it is time; a failure is told and the run goes on."""
        if self._exchange.seconds >= self._next_save:
            self.save(trainer)
            self._next_save = self._exchange.seconds + self._config.every_seconds

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes where this part of the run begins: what failed before its first step has nothing to save."""
        self._gradient_steps_at_start = trainer.global_step
        self._next_save = self._exchange.seconds + self._config.every_seconds  # by the clock that all ranks have
        if self._ranks.is_first and self._directory.is_dir():
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
        """Saves what there is, if the run got anywhere; the exception itself goes on.

        Not with several ranks: nobody knows where the others are.
        """
        if self._ranks.size > 1:
            return
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
            # Each step on all ranks, or on none of them.
            problem = (
                self._everywhere(lambda: self._make_folder(temporary))
                or self._everywhere(lambda: self._fill(trainer, temporary))
                or self._everywhere(lambda: self._give_name(temporary, final))
            )
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        if problem is None:
            self.newest, self._saved, self.error = final, final, None
            return
        if self._ranks.is_first:
            shutil.rmtree(temporary, ignore_errors=True)
        older = list_checkpoints(self._directory)
        kept = f"the older {older[0]} is kept" if older else "there is no older one"
        self.error = CheckpointError(
            f"checkpoint {final} could not be written ({problem}); make room or set logging.directory to another disk; "
            f"{kept}"
        )
        self._notify(str(self.error))

    def _everywhere(self, step: Callable[[], None]) -> str | None:
        """Takes a step; what went wrong on the first rank on which something did, None if all was well."""
        problem = None
        try:
            step()
        except (OSError, RuntimeError) as error:
            problem = first_line(error)
        return next((text for text in self._ranks.gather_values(problem) if text is not None), None)

    def _make_folder(self, temporary: Path) -> None:
        if self._ranks.is_first:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)

    def _fill(self, trainer: pl.Trainer, temporary: Path) -> None:
        trainer.save_checkpoint(temporary / MODEL_FILE)
        io = trainer.strategy.checkpoint_io
        if isinstance(io, PlainCheckpointIO) and io.error is not None:
            raise io.error
        self._save_experience(temporary / experience_file(self._ranks.place.rank))

    def _give_name(self, temporary: Path, final: Path) -> None:
        if not self._ranks.is_first:
            return
        sync_folder(temporary)
        replaced = final.with_name(f".{final.name}{_REPLACED}")
        if final.exists():
            final.rename(replaced)
        temporary.rename(final)
        sync_folder(self._directory)  # before an older one is removed
        shutil.rmtree(replaced, ignore_errors=True)
        for path in list_checkpoints(self._directory)[self._config.keep :]:
            _remove(path)

    def _save_experience(self, path: Path) -> None:
        dataset, generator = self._dataset, self._dataset.generator
        content = {
            "format": FORMAT,
            "replay": dataset.replay.state_dict() if self._config.save_replay else None,
            # Games that an exception has broken into are in no state to be saved.
            "generator": generator.state_dict() if dataset.is_at_rest else {"env_steps": generator.env_steps},
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
