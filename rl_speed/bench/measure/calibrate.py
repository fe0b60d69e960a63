"""What the shares of one rung do not tell about another: bfloat16, threads and env backends, each measured alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from rl_speed.config import RunConfig, load_config
from rl_speed.emulator.compiler import CompilerMissingError
from rl_speed.experience.envs import make_env
from rl_speed.learner.module import DQNModule
from rl_speed.records import Batch
from rl_speed.system.machine import usable_cores
from rl_speed.system.stage_timer import StageTimer


def random_batch(config: RunConfig, num_actions: int) -> Batch:
    """A minibatch of noise in the shapes of a configuration."""
    envs, size = config.envs, config.update.batch_size
    shape = (size, envs.frame_height, envs.image_width, envs.frame_stack)

    def observation() -> torch.Tensor:
        return torch.randint(0, 256, shape, dtype=torch.uint8).permute(0, 3, 1, 2)

    return Batch(
        observation(),
        torch.randint(0, num_actions, (size,)),
        torch.randn(size),
        torch.full((size,), 0.9),
        observation(),
        torch.ones(size, dtype=torch.bool),
        torch.ones(size),
        torch.arange(size),
    )


def _best_seconds(function: Callable[[], Any], seconds: float) -> float:
    """The shortest of many calls: what the work takes when nothing disturbs it."""
    function()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def _update(config: RunConfig, bf16: bool, threads: int, seconds: float) -> float:
    torch.set_num_threads(threads)
    module, batch = DQNModule(config, 6, StageTimer()), random_batch(config, 6)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss, _ = module.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]

    return _best_seconds(step, seconds)


def calibrate(seconds: float) -> dict[str, Any]:
    """Measures what the expectations of the diagnosis need, on the CPU.

    Args:
        seconds: for each of the small measurements.

    Returns:
        bf16_factor: how many times faster the fast preset's gradients are in bfloat16 than in float32, on one thread;
        thread_factor: how many times faster the baseline's are on all cores than on one;
        env_seconds: seconds per env step of each backend, one thread.
    """
    baseline, fast = load_config("baseline"), load_config("fast_cpu")
    cores = usable_cores()
    bf16_factor = _update(fast, False, 1, seconds) / _update(fast, True, 1, seconds)
    thread_factor = _update(baseline, False, 1, seconds) / _update(baseline, False, cores, seconds)
    env_seconds = {}
    for backend in ("classic", "ale_vector", "native"):
        config = load_config("baseline", [f"envs.backend={backend}"]).envs
        try:
            env = make_env(config, 4, 0, 1)
        except CompilerMissingError:
            continue
        env.reset()
        draw, steps, start = np.random.default_rng(0), 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            env.send(torch.from_numpy(draw.integers(env.num_actions, size=4)))
            env.recv()
            steps += 4
        env_seconds[backend] = (time.perf_counter() - start) / steps
        env.close()
    return {"bf16_factor": bf16_factor, "thread_factor": thread_factor, "env_seconds": env_seconds}
