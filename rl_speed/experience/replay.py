"""The replay memory: a ring of single uint8 frames, from which stacks and n-step windows are gathered.

Row t of the ring is one env step of all E envs, so a slot (t, e) is followed by (t + 1, e). Rows count upward for
ever (`row`); row r lies at place r mod T. Only rows from which a whole observation and a whole window can be read
are drawn, so sampling needs no retries.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from rl_speed.config import ReplayConfig
from rl_speed.experience.transfer import sent
from rl_speed.learner.td import n_step_return
from rl_speed.records import Batch, Rollout

_LED = ("n_step", "gamma", "importance_exponent")  # what a run may change while it goes on
_COLUMNS = ("frame", "is_first", "action", "reward", "terminated", "truncated")


@dataclass(frozen=True)
class ReplaySettings:
    """What a sample means; see the replay section of the configuration."""

    frame_stack: int  # K
    n_step: int
    gamma: float
    priority_exponent: float = 0.0
    importance_exponent: float = 0.4


def ring_bytes(steps: int, num_envs: int, height: int, width: int) -> int:
    """Memory of a ring in bytes: frames, and 19 bytes for the rest of a transition."""
    return steps * num_envs * (height * width + 19)


class Replay:
    """A ring of T env steps of E envs.

    Args:
        steps: T.
        num_envs: E.
        height: H in pixels.
        width: W in pixels.
        settings: what a sample means.
        seed: of the draws.
        device: where the ring is kept and samples are gathered.
        pin_memory: page-locked host memory, for faster copies to a GPU.
    """

    def __init__(
        self,
        steps: int,
        num_envs: int,
        height: int,
        width: int,
        settings: ReplaySettings,
        seed: int,
        device: torch.device | str = "cpu",
        pin_memory: bool = False,
    ) -> None:
        self.steps, self.num_envs, self.settings = steps, num_envs, settings
        self.device = torch.device(device)
        self._pin_memory = pin_memory
        shape = (steps, num_envs)
        # A row for each slot, and a last one that stays zero: what an observation shows from before its episode.
        self._image = torch.zeros(
            (steps * num_envs + 1, height * width), dtype=torch.uint8, device=self.device, pin_memory=pin_memory
        )
        self._frame = self._image[:-1].view(*shape, height, width)
        self._is_first = torch.zeros(shape, dtype=torch.bool, device=self.device)
        self._action = torch.zeros(shape, dtype=torch.int64, device=self.device)
        self._reward = torch.zeros(shape, dtype=torch.float32, device=self.device)
        self._terminated = torch.zeros(shape, dtype=torch.bool, device=self.device)
        self._truncated = torch.zeros(shape, dtype=torch.bool, device=self.device)
        # Raised to the exponent already. 0: never drawn.
        self._priority = torch.zeros(shape, dtype=torch.float32, device=self.device)
        # Sum of each row's priorities, kept up to date: a sum over the whole ring was a third of a draw. float64: a
        # float32 sum over a million slots loses the small priorities.
        self._row_priority = torch.zeros(steps, dtype=torch.float64, device=self.device)
        self.rows_written = 0
        self._generator = torch.Generator(device=self.device).manual_seed(seed)

    def append(self, rollout: Rollout) -> None:
        """Writes T' rows over the oldest ones; the rollout's memory may be used again afterwards.

        Where the first row begins a game although the last one that is stored ended none, games were started anew in
        between (a resumed run, a lost actor): the last row is marked truncated, so that no window reaches across.
        """
        rows = rollout.action.shape[0]
        column = {name: sent(getattr(rollout, name), self.device) for name in _COLUMNS}
        if self.rows_written:
            last = (self.rows_written - 1) % self.steps
            self._truncated[last] |= column["is_first"][0] & ~self._terminated[last]
        done = 0
        while done < rows:
            first = self.rows_written % self.steps
            place = slice(first, min(first + rows - done, self.steps))  # up to the ring's end
            count = place.stop - first
            for name, tensor in column.items():
                getattr(self, f"_{name}")[place] = tensor[done : done + count]
            self._priority[place] = 1.0
            self._row_priority[place] = float(self.num_envs)
            self.rows_written += count
            done += count

    def lead(self, n_step: int, gamma: float, importance_exponent: float) -> None:
        """Changes how far the return of a sample reaches and how much draws are corrected, from the next draw on."""
        self.settings = replace(self.settings, n_step=n_step, gamma=gamma, importance_exponent=importance_exponent)

    @property
    def rows_drawable(self) -> range:
        """Rows that can be drawn: the stack reaches K - 1 rows back, the window n rows on.

        The last row is never inside: what follows it has not been written yet.
        """
        oldest = max(0, self.rows_written - self.steps)
        first = oldest + self.settings.frame_stack - 1
        return range(first, max(first, self.rows_written - self.settings.n_step))

    def sample(self, gradient_steps: int, batch_size: int) -> Batch:
        """Draws N minibatches of B transitions, with replacement, uniformly or by priority.

        Args:
            gradient_steps: N.
            batch_size: B.

        Returns:
            Batch on the ring's device.
        """
        count = gradient_steps * batch_size
        if self.settings.priority_exponent > 0:
            place, env, weight = self._draw_by_priority(count)
        else:
            place, env = self._draw_uniformly(count)
            weight = torch.ones(count, device=self.device)
        fields = {**self._gather(place, env), "weight": weight, "index": place * self.num_envs + env}
        shape = (gradient_steps, batch_size)
        return Batch(**{name: tensor.reshape(*shape, *tensor.shape[1:]) for name, tensor in fields.items()})

    def _draw_uniformly(self, count: int) -> tuple[Tensor, Tensor]:
        rows = self.rows_drawable
        row = torch.randint(rows.start, rows.stop, (count,), generator=self._generator, device=self.device)
        env = torch.randint(self.num_envs, (count,), generator=self._generator, device=self.device)
        return row % self.steps, env

    def _draw_by_priority(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Stratified draws in proportion to priority, and their importance weights.

        Two levels: first a row by the sum of its envs, then an env of it. That is one cumulative sum over T rows
        and `count` over E, where a flat one would run over T*E slots.

        Source: Schaul et al. 2016, sections 3.3 and 3.4.
        Differs: a new slot has priority 1 instead of the highest so far; 0.01 is added to every error.
        """
        rows = self.rows_drawable
        row_place = torch.arange(rows.start, rows.stop, device=self.device) % self.steps
        row_sum = self._row_priority[row_place].cumsum(0)  # [rows]
        total = row_sum[-1]
        stratum = torch.arange(count, device=self.device, dtype=torch.float64)
        jitter = torch.rand(count, generator=self._generator, device=self.device, dtype=torch.float64)
        # Shuffled, so that a minibatch holds draws from all over the ring.
        order = torch.randperm(count, generator=self._generator, device=self.device)
        mass = ((stratum + jitter) / count * total)[order]
        chosen = torch.searchsorted(row_sum, mass).clamp(max=len(rows) - 1)
        place = row_place[chosen]
        within = self._priority[place].to(torch.float64).cumsum(1)  # [count, E]
        rest = (within[:, -1] - (row_sum[chosen] - mass)).clamp(min=0.0)
        env = torch.searchsorted(within, rest[:, None]).squeeze(1).clamp(max=self.num_envs - 1)
        probability = self._priority[place, env] / total
        weight = (probability * len(rows) * self.num_envs).clamp(min=1e-12) ** -self.settings.importance_exponent
        return place, env, (weight / weight.max()).to(torch.float32)

    def _gather(self, place: Tensor, env: Tensor) -> dict[str, Tensor]:
        """Everything about the slots (place, env), int64 [B] each, but how they were drawn."""
        window = (place[:, None] + torch.arange(self.settings.n_step, device=self.device)) % self.steps  # [B, n]
        column = env[:, None]
        terminated = self._terminated[window, column]
        truncated = self._truncated[window, column]
        # A truncated step's next observation is gone, so the window ends before it and bootstraps there.
        length = (truncated.cumsum(1) == 0).sum(1)  # [B], 0..n
        total, discount = n_step_return(self._reward[window, column], terminated, length, self.settings.gamma)
        return {
            "observation": self._stack(place, env),
            "action": self._action[place, env],
            "n_step_return": total,
            "bootstrap_discount": discount,
            "next_observation": self._stack((place + length) % self.steps, env),
            "is_valid": length > 0,
        }

    def _stack(self, place: Tensor, env: Tensor) -> Tensor:
        """Observations at (place, env): uint8 [B, K, H, W]; frames from before the episode's start are zero."""
        back = torch.arange(self.settings.frame_stack - 1, -1, -1, device=self.device)  # [K], oldest frame first
        slot = (place[:, None] - back) % self.steps * self.num_envs + env[:, None]  # [B, K]
        # A frame is of an earlier episode if a later one of the stack begins one.
        is_first = self._is_first.flatten()[slot]
        begun = is_first.flip(1).cumsum(1).flip(1) - is_first.to(torch.int64)  # [B, K], episodes begun after the frame
        row = slot.masked_fill(begun > 0, len(self._image) - 1)
        # Of flat rows index_select copies whole frames, 18 times faster than indexing by (place, env).
        stacked = self._image.index_select(0, row.flatten())  # [B*K, H*W]
        if self._pin_memory:
            stacked = stacked.pin_memory()
        return stacked.view(len(place), -1, *self._frame.shape[2:])

    def update_priorities(self, index: Tensor, td_error: Tensor) -> None:
        """Gives drawn slots the priority of their newest error.

        Args:
            index: int64 [...], `Batch.index`.
            td_error: float32 [...], absolute errors.
        """
        place, env = index.reshape(-1) // self.num_envs, index.reshape(-1) % self.num_envs
        priority = (td_error.reshape(-1).to(self.device) + 1e-2) ** self.settings.priority_exponent
        self._priority[place, env] = priority
        # Summed anew, not by differences: a slot may be drawn twice, and rounding would pile up.
        self._row_priority[place] = self._priority[place].sum(1, dtype=torch.float64)

    def frame_sums(self) -> Tensor:
        """Of everything stored: sums of the frames and of their squares, and how many, float64 [3, H, W].

        Sums of several replays can be added up; see `mean_frame`.
        """
        rows = min(self.rows_written, self.steps)
        sums = torch.zeros((3, *self._frame.shape[2:]), device=self.device, dtype=torch.float64)
        for start in range(0, rows, 64):
            chunk = self._frame[start : min(start + 64, rows)].to(torch.float64).flatten(0, 1)
            sums[0] += chunk.sum(0)
            sums[1] += chunk.square().sum(0)
        sums[2] = rows * self.num_envs
        return sums

    def state_dict(self) -> dict[str, Any]:
        """What resumes: the written part of the ring, the write position and the generator.

        On the CPU the tensors are the ring's own memory, to be saved before the next `append`.
        """
        rows = min(self.rows_written, self.steps)
        ring = {
            # A view would be saved with the whole memory behind it; through numpy it is a tensor of just these rows.
            name: torch.from_numpy(getattr(self, f"_{name}")[:rows].cpu().numpy())
            for name in (*_COLUMNS, "priority")
        }
        led = {name: getattr(self.settings, name) for name in _LED}
        return {"ring": ring, "rows_written": self.rows_written, "generator": self._generator.get_state(), **led}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned; raises ValueError if the ring had another shape.

        Without a generator's state the draws go on from this replay's own seed.
        """
        ring, rows = state["ring"], min(state["rows_written"], self.steps)
        expected = (rows, *self._frame.shape[1:])
        if tuple(ring["frame"].shape) != expected:
            raise ValueError(f"the saved replay has shape {tuple(ring['frame'].shape)}, this run needs {expected}")
        for name, tensor in ring.items():
            getattr(self, f"_{name}")[:rows] = tensor.to(self.device)
        self._row_priority = self._priority.sum(1, dtype=torch.float64)
        self.rows_written = state["rows_written"]
        self.lead(*(state.get(name, getattr(self.settings, name)) for name in _LED))
        generator = state["generator"]
        if generator is not None and generator.shape == self._generator.get_state().shape:  # not of another device
            self._generator.set_state(generator)


def mean_frame(sums: Tensor) -> tuple[Tensor, float]:
    """Mean frame, float32 [H, W], and the standard deviation around it, in grey levels, of `Replay.frame_sums`."""
    mean, square = sums[:2] / sums[2].clamp(min=1)
    variance = (square - mean.square()).clamp(min=0).mean()
    return mean.to(torch.float32), float(variance.sqrt())


def make_replay(config: ReplayConfig, observation_shape: tuple[int, int, int], num_envs: int, seed: int) -> Replay:
    """Allocates the replay.

    Args:
        config: size, meaning of a sample, and where it is kept.
        observation_shape: (K, H, W).
        num_envs: E, of all processes.
        seed: of the draws.
    """
    frame_stack, height, width = observation_shape
    settings = ReplaySettings(
        frame_stack, config.n_step, config.gamma, config.priority_exponent, config.importance_exponent
    )
    return Replay(
        config.capacity_env_steps // num_envs,
        num_envs,
        height,
        width,
        settings,
        seed,
        device="cuda" if config.device == "cuda" else "cpu",
        pin_memory=config.device == "pinned",
    )
