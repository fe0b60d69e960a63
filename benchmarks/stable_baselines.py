"""Stable-Baselines3 on its own Atari envs and on ours, in turns: env steps per second of its PPO and its DQN.

python benchmarks/stable_baselines.py --repeats 3 --json speeds.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import ale_py
import gymnasium
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack

from rl_speed.emulator import AtariVectorEnv
from rl_speed.emulator.stable_baselines import AtariVecEnv
from rl_speed.system.machine import machine, versions

ALGORITHMS: dict[str, tuple[type, dict[str, Any]]] = {
    # Both as in the library's own tuned settings for Atari; DQN's memory is small, for it is not about learning here.
    "PPO": (PPO, {"n_steps": 128, "batch_size": 256, "n_epochs": 4}),
    "DQN": (DQN, {"buffer_size": 5000, "learning_starts": 500, "train_freq": 4, "gradient_steps": 1}),
}


def theirs(num_envs: int) -> VecEnv:
    """What its documentation shows: envs one after the other in Python, and a stack of frames around them."""
    gymnasium.register_envs(ale_py)
    kwargs = {"frameskip": 1, "repeat_action_probability": 0.0}
    return VecFrameStack(make_atari_env("ALE/Pong-v5", num_envs, seed=0, env_kwargs=kwargs), 4)


def ours(num_envs: int) -> VecEnv:
    envs = AtariVectorEnv("pong", num_envs, autoreset_mode="SameStep", episodic_life=True)
    envs.finish_compiling()
    return AtariVecEnv(envs)


def steps_per_second(algorithm: str, env: VecEnv, steps: int) -> float:
    kind, arguments = ALGORITHMS[algorithm]
    model = kind("CnnPolicy", env, seed=0, **arguments)
    model.set_logger(Logger(None, []))  # its own would leave a folder
    model.learn(steps // 4)  # caches and memory are warm after that
    began, before = time.perf_counter(), model.num_timesteps
    model.learn(steps, reset_num_timesteps=False)
    speed = (model.num_timesteps - before) / (time.perf_counter() - began)
    env.close()
    return float(speed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--num-envs", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8192)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    content: dict[str, Any] = {"machine": machine(), "versions": versions(), "rows": []}
    for algorithm in ALGORITHMS:
        speeds: dict[str, list[float]] = {"theirs": [], "ours": []}
        for _ in range(arguments.repeats):
            for name, make in (("theirs", theirs), ("ours", ours)):
                speeds[name].append(steps_per_second(algorithm, make(arguments.num_envs), arguments.steps))
        ratio = statistics.median(mine / other for mine, other in zip(speeds["ours"], speeds["theirs"], strict=True))
        content["rows"].append({"algorithm": algorithm, "num_envs": arguments.num_envs, **speeds, "ratio": ratio})
        listed = "; ".join(f"{name} " + ", ".join(f"{speed:,.0f}" for speed in rows) for name, rows in speeds.items())
        print(f"{algorithm}, {arguments.num_envs} envs, env steps/s: {listed}; ours is x {ratio:.2f}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
