"""What ranks tell each other while they train: one row of numbers each, every so many batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback
from torch import Tensor

from rl_speed.experience.dataset import ExperienceDataset
from rl_speed.records import EpisodeEnd
from rl_speed.system.ending import Ending
from rl_speed.training.ranks.group import Ranks

EVERY_BATCHES = 10  # a collective costs about as much as a small gradient step
MAX_GAMES = 32  # of one rank in one row; where there are as many, another row follows
WISHES = (None, "interrupted", "max_seconds")


class Exchange(Callback):
    """Pools finished games, wishes to end and rank 0's clock; comes before everyone who decides by them.

    What decides anything is the same on all ranks and changes at the same batch. A run of one process exchanges with
    itself, at every batch.

    Args:
        ranks: all of them.
        dataset: counts env steps and holds the finished games of this rank.
        ending: of this rank; learns what all have agreed to.
        elapsed_seconds: wall time of the run; rank 0's counts.
        gradient_steps_per_batch: tells which batch it is, also in a resumed run.
    """

    def __init__(
        self,
        ranks: Ranks,
        dataset: ExperienceDataset,
        ending: Ending,
        elapsed_seconds: Callable[[], float],
        gradient_steps_per_batch: int,
    ) -> None:
        self._ranks, self._dataset, self._ending = ranks, dataset, ending
        self.elapsed_seconds, self._gradient_steps_per_batch = elapsed_seconds, gradient_steps_per_batch
        self.episode_ends: list[EpisodeEnd] = []  # of all ranks, since the exchange before; in order
        self.seconds = elapsed_seconds()  # of the run, at the last exchange, by rank 0's clock

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What was read of a checkpoint, and what differs in the last bit between processors, becomes the same."""
        if self._ranks.size > 1:
            same_weights(self._ranks, trainer)
            self.seconds = float(self._ranks.from_first(self.elapsed_seconds()))

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Exchanges if it is time."""
        batch = trainer.global_step // self._gradient_steps_per_batch
        if self._ranks.size > 1 and batch % EVERY_BATCHES:
            self.episode_ends = []
            return
        self.exchange()

    def exchange(self) -> None:
        """Tells and hears; on all ranks at once."""
        if self._ranks.size == 1:
            self.episode_ends = self._dataset.take_episode_ends()
            self.seconds, self._ending.agreed = self.elapsed_seconds(), self._ending.wish
            return
        pooled: list[EpisodeEnd] = []
        wish, is_rest = self._ending.wish, True
        while is_rest:
            told = self._dataset.take_episode_ends(MAX_GAMES)
            rows = self._ranks.gather(_row(self.elapsed_seconds(), wish, told))
            pooled += self._pooled(rows)
            is_rest = bool((rows[:, 2] == MAX_GAMES).any())
        self.seconds, self._ending.agreed = float(rows[0, 0]), _first_wish(rows[:, 1])
        self.episode_ends = sorted(pooled, key=lambda end: end.env_steps)

    def _pooled(self, rows: Tensor) -> list[EpisodeEnd]:
        """The games of all ranks: numbers of envs and env steps become those of the whole run."""
        envs, pooled = self._dataset.replay.num_envs, []
        for rank, row in enumerate(rows):
            for env, episode_return, length, env_steps in row[3 : 3 + 4 * int(row[2])].reshape(-1, 4).tolist():
                steps = int(env_steps) * self._ranks.size
                pooled.append(EpisodeEnd(rank * envs + int(env), episode_return, int(length), steps))
        return pooled


def agree_to_end(ranks: Ranks, ending: Ending, has_ended: bool) -> bool:
    """Whether a rank has to end before the first batch is drawn; called by all at once.

    Args:
        ranks: all of them.
        ending: of this rank; learns why.
        has_ended: this rank has to.
    """
    if ranks.size == 1:
        return has_ended
    rows = ranks.gather(torch.tensor([WISHES.index(ending.wish), int(has_ended)]))
    if bool(rows[:, 1].any()):
        ending.agreed = _first_wish(rows[:, 0]) or "interrupted"
    return ending.agreed is not None


def _first_wish(codes: Tensor) -> str | None:
    return next((WISHES[int(code)] for code in codes if code), None)


def _row(seconds: float, wish: str | None, games: list[EpisodeEnd]) -> Tensor:
    """float64 [3 + 4 * MAX_GAMES]: seconds, wish, number of games, and each game's four numbers."""
    row = torch.zeros(3 + 4 * MAX_GAMES, dtype=torch.float64)
    row[:3] = torch.tensor([seconds, WISHES.index(wish), len(games)], dtype=torch.float64)
    for number, end in enumerate(games):
        place = 3 + 4 * number
        numbers = [end.env, end.episode_return, end.episode_length_env_steps, end.env_steps]
        row[place : place + 4] = torch.tensor(numbers, dtype=torch.float64)
    return row


@torch.no_grad()
def same_weights(ranks: Ranks, trainer: pl.Trainer) -> None:
    """Gives all ranks the networks of rank 0, and what its optimizer remembers of their gradients."""
    module = trainer.lightning_module
    states = [state for optimizer in trainer.optimizers for state in optimizer.state.values()]
    remembered = [value for state in states for value in state.values() if isinstance(value, Tensor)]
    for tensor in [*module.parameters(), *module.buffers(), *remembered]:
        flat = tensor.detach().contiguous()
        if flat.dtype == torch.bool:
            flat = flat.to(torch.uint8)  # the backends know no bool
        ranks.copy_from_first(flat)
        tensor.copy_(flat)
