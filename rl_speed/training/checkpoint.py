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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback
from pytorch_lightning.plugins import TorchCheckpointIO

from rl_speed.config import RunConfig, merge, parse_override, validate
from rl_speed.experience.dataset import ExperienceDataset
from rl_speed.learner.network import QNetwork
from rl_speed.system.errors import CheckpointError, ConfigError

MODEL_FILE = "model.ckpt"
FORMAT = 1
_NAME = re.compile(r"^gradient_steps=(\d+)$")
_REPLACED = ".replaced"


def _name(gradient_steps: int) -> str:
    """A checkpoint's name: names sort as their gradient steps do."""
    return f"gradient_steps={gradient_steps:09d}"


def experience_file(rank: int) -> str:
    """Name of a rank's file beside the model."""
    return f"experience_rank{rank}.pt"


def list_checkpoints(directory: Path) -> list[Path]:
    """The whole checkpoints in a folder, most gradient steps first."""
    if not directory.is_dir():
        return []
    found = [path for path in directory.iterdir() if _NAME.match(path.name) and (path / MODEL_FILE).is_file()]
    return sorted(found, key=lambda path: path.name, reverse=True)


def find_last(log_directory: Path) -> Path:
    """The newest checkpoint of the newest run that has one.

    Raises:
        CheckpointError: there is none.
    """
    runs = [list_checkpoints(run / "checkpoints") for run in log_directory.glob("version_*")]
    found = [checkpoints[0] for checkpoints in runs if checkpoints]
    if not found:
        raise CheckpointError(
            f"--resume last: no checkpoint below {log_directory}; start a run without --resume, or name another "
            f"folder with --set logging.directory=..."
        )
    return max(found, key=lambda path: path.stat().st_mtime_ns)


def resolve(path: Path) -> Path:
    """The folder of a checkpoint given by its folder, its model file, or a run's folder (then the newest).

    Raises:
        CheckpointError: there is nothing usable at the path.
    """
    try:
        if path.is_file() and path.name == MODEL_FILE:
            return path.parent
        if (path / MODEL_FILE).is_file():
            return path
        for directory in (path, path / "checkpoints"):
            if newest := list_checkpoints(directory):
                return newest[0]
        what = "does not exist" if not path.exists() else "is not a checkpoint of rl_speed"
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
    raise CheckpointError(f"checkpoint {path} {what}; give the folder of a run or one of its checkpoints")


