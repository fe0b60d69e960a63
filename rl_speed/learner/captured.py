"""Work on a GPU as one CUDA graph: a small network's kernels are over sooner than the next one can be launched."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Protocol

import torch
from torch import Tensor

from rl_speed.records import Batch

_LOGGER = logging.getLogger(__name__)

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
        stream = torch.cuda.current_stream()
        try:
            # Other threads may go on using the device meanwhile.
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                return work()
        except BaseException:
            torch.cuda.set_stream(stream)  # torch stays on the stream of a capture that failed
            raise

    def replay(self) -> None:
        """See Recorder."""
        self._graph.replay()


class Captured:
    """Does work on tensors: the first few times as usual, then as the graph that is captured.

    A graph reads and writes the memory that it was captured with, so inputs are copied into the same place each time,
    and whatever the work depends on must be a tensor on the device. Work that cannot be captured, because it waits for
    the device, is told once and done as usual from then on.

    Args:
        work: tensors -> tensors.
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
        """
        self._calls += 1
        if self._calls == CALLS_BEFORE + 1:
            self._capture(inputs)
        if self._results is None:
            return self._work(*inputs)
        for kept, given in zip(self._inputs, inputs, strict=True):
            kept.copy_(given, non_blocking=True)
        assert self._recorder is not None
        self._recorder.replay()
        return self._results

    def _capture(self, inputs: Tensors) -> None:
        self._recorder = self._recorder or CudaRecorder()
        self._inputs = tuple(given.clone() for given in inputs)
        try:
            self._results = self._recorder.record(lambda: self._work(*self._inputs))
        except RuntimeError as error:
            # The end of a capture that has failed fails, too, and says less.
            cause = str(error.__context__ or error)
            reason = next((line for line in cause.splitlines() if line.strip()), type(error).__name__)
            _LOGGER.warning(
                "update.cuda_graph: this cannot be captured here (%s), so its kernels are launched one by one; set it "
                "to false",
                reason[:200],
            )


class CapturedStep:
    """Takes gradient steps as a graph.

    Args:
        step: takes one, from a minibatch and an optimizer whose step size is a tensor on the device.
        recorder: see Captured.
    """

    def __init__(self, step: Step, recorder: Recorder | None = None) -> None:
        self._step, self._recorder = step, recorder
        self._captured: Captured | None = None
        self._optimizer: Any = None

    def __call__(self, minibatch: Batch, optimizer: Any) -> tuple[Tensor, Tensor]:
        """One gradient step.

        Args:
            minibatch: always of the same shapes.
            optimizer: torch's, or Lightning's wrapper around it, which counts the steps.

        Returns:
            loss [] and errors [B].
        """
        # The wrapper would count a step that is only captured, and none that is replayed.
        inner = getattr(optimizer, "optimizer", optimizer)
        if self._captured is None or inner is not self._optimizer:
            self._optimizer = inner
            self._captured = Captured(lambda *columns: self._step(Batch(*columns), inner), self._recorder)
        _note(optimizer, "_on_before_step")
        loss, error = self._captured(*(getattr(minibatch, field.name) for field in fields(Batch)))
        _note(optimizer, "_on_after_step")
        return loss.clone(), error.clone()


def _note(optimizer: Any, hook: str) -> None:
    """What Lightning's manual optimisation hangs around each step of its optimizers: `global_step` counts there."""
    getattr(optimizer, hook, lambda: None)()
