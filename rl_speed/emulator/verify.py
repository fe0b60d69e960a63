"""Compares the emulator with ale-py, frame by frame, and checks the hashes recorded in data/games.json."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_speed.emulator.actions import ACTION_NAMES
from rl_speed.emulator.consoles import Consoles
from rl_speed.emulator.games import Game, action_number, find_game, rom_path
from rl_speed.emulator.records import ConsoleReadout
from rl_speed.emulator.settings import ConsoleSettings, c_settings

if TYPE_CHECKING:
    from rl_speed.emulator.cuda import Launcher


@dataclass(frozen=True)
class Verdict:
    """How a comparison ended.

    Attributes:
        game: its name.
        frames: that were compared.
        ends: game ends, each followed by a reset, within them.
        differences: what differed first, in words; empty if nothing did.
    """

    game: str
    frames: int
    ends: int
    differences: list[str] = field(default_factory=list)


def make_ale(game: Game, seed: int, sticky_probability: float, rom: str | None = None) -> Any:
    """An ale-py console with the game loaded."""
    import ale_py

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", seed)
    ale.setFloat("repeat_action_probability", sticky_probability)
    ale.loadROM(rom or str(rom_path(game)))
    return ale


def first_difference(ale: Any, readout: ConsoleReadout) -> list[str]:
    """What differs between ale-py's console and ours, in words."""
    differences: list[str] = []
    ram = ale.getRAM()
    if not np.array_equal(ram, readout.ram):
        at = int(np.flatnonzero(ram != readout.ram)[0])
        differences.append(f"RAM byte {at} is {readout.ram[at]}, ale-py has {ram[at]}")
    screen = ale.getScreen()
    if screen.shape != readout.screen.shape:
        differences.append(f"the screen is {readout.screen.shape}, ale-py's {screen.shape}")
    elif not np.array_equal(screen, readout.screen):
        row, column = (int(place) for place in np.argwhere(screen != readout.screen)[0])
        ours, theirs = readout.screen[row, column], screen[row, column]
        differences.append(f"the pixel at row {row}, column {column} is {ours}, ale-py has {theirs}")
    pairs = [
        ("game over", readout.is_over, ale.game_over(with_truncation=False)),
        ("lives", readout.lives, ale.lives()),
        ("frame number", readout.frame, ale.getFrameNumber()),
        ("episode frame number", readout.episode_frame, ale.getEpisodeFrameNumber()),
    ]
    differences += [f"{name} is {ours}, ale-py has {theirs}" for name, ours, theirs in pairs if ours != theirs]
    return differences


def verify(
    name: str,
    frames: int = 10_000,
    seed: int = 0,
    sticky_probability: float = 0.0,
    full_actions: bool = False,
    recompile: bool = True,
    mode: int | None = None,
    difficulty: int = 0,
) -> Verdict:
    """Plays random actions on both and compares RAM, screen, reward, lives, end of game and frame counters.

    Args:
        name: of the game.
        frames: to play. A game that ends is reset.
        seed: of the actions, and of ale-py.
        sticky_probability: of both.
        full_actions: choose among all 18 actions instead of the game's own.
        recompile: see Consoles.
        mode, difficulty: of the game; None for the default mode.

    Raises:
        UserError: the game has no such mode or difficulty.
    """
    game = find_game(name)
    c_settings(game, ConsoleSettings(mode=mode, difficulty=difficulty))
    settings = ConsoleSettings(sticky_probability=sticky_probability)
    consoles = Consoles(game, settings=settings, recompile=recompile)
    try:
        consoles.load(seed=seed)
        ale = make_ale(game, seed, sticky_probability)
        if mode is not None or difficulty != 0:
            mode = game.facts["default_mode"] if mode is None else mode
            ale.setMode(mode)
            ale.setDifficulty(difficulty)
            ale.reset_game()
            consoles.choose(mode, difficulty)
            consoles.reset_game()
        return _compare(game, consoles, ale, frames, seed, full_actions)
    finally:
        consoles.close()


