"""The compiled emulator of a game: its ROM interpreted, sooner ready, or as compiled blocks, which is fast."""

from __future__ import annotations

import ctypes
import io
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import ClassVar

import numpy as np

from rl_speed.emulator.compiler import emulator_program
from rl_speed.emulator.games import Game, action_number, read_rom
from rl_speed.emulator.instructions import interpreter
from rl_speed.emulator.recompiler import BANKS, blocks
from rl_speed.system.arrays import UInt8Array
from rl_speed.system.code_cache import keep, load_library, mark_used
from rl_speed.system.compiler import find_compiler
from rl_speed.system.ending import Ending
from rl_speed.system.errors import EndedBeforeStartError, UserError
from rl_speed.system.native_code import cached_library, library_path

_COVERAGE_FRAMES = 4000
# An interpreter is what waits for the blocks: sooner ready is better than fast.
_INTERPRETER_FLAGS = ("-O1",)
_LOGGER = logging.getLogger(__name__)


def _generated(game: Game) -> dict[str, str]:
    return {"interpreter.inc": interpreter(), "rule.inc": game.rule_source()}


def interpreter_library(
    game: Game,
    own_rom: bool = True,
    extra_flags: tuple[str, ...] = (),
    ending: Ending | None = None,
) -> Path:
    """The library that interprets, compiled now or found in the cache.

    Args:
        game: the game.
        own_rom: it will run the game's own ROM.
        extra_flags: for the compiler, for tests.
        ending: when compiling has to end unfinished; by default never.

    Raises:
        EndedBeforeStartError: it had to end unfinished.
        UserError: there is no compiler, or the cache cannot be written.
    """
    defines = game.defines()
    if not own_rom:
        # ale-py knows the switches at power-on by the ROM's checksum, not by its name.
        defines = {**defines, "POWER_ON_DIFFICULTY": 0}
    flags = (*_INTERPRETER_FLAGS, *extra_flags)
    return library_path(emulator_program(f"an interpreter for {game.name}", _generated(game), defines, flags), ending)


def recompiled_library(
    game: Game, rom_path: Path | None = None, extra_flags: tuple[str, ...] = (), ending: Ending | None = None
) -> Path:
    """The library that runs the game's own ROM as compiled blocks, compiled now or found in the cache.

    Args:
        game, extra_flags, ending: see interpreter_library.
        rom_path: file of the ROM, instead of the one in ale_py.

    Raises:
        EndedBeforeStartError, UserError: see interpreter_library.
    """
    generated = {**_generated(game), "blocks.inc": find_blocks(game, rom_path, ending)}
    defines = {**game.defines(), "BLOCKS": 1}
    return library_path(emulator_program(f"the emulator for {game.name}", generated, defines, extra_flags), ending)


def kept_recompiled_library(game: Game, rom_path: Path | None = None) -> Path | None:
    """The same if it lies in the cache; else None, and nothing is compiled."""
    name = game.name
    found = cached_library(emulator_program(name, _generated(game), game.defines(), _INTERPRETER_FLAGS))
    if found is None or not _coverage_path(found, game).exists():
        return None
    generated = {**_generated(game), "blocks.inc": find_blocks(game, rom_path)}
    return cached_library(emulator_program(name, generated, {**game.defines(), "BLOCKS": 1}))


def find_blocks(game: Game, rom_path: Path | None = None, ending: Ending | None = None) -> str:
    """The game's ROM as compiled blocks: blocks.inc.

    Which bytes of the ROM are code shows when it is played on the interpreter for a while: once, and kept in the cache.

    Args:
        game, rom_path, ending: see recompiled_library.

    Raises:
        EndedBeforeStartError, UserError: see interpreter_library.
    """
    rom = read_rom(game, rom_path)
    library = interpreter_library(game, ending=ending)
    path = _coverage_path(library, game)
    coverage = _kept_coverage(path)
    if coverage is None:
        coverage = _record_coverage(game, rom, load_library(library))
        content = io.BytesIO()
        np.save(content, coverage)
        keep(path, content.getvalue())
    return blocks(game.facts["cart"], rom, coverage)


def _kept_coverage(path: Path) -> UInt8Array | None:
    """What was recorded before; None if nothing was, or a crash left a part of it."""
    try:
        coverage: UInt8Array = np.load(path)
    except (OSError, ValueError, EOFError):
        return None
    mark_used(path)
    return coverage if coverage.shape == (BANKS << 16,) and coverage.dtype == np.uint8 else None


def _coverage_path(library: Path, game: Game) -> Path:
    # Games whose rules and facts are alike share a library, but not their code.
    return library.with_suffix(f".{game.facts['md5']}.npy")


def _record_coverage(game: Game, rom: bytes, library: ctypes.CDLL) -> UInt8Array:
    """The places of the ROM that ran as code while random actions were played; see `recompiler.blocks`."""
    coverage = np.zeros(BANKS << 16, dtype=np.uint8)
    numbers = np.array([action_number(name) for name in game.minimal_actions])
    actions = np.random.default_rng(0).choice(numbers, _COVERAGE_FRAMES).astype(np.int32)
    library.emulator_find_code(
        rom, game.facts["default_mode"], ctypes.c_void_p(actions.ctypes.data), len(actions),
        ctypes.c_void_p(coverage.ctypes.data),
    )  # fmt: skip
    return coverage


class Upgrade:
    """Compiles a game's blocks in the background, while it is played on the interpreter; once for all who play it.

    Args:
        game, rom_path: see recompiled_library.
    """

    _running: ClassVar[dict[tuple[str, Path | None], Upgrade]] = {}
    _lock = threading.RLock()  # one that a finalizer may take in any place

    @classmethod
    def of(cls, game: Game, rom_path: Path | None) -> Upgrade:
        """The one for this game; everybody who asks for it says `leave` once."""
        with cls._lock:
            key = (game.name, rom_path)
            one = cls._running.get(key)
            if one is None or (one.ready is None and not one._thread.is_alive()):
                one = cls._running[key] = cls(game, rom_path)
            one._users += 1
            return one

    def __init__(self, game: Game, rom_path: Path | None) -> None:
        self._key, self._users, self._ending = (game.name, rom_path), 0, Ending()
        self.ready: Path | None = None
        # A daemon, so that a program that ends without closing its envs does not wait for the compiler.
        self._thread = threading.Thread(target=self._work, args=(game, rom_path), name="compile", daemon=True)
        self._thread.start()

    def _work(self, game: Game, rom_path: Path | None) -> None:
        try:
            self.ready = recompiled_library(game, rom_path, ending=self._ending)
        except EndedBeforeStartError:
            pass
        except UserError as error:
            _LOGGER.warning("%s goes on with the interpreter: %s", game.name, error)

    def wait(self) -> None:
        """Until it is ready, or cannot be had."""
        self._thread.join()

    def leave(self) -> None:
        """Nobody waits for it any more where all have left: then the compiler ends."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            if self._running.get(self._key) is self:
                self._running.pop(self._key)
        self._ending.stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join()


def _forget_after_fork() -> None:
    # Their threads are the other process's.
    Upgrade._running, Upgrade._lock = {}, threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def warm(games: Iterable[Game], processes: int) -> Iterator[Game]:
    """Compiles games ahead, some at a time; each is told when it is ready.

    Raises:
        UserError: see recompiled_library.
    """
    find_compiler()  # its sentence once, not once for every game
    chosen = list(games)
    with ProcessPoolExecutor(min(processes, len(chosen))) as pool:
        futures = {pool.submit(recompiled_library, game): game for game in chosen}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
