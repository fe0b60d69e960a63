"""The replay memory: what is written, what can be drawn, and the draws.

Rows, each an env step of all E envs, count upward for ever; row r lies at place r mod T of the ring. Only rows from
which a whole observation and a whole window can be read are drawn, so sampling needs no retries.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from rl_speed.config import ReplayConfig
from rl_speed.experience.ring import COLUMNS, Ring, Span
from rl_speed.learner.captured import on_device
from rl_speed.records import Batch, Rollout

_FIELDS = tuple(field.name for field in fields(Batch))
_LED = ("n_step", "gamma", "importance_exponent")  # what a run may change while it goes on


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
        is_captured: on a GPU, the kernels of a draw are launched as one, as are those that store and set priorities;
            the next draw then writes over this one.
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
        is_captured: bool = False,
    ) -> None:
        self.steps, self.num_envs, self.settings = steps, num_envs, settings
        self.ring = Ring((steps, num_envs, height, width), settings.frame_stack, torch.device(device), pin_memory)
        self.device = self.ring.device
        self.rows_written = 0
        self._generator = torch.Generator(device=self.device).manual_seed(seed)
        self._write = on_device("storing", self.ring.write, self.device, is_captured)
        self._draw = on_device("drawing", self._drawn, self.device, is_captured)
        self._set_priority = on_device("setting priorities", self._prioritised, self.device, is_captured)

    def append(self, rollout: Rollout) -> None:
        """Writes T' rows over the oldest ones, T' < T; the rollout's memory may be used again afterwards."""
        rows = rollout.action.shape[0]
        place = torch.arange(self.rows_written - 1, self.rows_written + rows) % self.steps
        before = place[: min(self.rows_written, 1)]
        self._write(before, place[1:], *(getattr(rollout, name) for name in COLUMNS))
        self.rows_written += rows

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
        settings, rows, count = self.settings, self.rows_drawable, gradient_steps * batch_size
        span = torch.tensor([rows.start, len(rows), settings.gamma, settings.importance_exponent], dtype=torch.float64)
        window = torch.arange(settings.n_step)
        drawn = dict(zip(_FIELDS, self._draw(span, window, *self._chances(rows, count)), strict=True))
        shape = (gradient_steps, batch_size)
        return Batch(**{name: tensor.reshape(*shape, *tensor.shape[1:]) for name, tensor in drawn.items()})

    def _chances(self, rows: range, count: int) -> tuple[Tensor, Tensor]:
        """The random numbers of a draw of B: where in its stratum each lies and their order, or row and env of each."""
        where: dict[str, Any] = {"generator": self._generator, "device": self.device}
        if self.settings.priority_exponent > 0:
            return torch.rand(count, dtype=torch.float64, **where), torch.randperm(count, **where)
        return (
            torch.randint(rows.start, rows.stop, (count,), **where),
            torch.randint(self.num_envs, (count,), **where),
        )

    def _drawn(self, numbers: Tensor, window: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, ...]:
        """The fields of a Batch, [B, ...] each.

        Args:
            numbers: float64 [4], a Span.
            window: see Ring.gather.
            first: of `_chances`.
            second: of `_chances`.
        """
        span = Span(*numbers)
        if self.settings.priority_exponent > 0:
            place, env, weight = self.ring.draw_by_priority(span, first, second)
        else:
            place, env, weight = first % self.steps, second, torch.ones(len(first), device=self.device)
        drawn = self.ring.gather(place, env, window, span.gamma)
        drawn |= {"weight": weight, "index": place * self.num_envs + env}
        return tuple(drawn[name] for name in _FIELDS)

    def update_priorities(self, index: Tensor, td_error: Tensor) -> None:
        """Gives drawn slots the priority of their newest error.

        Args:
            index: int64 [...], `Batch.index`.
            td_error: float32 [...], absolute errors.
        """
        self._set_priority(index.reshape(-1), td_error.reshape(-1))

    def _prioritised(self, index: Tensor, td_error: Tensor) -> tuple[Tensor, ...]:
        return self.ring.set_priority(index, (td_error + 1e-2) ** self.settings.priority_exponent)

    def frame_sums(self) -> Tensor:
        """Of everything stored, see Ring.frame_sums; sums of several replays can be added up; see `mean_frame`."""
        return self.ring.frame_sums(min(self.rows_written, self.steps))

    def state_dict(self) -> dict[str, Any]:
        """What resumes: the written part of the ring, the write position and the generator.

        On the CPU the tensors are the ring's own memory, to be saved before the next `append`.
        """
        rows = min(self.rows_written, self.steps)
        ring = {
            # A view would be saved with the whole memory behind it; through numpy it is a tensor of just these rows.
            name: torch.from_numpy(getattr(self.ring, name)[:rows].cpu().numpy())
            for name in (*COLUMNS, "priority")
        }
        led = {name: getattr(self.settings, name) for name in _LED}
        return {"ring": ring, "rows_written": self.rows_written, "generator": self._generator.get_state(), **led}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned; raises ValueError if the ring had another shape.

        Without a generator's state the draws go on from this replay's own seed.
        """
        ring, rows = state["ring"], min(state["rows_written"], self.steps)
        expected = (rows, *self.ring.frame.shape[1:])
        if tuple(ring["frame"].shape) != expected:
            raise ValueError(f"the saved replay has shape {tuple(ring['frame'].shape)}, this run needs {expected}")
        self.ring.restore(ring)
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


def make_replay(
    config: ReplayConfig, observation_shape: tuple[int, int, int], num_envs: int, seed: int, is_captured: bool = False
) -> Replay:
    """Allocates the replay.

    Args:
        config: size, meaning of a sample, and where it is kept.
        observation_shape: (K, H, W).
        num_envs: E, of all processes.
        seed: of the draws.
        is_captured: see Replay, if it is kept on a GPU.
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
        is_captured=is_captured and config.device == "cuda",
    )
