"""Speed of the emulator beside ale-py's vector env and EnvPool: same game, same observation, same run, in turn."""

from __future__ import annotations

import contextlib
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import AutoresetMode

from rl_speed.emulator.consoles import Consoles
from rl_speed.emulator.games import Game
from rl_speed.emulator.settings import ConsoleSettings
from rl_speed.emulator.vector_env import AtariVectorEnv

if TYPE_CHECKING:  # torch takes seconds, and the emulator does without
    from rl_speed.emulator.cuda import CudaConsoles

FRAME_SKIP = 4
STEPS_APART = 400  # after which consoles that began alike have drifted apart
MOST_PEER_ENVS = 4096  # beyond, the others need more memory than most machines have
# Where a GPU is measured, with more consoles than others can make and seed in seconds.
MOST_PEER_ENVS_BESIDE_GPU, MOST_CPU_ENVS_BESIDE_GPU = 1024, 16_384


@dataclass(frozen=True)
class Speed:
    """What one engine reached with one number of envs.

    Attributes:
        engine: native-cpu and cuda (this one), ale-vector or envpool.
        num_envs: consoles stepped together.
        observations: 84x84 observations were made.
        frames_per_second: emulator frames, four per env step; median over the repeats.
        least, most: over the repeats.
    """

    engine: str
    num_envs: int
    observations: bool
    frames_per_second: float
    least: float
    most: float


Steps = Callable[[np.ndarray[Any, Any]], None]


@dataclass(frozen=True)
class _Engine:
    steps: dict[bool, Steps]  # with observations or without
    close: Callable[[], None]


def _ours(game: Game, num_envs: int, threads: int) -> _Engine:
    consoles = Consoles(game, num_envs, threads=threads)
    consoles.seed(np.arange(num_envs, dtype=np.int64))
    envs = AtariVectorEnv(game.name, num_envs, num_threads=threads, stack_num=1, autoreset_mode=AutoresetMode.SAME_STEP)
    envs.reset(seed=0)

    def close() -> None:
        consoles.close()
        envs.close()

    return _Engine({True: lambda actions: (envs.step(actions), None)[1], False: consoles.step_unseen}, close)


def _consoles_apart(game: Game, num_envs: int) -> CudaConsoles:
    """Consoles on the GPU that have drifted apart: those that have just begun hardly wait for each other."""
    import torch

    from rl_speed.emulator.cuda import CudaConsoles

    consoles = CudaConsoles(game, num_envs)
    consoles.seed(torch.arange(num_envs))
    draw = torch.Generator(consoles.device).manual_seed(1)
    for _ in range(STEPS_APART):
        actions = torch.randint(len(game.minimal_actions), (num_envs,), generator=draw, device=consoles.device)
        consoles.step_unseen(actions)
    torch.cuda.synchronize()
    return consoles


def _cuda(game: Game, num_envs: int) -> _Engine:
    import torch

    consoles = _consoles_apart(game, num_envs)
    generator = torch.Generator(consoles.device).manual_seed(0)
    most = len(game.minimal_actions)
    actions = torch.randint(most, (64, num_envs), generator=generator, device=consoles.device)
    done = 0

    def play(take: Callable[[torch.Tensor], None]) -> None:
        # As in training, where nothing waits for the device at every step; but no more than a few steps are queued.
        nonlocal done
        take(actions[done % len(actions)])
        done += 1
        if done % 16 == 0:
            torch.cuda.synchronize()

    return _Engine({True: lambda _: play(consoles.step), False: lambda _: play(consoles.step_unseen)}, lambda: None)


def _ale(game: Game, num_envs: int, threads: int) -> _Engine:
    from ale_py.vector_env import AtariVectorEnv as AlePyVectorEnv

    env = AlePyVectorEnv(
        game.name, num_envs=num_envs, num_threads=threads, stack_num=1, autoreset_mode=AutoresetMode.SAME_STEP
    )
    env.reset(seed=0)
    return _Engine({True: lambda actions: (env.step(actions), None)[1]}, env.close)


def _envpool(game: Game, num_envs: int, threads: int) -> _Engine | None:
    if importlib.util.find_spec("envpool") is None:
        return None
    import envpool

    task = "".join(part.capitalize() for part in game.name.split("_")) + "-v5"
    try:
        env = envpool.make_gymnasium(task, num_envs=num_envs, num_threads=threads, stack_num=1, seed=0)
    except Exception:  # a game that EnvPool does not have
        return None
    env.reset()
    return _Engine({True: lambda actions: (env.step(actions), None)[1]}, env.close)


def _window(step: Steps, actions: np.ndarray[Any, Any], seconds: float) -> float:
    """Env steps of all envs per second."""
    num_envs = actions.shape[1]
    done = 0
    started = time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        step(actions[done % len(actions)])
        done += 1
    return float(done * num_envs / passed)