def _load(path: Path) -> tuple[dict[str, Any], str | None]:
    """Reads tensors and plain values only, onto the CPU; returns them, or what is wrong."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different type for each way in which a file can be broken
        return {}, f"cannot be read, it is truncated or foreign ({_first_line(error)})"
    return (content, None) if isinstance(content, dict) else ({}, "is not one of rl_speed")


def _load_model(folder: Path) -> tuple[dict[str, Any], str | None]:
    content, problem = _load(folder / MODEL_FILE)
    if problem is None and not isinstance(content.get("rl_speed"), dict):
        problem = "is not one of rl_speed"
    if problem is None and content["rl_speed"].get("format") != FORMAT:
        problem = f"has format {content['rl_speed'].get('format')!r}, not {FORMAT}"
    return content, problem


def _load_experience(folder: Path, rank: int) -> tuple[dict[str, Any], str | None]:
    content, problem = _load(folder / experience_file(rank))
    if problem is None and content.get("format") != FORMAT:
        problem = "is not one of rl_speed"
    return content, problem


def read_model(folder: Path) -> dict[str, Any]:
    """Reads a checkpoint's model file.

    Raises:
        CheckpointError: it is truncated, foreign, or of another format; an older usable one is named.
    """
    content, problem = _load_model(folder)
    if problem is not None:
        raise CheckpointError(f"checkpoint {folder} {problem}; {_offer_older(folder)}")
    return content


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:80]}" if text else type(error).__name__


def _offer_older(folder: Path) -> str:
    """Names the newest whole checkpoint of fewer gradient steps, if there is one."""
    for other in list_checkpoints(folder.parent):
        if other.name < folder.name and _load_model(other)[1] is None and _load_experience(other, 0)[1] is None:
            return f"an older one is usable: --resume {other}"
    return "there is no other usable one beside it, so start anew"


def read_config(folder: Path) -> RunConfig:
    """The configuration that a checkpoint was written with."""
    try:
        return validate(read_model(folder)["rl_speed"]["config"])
    except ConfigError as error:
        raise CheckpointError(f"checkpoint {folder} holds a configuration that is not usable: {error}") from None


def read_experience(folder: Path, rank: int) -> dict[str, Any]:
    """Reads a rank's games, counters and, where it was saved, replay.

    Raises:
        CheckpointError: the file is missing, truncated or foreign; an older usable checkpoint is named.
    """
    content, problem = _load_experience(folder, rank)
    if problem is not None:
        raise CheckpointError(f"experience file {folder / experience_file(rank)} {problem}; {_offer_older(folder)}")
    return content


def load_network(folder: Path) -> tuple[QNetwork, RunConfig]:
    """The online network of a checkpoint, frozen, on the CPU, and the configuration it was trained with.

    Raises:
        CheckpointError: the checkpoint is not usable.
    """
    config = read_config(folder)
    prefix = "online_network."
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in read_model(folder)["state_dict"].items()
        if name.startswith(prefix)
    }
    try:
        num_actions = weights["advantage.weight"].shape[0]
        envs = config.envs
        network = QNetwork(config.network, envs.frame_stack, envs.frame_height, envs.image_width, num_actions)
        network.load_state_dict(weights)
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"checkpoint {folder} holds no network that fits its configuration ({error})") from None
    network.requires_grad_(False)
    return network.eval(), config


# What a checkpoint's replay, games and networks are made for.
_FIXED_ON_RESUME = ("seed", "envs", "actors", "replay", "network")
_FREE_ON_RESUME = {"threads", "timeout_seconds", "device"}


def resume_config(folder: Path, overrides: Sequence[str], max_seconds: float | None) -> tuple[str, RunConfig]:
    """Preset and configuration of a checkpoint, with changes that it allows.

    Args:
        folder: the checkpoint.
        overrides: texts `section.field=value`.
        max_seconds: limit of wall time from now on; None: none, whatever the checkpoint's run had.

    Raises:
        ConfigError: a change that the saved replay, games or networks do not fit.
        CheckpointError: the checkpoint is not usable.
    """
    saved = read_config(folder)
    content = merge(saved.model_dump(), {"stop": {"max_seconds": max_seconds}})
    for text in overrides:
        content = merge(content, parse_override(text))
    config = validate(content)
    for name in _FIXED_ON_RESUME:
        section = getattr(saved, name)
        fields = [field for field in getattr(type(section), "model_fields", {}) if field not in _FREE_ON_RESUME]
        pairs = [
            (f"{name}.{field}", getattr(section, field), getattr(getattr(config, name), field)) for field in fields
        ]
        for path, before, now in pairs or [(name, section, getattr(config, name))]:
            if before != now:
                raise ConfigError(
                    f"{path} cannot change from {before!r} to {now!r} on resume: the saved replay, games and networks "
                    f"would not fit; leave it, or start a new run"
                )
    return str(read_model(folder)["rl_speed"]["preset"]), config


def random_state() -> dict[str, Any]:
    """State of the global generators of Python, NumPy and torch, as tensors and plain values."""
    version, internal, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(internal), gauss],
        "numpy": [
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ],
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


class PlainCheckpointIO(TorchCheckpointIO):
    """Writes model files straight to their place; the folder around them is what appears at once.

    Lightning's own goes through a file in the system's folder for temporary files, which may be full and is not
    cleared after a kill.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Saves to a local path."""
        with open(path, "wb") as file:
            torch.save(checkpoint, file)


class CheckpointWriter(Callback):
    """Saves the run every so many seconds, at its end, and when it fails.

    Args:
        config: the run; it is stored in the checkpoint.
        preset: its name; likewise.
        dataset: replay and games.
        directory: where the checkpoints' folders go.
        elapsed_seconds: wall time of the run so far.
        warn: prints a sentence for the user.
    """

    def __init__(
        self,
        config: RunConfig,
        preset: str,
        dataset: ExperienceDataset,
        directory: Path,
        elapsed_seconds: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        self._config, self._preset = config, preset
        self._dataset, self._directory = dataset, directory
        self._elapsed_seconds, self._warn = elapsed_seconds, warn
        self._next_save = time.monotonic() + config.checkpoint.every_seconds
        self._gradient_steps_at_start: int | None = None
        self.newest: Path | None = None
        self.error: CheckpointError | None = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds what the command line needs to know about the run."""
        checkpoint["rl_speed"] = {
            "format": FORMAT,
            "preset": self._preset,
            "config": self._config.model_dump(mode="json"),
            "elapsed_seconds": self._elapsed_seconds(),
        }

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Saves if it is time; a failure is told and the run goes on."""
        is_due = time.monotonic() >= self._next_save
        if trainer.strategy.reduce_boolean_decision(is_due, all=False):
            self.save(trainer)
            self._next_save = time.monotonic() + self._config.checkpoint.every_seconds

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
            if path.name > _name(gradient_steps):
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
        try:
            self.save(trainer)
        except Exception as error:  # the first exception is what the user has to see
            self._warn(f"the run could not be saved either: {_first_line(error)}")

    def save(self, trainer: pl.Trainer) -> None:
        """Writes one checkpoint; on failure tells the user and leaves the older ones alone."""
        name = _name(trainer.global_step)
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
                replaced = final.with_name(f".{name}{_REPLACED}")
                if final.exists():
                    final.rename(replaced)
                temporary.rename(final)
                shutil.rmtree(replaced, ignore_errors=True)
                for path in list_checkpoints(self._directory)[self._config.checkpoint.keep :]:
                    _remove(path)
        except (OSError, RuntimeError) as error:
            # torch reports a full disk as a RuntimeError of its zip writer.
            shutil.rmtree(temporary, ignore_errors=True)
            older = list_checkpoints(self._directory)
            kept = f"the older {older[0]} is kept" if older else "there is no older one"
            self.error = CheckpointError(
                f"checkpoint {final} could not be written ({_first_line(error)}); make room or set "
                f"logging.directory to another disk; {kept}"
            )
            self._warn(str(self.error))
            return
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        self.newest, self.error = final, None

    def _save_experience(self, path: Path) -> None:
        dataset = self._dataset
        content = {
            "format": FORMAT,
            "replay": dataset.replay.state_dict() if self._config.checkpoint.save_replay else None,
            "generator": dataset.generator.state_dict(),
            "dataset": dataset.state_dict(),
            "random": random_state(),
        }
        with path.open("wb") as file:
            torch.save(content, file)


def _remove(folder: Path) -> None:
    """Deletes a checkpoint; it loses its name first, so that half of one is never taken for a whole one."""
    hidden = folder.with_name(f".{folder.name}.removed")
    shutil.rmtree(hidden, ignore_errors=True)
    folder.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def restore_experience(
    dataset: ExperienceDataset, folder: Path, rank: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Restores replay, games and counters of a run, before Lightning restores the rest.

    Args:
        dataset: of a run with the same envs, replay and actors.
        folder: the checkpoint.
        rank: of this process.
        tell: prints a sentence for the user.

    Returns:
        the state of the global random generators, for `RandomStateRestorer`.

    Raises:
        CheckpointError: the files are not usable.
    """
    start = time.perf_counter()
    content = read_experience(folder, rank)
    dataset.load_state_dict(content["dataset"])
    has_games = dataset.generator.load_state_dict(content["generator"])
    if content["replay"] is None:
        dataset.fill_anew()
        tell("the checkpoint holds no replay: it is filled anew before training goes on")
    else:
        dataset.replay.load_state_dict(content["replay"])
        if not has_games:
            dataset.replay.cut()
    if not has_games:
        tell("the games of the actors are started anew; replay and networks go on")
    tell(f"restored {folder.name} in {time.perf_counter() - start:.1f} s")
    return dict(content["random"])


class RandomStateRestorer(Callback):
    """Puts the global random generators back once everything of a resumed run is built."""

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After everything of the run is built, and before the first batch."""
        set_random_state(self._state)
