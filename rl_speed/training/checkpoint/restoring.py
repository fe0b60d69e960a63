"""Puts a run's experience and random generators back."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from rl_speed.experience.dataset import ExperienceDataset
from rl_speed.training.checkpoint.random_state import set_random_state
from rl_speed.training.checkpoint.reading import read_experience


@dataclass(frozen=True)
class Restored:
    """What was found beside replay, games and counters.

    Attributes:
        random: state of the global random generators, for `RandomStateRestorer`.
        has_games: the games go on; False: they were started anew.
    """

    random: dict[str, Any]
    has_games: bool


def restore_experience(dataset: ExperienceDataset, folder: Path, rank: int, notify: Callable[[str], None]) -> Restored:
    """Restores replay, games and counters of a run, before Lightning restores the rest.

    Args:
        dataset: of a run with the same envs, replay and actors.
        folder: the checkpoint.
        rank: of this process.
        notify: prints a sentence for the user.

    Raises:
        CheckpointError: the files are not usable.
    """
    start = time.perf_counter()
    content = read_experience(folder, rank)
    dataset.load_state_dict(content["dataset"])
    has_games = dataset.generator.load_state_dict(content["generator"])
    if content["replay"] is None:
        dataset.fill_anew()
        notify("the checkpoint holds no replay: it is filled anew before training goes on")
    else:
        dataset.replay.load_state_dict(content["replay"])
    if not has_games:
        notify("the games are started anew, and so is the mean of their returns; replay and networks go on")
    notify(f"restored {folder.name} in {time.perf_counter() - start:.1f} s")
    # Copied: what is kept of a mapped file keeps all of it on the disk.
    return Restored(copy.deepcopy(content["random"]), has_games)


class RandomStateRestorer(Callback):
    """Puts the global random generators back once everything of a resumed run is built."""

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After everything of the run is built, and before the first batch."""
        set_random_state(self._state)
