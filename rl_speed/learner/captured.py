"""Work on a GPU as one CUDA graph: a small network's kernels are over sooner than the next one can be launched."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from torch import Tensor

from rl_speed.records import Batch

_LOGGER = logging.getLogger(__name__)

# Done as usual first: libraries are loaded and an optimizer's state is made, which cannot be captured.
CALLS_BEFORE = 3
# Torch's allocator goes on asking a graph whose capture has failed.
_failed: list[Recorder] = []

Tensors = tuple[Tensor, ...]
Work = Callable[..., Tensors]


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
        name: of the work, for the user.
        work: tensors -> tensors.
        new_recorder: makes what keeps it; None: a CUDA graph.
    """

    def __init__(self, name: str, work: Work, new_recorder: Callable[[], Recorder] | None = None) -> None:
        self._name, self._work, self._new_recorder = name, work, new_recorder or CudaRecorder
        self._recorder: Recorder | None = None
        self._calls = 0
        self._inputs: Tensors = ()
        self._results: Tensors | None = None

    @property
    def is_captured(self) -> bool:
        """Whether it was captured by now."""
        return self._results is not None

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
        self._recorder = self._new_recorder()
        self._inputs = tuple(given.clone() for given in inputs)
        try:
            self._results = self._recorder.record(lambda: self._work(*self._inputs))
        except RuntimeError as error:
            # The end of a capture that has failed fails, too, and says less.
            cause = str(error.__context__ or error)
            reason = next((line for line in cause.splitlines() if line.strip()), type(error).__name__)
            _LOGGER.warning(
                "update.cuda_graph: %s cannot be captured here (%s), so its kernels are launched one by one; set it to "
                "false",
                self._name,
                reason[:200],
            )
            _failed.append(self._recorder)
            self._recorder, self._inputs = None, ()


@dataclass(frozen=True)
class StepParts:
    """A gradient step.

    Attributes:
        gradient: of a minibatch, into the parameters; loss [] and errors [B].
        share: has all ranks' gradients in their place, and gives the loss of all; None: there is one rank.
        apply: the gradients, by an optimizer whose step size is a tensor on the device.
    """

    gradient: Callable[[Batch], tuple[Tensor, Tensor]]
    share: Callable[[Tensor, Batch], Tensor] | None
    apply: Callable[[Any], None]


class CapturedStep:
    """Takes gradient steps as one graph, or as two with what ranks do together between them.

    Args:
        step: its parts.
        new_recorder: makes what keeps a part; None: a CUDA graph.
    """

    def __init__(self, step: StepParts, new_recorder: Callable[[], Recorder] | None = None) -> None:
        self._parts, self._new_recorder = step, new_recorder or CudaRecorder
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
        if inner is not self._optimizer:
            self._begin(inner)
        columns = [getattr(minibatch, field.name) for field in fields(Batch)]
        _note(optimizer, "_on_before_step")
        loss, error = self._first(*columns)
        if self._parts.share is not None:
            loss = self._parts.share(loss, minibatch)
            # A graph reads gradients where it found them: those that are computed as usual lie elsewhere each time.
            (self._second if self._first.is_captured else self._apply)()
        _note(optimizer, "_on_after_step")
        return loss.clone(), error.clone()

    def _begin(self, optimizer: Any) -> None:
        parts, self._optimizer = self._parts, optimizer

        def first(*columns: Tensor) -> Tensors:
            results = parts.gradient(Batch(*columns))
            if parts.share is None:
                parts.apply(optimizer)
            return results

        self._first = Captured("a gradient step", first, self._new_recorder)
        self._second = Captured("the optimizer's step", self._apply, self._new_recorder)

    def _apply(self) -> Tensors:
        self._parts.apply(self._optimizer)
        return ()


def _note(optimizer: Any, hook: str) -> None:
    """What Lightning's manual optimisation hangs around each step of its optimizers: `global_step` counts there."""
    getattr(optimizer, hook, lambda: None)()
