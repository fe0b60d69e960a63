"""Measurements that nobody made: what tests give the bench to count and to show."""

from rl_speed.bench import contestants
from rl_speed.bench.model import rows
from rl_speed.config import load_config

CALIBRATION = {"bf16_factor": 2.0, "thread_factor": 2.0, "env_seconds": {"classic": 0.001, "ale_vector": 0.0005}}

SHARES = {
    "act": 0.05,
    "env": 0.05,
    "wait": 0.0,
    "replay": 0.05,
    "transfer": 0.0,
    "update": 0.8,
    "reduce": 0.0,
    "other": 0.05,
}


def result(env_steps_per_second, seconds=10.0, batch_size=32, per_update=1.0, **changes):
    measured = {
        "window": [100.0, 100.0 + seconds],
        "seconds": seconds,
        "env_steps": env_steps_per_second * seconds,
        "gradient_steps": env_steps_per_second * seconds / per_update,
        "batch_size": batch_size,
        "frame_skip": 4,
        "time_shares": SHARES,
        "actor_time_shares": {},
        "saved_for_backward_bytes": {"act": 0, "update": 10_000_000},
        "cpu_percent": 90.0,
        "gpu_percent": None,
        "peak_memory_bytes": 10**9,
        "gpu_memory_bytes": None,
        "startup_seconds": 1.0,
        "prefill": {"seconds": 2.0, "env_steps": 1000, "speed": 500.0},
        "warmup_seconds": 2.0,
        "plan": {"decisions": {"update.precision": {"value": "fp32", "reason": "as configured"}}},
    }
    return measured | changes


def measurement(name, repeat, speed, group="ladder", **changes):
    return {"name": name, "group": group, "repeat": repeat, "result": result(speed, **changes)}


def described(*names, group="ladder"):
    return [{"name": name, "group": group, "point": {}, "about": "", "package": None} for name in names]


def measured_rows(**more):
    """Rows of four rungs, and of further ones by their speeds, and the rungs' configurations."""
    speeds = {"baseline": 40.0, "n_envs": 42.0, "parallel": 41.0, "slow_grads": 38.0} | more
    measurements = [measurement(name, 0, value, per_update=1.0) for name, value in speeds.items()]
    configs = {name: load_config(name).model_dump(mode="json") for name in speeds}
    return rows.make_rows(described(*speeds), measurements), configs


def confirmation(mean):
    return {"episodes": 30, "mean": mean, "std": 1.0, "min": 8.0, "max": 21.0}


def solve_run(seed, solved, seconds=300.0):
    clock = {"seconds": seconds, "env_steps": 1000, "gradient_steps": 10}
    return {
        "name": "fast_cpu", "seed": seed, "solved": solved, "seconds": seconds, "avg_reward": 19.6 if solved else 3.0,
        "clocks": dict.fromkeys(("mean100_18", "ema_17", "mean100_19_5"), clock if solved else None),
        "stop_reason": "solved" if solved else "max_seconds", "env_steps": 1000, "failed_confirmations": [],
        "confirmation": confirmation(20.0) if solved else None,
        "curve": [[1.0, 100, -21.0], [2.0, 200, -20.0]], "stop_reward": 19.5, "frame_skip": 4,
    }  # fmt: skip


def answering(speeds, asked):
    """Stands in for a measured process: a speed, None for a crash, or an exception to raise."""

    def answer(spec, log, limit_seconds, gpu, on_phase):
        asked.append(spec.get("name", spec["kind"]))
        if spec["kind"] == "calibrate":
            return dict(CALIBRATION)
        value = speeds.get(spec["name"], 10.0)
        if isinstance(value, BaseException):
            raise value
        return {"error": "broke (log: x)"} if value is None else result(value)

    return answer


def whole_content(quick):
    """A bench with something in every group."""
    quick.session.save = lambda: None  # a file after every measurement would take seconds
    ladder = [contestants.rung(name) for name in ("baseline", "n_envs", "smoke")]
    quick.session.interleave([*ladder, *contestants.peers(), *contestants.env_only()])
    for name in contestants.SWEEPS:
        quick.session.sweep(name)
    quick.session.calibrate()
    quick.session.solve_runs = [solve_run(0, True), solve_run(1, False)]
    quick.session.is_whole = True
    return quick.session.content()
