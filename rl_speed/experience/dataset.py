"""The dataset: rollouts go in, batches come out, at a locked replay ratio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import IterableDataset

from rl_speed.config import UpdateConfig
from rl_speed.experience.generators.protocol import RolloutGenerator
from rl_speed.experience.replay import Replay
from rl_speed.records import Batch, EpisodeEnd
from rl_speed.system.ending import Ending
from rl_speed.system.stage_timer import StageTimer

# Long enough that no run reaches the end: an epoch's boundary costs time and means nothing here.
BATCHES_PER_EPOCH = 1_000_000_000


class ExperienceDataset(IterableDataset[Batch]):
    """Endless batches from a replay that a generator keeps filling.

    The generator and the replay live outside the iterator: iterating again goes on where it stopped. The length is
    given so that Lightning does not fetch a batch ahead of the update that it belongs to.

    Args:
        generator: where rollouts come from.
        replay: where they are kept and batches are drawn.
        config: replay ratio and batch size.
        prefill_env_steps: random env steps before the first batch.
        timer: charged with replay, and with transfer where frames are converted before it.
        ending: iteration ends when the run has to, be it in the prefill.
        free_running: batches do not wait for the experience that belongs to them.
        num_ranks: processes that learn together, each of which plays as many env steps.
        any_rank: whether something is true of any of them; called by all at once.
    """

    def __init__(
        self,
        generator: RolloutGenerator,
        replay: Replay,
        config: UpdateConfig,
        prefill_env_steps: int,
        timer: StageTimer,
        ending: Ending,
        free_running: bool = False,
        num_ranks: int = 1,
        any_rank: Callable[[bool], bool] = bool,
    ) -> None:
        self.generator, self.replay = generator, replay
        self._config, self._timer, self._ending = config, timer, ending
        self._prefill_env_steps, self._free_running = prefill_env_steps, free_running
        self._num_ranks, self._any_rank = num_ranks, any_rank
        self.gradient_steps = 0  # drawn so far
        self._episode_ends: list[EpisodeEnd] = []
        self.env_steps_per_gradient_step = config.env_steps_per_gradient_step
        # Env steps at which the present batch could be drawn; those that fill the replay do not count.
        self._due_env_steps = float(prefill_env_steps)
        # False while games are being played or stored: who breaks in then must not save the games as they stand.
        self.is_at_rest = True

    def __len__(self) -> int:
        return BATCHES_PER_EPOCH

    def __iter__(self) -> Iterator[Batch]:
        update = self._config
        while True:
            while self._is_rollout_due():
                if not self._take_rollout():
                    return
            if self._num_ranks > 1:
                self._ending.hold()  # all of them draw this batch, or none
            with self._timer.measure("replay"):
                batch = self.replay.sample(update.gradient_steps_per_batch, update.batch_size)
            self._due_env_steps += self._batch_env_steps()
            self.gradient_steps += update.gradient_steps_per_batch
            if not update.uint8_to_device:
                with self._timer.measure("transfer"):
                    batch = _with_float_frames(batch)
            yield batch

    def _take_rollout(self) -> bool:
        """Stores the next rollout; False: the run has to end, in the prefill also because another rank has to.

        Once batches are drawn, ranks end at a batch, which their exchange agrees on.
        """
        is_filling = self._is_filling()
        if self._num_ranks > 1 and not is_filling:
            self._ending.hold()
        self.is_at_rest = False
        rollout = next(self.generator, None) if self._ending.reason is None else None
        if rollout is not None:
            with self._timer.measure("replay"):
                self.replay.append(rollout)
            self._episode_ends += rollout.episode_ends
        self.is_at_rest = True
        has_ended = rollout is None
        return not (self._any_rank(has_ended) if is_filling else has_ended)

    def _is_filling(self) -> bool:
        """Whether the replay does not hold enough to train from."""
        stored = self.replay.rows_written * self.replay.num_envs
        return stored < self._prefill_env_steps or not self.replay.rows_drawable

    def _is_rollout_due(self) -> bool:
        """Whether the next batch has to wait for experience."""
        if self._is_filling():
            return True
        if self._free_running:
            return self.generator.is_ready()
        return self.generator.env_steps < self._due_env_steps + self._batch_env_steps()

    def _batch_env_steps(self) -> float:
        return self._config.gradient_steps_per_batch * self.env_steps_per_gradient_step

    @property
    def env_steps(self) -> int:
        """Env steps of the run so far, all envs of all ranks together."""
        return self.generator.env_steps * self._num_ranks

    def take_episode_ends(self, most: int | None = None) -> list[EpisodeEnd]:
        """The games of this rank that ended since the last call, in order; envs and env steps are the rank's own.

        Args:
            most: that are taken; later ones wait.
        """
        taken, self._episode_ends = self._episode_ends[:most], [] if most is None else self._episode_ends[most:]
        return taken

    def state_dict(self) -> dict[str, Any]:
        """What resumes beside replay and generator."""
        ends = [
            [end.env, end.episode_return, end.episode_length_env_steps, end.env_steps] for end in self._episode_ends
        ]
        return {
            "gradient_steps": self.gradient_steps,
            "env_steps_per_gradient_step": self.env_steps_per_gradient_step,
            "due_env_steps": self._due_env_steps,
            "episode_ends": ends,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.gradient_steps = state["gradient_steps"]
        self.env_steps_per_gradient_step = state["env_steps_per_gradient_step"]
        self._due_env_steps = state["due_env_steps"]
        self._episode_ends = [EpisodeEnd(*end) for end in state["episode_ends"]]

    def fill_anew(self) -> None:
        """Notes that the replay is empty although the run has begun: it is filled before training goes on."""
        self._due_env_steps = float(self.generator.env_steps + self._prefill_env_steps)


def _with_float_frames(batch: Batch) -> Batch:
    fields = dict(vars(batch))
    for name in ("observation", "next_observation"):
        fields[name] = fields[name].to(torch.float32)
    return Batch(**fields)
