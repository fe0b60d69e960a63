"""Saving and restoring a run: Lightning's checkpoint, and beside it what that does not hold.

A checkpoint is a folder `gradient_steps=N` with `model.ckpt` (networks, optimizer, loops, callbacks, written by
Lightning) and one `experience_rank<R>.pt` per rank (replay, games, generators of random numbers, counters). The
folder is filled under a temporary name and renamed, so what has the final name is whole.
"""

from __future__ import annotations

import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback

from rl_speed.config import RunConfig, validate
from rl_speed.dataset import ExperienceDataset
from rl_speed.errors import CheckpointError, ConfigError

MODEL_FILE = "model.ckpt"
FORMAT = 1
_NAME = re.compile(r"^gradient_steps=(\d+)$")


def experience_file(rank: int) -> str:
    """Name of a rank's file beside the model."""
    return f"experience_rank{rank}.pt"


def list_checkpoints(directory: Path) -> list[Path]:
    """The whole checkpoints in a folder, newest first."""
    if not directory.is_dir():
        return []
    found = [path for path in directory.iterdir() if _NAME.match(path.name) and (path / MODEL_FILE).is_file()]
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)


def find_last(log_directory: Path) -> Path:
    """The newest checkpoint of the newest run that has one.

    Raises:
        CheckpointError: there is none.
    """
    found = [path for run in log_directory.glob("version_*") for path in list_checkpoints(run / "checkpoints")]
    if not found:
        raise CheckpointError(f"--resume last: no checkpoint below {log_directory}; start a run without --resume")
    return max(found, key=lambda path: path.stat().st_mtime_ns)


def resolve(path: Path) -> Path:
    """The folder of a checkpoint given by its folder, its model file, or a run's folder (then the newest).

    Raises:
        CheckpointError: there is nothing usable at the path.
    """
    if path.is_file() and path.name == MODEL_FILE:
        return path.parent
    if (path / MODEL_FILE).is_file():
        return path
    for directory in (path, path / "checkpoints"):
        if newest := list_checkpoints(directory):
            return newest[0]
    what = "does not exist" if not path.exists() else "is not a checkpoint of rl_speed"
    raise CheckpointError(f"checkpoint {path} {what}; give the folder of a run or one of its checkpoints")


def read_model(folder: Path) -> dict[str, Any]:
    """Reads a checkpoint's model file onto the CPU, tensors and plain values only.

    Raises:
        CheckpointError: it is truncated, foreign, or of another format; an older usable one is named.
    """
    try:
        content = torch.load(folder / MODEL_FILE, map_location="cpu", weights_only=True)
        problem = None if isinstance(content, dict) and "rl_speed" in content else "is not one of rl_speed"
        if problem is None and content["rl_speed"].get("format") != FORMAT:
            problem = f"has format {content['rl_speed'].get('format')!r}, not {FORMAT}"
    except Exception as error:  # torch raises a different type for each way in which a file can be broken
        problem = f"cannot be read, it is truncated or foreign ({_first_line(error)})"
    if problem is None:
        return dict(content)
    raise CheckpointError(f"checkpoint {folder} {problem}; {_offer_older(folder)}")


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:80]}" if text else type(error).__name__


def _offer_older(folder: Path) -> str:
    for other in list_checkpoints(folder.parent):
        if other == folder:
            continue
        try:
            torch.load(other / MODEL_FILE, map_location="cpu", weights_only=True)
        except Exception:  # see read_model
            continue
        return f"an older one is usable: --resume {other}"
    return "there is no other usable one beside it, so start anew"


def read_config(folder: Path) -> RunConfig:
    """The configuration that a checkpoint was written with."""
    try:
        return validate(read_model(folder)["rl_speed"]["config"])
    except ConfigError as error:
        raise CheckpointError(f"checkpoint {folder} holds a configuration that is not usable: {error}") from None


def read_experience(folder: Path, rank: int) -> dict[str, Any] | None:
    """Reads a rank's replay and games; None if they were not saved.

    Raises:
        CheckpointError: the file is truncated or foreign; an older usable checkpoint is named.
    """
    path = folder / experience_file(rank)
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(content, dict) and content.get("format") == FORMAT:
            return content
        problem = "is not one of rl_speed"
    except Exception as error:  # see read_model
        problem = f"cannot be read, it is truncated or foreign ({_first_line(error)})"
    raise CheckpointError(f"experience file {path} {problem}; {_offer_older(folder)}")


