"""How fast every rung should be: expected from the shares of time of one of them, checked on the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rl_speed.bench.model.rows import find, speed
from rl_speed.config import RunConfig, validate
from rl_speed.learner.network import multiply_adds
from rl_speed.system.cores import Cores
from rl_speed.training.threads import Threads, plan_threads


def update_work(config: RunConfig) -> float:
    """Multiply-adds of learning per env step: target, forward, and twice the forward pass for the gradient."""
    # Double DQN asks the online network of the next observation, too, Munchausen the target network of this one.
    passes = 5 if config.update.double or config.update.munchausen is not None else 4
    samples = config.update.batch_size / config.update.env_steps_per_gradient_step
    return passes * samples * multiply_adds(config.network, config.envs.observation_shape)


def batch_bytes(config: RunConfig) -> float:
    """Bytes of observations gathered per env step."""
    samples = config.update.batch_size / config.update.env_steps_per_gradient_step
    return 2 * samples * config.envs.frame_stack * config.envs.frame_height * config.envs.image_width


def env_steps_per_batch(config: RunConfig) -> float:
    """Env steps, all envs together, for one pass through Lightning's loop."""
    return config.update.env_steps_per_gradient_step * config.update.gradient_steps_per_batch


def _thread_gain(threads: int, cores: int, calibration: dict[str, Any]) -> float:
    """How many times faster the gradient is on so many threads than on one."""
    if threads <= 1 or cores <= 1:
        return 1.0
    factor = float(calibration["thread_factor"])
    return 1.0 + (factor - 1.0) * min(threads - 1, cores - 1) / (cores - 1)


def _learner_threads(threads: Threads, config: RunConfig) -> int:
    """Torch threads of all parts of a minibatch together."""
    shards = config.update.num_shards
    return threads.of_each_shard(config.update, shards) * shards


def expected_seconds(
    cost: dict[str, float], reference: RunConfig, config: RunConfig, calibration: dict[str, Any], cores: int
) -> dict[str, float]:
    """Seconds per env step that a rung should take, from what another one was measured to take.

    Gradients scale with their multiply-adds, threads and precision; the replay with its bytes; acting with the number
    of calls; Lightning with the number of batches. In one process these add up; apart, the slower side decides, and
    neither can use more cores than there are.

    Args:
        cost: the reference's seconds per env step by stage.
        reference: its configuration; it plays and trains in one process.
        config: the rung's.
        calibration: see `calibrate`.
        cores: of the machine.

    Returns:
        `learner`, `player` (per env step, all actors at once), `cores` (all work spread evenly) and `total`.
    """
    machine = Cores(cores, cores, "")
    threads, own_threads = plan_threads(reference, machine), plan_threads(config, machine)
    own_bf16 = calibration["bf16_factor"] if config.update.uses_bf16 else 1.0
    bf16 = calibration["bf16_factor"] if reference.update.uses_bf16 else 1.0
    one_thread = cost["update"] * _thread_gain(_learner_threads(threads, reference), cores, calibration) * bf16
    one_thread *= update_work(config) / update_work(reference) / own_bf16
    update = one_thread / _thread_gain(_learner_threads(own_threads, config), cores, calibration)
    data = batch_bytes(config) / batch_bytes(reference)
    rest = cost["replay"] * data + cost["other"] * env_steps_per_batch(reference) / env_steps_per_batch(config)
    if not config.update.uint8_to_device:
        rest += cost["transfer"] * data
    learner = update + rest
    act = cost["act"] * reference.envs.count / config.envs.count
    env_seconds = calibration["env_seconds"]
    known = env_seconds.get(config.envs.backend)
    env = cost["env"] * (known / env_seconds[reference.envs.backend] if known else 1.0)
    if not config.envs.steps_in_turn:
        env /= own_threads.env
    if config.actors.plays_apart:
        player = (act + env) / config.actors.count
        # Work that adds up over all cores cannot be spread thinner than this.
        spread = (one_thread + rest + act + env) / cores
        total = max(learner, player, spread)
    elif config.envs.steps_in_turn:
        player, spread = act + env, 0.0
        total = learner + player
    else:  # the games run on threads of their own while this process learns
        player, spread = act + env, 0.0
        total = act + max(learner, env)
    return {"learner": learner, "player": player, "cores": spread, "total": total}


def stages_add_up(config: dict[str, Any]) -> bool:
    """Whether a rung, given as a dictionary, plays and trains in one process, so that its stages' times add up."""
    return bool(config["actors"]["kind"] == "in_process" and config["trainer"]["devices"] == 1)


def expect(
    rows: Sequence[dict[str, Any]], configs: dict[str, Any], calibration: dict[str, Any], cores: int
) -> list[dict[str, Any]]:
    """Expected and measured factor of every rung of the ladder over `baseline`, in env steps per second.

    Args:
        rows: of the bench.
        configs: configuration of each rung as it ran, as a dictionary.
        calibration: see `calibrate`.
        cores: of the machine.

    Returns:
        one dictionary per rung: name, expected, measured, error_percent, limited_by; none where `baseline` was
        changed to play in other processes than it trains in.
    """
    reference = find(rows, "baseline")
    if reference is None:
        return []
    if not stages_add_up(configs["baseline"]):
        return []
    base = validate(configs["baseline"])
    cost = {stage: share / speed(reference) for stage, share in reference["time_shares"].items()}
    expectations = []
    for row in rows:
        if row["group"] != "ladder" or row["name"] == "baseline" or not row["env_steps_per_second"]:
            continue
        config = validate(configs[row["name"]])
        seconds = expected_seconds(cost, base, config, calibration, cores)
        expected = 1.0 / (seconds["total"] * speed(reference))
        measured = row["ratio_to_baseline"]
        sides = {name: seconds[name] for name in ("learner", "player", "cores")}
        expectations.append(
            {
                "name": row["name"],
                "expected": expected,
                "measured": measured,
                "error_percent": 100.0 * (expected / measured - 1.0),
                "limited_by": max(sides, key=lambda name: sides[name]),
            }
        )
    return expectations
