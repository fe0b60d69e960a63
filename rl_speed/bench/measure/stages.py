"""Each stage of the line alone, so that a regression shows where it is."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rl_speed.bench.contestants import Contestant, as_measured
from rl_speed.bench.measure.runner import STARTUP_LIMIT_SECONDS, run_child, spec_of
from rl_speed.bench.measure.sampler import GpuSampler
from rl_speed.bench.measure.window import fill
from rl_speed.bench.model.rows import per_second, spread
from rl_speed.config import RunConfig
from rl_speed.experience.envs import make_env
from rl_speed.experience.envs.protocol import VectorEnv
from rl_speed.records import Batch
from rl_speed.system.commit import commit
from rl_speed.system.errors import UserError
from rl_speed.system.machine import machine, versions
from rl_speed.system.torch_threads import torch_threads
from rl_speed.training.build import Occasion, Run, build
from rl_speed.training.fit import quiet_lightning
from rl_speed.training.plan import make_plan


@dataclass(frozen=True)
class Stage:
    """One stage: what is called, by what its seconds are multiplied, and what that gives."""

    call: Callable[[], Any]
    scale: float
    unit: str


def _seconds_per_call(function: Callable[[], Any], seconds: float, wait: Callable[[], None]) -> float:
    function()
    wait()
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        function()
        calls += 1
    wait()
    return (time.perf_counter() - start) / calls


def measure_stages(config: RunConfig, preset: str, seconds: float, repeats: int, log: Path) -> dict[str, Any]:
    """Measures env step, act, append, sample and update alone, and the whole line end to end.

    Args:
        config: the run.
        preset: its name.
        seconds: per stage and repeat.
        repeats: interleaved.
        log: takes what the end-to-end run prints.

    Returns:
        a record: date, commit, machine, versions, preset, and `stages` with unit, median, min and max each.
    """
    quiet_lightning()
    alone = config.model_copy(
        update={
            "actors": config.actors.model_copy(
                update={"kind": "in_process", "count": 1, "networks": 1, "address": None}
            )
        }
    )
    # Threads, precision and parts of a minibatch are those of the run as it is.
    plan, end_to_end = make_plan(config), as_measured(config)
    with tempfile.TemporaryDirectory(prefix="rl_speed_bench_") as folder, torch_threads(plan.learner_threads):
        run = build(make_plan(alone, kept=plan.kept()), Occasion(preset, Path(folder)))
        try:
            measured = _stages(run, seconds, repeats, plan.threads.env)
        finally:
            run.line.generator.close()
        measured["end to end"] = _end_to_end(preset, end_to_end, seconds, repeats, log)
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
        "preset": preset,
        "config": config.model_dump(mode="json"),
        "plan": plan.summary(),
        "stages": measured,
    }


def _stages(run: Run, seconds: float, repeats: int, env_threads: int) -> dict[str, Any]:
    """Each stage alone, in turns: unit, median, min and max."""
    wait: Callable[[], None] = torch.cuda.synchronize if run.plan.device != "cpu" else (lambda: None)
    config = run.plan.config
    env = make_env(config.envs, config.envs.count, config.seed, env_threads)
    try:
        stages = {**_playing(run, env), **_learning(run)}
        values: dict[str, list[float]] = {name: [] for name in stages}
        for _ in range(repeats):
            for name, stage in stages.items():
                values[name].append(stage.scale * _seconds_per_call(stage.call, seconds, wait))
    finally:
        with suppress(Exception):
            env.close()
    return {name: {"unit": stages[name].unit, **(spread(values[name]) or {})} for name in stages}


def _playing(run: Run, env: VectorEnv) -> dict[str, Stage]:
    """The stages of an env step."""
    env.reset()
    draw = np.random.default_rng(0)
    actions = cycle(
        [torch.from_numpy(draw.integers(env.num_actions, size=env.num_envs)).to(env.device) for _ in range(64)]
    )
    shape = (env.num_envs, *run.plan.config.envs.observation_shape)
    observation = torch.randint(0, 256, shape, dtype=torch.uint8, device=env.device)
    run.line.policy.epsilon = 0.0

    def env_step() -> None:
        env.send(next(actions))
        env.recv()

    per_env = 1e6 / env.num_envs
    return {
        "env step": Stage(env_step, per_env, "us per env step"),
        "act": Stage(lambda: run.line.policy.act(observation), per_env, "us per env step"),
    }


def _learning(run: Run) -> dict[str, Stage]:
    """The stages of a gradient step, on a replay that is full."""
    replay, module, update = run.line.dataset.replay, run.line.module, run.plan.config.update
    rollout = next(run.line.dataset.generator)
    while replay.rows_written < min(replay.steps, 64):
        replay.append(rollout)
    fill(replay)

    def sample() -> Batch:
        return replay.sample(update.gradient_steps_per_batch, update.batch_size)

    minibatch = sample().to(module.device).minibatch(0)
    optimizer = module.configure_optimizers()
    per_env_step = 1e6 / rollout.action.numel()
    return {
        "append": Stage(lambda: replay.append(rollout), per_env_step, "us per env step"),
        "sample": Stage(sample, 1e3 / update.gradient_steps_per_batch, "ms per gradient step"),
        "update": Stage(lambda: module.gradient_step(minibatch, optimizer), 1e3, "ms per gradient step"),
    }


def _end_to_end(preset: str, measured: RunConfig, seconds: float, repeats: int, log: Path) -> dict[str, Any]:
    """The whole line in a process of its own, with all its processes: env steps per second."""
    contestant = Contestant(preset, "ladder", "train", preset)
    gpu = GpuSampler()
    values = []
    try:
        for _ in range(min(repeats, 3)):
            spec = spec_of(contestant, measured, max(2.0, 2 * seconds), 1.0)
            answer = run_child(spec, log, STARTUP_LIMIT_SECONDS, gpu, lambda phase: None)
            if "error" in answer:
                raise UserError(f"end to end cannot be measured: {answer['error']}")
            values.append(per_second(answer, "env_steps"))
    finally:
        gpu.close()
    return {"unit": "env steps/s", **(spread(values) or {})}