def verify_variants(name: str, frames: int = 500, seed: int = 0) -> Verdict:
    """The same for every mode of a game in every difficulty, one after the other; see `verify`.

    Returns:
        one verdict over all of them, that ends with the first variant that differs.
    """
    game = find_game(name)
    played = ends = 0
    for mode, difficulty in itertools.product(game.modes, game.facts["difficulties"]):
        verdict = verify(name, frames, seed, recompile=False, mode=mode, difficulty=difficulty)
        played, ends = played + verdict.frames, ends + verdict.ends
        if verdict.differences:
            where = f"mode {mode}, difficulty {difficulty}"
            return Verdict(name, played, ends, [f"{where}: {text}" for text in verdict.differences])
    return Verdict(name, played, ends)


def _compare(game: Game, consoles: Consoles, ale: Any, frames: int, seed: int, full_actions: bool) -> Verdict:
    import ale_py

    actions = range(len(ACTION_NAMES)) if full_actions else [action_number(action) for action in game.minimal_actions]
    chosen = np.random.default_rng(seed).choice(np.array(actions), frames)
    differences = first_difference(ale, consoles.inspect())
    if differences:
        return Verdict(game.name, 0, 0, [f"after loading: {text}" for text in differences])
    ends = 0
    for frame in range(frames):
        action = int(chosen[frame])
        theirs = ale.act(ale_py.Action(action))
        ours = consoles.act(action)
        readout = consoles.inspect()
        differences = first_difference(ale, readout)
        if ours != theirs:
            differences.append(f"the reward is {ours}, ale-py has {theirs}")
        if differences:
            where = f"frame {frame} (action {ACTION_NAMES[action]})"
            return Verdict(game.name, frame, ends, [f"{where}: {text}" for text in differences])
        if readout.is_over:
            ends += 1
            ale.reset_game()
            consoles.reset_game()
            differences = first_difference(ale, consoles.inspect())
            if differences:
                return Verdict(game.name, frame, ends, [f"reset {ends}: {text}" for text in differences])
    return Verdict(game.name, frames, ends)


def golden(game: Game, consoles: Consoles) -> dict[str, Any]:
    """The hashes of RAM and screen that data/games.json records, played anew."""
    consoles.load(seed=0)
    readout = consoles.inspect()
    hashes: dict[str, Any] = {
        "start": hashlib.sha256(readout.ram.tobytes() + readout.screen.tobytes()).hexdigest()[:16]
    }
    generator = np.random.RandomState(1)
    running = hashlib.sha256()
    actions = [action_number(name) for name in game.minimal_actions]
    reward_sum = ends = action = 0
    for frame in range(2000):
        if frame % 4 == 0:
            action = actions[generator.randint(len(actions))]
        reward_sum += consoles.act(action)
        readout = consoles.inspect()
        running.update(readout.ram.tobytes() + readout.screen.tobytes())
        if frame == 99:
            hashes["f100"] = running.hexdigest()[:16]
        if readout.is_over:
            ends += 1
            consoles.reset_game()
    return {**hashes, "f2000": running.hexdigest()[:16], "reward_sum": reward_sum, "ends": ends}


