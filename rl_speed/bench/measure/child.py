"""The measured process: `python -m rl_speed.bench.measure.child SPEC`; a contestant as JSON in, JSON lines out.

Each line on standard output is {"phase": text}, or {"result": ...}, or {"error": sentence}; what else is printed goes
to the log. The process leaves when its standard input ends, so that nothing is left of a bench that was killed.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from rich.console import Console

from rl_speed.bench.contestants import peers_directory
from rl_speed.bench.measure.training import measure_train, plan_as_asked
from rl_speed.config import RunConfig, merge, validate
from rl_speed.experience.envs import make_env
from rl_speed.experience.generators.player import Player, RolloutSpace
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.learner.network import make_network
from rl_speed.system.child_process import watch_parent
from rl_speed.system.cores import usable_cores
from rl_speed.system.errors import ActorError, RankError, UserError
from rl_speed.system.stage_timer import StageTimer

# Where the answers go. `run` gives it a descriptor of its own, so that what libraries print lands in the log.
_answers = 1


def say(**content: Any) -> None:
    """One line for the parent."""
    os.write(_answers, (json.dumps(content) + "\n").encode())


def announce(phase: str) -> None:
    """Tells the parent what is going on."""
    say(phase=phase)


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
    policy = ExploringPolicy(
        network, env.num_actions, config.seed, plan.device, config.update.uses_bf16,
        is_captured=config.update.is_captured and not config.actors.plays_apart,
    )  # fmt: skip
    policy.epsilon, policy.temperature = config.exploration.epsilon_end, config.exploration.temperature
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
    logging = {"kind": "tensorboard", "progress_bar": False, "directory": spec["folder"]}
    changes = {"seed": spec["seed"], "stop": {"max_seconds": spec["limit_seconds"]}, "logging": logging}
    config = validate(merge(spec["config"], changes))
    return run_with_curve(config, spec["preset"], Console(file=sys.stderr), announce, spec["started"])


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
    config = validate(spec["config"])
    if spec["kind"] == "train":
        result = measure_train(config, spec["name"], spec, announce)
        result["batch_size"] = config.update.batch_size
    else:
        result = (measure_play if spec["kind"] == "play" else measure_env)(config, spec)
    result["frame_skip"] = config.envs.frames_per_env_step
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
