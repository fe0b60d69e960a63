"""All training games of a run: when each ended, after how many env steps, with which raw return."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from rl_speed.system.durable import write_text_whole
from rl_speed.training.callbacks.episodes import EpisodeCounter

STATE_KEY = "EpisodeRecord"


@dataclass
class Episodes:
    """Columns of equal length, in the order in which the games were counted.

    Attributes:
        seconds: wall time of the run.
        env_steps: of the run, all envs together.
        returns: raw, of full games.
    """

    seconds: list[float] = field(default_factory=list)
    env_steps: list[int] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)


class EpisodeRecord(Callback):
    """Keeps every finished game; its state travels in the checkpoints, so that a resumed run has no game twice."""

    def __init__(self) -> None:
        self.episodes = Episodes()
        self._counter: EpisodeCounter | None = None
        self._counted_episodes = 0  # of the run when games were last taken

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Finds who counts."""
        self._counter = next(c for c in trainer.callbacks if isinstance(c, EpisodeCounter))  # type: ignore[attr-defined]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the games that had ended before the checkpoint, where a resumed run begins its games anew."""
        self._take()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Takes the newest games."""
        self._take()

    def _take(self) -> None:
        """Takes what was counted since the last time; a checkpoint may be written before this callback's turn."""
        assert self._counter is not None
        new = self._counter.statistics.episodes - self._counted_episodes
        self._counted_episodes += new
        seconds = self._counter.place()["seconds"]
        for end in self._counter.newest[-new:] if new > 0 else ():
            self.episodes.seconds.append(seconds)
            self.episodes.env_steps.append(end.env_steps)
            self.episodes.returns.append(end.episode_return)

    @property
    def state_key(self) -> str:
        """Its name in checkpoints."""
        return STATE_KEY

    def state_dict(self) -> dict[str, Any]:
        """What resumes, and where the run stands."""
        self._take()
        assert self._counter is not None
        columns = {name: list(column) for name, column in vars(self.episodes).items()}
        return {**columns, "counted_episodes": self._counted_episodes, "now": self._counter.place()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.episodes, self._counted_episodes = episodes_of(state), state["counted_episodes"]


def episodes_of(state: Mapping[str, Any]) -> Episodes:
    """The games in a checkpoint's state."""
    return Episodes(list(state["seconds"]), list(state["env_steps"]), list(state["returns"]))


def write_episodes(path: Path, episodes: Episodes) -> None:
    """Writes one line per game.

    Raises:
        OSError: it cannot be written.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("seconds", "env_steps", "return"))
    writer.writerows(zip(episodes.seconds, episodes.env_steps, episodes.returns, strict=True))
    write_text_whole(path, stream.getvalue())


def read_episodes(path: Path) -> Episodes:
    """Reads what `write_episodes` wrote.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return Episodes([float(row[0]) for row in rows], [int(row[1]) for row in rows], [float(row[2]) for row in rows])
