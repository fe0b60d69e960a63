"""Speed of the emulator beside ale-py's vector env and EnvPool: same game, same observation, same run, in turn."""

from __future__ import annotations

import contextlib
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_speed.emulator.consoles import Consoles
from rl_speed.emulator.games import Game

FRAME_SKIP = 4
MOST_PEER_ENVS = 4096  # beyond, the others need more memory than most machines have


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


def _ours(game: Game, num_envs: int, threads: int, observe: bool) -> tuple[Steps, Callable[[], None]]:
    consoles = Consoles(game, num_envs, threads=threads)
    consoles.seed(np.arange(num_envs, dtype=np.int64))
    if observe:
        return lambda actions: (consoles.step(actions), None)[1], consoles.close
    return consoles.step_unseen, consoles.close


def _cuda(game: Game, num_envs: int) -> tuple[Steps, Callable[[], None]]:
    import torch

    from rl_speed.emulator.cuda import CudaConsoles

    consoles = CudaConsoles(game, num_envs)
    consoles.seed(torch.arange(num_envs))

    def step(actions: np.ndarray[Any, Any]) -> None:
        consoles.step(torch.from_numpy(actions).to(consoles.device))
        torch.cuda.synchronize()

    return step, lambda: None


def _ale(game: Game, num_envs: int, threads: int) -> tuple[Steps, Callable[[], None]]:
    from ale_py.vector_env import AtariVectorEnv
    from gymnasium.vector import AutoresetMode

    env = AtariVectorEnv(
        game.name, num_envs=num_envs, num_threads=threads, stack_num=1, autoreset_mode=AutoresetMode.SAME_STEP
    )
    env.reset(seed=0)
    return lambda actions: (env.step(actions), None)[1], env.close


def _envpool(game: Game, num_envs: int, threads: int) -> tuple[Steps, Callable[[], None]] | None:
    if importlib.util.find_spec("envpool") is None:
        return None
    import envpool

    task = "".join(part.capitalize() for part in game.name.split("_")) + "-v5"
    try:
        env = envpool.make_gymnasium(task, num_envs=num_envs, num_threads=threads, stack_num=1, seed=0)
    except Exception:  # a game that EnvPool does not have
        return None
    env.reset()
    return lambda actions: (env.step(actions), None)[1], env.close


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
    num_envs: list[int],
    threads: int,
    seconds: float = 3.0,
    repeats: int = 3,
    on_gpu: bool = False,
) -> list[Speed]:
    """Measures every engine with every number of envs, random actions, the engines in turn.

    Args:
        game: to play.
        num_envs: numbers of envs.
        threads: of every engine.
        seconds: of each window.
        repeats: windows per engine.
        on_gpu: measure the emulator on the GPU too.
    """
    results = []
    for count in num_envs:
        engines = {
            ("native-cpu", True): _ours(game, count, threads, True),
            ("native-cpu", False): _ours(game, count, threads, False),
            ("ale-vector", True): _ale(game, count, threads) if count <= MOST_PEER_ENVS else None,
            ("envpool", True): _envpool(game, count, threads) if count <= MOST_PEER_ENVS else None,
            ("cuda", True): _cuda(game, count) if on_gpu else None,
        }
        actions = np.random.default_rng(0).integers(len(game.minimal_actions), size=(1000, count))
        windows: dict[tuple[str, bool], list[float]] = {}
        present = {key: engine for key, engine in engines.items() if engine is not None}
        with contextlib.ExitStack() as stack:
            for _, close in present.values():
                stack.callback(close)
            for repeat in range(repeats):
                order = list(present)
                for key in order[repeat % len(order) :] + order[: repeat % len(order)]:
                    step = present[key][0]
                    _window(step, actions, seconds / 10)
                    windows.setdefault(key, []).append(FRAME_SKIP * _window(step, actions, seconds))
        for key in present:
            speeds = windows[key]
            result = Speed(key[0], count, key[1], statistics.median(speeds), min(speeds), max(speeds))
            results.append(result)
    return results
