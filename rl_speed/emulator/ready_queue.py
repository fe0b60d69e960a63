"""The first consoles that are ready, instead of all: slow ones hold nobody up."""

from __future__ import annotations

from collections import deque

import numpy as np

from rl_speed.emulator.consoles import Consoles
from rl_speed.emulator.records import Step
from rl_speed.system.arrays import Int32Array, Int64Array

_NOBODY = np.empty(0, dtype=np.int32)


class ReadyQueue:
    """Hands out consoles in batches, in the order in which they are ready.

    Args:
        consoles: N of them.
        batch_size: M, at most N.
    """

    def __init__(self, consoles: Consoles, batch_size: int) -> None:
        self._consoles = consoles
        self.batch_size = batch_size
        self._ready: deque[tuple[int, Step, int]] = deque()  # a console, and the row of a step that is its own
        self.held = _NOBODY  # those that the next actions are for

    def started(self, step: Step) -> None:
        """All consoles are ready and show what `step` says; whatever was before is forgotten."""
        self.held = _NOBODY
        self._ready = deque((index, step, index) for index in range(self._consoles.num_consoles))

    def send(self, actions: Int64Array, paddle_steps: Int32Array | None) -> None:
        """Starts a step of the consoles that were received last.

        Raises:
            UserError: actions that cannot be; the consoles are held still.
        """
        self._consoles.check(actions)
        if self._consoles.can_upgrade:
            # Nobody may play meanwhile: those that do are ready first.
            playing = self._consoles.outstanding
            indices, step = self._consoles.recv_some(playing)
            rows = step.rows(indices)
            self._ready.extend((int(index), rows, place) for place, index in enumerate(indices))
            self._consoles.upgrade()
        # Not theirs any more, also if this is interrupted: nobody may be given two steps.
        sent, self.held = self.held, _NOBODY
        self._consoles.send_some(sent, actions, paddle_steps)

    def recv(self) -> tuple[Int32Array, Step]:
        """The next M consoles that are ready, int32 [M], and their rows of a step."""
        first = [self._ready.popleft() for _ in range(min(self.batch_size, len(self._ready)))]
        indices = [np.array([index], dtype=np.int32) for index, _, _ in first]
        parts = [step.rows(np.array([row])) for _, step, row in first]
        if len(first) < self.batch_size:
            waited, step = self._consoles.recv_some(self.batch_size - len(first))
            indices.append(waited)
            parts.append(step.rows(waited))
        self.held = np.concatenate(indices)
        return self.held.copy(), Step.joined(parts)
