"""The CUDA kernels on the CPU: the same text, every thread as a fiber. Slow; for tests, and to count turns."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from rl_speed.emulator.compiler import emulator_program
from rl_speed.system.code_cache import load_library
from rl_speed.system.native_code import library_path


@dataclass(frozen=True)
class WarpDivergence:
    """How well the consoles of a warp kept together, each in a lane of it.

    Attributes:
        processor_turns: turns in which instructions were run: those that one console alone would need are the least.
        processor_lanes: consoles that took part in one, on average; 32 at most.
        replay_turns: turns in which notes of writes to the TIA acted.
        replay_lanes: consoles that took part in one, on average.
    """

    processor_turns: int
    processor_lanes: float
    replay_turns: int
    replay_lanes: float


class SimulatedLauncher:
    """Runs kernels on the CPU; tensors lie in main memory. Launchers of the same kernels count their turns together.

    Args:
        generated: files made for the game, such as rule.inc, by name.
        defines: macros.
        splits: seed for groups of lanes that fall apart at random, as on a GPU they may; 0: they do not.

    Raises:
        UserError: there is no C++ compiler.
    """

    def __init__(self, generated: Mapping[str, str], defines: Mapping[str, int], splits: int = 0) -> None:
        # PORTABLE: painting as the GPU does it, not with the CPU's vectors.
        flags = ("-DPORTABLE", "-U_FORTIFY_SOURCE", "-fcf-protection=none")
        program = emulator_program("the simulated GPU", generated, defines, flags, main="simulated_device.cpp")
        self._library = load_library(library_path(program))
        self._library.simulated_splits(ctypes.c_uint32(splits))
        self.device = torch.device("cpu")

    def launch(self, kernel: str, blocks: int, threads: int, arguments: Any) -> None:
        """See DriverLauncher; the kernel has run when this returns."""
        code = self._library.simulated_launch(kernel.encode(), blocks, threads, arguments)
        if code:
            raise RuntimeError(f"{kernel}: " + ("cannot be launched", "its threads wait for each other")[code - 1])

    def free_bytes(self) -> int:
        """Memory that is free."""
        return int(psutil.virtual_memory().available)

    def take_divergence(self) -> WarpDivergence:
        """That of the kernels launched since the last call."""
        counts = (ctypes.c_longlong * 4)()
        self._library.simulated_turns(counts)
        processor_turns, processor_taken, replay_turns, replay_taken = counts
        return WarpDivergence(
            processor_turns,
            processor_taken / max(processor_turns, 1),
            replay_turns,
            replay_taken / max(replay_turns, 1),
        )
