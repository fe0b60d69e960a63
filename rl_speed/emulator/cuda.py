"""N consoles of one game on a CUDA device: the same source as on the CPU, compiled by NVRTC when it is first needed."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from rl_speed.emulator.checks import check_count, check_seeds, check_state, state_fingerprint
from rl_speed.emulator.games import Game, read_rom
from rl_speed.emulator.instructions import interpreter
from rl_speed.emulator.libraries import find_blocks
from rl_speed.emulator.nvidia import DriverLauncher, check_cuda
from rl_speed.emulator.records import RESULTS
from rl_speed.emulator.settings import ConsoleSettings, CSettings, c_settings
from rl_speed.system.arrays import Int64Array
from rl_speed.system.code_cache import NativeCodeError
from rl_speed.system.errors import UserError

_FRAME_THREADS = 256  # of source/kernels.cu
_LANES = (4, 8, 16, 32)  # consoles of a block that were measured
_SCHEDULERS = 4  # of a multiprocessor: CUDA C++ programming guide, "Compute Capability 7.x" to "9.0"
_SEED, _STEP, _START, _KEEP, _RESET = range(5)


class Launcher(Protocol):
    """Where kernels run: nvidia.DriverLauncher, or simulated.SimulatedLauncher."""

    device: torch.device

    def launch(self, kernel: str, blocks: int, threads: int, arguments: Any) -> None:
        """Queues a kernel."""

    def free_bytes(self) -> int:
        """Memory that can still be had."""


class Arrays(ctypes.Structure):
    """Arrays of source/kernels.cu."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("console", "generators", "pictures", "planes", "episodes", "rom")),
        *((name, ctypes.c_void_p) for name in ("settings", "columns", "lines", "log", "held", "shown")),
        *((name, ctypes.c_void_p) for name in ("starts", "start_pictures", "start_grey")),
        ("consoles", ctypes.c_int),
        ("usual_height", ctypes.c_int),
    ]


