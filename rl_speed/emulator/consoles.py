"""N consoles of one game on the CPU: the C++ emulator behind numpy arrays."""

from __future__ import annotations

import ctypes
import os
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from rl_speed.emulator.checks import check_count, check_seeds, check_state, state_fingerprint
from rl_speed.emulator.compiler import library_path, load_library, unwritable_cache
from rl_speed.emulator.games import Game, action_number, read_rom
from rl_speed.emulator.instructions import interpreter
from rl_speed.emulator.recompiler import BANKS, blocks
from rl_speed.emulator.settings import SCREEN_COLUMNS, ConsoleSettings, CSettings, c_settings
from rl_speed.system.arrays import Int64Array, UInt8Array
from rl_speed.system.ending import Ending
from rl_speed.system.errors import UserError

_MAX_ROWS = 250
_COVERAGE_FRAMES = 4000


@dataclass
class Step:
    """What a step gives, one entry per console.

    Attributes:
        observation: [N, H, W] uint8; after an end, the next game's first.
        final_observation: [N, H, W] uint8; of the game that ended, where one did. The next step writes to it.
        reward: [N] int64, unclipped.
        lives: [N] int64.
        terminated, truncated: [N] bool.
    """

    observation: UInt8Array
    final_observation: UInt8Array
    reward: Int64Array
    lives: Int64Array
    terminated: np.ndarray[Any, np.dtype[np.bool_]] = field(repr=False)
    truncated: np.ndarray[Any, np.dtype[np.bool_]] = field(repr=False)


@dataclass(frozen=True)
class ConsoleReadout:
    """What can be read from one console between two frames.

    Attributes:
        ram: [128] uint8.
        screen: [height, 160] uint8 palette values.
        reward: of the last frame.
        lives: as ale-py counts them.
        is_over: the game is over.
        frame, episode_frame: frames since loading, and since the last reset.
        registers: of the processor, and where the frame stands.
    """

    ram: UInt8Array
    screen: UInt8Array
    reward: int
    lives: int
    is_over: bool
    frame: int
    episode_frame: int
    registers: dict[str, int]


def find_blocks(game: Game, rom_path: Path | None = None, ending: Ending | None = None) -> str:
    """The game's ROM as compiled blocks: blocks.inc.

    Which bytes of the ROM are code shows when it is played on the interpreter for a while: once, and kept in the cache.

    Args:
        game: the game.
        rom_path, ending: see Consoles.

    Raises:
        UserError: there is no compiler, or the cache cannot be written.
    """
    rom = read_rom(game, rom_path)
    consoles = Consoles(game, rom_path=rom_path, recompile=False, ending=ending)
    try:
        # Games whose rules and facts are alike share a library, but not their code.
        path = consoles.library_path.with_suffix(f".{game.facts['md5']}.npy")
        try:
            coverage = np.load(path)
        except (OSError, ValueError):
            coverage = _record_coverage(game, consoles)
            try:
                with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npy", delete=False) as file:
                    np.save(file, coverage)
                os.replace(file.name, path)
            except OSError as error:
                raise unwritable_cache(error) from error
    finally:
        consoles.close()
    return blocks(game.facts["cart"], rom, coverage)


def _record_coverage(game: Game, consoles: Consoles) -> UInt8Array:
    """The places of the ROM that ran as code while random actions were played; see `recompiler.blocks`."""
    coverage = np.zeros(BANKS << 16, dtype=np.uint8)
    consoles._library.emulator_coverage(consoles._batch, _pointer(coverage))
    consoles.load()
    actions = [action_number(name) for name in game.minimal_actions]
    for action in np.random.default_rng(0).choice(np.array(actions), _COVERAGE_FRAMES):
        consoles.act(int(action))
        if consoles.is_over():
            consoles.reset_game()
    return coverage


