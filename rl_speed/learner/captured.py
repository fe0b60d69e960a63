"""Work on a GPU as one CUDA graph: a small network's kernels are over sooner than the next one can be launched."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from rl_speed.records import Batch
from rl_speed.system.transfer import Parcel, sent

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


def on_device(name: str, work: Work, device: torch.device, is_captured: bool) -> Work:
    """Work on a device whose inputs may lie elsewhere.

    Args:
        name: of the work, for the user.
        work: tensors -> tensors.
        device: where it is done.
        is_captured: by `Captured`, whose results the next call writes over.
    """
    return Captured(name, work, device) if is_captured else partial(_sent_and_done, work, device)


def _sent_and_done(work: Work, device: torch.device, *inputs: Tensor) -> Tensors:
    return work(*(sent(tensor, device) for tensor in inputs))


class _Inputs:
    """The memory that a graph reads its inputs from.

    Args:
        given: the first ones.
        device: of the graph; those that lie elsewhere travel there together.
    """

    def __init__(self, given: Tensors, device: torch.device) -> None:
        self._device = device
        there = [tensor for tensor in given if tensor.device != device]
        self._parcel = Parcel(there, device) if there else None
        arriving = iter(() if self._parcel is None else self._parcel.tensors)
        self.tensors = tuple(next(arriving) if tensor.device != device else tensor.clone() for tensor in given)
        self.fill(given)

    def fill(self, given: Tensors) -> None:
        """Takes others of the same kinds."""
        if self._parcel is not None:
            self._parcel.send([tensor for tensor in given if tensor.device != self._device])
        for kept, tensor in zip(self.tensors, given, strict=True):
            if tensor.device == self._device:
                kept.copy_(tensor)


class Captured:
    """Does work on tensors: the first few times as usual, then as the graph that is captured.

    A graph reads and writes the memory that it was captured with, so inputs are copied into the same place each time,
    and whatever the work depends on must be a tensor on the device. Inputs of another kind begin anew. Work that
    cannot be captured, because it waits for the device, is told once and done as usual from then on.

    Args:
        name: of the work, for the user.
        work: tensors -> tensors.
        device: where it is done; inputs are sent there.
        new_recorder: makes what keeps it; None: a CUDA graph.
    """

    def __init__(
        self, name: str, work: Work, device: torch.device, new_recorder: Callable[[], Recorder] | None = None
    ) -> None:
        self._name, self._work = name, work
        self._device = torch.empty(0, device=device).device  # "cuda" is one of several
        self._new_recorder = new_recorder or CudaRecorder
        self._recorder: Recorder | None = None
        self._kinds: list[Any] = []  # of the inputs of the last call
        self._calls = 0  # with such inputs
        self._has_failed = False
        self._inputs: _Inputs | None = None
        self._results: Tensors | None = None

    @property
    def is_captured(self) -> bool:
        """Whether it was captured by now."""
        return self._results is not None

    def __call__(self, *inputs: Tensor) -> Tensors:
        """Does the work.

        Args:
            inputs: anywhere.

        Returns:
            The results; the next call writes over them.
        """
        kinds = [(tensor.shape, tensor.dtype, tensor.device) for tensor in inputs]
        if kinds != self._kinds and not self._has_failed:
            self._recorder, self._inputs, self._results, self._calls, self._kinds = None, None, None, 0, kinds
        self._calls += 1
        if self._calls == CALLS_BEFORE + 1:
            self._capture(inputs)
        elif self._inputs is not None:
            self._inputs.fill(inputs)
        if self._recorder is None or self._results is None:
            return _sent_and_done(self._work, self._device, *inputs)
        self._recorder.replay()
        return self._results

    def _capture(self, inputs: Tensors) -> None:
        self._recorder, kept = self._new_recorder(), _Inputs(inputs, self._device)
        try:
            self._results = self._recorder.record(lambda: self._work(*kept.tensors))
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
            self._recorder, self._has_failed = None, True
        else:
            self._inputs = kept


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
            minibatch: on the networks' device.
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

        device = optimizer.param_groups[0]["params"][0].device
        self._first = Captured("a gradient step", first, device, self._new_recorder)
        self._second = Captured("the optimizer's step", self._apply, device, self._new_recorder)

    def _apply(self) -> Tensors:
        self._parts.apply(self._optimizer)
        return ()


def _note(optimizer: Any, hook: str) -> None:
    """What Lightning's manual optimisation hangs around each step of its optimizers: `global_step` counts there."""
    getattr(optimizer, hook, lambda: None)()
