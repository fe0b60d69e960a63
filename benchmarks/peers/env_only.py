"""Pong alone, with random actions, on other people's vector envs: 84 x 84, 4 frames, max of two frames, frame skip 4.

python env_only.py --engine envpool --num-envs 16 --seconds 10
"""

import argparse
import json
import os
import time

import numpy as np


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def one_game():
    import ale_py
    import gymnasium
    from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

    gymnasium.register_envs(ale_py)
    env = gymnasium.make("ALE/Pong-v5", frameskip=1, repeat_action_probability=0.0)
    return FrameStackObservation(AtariPreprocessing(env, noop_max=30), 4)


def make(engine, num_envs):
    """The env, and its number of actions."""
    if engine == "envpool":
        import envpool

        env = envpool.make(
            "Pong-v5", env_type="gymnasium", num_envs=num_envs, num_threads=min(cores(), num_envs), seed=0,
            stack_num=4, frame_skip=4, noop_max=30, img_height=84, img_width=84, repeat_action_probability=0.0,
        )  # fmt: skip
        return env, env.action_space.n
    if engine == "ale_vector":
        from ale_py.vector_env import AtariVectorEnv

        env = AtariVectorEnv(
            "pong", num_envs=num_envs, num_threads=min(cores(), num_envs), repeat_action_probability=0.0
        )
        return env, env.single_action_space.n
    from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

    kind = SyncVectorEnv if engine == "gymnasium_sync" else AsyncVectorEnv
    env = kind([one_game] * num_envs)
    return env, env.single_action_space.n


def main(arguments=None, announce=lambda phase: None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", choices=["gymnasium_sync", "gymnasium_async", "ale_vector", "envpool"])
    parser.add_argument("--num-envs", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--warmup-seconds", type=float, default=2.0)
    options = parser.parse_args(arguments)
    env, num_actions = make(options.engine, options.num_envs)
    draw = np.random.default_rng(0)
    env.reset()
    announce("warm-up")
    began, first, steps = time.time(), None, 0
    while True:
        env.step(draw.integers(num_actions, size=options.num_envs))
        now = time.time()
        if first is not None:
            steps += 1
            if now - first >= options.seconds:
                break
        elif now - began >= options.warmup_seconds:
            first = now
            announce("measure")
    env.close()
    return {
        "window": [first, now],
        "seconds": now - first,
        "env_steps": steps * options.num_envs,
        "gradient_steps": 0,
        "frame_skip": 4,
    }


if __name__ == "__main__":
    print(json.dumps(main()))
