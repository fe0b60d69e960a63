"""N consoles of one game on the CPU: the C++ emulator behind numpy arrays."""

from __future__ import annotations

import ctypes
import logging
import math
import os
import threading
import weakref
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil

from rl_speed.emulator.buffers import ArrayPool
from rl_speed.emulator.checks import check_count, check_seeds, check_state, state_fingerprint
from rl_speed.emulator.games import Game, read_rom
from rl_speed.emulator.libraries import Upgrade, interpreter_library, kept_recompiled_library, recompiled_library
from rl_speed.emulator.records import RESULTS, ConsoleReadout, Step, as_step
from rl_speed.emulator.settings import CHANNELS, SCREEN_COLUMNS, ConsoleSettings, CSettings, c_settings
from rl_speed.system.arrays import BoolArray, Int32Array, Int64Array, UInt8Array
from rl_speed.system.code_cache import load_library
from rl_speed.system.ending import Ending
from rl_speed.system.errors import UserError

_LOGGER = logging.getLogger(__name__)
_MAX_ROWS = 250
_SEED, _RESET, _STEP, _SHOW = 2, 1, 0, 3  # operations of source/batch.cpp


class _Order(ctypes.Structure):
    """Order of source/batch.cpp."""

    _fields_ = [
        ("operation", ctypes.c_int),
        ("unused", ctypes.c_int),
        *((name, ctypes.c_void_p) for name in ("actions", "paddle_steps", "seeds")),
        *((name, ctypes.c_void_p) for name in ("observation", "final_observation", "results")),
    ]


