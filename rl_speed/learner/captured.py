"""Work on a GPU as one CUDA graph: a small network's kernels are over sooner than the next one can be launched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Protocol

import torch
from torch import Tensor

from rl_speed.records import Batch
from rl_speed.system.errors import ConfigError

# Done as usual first: libraries are loaded and an optimizer's state is made, which cannot be captured.
CALLS_BEFORE = 3

Tensors = tuple[Tensor, ...]
Work = Callable[..., Tensors]
Step = Callable[[Batch, Any], tuple[Tensor, Tensor]]  # loss [] and errors [B]


class Recorder(Protocol):
    """What keeps work, to be done again."""

    def record(self, work: Callable[[], Tensors]) -> Tensors:
        """Notes what is to be done without doing it; gives the memory that its results will lie in."""

    def replay(self) -> None:
        """Does what was noted, on the same memory."""


class CudaRecorder:
    """A CUDA graph on torch's current device."""

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()

    def record(self, work: Callable[[], Tensors]) -> Tensors:
        """See Recorder; raises RuntimeError if the work waits for the device."""
        # Other threads may go on using the device meanwhile.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            return work()

    def replay(self) -> None:
        """See Recorder."""
        self._graph.replay()


class Captured:
    """Does work on tensors: the first few times as usual, then as the graph that is captured.

    A graph reads and writes the memory that it was captured with, so inputs are copied into the same place each time,
    and whatever the work depends on must be a tensor on the device.

    Args:
        work: tensors -> tensors; it may not wait for the device.
        recorder: keeps it; None: a CUDA graph.
    """

    def __init__(self, work: Work, recorder: Recorder | None = None) -> None:
        self._work, self._recorder = work, recorder
        self._calls = 0
        self._inputs: Tensors = ()
        self._results: Tensors | None = None

    def __call__(self, *inputs: Tensor) -> Tensors:
        """Does the work.

        Args:
            inputs: always of the same shapes.

        Returns:
            The results; the next call writes over them.

        Raises:
            ConfigError: the work cannot be captured.
        """
        self._calls += 1
        if self._calls <= CALLS_BEFORE:
            return self._work(*inputs)
        if self._results is None:
            self._results = self._capture(inputs)
        for kept, given in zip(self._inputs, inputs, strict=True):
            kept.copy_(given, non_blocking=True)
        assert self._recorder is not None
        self._recorder.replay()
        return self._results

    def _capture(self, inputs: Tensors) -> Tensors:
        self._recorder = self._recorder or CudaRecorder()
        self._inputs = tuple(given.clone() for given in inputs)
        try:
            return self._recorder.record(lambda: self._work(*self._inputs))
        except RuntimeError as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ConfigError(
                f"update.cuda_graph = true: this cannot be captured here ({reason[:200]}); set it to false"
            ) from error


class CapturedStep:
    """Takes gradient steps as a graph.

    Args:
        step: takes one, from a minibatch and an optimizer whose step size is a tensor on the device.
        recorder: see Captured.
    """

    def __init__(self, step: Step, recorder: Recorder | None = None) -> None:
        self._step, self._recorder = step, recorder
        self._captured: Captured | None = None

    def __call__(self, minibatch: Batch, optimizer: Any) -> tuple[Tensor, Tensor]:
        """One gradient step.

        Args:
            minibatch: always of the same shapes.
            optimizer: always the same: torch's, or Lightning's wrapper around it, which counts the steps.

        Returns:
            loss [] and errors [B].
        """
        if self._captured is None:
            # The wrapper would count a step that is only captured, and none that is replayed.
            inner = getattr(optimizer, "optimizer", optimizer)
            self._captured = Captured(lambda *columns: self._step(Batch(*columns), inner), self._recorder)
        _note(optimizer, "_on_before_step")
        loss, error = self._captured(*(getattr(minibatch, field.name) for field in fields(Batch)))
        _note(optimizer, "_on_after_step")
        return loss.clone(), error.clone()


def _note(optimizer: Any, hook: str) -> None:
    """What Lightning's manual optimisation hangs around each step of its optimizers: `global_step` counts there."""
    getattr(optimizer, hook, lambda: None)()
