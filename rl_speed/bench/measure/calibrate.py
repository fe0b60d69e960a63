"""What the shares of one rung do not tell about another: bfloat16, threads and env backends, each measured alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from rl_speed.config import RunConfig, load_config
from rl_speed.experience.envs import make_env
from rl_speed.learner.module import DQNModule
from rl_speed.learner.network import make_network
from rl_speed.system.code_cache import NativeCodeError
from rl_speed.system.cores import usable_cores
from rl_speed.system.stage_timer import StageTimer
from rl_speed.system.torch_threads import torch_threads
from rl_speed.training.decisions import with_fields
from rl_speed.training.probe import NUM_ACTIONS, random_batch


def _best_seconds(function: Callable[[], Any], seconds: float) -> float:
    """The shortest of many calls: what the work takes when nothing disturbs it."""
    function()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def _update(config: RunConfig, precision: str, threads: int, seconds: float) -> float:
    """Seconds of a gradient, whole and without the optimizer's step."""
    plain = with_fields(
        config, {"update.precision": precision, "update.shards": 1, "network.fused": config.network.fused == "auto"}
    )
    shape = plain.envs.observation_shape
    networks = [make_network(plain.network, shape, NUM_ACTIONS) for _ in range(2)]
    module = DQNModule(networks[0], networks[1], plain.update, StageTimer())
    batch = random_batch(plain.envs, plain.update.batch_size, NUM_ACTIONS)
    parameters = list(module.online_network.parameters())
    with torch_threads(threads):
        return _best_seconds(lambda: module.gradient(batch, parameters), seconds)


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
    cores = usable_cores().count
    bf16_factor = _update(fast, "fp32", 1, seconds) / _update(fast, "bf16", 1, seconds)
    thread_factor = _update(baseline, "fp32", 1, seconds) / _update(baseline, "fp32", cores, seconds)
    env_seconds = {}
    for backend in ("classic", "ale_vector", "native"):
        config = load_config("baseline", [f"envs.backend={backend}"]).envs
        try:
            env = make_env(config, 4, 0, 1)
        except NativeCodeError:
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
