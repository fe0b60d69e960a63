"""The whole line, measured for one window. A module of its own: ranks that are started import it by its name."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from rl_speed.bench.measure.window import MeasureWindow
from rl_speed.config import RunConfig
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.records import Batch
from rl_speed.system.ending import Ending
from rl_speed.system.errors import ConfigError
from rl_speed.training.build import Occasion, Run, at_work, build
from rl_speed.training.fit import quiet_lightning
from rl_speed.training.plan import Plan, make_plan
from rl_speed.training.ranks.group import Ranks
from rl_speed.training.ranks.joining import joined, plan_together
from rl_speed.training.ranks.place import Place, find_place


def saved_bytes(function: Callable[[], Any]) -> int:
    """Memory that autograd keeps for a backward pass through `function`, parameters not counted, in bytes."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if not (tensor.is_leaf and tensor.requires_grad):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outcome = function()
    del outcome
    return sum(kept.values())


def measure_train(
    config: RunConfig, preset: str, spec: dict[str, Any], announce: Callable[[str], None]
) -> dict[str, Any]:
    """The whole line, as `train` wires it, for one window; with several ranks, as rank 0 sees it.

    Args:
        config: of the rung.
        preset: its name.
        spec: what the measured process was given.
        announce: called with the name of each phase.
    """
    quiet_lightning()
    announce("start")
    spec = {**spec, "created": time.time()}
    ending = Ending()
    with joined(config, find_place(config.trainer), ending, partial(_serve_rank, config, preset, spec)) as ranks:
        return _measure_rank(config, preset, spec, (ranks, ending), announce)


def _serve_rank(
    config: RunConfig, preset: str, spec: dict[str, Any], place: Place, port: int, stop: threading.Event
) -> None:
    """Another rank of the same run: it does what rank 0 does, and nobody reads its numbers."""
    ending = Ending(stop)
    with joined(config, place, ending, address=("127.0.0.1", port)) as ranks:
        _measure_rank(config, preset, spec, (ranks, ending), lambda phase: None)


def _measure_rank(
    config: RunConfig,
    preset: str,
    spec: dict[str, Any],
    together: tuple[Ranks, Ending],
    announce: Callable[[str], None],
) -> dict[str, Any]:
    ranks, ending = together
    plan = plan_together(ranks, {}, lambda kept: plan_as_asked(config, ranks.place, kept))
    occasion = Occasion(preset, Path(spec["folder"]), Console(file=sys.stderr), ending, ranks=ranks)
    with at_work(plan):
        result = _measure_run(build(plan, occasion), spec, ending, announce)
    return {**result, "threads": plan.learner_threads, "plan": plan.summary()}


def plan_as_asked(config: RunConfig, place: Place | None = None, kept: Mapping[str, Any] | None = None) -> Plan:
    """The plan of a rung; a rung that would run as something else is not measured under its name.

    Raises:
        ConfigError: this machine would replace a setting.
    """
    plan = make_plan(config, kept=kept, place=place)
    for field, decision in plan.replaced().items():
        raise ConfigError(f"{field} would be {decision.value} here, so this rung is not measured: {decision.reason}")
    return plan


def _measure_run(run: Run, spec: dict[str, Any], ending: Ending, announce: Callable[[str], None]) -> dict[str, Any]:
    line, dataset = run.line, run.line.dataset
    is_cuda = run.plan.device != "cpu"
    window = MeasureWindow(
        lambda: dataset.env_steps,
        dataset.replay,
        line.timer,
        spec["warmup_seconds"],
        spec["seconds"],
        announce,
        # All ranks end at one batch; the clock that counts is rank 0's.
        ending.stop.set if run.plan.place.is_first else lambda: None,
        torch.cuda.synchronize if is_cuda else None,
        spec["created"],
    )
    callbacks: list[Any] = run.trainer.callbacks  # type: ignore[attr-defined]
    # Last but for what closes the games, so that a batch's whole cycle lies between two looks at the clock.
    callbacks.insert(len(callbacks) - 1, window)
    try:
        run.trainer.fit(line.module, train_dataloaders=dataset)
    finally:
        dataset.generator.close()
    result = window.result()
    result["gpu_memory_bytes"] = torch.cuda.max_memory_reserved() if is_cuda else None
    line.module.to(line.policy.device)  # Lightning has taken it back to the CPU
    batch = dataset.replay.sample(1, run.plan.share.update.batch_size).to(line.policy.device).minibatch(0)
    result["saved_for_backward_bytes"] = _saved_for_backward(line.module, line.policy, batch)
    return result


def _saved_for_backward(module: Any, policy: ExploringPolicy, batch: Batch) -> dict[str, int]:
    policy.epsilon = 0.0
    with torch.autocast(policy.device.type, torch.bfloat16, enabled=policy.use_bf16):
        update = saved_bytes(lambda: module.loss(batch))
    return {"act": saved_bytes(lambda: _graph_of_acting(policy, batch.observation[:1])), "update": update}


def _graph_of_acting(policy: ExploringPolicy, observation: torch.Tensor) -> torch.Tensor:
    return policy.act(observation.to(torch.uint8))