def verify_cuda(
    name: str,
    frames: int,
    seed: int,
    num_consoles: int,
    make_launcher: Callable[[Game, dict[str, int]], Launcher] | None = None,
) -> Verdict:
    """Plays different random actions on many consoles, on the GPU and on the CPU.

    First every frame is drawn and goes into a hash, with its RAM, reward, lives and end of game, and every start is
    played; then consoles are played as an agent plays them, with starts that are copied. Results and last observations
    are compared after every step, whole states and observations after every 25th of the first and every fifth of these.

    Args:
        name: of the game.
        frames: to play, each time.
        seed: of the actions; console i is seeded with `seed` + i.
        num_consoles: N.
        make_launcher: where the kernels of a game, compiled with some macros, run; by default on the CUDA device.
    """
    from rl_speed.emulator.cuda import driver_launcher

    game = find_game(name)
    every_frame = {"HASH_FRAMES": 1, "ALWAYS_CAREFUL": 1}
    played = total = 0
    for defines, compare_every in ((every_frame, 25), ({}, 5)):
        steps = -(-frames // 4)
        make = make_launcher or (lambda game, defines: driver_launcher(game, num_consoles, defines=defines))
        done, ends, differences = _play_both(
            game, defines, steps, seed, num_consoles, make(game, defines), compare_every
        )
        played += done * 4 * num_consoles
        total += ends
        if differences:
            return Verdict(name, played, total, differences)
    return Verdict(name, played, total)


def _play_both(
    game: Game,
    defines: dict[str, int],
    steps: int,
    seed: int,
    num_consoles: int,
    launcher: Launcher,
    compare_every: int,
) -> tuple[int, int, list[str]]:
    """Steps that were equal, game ends, and what differed first."""
    import torch

    from rl_speed.emulator.cuda import CudaConsoles
    from rl_speed.system.cores import usable_cores

    # Starts that are played take 0.2 s of a GPU, however few: so all consoles begin anew in the same step.
    settings = ConsoleSettings(max_frames=2000, cache_starts=False) if defines else ConsoleSettings()
    ours = CudaConsoles(game, num_consoles, settings, launcher)
    flags = tuple(f"-D{macro}={value}" for macro, value in defines.items())
    other = Consoles(game, num_consoles, settings, threads=usable_cores().count, extra_flags=flags)
    seeds = seed + np.arange(num_consoles)
    rng = np.random.default_rng(seed)
    ends = 0

    def differing(part: str, device_rows: Any, host_rows: Any) -> list[str]:
        host = torch.from_numpy(host_rows)
        wrong = torch.nonzero(_hashes(device_rows).cpu() != _hashes(host)).flatten()
        if len(wrong) == 0:
            return []
        return [f"{part} of {len(wrong)} consoles, the first is row {int(wrong[0])}, differs between GPU and CPU"]

    try:
        ours.seed(torch.from_numpy(seeds))
        other.seed(seeds)
        for step in range(steps):
            actions = rng.integers(len(ours.action_names), size=num_consoles)
            ours.step(torch.from_numpy(actions).to(ours.device))
            theirs = other.step(actions)
            ends += int((theirs.terminated | theirs.truncated).sum())
            differences = []
            if (step + 1) % compare_every == 0 or step + 1 == steps:
                differences += differing("the hash of all frames", ours.state["episode"], other.state["episode"])
                differences += differing("the state", ours.state["console"], other.state["console"])
                differences += differing(
                    "the observation", ours.observation.flatten(1), theirs.observation.reshape(num_consoles, -1)
                )
            columns = (theirs.reward, theirs.lives, theirs.terminated, theirs.truncated)
            results = np.stack(
                [
                    *columns,
                    theirs.frame_number,
                    theirs.episode_frame_number,
                    theirs.ended,
                    theirs.final_lives,
                    theirs.final_frame_number,
                    theirs.final_episode_frame_number,
                ],
                axis=1,
            )
            over = np.flatnonzero(theirs.terminated | theirs.truncated)
            if len(over):
                mine = ours.final_observation[torch.from_numpy(over).to(ours.device)].flatten(1)
                differences += differing(
                    "the last observation", mine, theirs.final_observation[over].reshape(len(over), -1)
                )
            differences += differing(
                "the result", ours.results.long().view(torch.uint8), results.astype(np.int64).view(np.uint8)
            )
            if differences:
                return step, ends, [f"step {step}: {text}" for text in differences]
        return steps, ends, []
    finally:
        other.close()


def _hashes(rows: Any) -> Any:
    """int64 [N]: a hash of every row of a uint8 [N, bytes] tensor, the same on every device."""
    import torch

    words = rows[:, : rows.shape[1] // 8 * 8].contiguous().view(torch.int64)
    factors = torch.arange(1, words.shape[1] + 1, dtype=torch.int64, device=rows.device) * -7046029254386353131 | 1
    # Products and sums wrap at 64 bits, in whatever order.
    return (words * factors).sum(dim=1)
