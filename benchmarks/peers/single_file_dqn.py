"""A plain DQN on Pong in one file, as one would write it first: a yardstick for the ladder.

Its work is that of the `baseline` preset: one env, the classic wrappers, the network of Mnih 2015, batch 32, Adam 1e-4,
one update per env step, target sync every 1000 updates, MSE, replay of 100,000. Nothing of rl_speed is used.

    python single_file_dqn.py --seconds 30
"""

import argparse
import json
import time

import ale_py
import gymnasium
import numpy as np
import torch
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation
from torch import nn

CAPACITY, PREFILL, BATCH = 100_000, 1000, 32
GAMMA, LEARNING_RATE, SYNC_EVERY, EPSILON = 0.99, 1e-4, 1000, 0.02


def make_env():
    gymnasium.register_envs(ale_py)
    env = gymnasium.make("ALE/Pong-v5", frameskip=1, repeat_action_probability=0.0)
    return FrameStackObservation(AtariPreprocessing(env, noop_max=30), 4)


def make_network(num_actions):
    return nn.Sequential(
        nn.Conv2d(4, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(), nn.Conv2d(64, 64, 3, 1), nn.ReLU(),
        nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, num_actions),
    )  # fmt: skip


class Replay:
    """Observations as they come: 4 frames each, twice."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.observation = np.zeros((capacity, 4, 84, 84), dtype=np.uint8)
        self.next_observation = np.zeros((capacity, 4, 84, 84), dtype=np.uint8)
        self.action = np.zeros(capacity, dtype=np.int64)
        self.reward = np.zeros(capacity, dtype=np.float32)
        self.terminated = np.zeros(capacity, dtype=np.float32)
        self.count = 0

    def fill(self):
        """Repeats what is stored until the memory is full, as the bench does for everyone."""
        for column in (self.observation, self.next_observation, self.action, self.reward, self.terminated):
            for start in range(PREFILL, self.capacity, PREFILL):
                column[start : start + PREFILL] = column[: min(PREFILL, self.capacity - start)]
        self.count = self.capacity

    def add(self, observation, action, reward, terminated, next_observation):
        place = self.count % self.capacity
        self.observation[place], self.next_observation[place] = observation, next_observation
        self.action[place], self.reward[place], self.terminated[place] = action, reward, terminated
        self.count += 1

    def sample(self, draw, device):
        place = draw.integers(min(self.count, self.capacity), size=BATCH)
        columns = (self.observation, self.action, self.reward, self.terminated, self.next_observation)
        return [torch.from_numpy(column[place]).to(device) for column in columns]


def main(arguments=None, announce=lambda phase: None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--warmup-seconds", type=float, default=5.0)
    parser.add_argument("--buffer-size", type=int, default=CAPACITY)
    options = parser.parse_args(arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    draw = np.random.default_rng(0)
    torch.manual_seed(0)
    env = make_env()
    num_actions = env.action_space.n
    online, target = make_network(num_actions).to(device), make_network(num_actions).to(device)
    target.load_state_dict(online.state_dict())
    optimizer = torch.optim.Adam(online.parameters(), lr=LEARNING_RATE)
    replay = Replay(options.buffer_size)
    observation, _ = env.reset(seed=0)
    updates, first, warm_from = 0, None, None
    announce("prefill")
    while True:
        if replay.count < PREFILL or draw.random() < EPSILON:
            action = int(draw.integers(num_actions))
        else:
            with torch.no_grad():
                image = torch.from_numpy(np.asarray(observation))[None].to(device).float() / 255
                action = int(online(image).argmax())
        next_observation, reward, terminated, truncated, _ = env.step(action)
        replay.add(observation, action, np.sign(reward), terminated, next_observation)
        observation = env.reset()[0] if terminated or truncated else next_observation
        if replay.count < PREFILL:
            continue
        if replay.count == PREFILL:
            replay.fill()
        images, actions, rewards, ends, next_images = replay.sample(draw, device)
        with torch.no_grad():
            best = target(next_images.float() / 255).max(1).values
            goal = rewards + GAMMA * best * (1 - ends)
        chosen = online(images.float() / 255).gather(1, actions[:, None])[:, 0]
        loss = nn.functional.mse_loss(chosen, goal)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        updates += 1
        if updates % SYNC_EVERY == 0:
            target.load_state_dict(online.state_dict())
        now = time.time()
        warm_from = warm_from or now
        if first is None and now - warm_from >= options.warmup_seconds:
            first = (now, replay.count, updates)
            announce("measure")
        elif first is not None and now - first[0] >= options.seconds:
            return {
                "window": [first[0], now],
                "seconds": now - first[0],
                "env_steps": replay.count - first[1],
                "gradient_steps": updates - first[2],
                "batch_size": BATCH,
                "frame_skip": 4,
            }


if __name__ == "__main__":
    print(json.dumps(main()))
