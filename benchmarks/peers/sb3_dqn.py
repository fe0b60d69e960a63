"""Stable-Baselines3's DQN on Pong with its usual Atari settings (those of its zoo), for a window of steady training.

Epsilon is at its final value from the start: acting costs nothing while actions are random.

    python sb3_dqn.py --seconds 30 --train-frequency 4
"""

import argparse
import json
import time

import ale_py
import gymnasium
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecFrameStack

PREFILL, BATCH = 1000, 32


def fill(buffer):
    """Repeats what is stored until the memory is full, as the bench does for everyone."""
    stored = buffer.pos
    columns = (buffer.observations, buffer.next_observations, buffer.actions, buffer.rewards, buffer.dones)
    for column in columns:
        for start in range(stored, buffer.buffer_size, stored):
            column[start : start + stored] = column[: min(stored, buffer.buffer_size - start)]
    buffer.pos, buffer.full = 0, True


class Window(BaseCallback):
    """Opens after the warm-up, ends training after its length."""

    def __init__(self, seconds, warmup_seconds, announce):
        super().__init__()
        self.seconds, self.warmup_seconds, self.announce = seconds, warmup_seconds, announce
        self.warm_from = self.first = self.last = None

    def _on_step(self):
        now = time.time()
        if self.num_timesteps <= PREFILL:
            return True
        if self.warm_from is None:
            fill(self.model.replay_buffer)
            now = time.time()
        here = (now, self.num_timesteps, self.model._n_updates)
        self.warm_from = self.warm_from or now
        if self.first is None and now - self.warm_from >= self.warmup_seconds:
            self.first = here
            self.announce("measure")
        elif self.first is not None and now - self.first[0] >= self.seconds:
            self.last = here
            return False
        return True


def main(arguments=None, announce=lambda phase: None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--warmup-seconds", type=float, default=5.0)
    parser.add_argument("--train-frequency", type=int, default=4)
    parser.add_argument("--buffer-size", type=int, default=100_000)
    options = parser.parse_args(arguments)
    gymnasium.register_envs(ale_py)
    env = VecFrameStack(make_atari_env("PongNoFrameskip-v4", n_envs=1, seed=0), 4)
    model = DQN(
        "CnnPolicy", env, learning_rate=1e-4, buffer_size=options.buffer_size, learning_starts=PREFILL,
        batch_size=BATCH, train_freq=options.train_frequency, gradient_steps=1, target_update_interval=1000,
        exploration_fraction=1e-9, exploration_final_eps=0.01, seed=0,
    )  # fmt: skip
    model.set_logger(Logger(None, []))  # its own would leave a folder
    window = Window(options.seconds, options.warmup_seconds, announce)
    announce("prefill")
    model.learn(10**9, callback=window)
    (start, env_steps, updates), (end, last_env_steps, last_updates) = window.first, window.last
    return {
        "window": [start, end],
        "seconds": end - start,
        "env_steps": last_env_steps - env_steps,
        "gradient_steps": last_updates - updates,
        "batch_size": BATCH,
        "frame_skip": 4,
    }


if __name__ == "__main__":
    print(json.dumps(main()))