def _pointer(array: np.ndarray[Any, Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _load(path: Path) -> ctypes.CDLL:
    library = load_library(path)
    library.emulator_open.restype = ctypes.c_void_p
    return library


def _close(library: ctypes.CDLL, handle: ctypes.c_void_p, lock: threading.RLock, pid: int, *arrays: object) -> None:
    # A process that was forked has a copy of the memory, and none of the threads.
    if os.getpid() == pid:
        with lock:
            library.emulator_close(handle)


def _pointer_or_null(array: np.ndarray[Any, Any] | None) -> ctypes.c_void_p | None:
    return None if array is None else _pointer(array)


def _address(array: np.ndarray[Any, Any] | None) -> int | None:
    return None if array is None else int(array.ctypes.data)


# An array and its address, which is asked for once: numpy takes most of a microsecond for it.
_Placed = tuple[np.ndarray[Any, Any], int]


def _placed(array: np.ndarray[Any, Any]) -> _Placed:
    return array, int(array.ctypes.data)


class Consoles:
    """N consoles that play one game.

    Each has its own random numbers: what it does depends on its seed and its actions, not on the others. A console's
    whole state is one row of the arrays in `state`.

    Args:
        game: the game.
        num_consoles: N, 1 to 65,536.
        settings: how it is played.
        threads: that step them.
        rom: bytes to run instead of the game's own, for tests.
        recompile: run the game's own ROM as compiled blocks; "later": interpret it until they are compiled.
        rom_path: file of the game's own ROM, instead of the one in ale_py.
        extra_flags: for the compiler, for tests.
        ending: when compiling has to end unfinished; by default never.
        first_core: of the first thread, the next one has the next core; -1: as the system likes.

    Raises:
        EndedBeforeStartError: it had to end unfinished.
        UserError: a number of consoles, mode or action that cannot be, or no compiler.
    """

    def __init__(
        self,
        game: Game,
        num_consoles: int = 1,
        settings: ConsoleSettings | None = None,
        threads: int = 1,
        rom: bytes | None = None,
        recompile: bool | Literal["later"] = True,
        rom_path: Path | None = None,
        extra_flags: tuple[str, ...] = (),
        ending: Ending | None = None,
        first_core: int = -1,
    ) -> None:
        check_count(num_consoles)
        self.game = game
        self.num_consoles = num_consoles
        self.settings = settings or ConsoleSettings()
        settings_in_c, self.action_names = c_settings(game, self.settings)
        own_rom = rom is None
        rom = read_rom(game, rom_path) if rom is None else rom
        if len(rom) != game.facts["size"]:
            raise UserError(f"rom: {game.name} has {game.facts['size']:,} bytes, not {len(rom):,}.")
        settings_in_c.cache_starts &= int(own_rom)
        self._fingerprint = state_fingerprint(game, self.settings)
        library = kept_recompiled_library(game, rom_path) if own_rom and recompile == "later" else None
        self._upgrade: Upgrade | None = None
        if own_rom and recompile is True:
            library = recompiled_library(game, rom_path, extra_flags, ending)
        elif library is None:
            library = interpreter_library(game, own_rom, extra_flags, ending)
            if own_rom and recompile == "later":
                self._upgrade = Upgrade.of(game, rom_path)
                self._leave = weakref.finalize(self, self._upgrade.leave)
        self._library = _load(library)
        self._lock, self._pid = threading.RLock(), os.getpid()  # closing waits for a call in another thread
        self._allocate(settings_in_c.noop_max if settings_in_c.cache_starts else 0)
        self._opening = (rom, settings_in_c, max(1, min(threads, num_consoles)), first_core)
        self._handle, self._finalizer = self._open(self._library)

    def _allocate(self, starts: int) -> None:
        sizes = (ctypes.c_int * 8)()
        self._library.emulator_sizes(sizes)
        assert sizes[4] == ctypes.sizeof(CSettings), "Settings differ between consoles.py and source/observe.h"
        n = self.num_consoles
        channels = CHANNELS[self.settings.observation]
        shape = self.settings.observation_shape
        stacked = math.prod(shape) if self.settings.frame_stack > 1 else 0
        planes = channels * sizes[2]
        # Three observations: the last one, the caller's, and that of games that ended.
        needed = n * (sizes[0] + sizes[1] + sizes[7] + planes + sizes[3] + stacked + 3 * math.prod(shape))
        needed += starts * (sizes[7] + planes)
        free = psutil.virtual_memory().available
        if needed > free:
            raise UserError(
                f"num_envs: {n:,} consoles need {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; give "
                f"at most {max(1, int(n * free / needed)):,}."
            )
        pictures = np.zeros((n, sizes[7]), dtype=np.uint8)
        self._drawn_rows = pictures[:, 2 * sizes[2] :]  # of the pictures before them: source/rows.h
        self.state: dict[str, UInt8Array] = {
            "console": np.zeros((n, sizes[0]), dtype=np.uint8),
            "generators": np.zeros((n, sizes[1]), dtype=np.uint8),
            "pictures": pictures[:, : 2 * sizes[2]],
            "planes": np.zeros((n, planes), dtype=np.uint8),
            "episode": np.zeros((n, sizes[3]), dtype=np.uint8),
        }
        if stacked:
            self.state["stack"] = np.zeros((n, stacked), dtype=np.uint8)
        self._observations = ArrayPool((n, *shape))
        self._final = np.zeros((n, *shape), dtype=np.uint8)
        self._results = np.zeros((n, RESULTS), dtype=np.int32)
        self._actions = np.zeros(n, dtype=np.int32)
        self._paddle_steps = np.zeros(n, dtype=np.int32)
        self._placed_results, self._places = _placed(self._results), (_address(self._actions), _address(self._final))
        self._may_play = False  # a step was sent; what was received last is not looked at
        # What the consoles write to; one place, which the threads' end is tied to.
        self._written: list[np.ndarray[Any, Any] | None] = []
        self._ram = np.zeros(128, dtype=np.uint8)
        self._picture = np.zeros(_MAX_ROWS * SCREEN_COLUMNS, dtype=np.uint8)
        self._numbers = np.zeros(16, dtype=np.int32)

    def _open(self, library: ctypes.CDLL) -> tuple[ctypes.c_void_p, weakref.finalize[..., Consoles]]:
        rom, settings, threads, first_core = self._opening
        buffer = (ctypes.c_ubyte * len(rom)).from_buffer_copy(rom)
        names = ("console", "generators", "pictures", "planes", "episode", "stack")
        arrays = [ctypes.c_void_p(_address(self.state.get(name))) for name in names]
        handle = library.emulator_open(
            self.num_consoles, threads, first_core, buffer, len(rom), ctypes.byref(settings), *arrays
        )
        if not handle:
            raise UserError(f"envs.threads: {threads} threads cannot be started here; give fewer.")
        pointer = ctypes.c_void_p(handle)
        # The arrays must live as long as the threads that write to them.
        finalizer = weakref.finalize(
            self, _close, library, pointer, self._lock, self._pid, self.state, self._final, self._written,
            self._actions, self._paddle_steps,
        )  # fmt: skip
        return pointer, finalizer

    def upgrade(self, wait: bool = False) -> bool:
        """Goes over to the compiled blocks if they are ready; never while a step is not received yet.

        Args:
            wait: for the compiler.

        Returns:
            Whether the blocks run now.
        """
        if self._upgrade is None:
            return True
        if wait:
            self._upgrade.wait()
        if self._upgrade.ready is None or self.outstanding:
            return False
        # All that a console is lies in `state`, and its layout does not depend on the blocks.
        old = self._finalizer
        try:
            library = _load(self._upgrade.ready)
            self._handle, self._finalizer = self._open(library)
        except UserError as error:
            _LOGGER.warning("%s goes on with the interpreter: %s", self.game.name, error)
        else:
            old()
            self._library = library
        self._leave()
        self._upgrade = None
        return True

    @property
    def can_upgrade(self) -> bool:
        """Whether compiled blocks are ready that do not run yet."""
        return self._upgrade is not None and self._upgrade.ready is not None

    @property
    def _batch(self) -> ctypes.c_void_p:
        if not self._finalizer.alive:
            raise RuntimeError("the consoles are closed")
        if os.getpid() != self._pid:
            raise UserError("envs: they were made before this process was forked; make them in the process that plays")
        return self._handle

    def _call(self, function: str, *arguments: Any) -> int:
        """A function of source/batch.cpp."""
        _ = self._batch  # a process that was forked must not wait for a lock that nobody will give back
        with self._lock:
            # Looked at again, since another thread may have closed the consoles while this one waited.
            result: int = getattr(self._library, function)(self._batch, *arguments)
        return result

    @property
    def outstanding(self) -> int:
        """Consoles that play, or have played and were not received."""
        return self._call("batch_outstanding")

    def drop(self) -> None:
        """Waits for what plays, and forgets it."""
        _ = self._batch  # which consoles that are closed do not have
        if self._may_play and self.outstanding:
            self._collect(self.num_consoles)
        self._may_play = False

    def _place(self, index: int) -> int:
        if not 0 <= index < self.num_consoles:
            raise IndexError(f"console {index} of {self.num_consoles}")
        return index

    # --- as an agent sees them ---

    def seed(self, seeds: Int64Array, mask: BoolArray | None = None) -> Step:
        """Loads the ROM anew and starts a game, in the consoles of the mask or in all.

        Args:
            seeds: [N], each from 0 to 2^32 - 1.
            mask: [N] bool.
        """
        check_seeds(seeds, self.num_consoles)
        return self._start(_SEED, mask, np.ascontiguousarray(seeds, dtype=np.uint32))

    def reset(self, mask: BoolArray | None = None) -> Step:
        """Starts a new game with the random numbers going on, in the consoles of the mask ([N] bool) or in all."""
        return self._start(_RESET, mask)

    def show(self) -> Step:
        """The observation, lives and frame numbers as they are, e.g. after `restore`; no reward and no end."""
        return self._start(_SHOW, None)

    def _start(self, operation: int, mask: BoolArray | None, seeds: np.ndarray[Any, Any] | None = None) -> Step:
        self.drop()
        self.upgrade()
        placed, results = self._observations.take(), self._results
        parts: list[tuple[int, Int32Array | None]] = [(operation, None)]
        if mask is not None:
            chosen = np.broadcast_to(np.asarray(mask, dtype=np.bool_), self.num_consoles)
            parts = [
                (kind, np.flatnonzero(part).astype(np.int32)) for kind, part in ((operation, chosen), (_SHOW, ~chosen))
            ]
        for kind, consoles in parts:
            order = self._order(kind, placed, self._placed_results)
            order.seeds = _address(seeds)
            self._run(order, consoles)
        return as_step(placed[0], self._final, results)

    def _order(self, operation: int, observation: _Placed | tuple[None, None], results: _Placed) -> _Order:
        self._written[:] = observation[0], results[0]
        actions, final = self._places
        return _Order(operation, 0, actions, None, None, observation[1], final, results[1])

    def _run(self, order: _Order, consoles: Int32Array | None = None) -> None:
        """Has some consoles or all obey, and waits; the caller's thread works meanwhile."""
        count = self.num_consoles if consoles is None else len(consoles)
        self._call("batch_run", ctypes.byref(order), _pointer_or_null(consoles), count)

    def _collect(self, count: int, consoles: Int32Array | None = None) -> int:
        return self._call("batch_collect", count, _pointer_or_null(consoles))

    def send(self, actions: Int64Array, paddle_steps: Int32Array | None = None) -> None:
        """Starts a step and returns; the consoles run on threads of their own until `recv`.

        Args:
            actions: [N] indices into `action_names`.
            paddle_steps: [N], by how much they turn a paddle; None for the usual 23,000.
        """
        order = self._step_order(actions, paddle_steps)
        self._may_play = True
        self._call("batch_give", ctypes.byref(order), None, self.num_consoles)

    def _step_order(self, actions: Int64Array, paddle_steps: Int32Array | None, seen: bool = True) -> _Order:
        self.check(actions)
        self.drop()
        self.upgrade()
        self._take(slice(None), actions, paddle_steps)
        order = self._order(_STEP, self._observations.take() if seen else (None, None), self._placed_results)
        order.paddle_steps = None if paddle_steps is None else _address(self._paddle_steps)
        return order

    def recv(self) -> Step:
        """Waits for the step that `send` started. The arrays are the caller's, but for `final_observation`."""
        self._collect(self.num_consoles)
        return self._received()

    def _received(self) -> Step:
        observation, results = self._written
        assert observation is not None
        assert results is not None
        return as_step(observation, self._final, results)

    def step(self, actions: Int64Array, paddle_steps: Int32Array | None = None) -> Step:
        """`send` and `recv` in one, with the caller's thread at work too."""
        self._run(self._step_order(actions, paddle_steps))
        return self._received()

    def step_unseen(self, actions: Int64Array) -> None:
        """A step without observations, for which nothing is drawn. Observations are right again after `seed`."""
        self._run(self._step_order(actions, None, seen=False))

    def check(self, actions: Int64Array) -> None:
        """Refuses actions that are none, with a UserError."""
        # As numbers without a sign those below 0 are huge.
        largest = np.asarray(actions, dtype=np.int64).view(np.uint64).max()
        if largest >= len(self.action_names):
            raise UserError(f"actions: {actions.tolist()} must be indices from 0 to {len(self.action_names) - 1}.")

    def _take(self, consoles: Any, actions: Int64Array, paddle_steps: Int32Array | None) -> None:
        self._actions[consoles] = actions
        if paddle_steps is not None:
            self._paddle_steps[consoles] = paddle_steps

    # --- some at a time: each is ready when it is ready ---

    def send_some(self, consoles: Int32Array, actions: Int64Array, paddle_steps: Int32Array | None = None) -> None:
        """Starts a step of some consoles, none of which is still to be received.

        Args:
            consoles: [M] their numbers.
            actions, paddle_steps: [M], see `send`.
        """
        self.check(actions)
        indices = np.ascontiguousarray(consoles, dtype=np.int32)
        self._take(indices, actions, paddle_steps)
        order = self._order(_STEP, *self._some)
        order.paddle_steps = None if paddle_steps is None else _address(self._paddle_steps)
        self._may_play = True
        self._call("batch_give", ctypes.byref(order), _pointer(indices), len(indices))

    def recv_some(self, count: int) -> tuple[Int32Array, Step]:
        """Waits for the next `count` consoles to be ready, or all that play; their numbers, and the step of all N.

        The rows of the others are of no use. The next step of a console writes to its row.
        """
        consoles = np.empty(count, dtype=np.int32)
        received = self._collect(count, consoles)
        (observation, _), (results, _) = self._some
        return consoles[:received], as_step(observation, self._final, results)

    @cached_property
    def _some(self) -> tuple[_Placed, _Placed]:
        # The same memory every time: consoles that are not ready yet go on writing to it.
        return self._observations.take(), _placed(np.empty_like(self._results))

    # --- frame by frame, exactly drawn ---

    def load(self, index: int = 0, seed: int = 0) -> None:
        """Loads the ROM into a console, as ale-py's loadROM does."""
        self._call("console_load", self._place(index), ctypes.c_uint32(seed))

    def reset_game(self, index: int = 0) -> None:
        """Starts a new episode, as ale-py's reset_game does."""
        self._call("console_reset", self._place(index))

    def act(self, action: int, index: int = 0) -> int:
        """Plays one frame and returns its reward, as ale-py's act does. `action` is ale-py's number."""
        return int(self._call("console_act", self._place(index), action))

    def is_over(self, index: int = 0) -> bool:
        """True if a console's game is over, so that it plays no more frames until it is reset."""
        return bool(self._call("console_is_over", self._place(index)))

    def choose(self, mode: int, difficulty: int, index: int = 0) -> None:
        """Sets the mode and the difficulty from the next reset on."""
        self._call("console_choose", self._place(index), mode, difficulty)

    def poke(self, address: int, value: int, index: int = 0) -> None:
        """Overwrites a byte of RAM."""
        self._call("console_poke", self._place(index), int(address), int(value))

    def set_registers(self, pc: int, a: int, x: int, y: int, sp: int, p: int, index: int = 0) -> None:
        """Overwrites the processor's registers: program counter, A, X, Y, stack pointer and flags."""
        values = (ctypes.c_int * 6)(pc, a, x, y, sp, p)
        self._call("console_set_registers", self._place(index), values)

    def inspect(self, index: int = 0) -> ConsoleReadout:
        """Reads RAM, screen, counters and registers. The arrays are copies."""
        self.drop()
        self._call(
            "console_look", self._place(index), _pointer(self._ram), _pointer(self._picture), _pointer(self._numbers)
        )
        numbers = [int(number) for number in self._numbers]
        height = numbers[5]
        names = ("is_pal", "cyc", "pc", "a", "x", "y", "sp", "lines", "unfinished", "jammed")
        return ConsoleReadout(
            self._ram.copy(),
            self._picture[: height * SCREEN_COLUMNS].reshape(height, SCREEN_COLUMNS).copy(),
            numbers[0],
            numbers[1],
            bool(numbers[2]),
            numbers[3],
            numbers[4],
            dict(zip(names, numbers[6:], strict=True)),
        )

    # --- state ---

    def save(self, consoles: Int64Array | None = None) -> dict[str, UInt8Array]:
        """A copy of everything, to be given to `restore`; [N, bytes] each, or of some consoles [M, bytes]."""
        self.drop()
        chosen = slice(None) if consoles is None else consoles
        saved = {name: array[chosen].copy() for name, array in self.state.items()}
        return {**saved, "fingerprint": self._fingerprint.copy()}

    def restore(self, state: Mapping[str, UInt8Array], consoles: Int64Array | None = None) -> None:
        """Brings a saved state back, in all consoles or in some: as many as it was saved of.

        Raises:
            UserError: it was saved with another number of consoles, game, settings or version.
        """
        self.drop()
        chosen = slice(None) if consoles is None else consoles
        count = self.num_consoles if consoles is None else len(consoles)
        check_state(state, self._fingerprint, {name: (count, array.shape[1]) for name, array in self.state.items()})
        for name, array in self.state.items():
            array[chosen] = state[name]
        self._drawn_rows[chosen] = 0

    def close(self) -> None:
        """Ends the threads. The consoles cannot be used afterwards; closing twice is allowed."""
        self._finalizer()
        if self._upgrade is not None:
            self._leave()
            self._upgrade = None
