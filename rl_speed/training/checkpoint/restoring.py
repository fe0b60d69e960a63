"""Puts a run's experience and random generators back."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback

from rl_speed.experience.dataset import ExperienceDataset
from rl_speed.training.checkpoint.random_state import set_random_state
from rl_speed.training.checkpoint.reading import read_experience, read_model
from rl_speed.training.ranks.place import Place


@dataclass(frozen=True)
class Restored:
    """What was found beside replay, games and counters.

    Attributes:
        random: state of the global random generators, for `RandomStateRestorer`.
        has_games: the games go on; False: they were started anew.
    """

    random: dict[str, Any]
    has_games: bool


def restore_experience(
    dataset: ExperienceDataset, folder: Path, place: Place, notify: Callable[[str], None]
) -> Restored:
    """Restores replay, games and counters of a run, before Lightning restores the rest.

    Args:
        dataset: of a run with the same envs, replay and actors.
        folder: the checkpoint.
        place: of this process among those that learn together. If another number of them wrote the checkpoint, their
            replays are dealt out anew, and games are started anew.
        notify: prints a sentence for the user.

    Raises:
        CheckpointError: the files are not usable.
    """
    start = time.perf_counter()
    saved_ranks = int(read_model(folder)["rl_speed"].get("plan", {}).get("world_size", 1))
    if saved_ranks == place.world_size:
        content = read_experience(folder, place.rank)
    else:
        content = _dealt_out([read_experience(folder, rank) for rank in range(saved_ranks)], place)
        what = "the replay is filled anew" if content["replay"] is None else "its replay is dealt out anew"
        notify(
            f"the checkpoint is of {saved_ranks} rank(s) and {place.world_size} go on: networks, optimizer and "
            f"counters are the same, {what}, games are started anew"
        )
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


def _dealt_out(files: list[dict[str, Any]], place: Place) -> dict[str, Any]:
    """The experience of some ranks as that of one of another number of them.

    All rings have as many rows, and each rank played as many env steps; so the rings lie side by side.
    """
    saved, ranks, first = len(files), place.world_size, files[0]
    counters, env_steps = dict(first["dataset"]), first["generator"]["env_steps"] * saved // ranks
    for name in ("env_steps_per_gradient_step", "due_env_steps"):
        counters[name] = counters[name] * saved / ranks
    counters["episode_ends"] = []  # the means begin anew, as the games do
    replay = None
    if all(file["replay"] is not None for file in files):
        replay = _columns([file["replay"] for file in files], place)
    return {
        "dataset": counters,
        "generator": {"env_steps": env_steps},
        "replay": replay,
        "random": files[place.rank % saved]["random"],
    }


def _columns(replays: list[dict[str, Any]], place: Place) -> dict[str, Any]:
    """A rank's envs of rings that lie side by side; no more than these is read of the files."""
    rows_written = min(replay["rows_written"] for replay in replays)
    rows = min(len(replay["ring"]["frame"]) for replay in replays)
    width = replays[0]["ring"]["frame"].shape[1]  # envs of a saved ring
    envs = width * len(replays) // place.world_size
    first, last = place.rank * envs, (place.rank + 1) * envs

    def part(number: int) -> slice:
        return slice(max(first - number * width, 0), min(last - number * width, width))

    needed = range(first // width, (last - 1) // width + 1)
    ring = {
        name: torch.cat([replays[number]["ring"][name][:rows, part(number)] for number in needed], 1)
        for name in replays[0]["ring"]
    }
    return {"ring": ring, "rows_written": rows_written, "generator": None}


class RandomStateRestorer(Callback):
    """Puts the global random generators back once everything of a resumed run is built."""

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After everything of the run is built, and before the first batch."""
        set_random_state(self._state)