def _pointer(array: np.ndarray[Any, Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _close(library: ctypes.CDLL, handle: ctypes.c_void_p, *arrays: object) -> None:
    library.emulator_close(handle)


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
        recompile: run the ROM as compiled blocks where they are known.
        rom_path: file of the game's own ROM, instead of the one in ale_py.
        extra_flags: for the compiler, for tests.
        ending: when compiling has to end unfinished; by default never.

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
        recompile: bool = True,
        rom_path: Path | None = None,
        extra_flags: tuple[str, ...] = (),
        ending: Ending | None = None,
    ) -> None:
        check_count(num_consoles)
        self.game = game
        self.num_consoles = num_consoles
        self.settings = settings or ConsoleSettings()
        settings_in_c, self.action_names = c_settings(game, self.settings)
        self._rows = settings_in_c.rows
        own_rom = rom is None
        rom = read_rom(game, rom_path) if rom is None else rom
        if len(rom) != game.facts["size"]:
            raise UserError(f"rom: {game.name} has {game.facts['size']:,} bytes, not {len(rom):,}.")
        generated = {"interpreter.inc": interpreter(), "rule.inc": game.rule_source()}
        defines = game.defines()
        if not own_rom:
            # ale-py knows the switches at power-on by the ROM's checksum, not by its name.
            defines = {**defines, "POWER_ON_DIFFICULTY": 0}
        subject = f"an interpreter that finds the code of {game.name}"
        if recompile and own_rom:
            subject = f"the emulator for {game.name}"
            generated["blocks.inc"] = find_blocks(game, rom_path, ending)
            defines = {**defines, "BLOCKS": 1}
        self.library_path = library_path(generated, defines, extra_flags, subject=subject, ending=ending)
        self._library = load_library(self.library_path)
        self._library.emulator_open.restype = ctypes.c_void_p
        settings_in_c.cache_starts &= int(own_rom)
        self._fingerprint = state_fingerprint(game, self.settings)
        self._allocate(settings_in_c.noop_max if settings_in_c.cache_starts else 0)
        self._open(rom, settings_in_c, max(1, min(threads, num_consoles)))

    def _allocate(self, starts: int) -> None:
        sizes = (ctypes.c_int * 8)()
        self._library.emulator_sizes(sizes)
        assert sizes[4] == ctypes.sizeof(CSettings), "Settings differ between consoles.py and source/observe.h"
        n = self.num_consoles
        needed = n * (sizes[0] + sizes[1] + 3 * sizes[2] + sizes[3]) + starts * 3 * sizes[2]
        free = psutil.virtual_memory().available
        if needed > free:
            raise UserError(
                f"num_envs: {n:,} consoles need {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; give "
                f"at most {max(1, int(n * free / needed)):,}."
            )
        self.state: dict[str, UInt8Array] = {
            "console": np.zeros((n, sizes[0]), dtype=np.uint8),
            "generators": np.zeros((n, sizes[1]), dtype=np.uint8),
            "pictures": np.zeros((n, 2 * sizes[2]), dtype=np.uint8),
            "grey": np.zeros((n, sizes[2]), dtype=np.uint8),
            "episode": np.zeros((n, sizes[3]), dtype=np.uint8),
        }
        shape = (n, self._rows, self.settings.image_width)
        self._observation = np.zeros(shape, dtype=np.uint8)
        self._final = np.zeros(shape, dtype=np.uint8)
        self._results = np.zeros((n, 4), dtype=np.int32)
        self._actions = np.zeros(n, dtype=np.int32)
        self._ram = np.zeros(128, dtype=np.uint8)
        self._picture = np.zeros(_MAX_ROWS * SCREEN_COLUMNS, dtype=np.uint8)
        self._numbers = np.zeros(16, dtype=np.int32)

    def _open(self, rom: bytes, settings: CSettings, threads: int) -> None:
        buffer = (ctypes.c_ubyte * len(rom)).from_buffer_copy(rom)
        arrays = [_pointer(self.state[name]) for name in ("console", "generators", "pictures", "grey", "episode")]
        handle = self._library.emulator_open(
            self.num_consoles, threads, buffer, len(rom), ctypes.byref(settings), *arrays
        )
        if not handle:
            raise UserError(f"envs.threads: {threads} threads cannot be started here; give fewer.")
        self._handle = ctypes.c_void_p(handle)
        # The arrays must live as long as the threads that write to them.
        self._finalizer = weakref.finalize(
            self, _close, self._library, self._handle, self.state, self._observation, self._final, self._results,
            self._actions,
        )  # fmt: skip

    @property
    def _batch(self) -> ctypes.c_void_p:
        if not self._finalizer.alive:
            raise RuntimeError("the consoles are closed")
        return self._handle

    def _place(self, index: int) -> int:
        if not 0 <= index < self.num_consoles:
            raise IndexError(f"console {index} of {self.num_consoles}")
        return index

    # --- as an agent sees them ---

    def seed(self, seeds: Int64Array, mask: np.ndarray[Any, Any] | None = None) -> Step:
        """Loads the ROM anew and starts a game, in the consoles of the mask or in all.

        Args:
            seeds: [N], each from 0 to 2^32 - 1.
            mask: [N] bool.
        """
        check_seeds(seeds, self.num_consoles)
        seeds32 = np.ascontiguousarray(seeds, dtype=np.uint32)
        flags = None if mask is None else np.ascontiguousarray(np.broadcast_to(mask, self.num_consoles), dtype=np.uint8)
        self._library.batch_seed(
            self._batch,
            _pointer(seeds32),
            None if flags is None else _pointer(flags),
            _pointer(self._observation),
            _pointer(self._results),
        )
        return self._step()

    def send(self, actions: Int64Array) -> None:
        """Starts a step and returns; the consoles run on threads of their own until `recv`.

        Args:
            actions: [N] indices into `action_names`.
        """
        self._take(actions)
        self._library.batch_send(
            self._batch,
            _pointer(self._actions),
            _pointer(self._observation),
            _pointer(self._final),
            _pointer(self._results),
        )

    def recv(self) -> Step:
        """Waits for the step that `send` started. The arrays are copies, but for `final_observation`."""
        self._library.batch_wait(self._batch)
        return self._step()

    def step(self, actions: Int64Array) -> Step:
        """`send`, then `recv`."""
        self.send(actions)
        return self.recv()

    def step_unseen(self, actions: Int64Array) -> None:
        """A step without observations, for which nothing is drawn. Observations are right again after `seed`."""
        self._take(actions)
        self._library.batch_send(self._batch, _pointer(self._actions), None, None, _pointer(self._results))
        self._library.batch_wait(self._batch)

    def _take(self, actions: Int64Array) -> None:
        if actions.min() < 0 or actions.max() >= len(self.action_names):
            raise UserError(f"actions: {actions.tolist()} must be indices from 0 to {len(self.action_names) - 1}.")
        np.copyto(self._actions, actions, casting="unsafe")

    def _step(self) -> Step:
        results = self._results.astype(np.int64)
        return Step(
            self._observation.copy(),
            self._final,
            results[:, 0],
            results[:, 1],
            results[:, 2].astype(np.bool_),
            results[:, 3].astype(np.bool_),
        )

    # --- frame by frame, exactly drawn ---

    def load(self, index: int = 0, seed: int = 0) -> None:
        """Loads the ROM into a console, as ale-py's loadROM does."""
        self._library.console_load(self._batch, self._place(index), ctypes.c_uint32(seed))

    def reset_game(self, index: int = 0) -> None:
        """Starts a new episode, as ale-py's reset_game does."""
        self._library.console_reset(self._batch, self._place(index))

    def act(self, action: int, index: int = 0) -> int:
        """Plays one frame and returns its reward, as ale-py's act does. `action` is ale-py's number."""
        return int(self._library.console_act(self._batch, self._place(index), action))

    def is_over(self, index: int = 0) -> bool:
        """True if a console's game is over, so that it plays no more frames until it is reset."""
        return bool(self._library.console_is_over(self._batch, self._place(index)))

    def choose(self, mode: int, difficulty: int, index: int = 0) -> None:
        """Sets the mode and the difficulty from the next reset on."""
        self._library.console_choose(self._batch, self._place(index), mode, difficulty)

    def poke(self, address: int, value: int, index: int = 0) -> None:
        """Overwrites a byte of RAM."""
        self._library.console_poke(self._batch, self._place(index), int(address), int(value))

    def set_registers(self, pc: int, a: int, x: int, y: int, sp: int, p: int, index: int = 0) -> None:
        """Overwrites the processor's registers: program counter, A, X, Y, stack pointer and flags."""
        values = (ctypes.c_int * 6)(pc, a, x, y, sp, p)
        self._library.console_set_registers(self._batch, self._place(index), values)

    def inspect(self, index: int = 0) -> ConsoleReadout:
        """Reads RAM, screen, counters and registers. The arrays are copies."""
        self._library.console_look(
            self._batch, self._place(index), _pointer(self._ram), _pointer(self._picture), _pointer(self._numbers)
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

    def save(self) -> dict[str, UInt8Array]:
        """A copy of everything, to be given to `restore`; [N, bytes] each."""
        saved = {name: array.copy() for name, array in self.state.items()}
        return {**saved, "fingerprint": self._fingerprint.copy()}

    def restore(self, state: dict[str, UInt8Array]) -> None:
        """Brings a saved state back.

        Raises:
            UserError: it was saved with another number of consoles, game, settings or version.
        """
        check_state(state, self._fingerprint, {name: array.shape for name, array in self.state.items()})
        for name, array in self.state.items():
            np.copyto(array, state[name])

    def close(self) -> None:
        """Ends the threads. The consoles cannot be used afterwards; closing twice is allowed."""
        self._finalizer()