class Inputs(ctypes.Structure):
    """Inputs of source/kernels.cu."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("actions", "paddle_steps", "seeds", "chosen", "results")]


def kernel_parts(game: Game, recompile: bool = True) -> tuple[dict[str, str], dict[str, int]]:
    """Files made for the game, by name, and macros, from which its kernels are compiled.

    Args:
        game: the game.
        recompile: with the ROM as compiled blocks. They are looked for on the CPU; without a C++ compiler the kernels
            interpret.
    """
    generated = {"interpreter.inc": interpreter(), "rule.inc": game.rule_source()}
    defines = game.defines()
    if recompile:
        try:
            generated["blocks.inc"] = find_blocks(game)
        except NativeCodeError:
            return generated, defines
        defines = {**defines, "BLOCKS": 1}
    return generated, defines


def blocks_and_lanes(num_consoles: int, multiprocessors: int) -> dict[str, int]:
    """Macros: blocks for which each multiprocessor's registers are shared out, and consoles of a block.

    Few consoles have all the registers that they want; more of them than that are better off with fewer each than
    waiting for a place. And few consoles to a block wait less for each other, as long as there is no more than one
    block for each of a multiprocessor's four schedulers (docs/emulator.md, "On a GPU").
    """
    per_scheduler = -(-num_consoles // (_SCHEDULERS * multiprocessors))
    lanes = next((lanes for lanes in _LANES if lanes >= per_scheduler), _LANES[-1])
    return {"BLOCKS_AT_ONCE": 8 if num_consoles <= 8 * lanes * multiprocessors else 16, "LANES": lanes}


def driver_launcher(game: Game, num_consoles: int, defines: Mapping[str, int] | None = None) -> Launcher:
    """Where kernels run if nothing else is said: on the current CUDA device, compiled for so many consoles.

    Args:
        game: the game.
        num_consoles: N.
        defines: more macros, for comparisons.

    Raises:
        UserError: CUDA does not work here.
    """
    check_cuda()
    generated, usual = kernel_parts(game)
    device = torch.device("cuda", torch.cuda.current_device())
    multiprocessors = torch.cuda.get_device_properties(device).multi_processor_count
    shares = blocks_and_lanes(num_consoles, multiprocessors)
    return DriverLauncher(generated, {**usual, **shares, **(defines or {})}, device)


class CudaConsoles:
    """N consoles on a CUDA device. Every tensor stays there; `step` is four launches on torch's current stream.

    A step waits for nothing and allocates nothing, so that it can be captured in a CUDA graph; the consoles must then
    live as long as the graph, which writes to their memory.

    Args:
        game: the game.
        num_consoles: N, 1 to 65,536.
        settings: how it is played.
        launcher: where kernels run; by default on the current CUDA device.

    Raises:
        UserError: a number of consoles or a setting that cannot be, too little memory, or no CUDA.
    """

    def __init__(
        self, game: Game, num_consoles: int, settings: ConsoleSettings | None = None, launcher: Launcher | None = None
    ) -> None:
        check_count(num_consoles)
        self.game = game
        self.num_consoles = num_consoles
        self.settings = settings or ConsoleSettings()
        c, self.action_names = c_settings(game, self.settings)
        if c.channels != 1 or c.draw_all:
            raise UserError("obs_type: on a GPU observations are grey and nothing is rendered; leave both as they are.")
        self.launcher = launcher or driver_launcher(game, num_consoles)
        self.device = self.launcher.device
        self._pixels = (c.rows, self.settings.image_width)
        self._fingerprint = state_fingerprint(game, self.settings)
        self._allocate(c)

    def _allocate(self, c: CSettings) -> None:
        sizes = self._tensor(13, dtype=torch.int32)
        self._launch("structure_sizes", 1, 1, sizes)
        console, generators, picture, episode, settings_bytes, _, axis, _, arrays, log, start, *threads = sizes.tolist()
        self._lanes = threads[0]
        assert threads[1] == _FRAME_THREADS, "threads differ between cuda.py and source/kernels.cu"
        assert arrays == ctypes.sizeof(Arrays), "Arrays differ between cuda.py and source/kernels.cu"
        assert settings_bytes == ctypes.sizeof(c), "Settings differ between settings.py and source/observe.h"
        starts = max(c.noop_max, 1) if c.cache_starts and c.stickiness == 0 else 0
        each = console + generators + 4 * picture + episode + log // self._lanes
        self._check_memory(each, starts * (start + 3 * picture))
        n = self.num_consoles
        self.state = {
            "console": self._tensor(n, console),
            "generators": self._tensor(n, generators),
            "pictures": self._tensor(n, 2 * picture),
            "planes": self._tensor(n, picture),
            "episode": self._tensor(n, episode),
        }
        blocks = -(-n // self._lanes)
        self._rom = torch.from_numpy(np.frombuffer(read_rom(self.game), dtype=np.uint8).copy()).to(self.device)
        self._settings = torch.from_numpy(np.frombuffer(bytes(c), dtype=np.uint8).copy()).to(self.device)
        self._axes = [self._tensor(axis), self._tensor(2 * axis)]
        self._scratch = [self._tensor(blocks, log), self._tensor(n, picture), self._tensor(n, dtype=torch.int32)]
        usual = self.game.facts["height"]
        self._launch("make_axes", 1, 1, *self._axes, self.settings.image_width, self.settings.image_height, usual)
        self.observation, self.final_observation = self._tensor(n, *self._pixels), self._tensor(n, *self._pixels)
        self.results = self._tensor(n, RESULTS, dtype=torch.int32)
        self._starts = [self._tensor(starts, size) for size in (start, 2 * picture, picture)] if starts else []
        if starts:
            self._keep_starts(starts)
        self._arrays = self._arrays_of(self.state, self._scratch, n)

    def _tensor(self, *shape: int, dtype: torch.dtype = torch.uint8) -> Tensor:
        return torch.zeros(shape, dtype=dtype, device=self.device)

    def _check_memory(self, each: int, fixed: int) -> None:
        each += 2 * self._pixels[0] * self._pixels[1]
        needed, free = self.num_consoles * each + fixed, self.launcher.free_bytes()
        if needed > free:
            most = max(1, (free - fixed) // each)
            raise UserError(
                f"num_envs: {self.num_consoles:,} consoles need {needed / 1e9:.1f} GB of GPU memory and "
                f"{free / 1e9:.1f} GB are free; give at most {most:,}."
            )

    def _arrays_of(self, state: dict[str, Tensor], scratch: list[Tensor], consoles: int) -> Arrays:
        tensors = [*state.values(), self._rom, self._settings, *self._axes, *scratch, *self._starts]
        pointers: list[int | None] = [tensor.data_ptr() for tensor in tensors]
        pointers += [None] * (len(Arrays._fields_) - 2 - len(pointers))
        return Arrays(*pointers, consoles, self.game.facts["height"])

    def _keep_starts(self, starts: int) -> None:
        """Plays a start for every number of no-ops, on consoles of its own."""
        state = {name: tensor.new_zeros(starts, tensor.shape[1]) for name, tensor in self.state.items()}
        state["pictures"], state["planes"] = self._starts[1:]
        log, held, shown = self._scratch
        blocks = -(-starts // self._lanes)
        scratch = [log.new_zeros(blocks, log.shape[1]), held.new_zeros(starts, held.shape[1]), shown.new_zeros(starts)]
        arrays = self._arrays_of(state, scratch, starts)
        frames = self._tensor(starts, *self._pixels)
        self._launch("run_consoles", blocks, self._lanes, arrays, _KEEP, Inputs(), 1)
        self._launch("make_frames", starts, _FRAME_THREADS, arrays, frames, frames, 0)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # before the memory of these consoles is given back

    def _launch(self, kernel: str, blocks: int, threads: int, *arguments: Any) -> None:
        values: list[Any] = []
        for argument in arguments:
            if isinstance(argument, Tensor):
                values.append(ctypes.c_void_p(argument.data_ptr()))
            elif argument is None:
                values.append(ctypes.c_void_p(0))
            else:
                values.append(argument if isinstance(argument, ctypes.Structure) else ctypes.c_int(argument))
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        self.launcher.launch(kernel, blocks, threads, pointers)

    def _run(self, operation: int, seen: bool = True, **inputs: Tensor | None) -> None:
        blocks = -(-self.num_consoles // self._lanes)
        pointers = {name: tensor.data_ptr() for name, tensor in inputs.items() if tensor is not None}
        given = Inputs(**pointers, results=self.results.data_ptr())
        self._launch("run_consoles", blocks, self._lanes, self._arrays, operation, given, int(seen))

    def _make_frames(self, only_started: bool) -> None:
        outputs = [self.observation, self.final_observation, int(only_started)]
        self._launch("make_frames", self.num_consoles, _FRAME_THREADS, self._arrays, *outputs)

    def seed(self, seeds: Tensor, mask: Tensor | None = None) -> Tensor:
        """Loads the ROM anew and starts a game, in the consoles of the mask or in all.

        Args:
            seeds: int64 [N], each from 0 to 2^32 - 1.
            mask: bool [N].

        Returns:
            uint8 [N, H, W], frames of all; memory that the next step writes to.
        """
        check_seeds(seeds.numpy(force=True), self.num_consoles)
        # The low 32 bits.
        return self._start(_SEED, mask, seeds.to(self.device).to(torch.int32).contiguous())

    def reset(self, mask: Tensor | None = None) -> Tensor:
        """Starts a new game with the random numbers going on, in the consoles of the mask (bool [N]) or in all."""
        return self._start(_RESET, mask)

    def show(self) -> Tensor:
        """The frames as they are, e.g. after `restore`; `results` then say so, too."""
        return self._start(_RESET, torch.zeros(self.num_consoles, dtype=torch.bool))

    def _start(self, operation: int, mask: Tensor | None, seeds: Tensor | None = None) -> Tensor:
        chosen = None if mask is None else mask.to(self.device).to(torch.uint8).contiguous()
        self._kept = (seeds, chosen)  # the launch is not over when this returns
        self._run(operation, seeds=seeds, chosen=chosen)
        self._make_frames(only_started=False)
        return self.observation

    def step(self, actions: Tensor, paddle_steps: Tensor | None = None) -> None:
        """One step of every console; reads int64 [N] actions, writes `observation`, `final_observation` and `results`.

        `results` is int32 [N, 10], as `records.as_step` reads it: reward, lives, terminated, truncated, and more.
        `final_observation` holds the last observation of the game where one ended and has started anew; elsewhere what
        is in it is of no use. `paddle_steps` is int32 [N], see Consoles.send.
        """
        self._check_actions(actions)
        self._run(_STEP, actions=actions, paddle_steps=paddle_steps)
        self._make_frames(only_started=False)
        self._run(_START)
        self._make_frames(only_started=True)

    def step_unseen(self, actions: Tensor) -> None:
        """A step without observations, for which nothing is drawn. Observations are right again after `seed`."""
        self._check_actions(actions)
        self._run(_STEP, seen=False, actions=actions)
        self._run(_START)

    def _check_actions(self, actions: Tensor) -> None:
        # Values out of range are not looked for: that would wait for the device. They play NOOP.
        layout = (actions.dtype, actions.device, tuple(actions.shape), actions.is_contiguous())
        if layout != (torch.int64, self.device, (self.num_consoles,), True):
            raise UserError(
                f"actions: a {actions.dtype} tensor of shape {tuple(actions.shape)} on {actions.device} cannot be "
                f"played; give a contiguous int64 one of shape ({self.num_consoles},) on {self.device}."
            )

    def save(self, device: torch.device | str | None = None, consoles: Int64Array | None = None) -> dict[str, Tensor]:
        """A copy of everything, to be given to `restore`.

        Args:
            device: where it lies; by default the consoles'.
            consoles: numbers of M of them; None: all N.

        Returns:
            uint8 [N, bytes] or [M, bytes] each.
        """
        saved = {
            name: (tensor if consoles is None else tensor[self._index(consoles)]).to(device or self.device, copy=True)
            for name, tensor in self.state.items()
        }
        return {**saved, "fingerprint": torch.from_numpy(self._fingerprint.copy())}

    def restore(self, state: Mapping[str, Tensor], consoles: Int64Array | None = None) -> None:
        """Brings a saved state back, in all consoles or in some; one of consoles on the CPU will do as well.

        Raises:
            UserError: it was saved with another number of consoles, game, settings or version.
        """
        count = self.num_consoles if consoles is None else len(consoles)
        check_state(state, self._fingerprint, {name: (count, tensor.shape[1]) for name, tensor in self.state.items()})
        for name, tensor in self.state.items():
            if consoles is None:
                tensor.copy_(state[name])
            else:
                tensor[self._index(consoles)] = state[name].to(self.device)

    def _index(self, consoles: Int64Array) -> Tensor:
        return torch.from_numpy(consoles).to(self.device)
