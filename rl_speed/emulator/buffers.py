"""Arrays that are handed out and used again once nobody holds them any more."""

from __future__ import annotations

import math
import weakref

import numpy as np

from rl_speed.system.arrays import UInt8Array

_MOST_KEPT = 8  # free ones; a caller who keeps more than he needs gives them all back at once


class ArrayPool:
    """uint8 arrays of one shape.

    An array is the caller's for as long as it, or anything that shows its memory (a view, a tensor of torch), is
    referred to; then its memory is handed out again, which saves the page faults of fresh memory.

    Args:
        shape: of every array.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._free: list[tuple[bytearray, int]] = []

    def take(self) -> tuple[UInt8Array, int]:
        """An array, and its address; what is in it is of no use."""
        try:
            kept = self._free.pop()
        except IndexError:
            memory = bytearray(math.prod(self.shape))
            # Found out once: it takes as long as making the array.
            kept = memory, np.frombuffer(memory, dtype=np.uint8).ctypes.data
        array: UInt8Array = np.ndarray(self.shape, dtype=np.uint8, buffer=kept[0])
        # Views of the array refer to it, not to the memory: it ends after all of them.
        weakref.finalize(array, self._give_back, kept).atexit = False
        return array, kept[1]

    def _give_back(self, kept: tuple[bytearray, int]) -> None:
        if len(self._free) < _MOST_KEPT:
            self._free.append(kept)
