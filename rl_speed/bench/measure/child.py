"""The measured process: `python -m rl_speed.bench.measure.child SPEC`; a contestant as JSON in, JSON lines out.

Each line on standard output is {"phase": text}, or {"result": ...}, or {"error": sentence}; what else is printed goes
to the log. The process leaves when its standard input ends, so that nothing is left of a bench that was killed.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from rl_speed.bench.contestants import Contestant, measured_config, peers_directory
from rl_speed.bench.measure.window import MeasureWindow, watch_parent
from rl_speed.config import RunConfig, load_config
from rl_speed.experience.envs import make_env
from rl_speed.experience.generators.player import Player, RolloutSpace
from rl_speed.experience.policy import EpsilonGreedyPolicy
from rl_speed.learner.network import make_network
from rl_speed.records import Batch
from rl_speed.system.cores import usable_cores
from rl_speed.system.ending import Ending
from rl_speed.system.errors import ActorError, ConfigError, RankError, UserError
from rl_speed.system.stage_timer import StageTimer
from rl_speed.system.torch_threads import torch_threads
from rl_speed.training.build import Occasion, Run, build
from rl_speed.training.launcher import launcher_hidden
from rl_speed.training.plan import Plan, make_plan
from rl_speed.training.ranks.group import Ranks
from rl_speed.training.ranks.joining import joined, plan_together
from rl_speed.training.ranks.place import Place, find_place

# Where the answers go. `run` gives it a descriptor of its own, so that what libraries print lands in the log.
_answers = 1


def say(**content: Any) -> None:
    """One line for the parent."""
    os.write(_answers, (json.dumps(content) + "\n").encode())


def announce(phase: str) -> None:
    """Tells the parent what is going on."""
    say(phase=phase)


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


def measure_train(config: RunConfig, preset: str, spec: dict[str, Any]) -> dict[str, Any]:
    """The whole line, as `train` wires it, for one window."""
    from rl_speed.training.fit import quiet_lightning

    quiet_lightning()
    announce("start")
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
    with launcher_hidden(ranks.place.rank), torch_threads(plan.learner_threads):
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


def _saved_for_backward(module: Any, policy: EpsilonGreedyPolicy, batch: Batch) -> dict[str, int]:
    policy.epsilon = 0.0
    with torch.autocast(policy.device.type, torch.bfloat16, enabled=policy.use_bf16):
        update = saved_bytes(lambda: module.loss(batch))
    return {"act": saved_bytes(lambda: _graph_of_acting(policy, batch.observation[:1])), "update": update}


def _graph_of_acting(policy: EpsilonGreedyPolicy, observation: torch.Tensor) -> torch.Tensor:
    return policy.act(observation.to(torch.uint8))


def measure_play(config: RunConfig, spec: dict[str, Any]) -> dict[str, Any]:
    """Acting and games without learning, in this process."""
    announce("start")
    created = time.time()
    torch.manual_seed(config.seed)
    plan = plan_as_asked(config)
    config = plan.config
    torch.set_num_threads(1)
    env = make_env(config.envs, config.envs.count, config.seed, min(usable_cores().count, config.envs.count))
    network = make_network(config.network, config.envs.observation_shape, env.num_actions).to(plan.device)
    policy = EpsilonGreedyPolicy(network, env.num_actions, config.seed, plan.device, use_bf16=config.update.uses_bf16)
    policy.epsilon = config.exploration.epsilon_end
    player = Player(env, policy, config.envs, 0, StageTimer())
    space = RolloutSpace.allocate(1, env.num_envs, config.envs, device=env.device)

    def step() -> None:
        player.begin()
        player.finish(space, 0)
        player.take_episode_ends(0, 0)

    result = _loop(step, env.num_envs, spec, created)
    player.close()
    return result


def measure_env(config: RunConfig, spec: dict[str, Any]) -> dict[str, Any]:
    """Games alone, with random actions."""
    announce("start")
    created = time.time()
    env = make_env(config.envs, config.envs.count, config.seed, min(usable_cores().count, config.envs.count))
    draw = np.random.default_rng(config.seed)
    env.reset()

    def step() -> None:
        env.send(torch.from_numpy(draw.integers(env.num_actions, size=env.num_envs)).to(env.device))
        env.recv()

    result = _loop(step, env.num_envs, spec, created)
    env.close()
    return result


def _loop(step: Callable[[], None], num_envs: int, spec: dict[str, Any], created: float) -> dict[str, Any]:
    """Calls `step` through the warm-up and the window."""
    started = time.time()
    announce("warm-up")
    while time.time() - started < spec["warmup_seconds"]:
        step()
    announce("measure")
    first, steps = time.time(), 0
    while time.time() - first < spec["seconds"]:
        step()
        steps += 1
    last = time.time()
    return {
        "window": [first, last],
        "seconds": last - first,
        "env_steps": steps * num_envs,
        "gradient_steps": 0,
        "startup_seconds": started - created,
        "warmup_seconds": first - started,
    }


def measure_solve(spec: dict[str, Any]) -> dict[str, Any]:
    """A whole training run with its confirmation, and the curve of its returns."""
    from rl_speed.bench.measure.curve import run_with_curve

    announce("train")
    overrides = [*spec["overrides"], "logging.progress_bar=false", f"seed={spec['seed']}"]
    if spec.get("limit_seconds"):
        overrides.append(f"stop.max_seconds={spec['limit_seconds']}")
    overrides.append("checkpoint.save_replay=false")
    config = load_config(spec["preset"], [*overrides, f"logging.directory={spec['folder']}"])
    return run_with_curve(config, Path(spec["preset"]).stem, Console(file=sys.stderr), announce)


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Dispatches on the kind of contestant."""
    if spec["kind"] == "solve":
        return measure_solve(spec)
    if spec["kind"] == "calibrate":
        from rl_speed.bench.measure.calibrate import calibrate

        announce("calibrate")
        return calibrate(spec["seconds"])
    if spec["kind"] == "script":
        announce("start")
        return run_script(spec)
    contestant = Contestant(spec["name"], "", spec["kind"], spec["preset"], tuple(spec["contestant_overrides"]))
    config = measured_config(contestant, spec["overrides"])
    if spec["kind"] == "train":
        result = measure_train(config, spec["name"], spec)
        result["batch_size"] = config.update.batch_size
    else:
        result = (measure_play if spec["kind"] == "play" else measure_env)(config, spec)
    result["frame_skip"] = config.envs.frame_skip
    return result


def run_script(spec: dict[str, Any]) -> dict[str, Any]:
    """A peer's program: its function `main` takes arguments and returns the result."""
    path = peers_directory() / spec["script"]
    times = ["--seconds", str(spec["seconds"]), "--warmup-seconds", str(spec["warmup_seconds"])]
    main = runpy.run_path(str(path))["main"]
    result: dict[str, Any] = main([*spec["arguments"], *times], announce)
    return result


def run() -> int:
    """Reads the contestant, measures it, answers."""
    global _answers
    spec = json.loads(sys.argv[1])
    _answers = os.dup(1)
    os.set_inheritable(_answers, False)
    os.dup2(2, 1)
    # Not through sys.stdin: its lock would be held for ever in the processes that a peer forks.
    watch_parent(lambda: os.read(0, 1), lambda: os._exit(1))
    try:
        say(result=measure(spec))
    except (UserError, ActorError, RankError) as error:
        traceback.print_exc()
        say(error=str(error).splitlines()[0])
        return 2
    except Exception as error:
        traceback.print_exc()
        say(error=f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}")
        return 1
    return 0


if __name__ == "__main__":
    # Peers' native threads may outlive their use; nothing is left to wait for.
    status = run()
    sys.stderr.flush()
    os._exit(status)