def random_state() -> dict[str, Any]:
    """State of the global generators of Python, NumPy and torch, as tensors and plain values."""
    version, internal, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(internal), gauss],
        "numpy": [torch.from_numpy(np.asarray(keys).astype(np.int64)), int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Restores what `random_state` returned."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


class CheckpointWriter(Callback):
    """Saves the run every so many seconds, at its end, and when it fails.

    Args:
        config: the run; it is stored in the checkpoint.
        dataset: replay and games.
        directory: where the checkpoints' folders go.
        elapsed_seconds: wall time of the run so far.
        warn: prints a sentence for the user.
    """

    def __init__(
        self,
        config: RunConfig,
        dataset: ExperienceDataset,
        directory: Path,
        elapsed_seconds: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        self._config, self._dataset, self._directory = config, dataset, directory
        self._elapsed_seconds, self._warn = elapsed_seconds, warn
        self._next_save = time.monotonic() + config.checkpoint.every_seconds
        self.newest: Path | None = None
        self.error: CheckpointError | None = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds what the command line needs to know about the run."""
        checkpoint["rl_speed"] = {
            "format": FORMAT,
            "config": self._config.model_dump(mode="json"),
            "elapsed_seconds": self._elapsed_seconds(),
        }

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Saves if it is time; a failure is told and the run goes on."""
        is_due = time.monotonic() >= self._next_save
        if trainer.strategy.reduce_boolean_decision(is_due, all=False):
            self.save(trainer)
            self._next_save = time.monotonic() + self._config.checkpoint.every_seconds

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves the end of the run, while Lightning still holds all that belongs to it."""
        self.save(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Saves what there is; the exception itself goes on."""
        if trainer.global_step > 0:
            self.save(trainer)

    def save(self, trainer: pl.Trainer) -> None:
        """Writes one checkpoint; on failure tells the user and leaves the older ones alone."""
        name = f"gradient_steps={trainer.global_step:09d}"
        final, temporary = self._directory / name, self._directory / f".{name}.partial"
        if self.newest == final:
            return
        try:
            if trainer.is_global_zero:
                shutil.rmtree(temporary, ignore_errors=True)
                temporary.mkdir(parents=True)
            trainer.strategy.barrier("checkpoint folder")
            trainer.save_checkpoint(temporary / MODEL_FILE)
            self._save_experience(temporary / experience_file(trainer.global_rank))
            trainer.strategy.barrier("checkpoint written")
            if trainer.is_global_zero:
                shutil.rmtree(final, ignore_errors=True)
                temporary.rename(final)
                self._remove_old(final)
        except (OSError, RuntimeError) as error:
            # torch reports a full disk as a RuntimeError of its zip writer.
            shutil.rmtree(temporary, ignore_errors=True)
            kept = f"the older {self.newest} is kept" if self.newest else "there is no older one"
            self.error = CheckpointError(
                f"checkpoint {final} could not be written ({_first_line(error)}); make room or set "
                f"logging.directory to another disk; {kept}"
            )
            self._warn(str(self.error))
            return
        self.newest, self.error = final, None

    def _save_experience(self, path: Path) -> None:
        if not self._config.checkpoint.save_replay:
            return
        content = {
            "format": FORMAT,
            "replay": self._dataset.replay.state_dict(),
            "generator": self._dataset.generator.state_dict(),
            "dataset": self._dataset.state_dict(),
            "random": random_state(),
        }
        with path.open("wb") as file:
            torch.save(content, file)

    def _remove_old(self, newest: Path) -> None:
        others = [path for path in list_checkpoints(self._directory) if path != newest]
        for path in others[self._config.checkpoint.keep - 1 :]:
            shutil.rmtree(path, ignore_errors=True)


class ExperienceRestorer(Callback):
    """Restores replay, games and random numbers of a resumed run, once Lightning has restored the rest."""

    def __init__(self, dataset: ExperienceDataset, folder: Path, tell: Callable[[str], None]) -> None:
        self._dataset, self._folder, self._tell = dataset, folder, tell

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Runs after all of Lightning's own restoring."""
        content = read_experience(self._folder, trainer.global_rank)
        dataset = self._dataset
        if content is None:
            dataset.gradient_steps = trainer.global_step
            self._tell("the checkpoint holds no replay: it is filled anew before training goes on")
            return
        start = time.perf_counter()
        try:
            dataset.replay.load_state_dict(content["replay"])
        except ValueError as error:
            raise CheckpointError(
                f"checkpoint {self._folder} does not fit the configuration: {error}; resume without changing "
                f"replay or envs, or start anew"
            ) from None
        dataset.load_state_dict(content["dataset"])
        if not dataset.generator.load_state_dict(content["generator"]):
            dataset.replay.cut()
            self._tell("the games of the actors are started anew; replay and networks go on")
        set_random_state(content["random"])
        self._tell(f"restored {self._folder.name} in {time.perf_counter() - start:.1f} s")