def measure(
    game: Game,
    num_envs: int,
    threads: int,
    seconds: float = 3.0,
    repeats: int = 3,
    on_gpu: bool = False,
    only_ale: bool = False,
) -> list[Speed]:
    """Measures every engine, random actions, the engines in turn.

    Args:
        game: to play.
        num_envs: consoles of each.
        threads: of every engine.
        seconds: of each window.
        repeats: windows per engine.
        on_gpu: measure the emulator on the GPU too.
        only_ale: no engine but ale-py's beside this one, and no steps without observations.

    Raises:
        UserError: so many consoles do not fit into memory.
    """
    engines: dict[str, _Engine | None] = {}
    windows: dict[tuple[str, bool], list[float]] = {}
    actions = np.random.default_rng(0).integers(len(game.minimal_actions), size=(256, num_envs))
    with contextlib.ExitStack() as stack:
        if on_gpu:
            engines["cuda"] = _cuda(game, num_envs)
        if not on_gpu or num_envs <= MOST_CPU_ENVS_BESIDE_GPU:
            engines["native-cpu"] = _ours(game, num_envs, threads)
        if num_envs <= (MOST_PEER_ENVS_BESIDE_GPU if on_gpu else MOST_PEER_ENVS):
            engines["ale-vector"] = _ale(game, num_envs, threads)
            engines["envpool"] = None if only_ale else _envpool(game, num_envs, threads)
        present = {name: engine for name, engine in engines.items() if engine is not None}
        for engine in present.values():
            stack.callback(engine.close)
        order = [(name, seen) for name, engine in present.items() for seen in engine.steps if seen or not only_ale]
        for repeat in range(repeats):
            for key in order[repeat % len(order) :] + order[: repeat % len(order)]:
                step = present[key[0]].steps[key[1]]
                _window(step, actions, seconds / 10)
                windows.setdefault(key, []).append(FRAME_SKIP * _window(step, actions, seconds))
    in_order = {key: windows[key] for key in order}
    return [
        Speed(name, num_envs, seen, statistics.median(speeds), min(speeds), max(speeds))
        for (name, seen), speeds in in_order.items()
    ]


@dataclass(frozen=True)
class TurnCount:
    """Turns of a frame, see source/warp.h: blocks of instructions, or single ones if the ROM is interpreted.

    Attributes:
        alone: of one console.
        together: of a warp of 32 that have played on their own for a while.
        lanes: consoles that took part in such a turn, on average.
        replay_alone, replay_together, replay_lanes: the same of notes of writes to the TIA.
    """

    alone: float
    together: float
    lanes: float
    replay_alone: float
    replay_together: float
    replay_lanes: float


def count_turns(game: Game, recompile: bool, warm_up_steps: int = 1000, steps: int = 25) -> TurnCount:
    """Counts the turns of the CUDA kernels, which run on the CPU for that.

    Args:
        game: to play, with random actions.
        recompile: with the ROM as compiled blocks.
        warm_up_steps: of the CPU's consoles, which then go on in the kernels.
        steps: of the kernels.
    """
    import torch

    from rl_speed.emulator.cuda import CudaConsoles, kernel_parts
    from rl_speed.emulator.simulated import SimulatedLauncher

    launcher = SimulatedLauncher(*kernel_parts(game, recompile))
    rng = np.random.default_rng(0)
    divergences = []
    settings = ConsoleSettings(noop_max=1)
    for count in (1, 32):
        warm = Consoles(game, count, settings)
        warm.seed(np.arange(count))
        for _ in range(warm_up_steps):
            warm.step(rng.integers(len(game.minimal_actions), size=count))
        consoles = CudaConsoles(game, count, settings, launcher)
        consoles.restore({name: torch.from_numpy(rows) for name, rows in warm.save().items()})
        warm.close()
        launcher.take_divergence()
        for _ in range(steps):
            consoles.step(torch.from_numpy(rng.integers(len(game.minimal_actions), size=count)))
        divergences.append(launcher.take_divergence())
    one, warp = divergences
    frames = FRAME_SKIP * steps
    return TurnCount(
        one.processor_turns / frames, warp.processor_turns / frames, warp.processor_lanes,
        one.replay_turns / frames, warp.replay_turns / frames, warp.replay_lanes,
    )  # fmt: skip


def kernel_milliseconds(game: Game, num_envs: int, steps: int = 50) -> dict[str, float]:
    """Milliseconds of each of a step's launches on the GPU: median over the steps.

    Args:
        game: to play, with random actions.
        num_envs: consoles.
        steps: that are timed.
    """
    import torch

    consoles = _consoles_apart(game, num_envs)
    inner, events = consoles.launcher, []

    class Timed:
        device = inner.device
        free_bytes = inner.free_bytes

        def launch(self, *arguments: Any) -> None:
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            start.record()
            inner.launch(*arguments)
            end.record()
            events.append((start, end))

    consoles.launcher = Timed()
    for _ in range(steps):
        consoles.step(torch.randint(len(game.minimal_actions), (num_envs,), device=consoles.device))
        torch.cuda.synchronize()
    launches = ("play", "observations", "starts", "their observations")
    times = [start.elapsed_time(end) for start, end in events]
    return {name: statistics.median(times[place :: len(launches)]) for place, name in enumerate(launches)}
