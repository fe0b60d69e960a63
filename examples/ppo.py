"""PPO on Atari in one file, on this project's vector env or on ale-py's: the loop is the same, the env's name is not.

    python examples/ppo.py --game pong --total-steps 1000000
    python examples/ppo.py --game pong --total-steps 20000 --engine ale   # for comparison

Returns that are printed are those of whole games, not clipped where the env says so (ours does).

Source: Schulman et al. 2017.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from dataclasses import dataclass

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

# The import registers rl_speed/Pong-v5 and all the others.
from rl_speed.emulator.games import game_names
from rl_speed.emulator.registration import env_id


@dataclass
class Settings:
    """What the algorithm is told; the usual values for Atari."""

    num_envs: int = 16
    rollout_steps: int = 128
    minibatches: int = 4
    epochs: int = 4
    learning_rate: float = 2.5e-4
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip: float = 0.1
    entropy: float = 0.01
    value: float = 0.5
    max_gradient_norm: float = 0.5


class Agent(nn.Module):
    """Policy and value with one body (Mnih et al. 2015)."""

    def __init__(self, num_actions: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(4, 32, 8, stride=4), nn.ReLU(), nn.Conv2d(32, 64, 4, stride=2), nn.ReLU(),
            nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 7 * 7, 512), nn.ReLU(),
        )  # fmt: skip
        for layer in self.body:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.orthogonal_(layer.weight, np.sqrt(2))
        self.policy, self.value = nn.Linear(512, num_actions), nn.Linear(512, 1)
        nn.init.orthogonal_(self.policy.weight, 0.01)

    def forward(self, frames: Tensor) -> tuple[torch.distributions.Categorical, Tensor]:
        """uint8 [B, 4, 84, 84] to a distribution of actions and values [B]."""
        features = self.body(frames.float() / 255)
        return torch.distributions.Categorical(logits=self.policy(features)), self.value(features).squeeze(1)


def make_envs(engine: str, game: str, num_envs: int) -> gymnasium.vector.VectorEnv:
    """The only line that differs."""
    name = env_id(game) if engine == "rl_speed" else env_id(game).replace("rl_speed/", "ALE/")
    if engine == "ale":
        import ale_py

        gymnasium.register_envs(ale_py)
    return gymnasium.make_vec(name, num_envs=num_envs, repeat_action_probability=0.0)


def train(engine: str, game: str, total_steps: int, seed: int, s: Settings) -> None:
    """Trains and prints, after each rollout, env steps, their number per second, and the mean return."""
    torch.manual_seed(seed)
    envs = make_envs(engine, game, s.num_envs)
    agent = Agent(envs.single_action_space.n)
    optimizer = torch.optim.Adam(agent.parameters(), lr=s.learning_rate, eps=1e-5)
    shape = (s.rollout_steps, s.num_envs)
    frames = torch.zeros((*shape, *envs.single_observation_space.shape), dtype=torch.uint8)
    actions, log_probs, rewards, terminations, ends, values = (torch.zeros(shape) for _ in range(6))
    observation, _ = envs.reset(seed=seed)
    # The step after an end is the env's own (AutoresetMode.NEXT_STEP): nothing is learned from it.
    starts = torch.zeros(shape)
    ended = torch.zeros(s.num_envs)
    returns: deque[float] = deque(maxlen=100)
    totals = np.zeros(s.num_envs)
    began, in_envs = time.perf_counter(), 0.0
    for update in range(1, total_steps // (s.rollout_steps * s.num_envs) + 1):
        for t in range(s.rollout_steps):
            frames[t] = torch.from_numpy(observation)
            starts[t] = ended
            with torch.no_grad():
                policy, values[t] = agent(frames[t])
            action = policy.sample()
            actions[t], log_probs[t] = action, policy.log_prob(action)
            before = time.perf_counter()
            observation, reward, terminated, truncated, infos = envs.step(action.numpy())
            in_envs += time.perf_counter() - before
            rewards[t], ended = torch.from_numpy(reward), torch.from_numpy(terminated | truncated).float()
            terminations[t], ends[t] = torch.from_numpy(terminated).float(), ended
            totals += infos.get("reward", reward)
            for index in np.flatnonzero(terminated | truncated):
                returns.append(float(totals[index]))
                totals[index] = 0
        with torch.no_grad():
            last = agent(torch.from_numpy(observation))[1]
        advantages = generalised_advantages((rewards, values, terminations, ends), last, s)
        losses = learn(agent, optimizer, (frames, actions, log_probs, advantages, advantages + values, starts), s)
        steps, seconds = update * s.rollout_steps * s.num_envs, time.perf_counter() - began
        mean = f"{np.mean(returns):.2f}" if returns else "-"
        print(
            f"{steps:,} env steps, {steps / seconds:,.0f} a second ({in_envs / seconds:.0%} of it in the envs), "
            f"mean return {mean}, loss {losses:.4f}",
            flush=True,
        )
    envs.close()


def generalised_advantages(rollout: tuple[Tensor, ...], last: Tensor, s: Settings) -> Tensor:
    """[T, N] (Schulman et al. 2016).

    A game that was only cut off is worth what its last observation, which comes next, promises.
    """
    rewards, values, terminations, ends = rollout
    advantages, running = torch.zeros_like(rewards), torch.zeros_like(last)
    following = last
    for t in reversed(range(len(rewards))):
        delta = rewards[t] + s.gamma * following * (1 - terminations[t]) - values[t]
        running = delta + s.gamma * s.gae_lambda * (1 - ends[t]) * running
        advantages[t], following = running, values[t]
    return advantages


def learn(agent: Agent, optimizer: torch.optim.Optimizer, rollout: tuple[Tensor, ...], s: Settings) -> float:
    """Some epochs over a rollout; the mean loss."""
    frames, actions, log_probs, advantages, targets, starts = (part.flatten(0, 1) for part in rollout)
    usable = (starts == 0).nonzero().squeeze(1)
    total, count = 0.0, 0
    for _ in range(s.epochs):
        for chosen in usable[torch.randperm(len(usable))].chunk(s.minibatches):
            policy, value = agent(frames[chosen])
            ratio = (policy.log_prob(actions[chosen]) - log_probs[chosen]).exp()
            advantage = advantages[chosen]
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            gain = torch.min(ratio * advantage, ratio.clamp(1 - s.clip, 1 + s.clip) * advantage).mean()
            loss = s.value * F.mse_loss(value, targets[chosen]) - gain - s.entropy * policy.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), s.max_gradient_norm)
            optimizer.step()
            total, count = total + loss.item(), count + 1
    return total / count


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine", choices=("rl_speed", "ale"), default="rl_speed")
    parser.add_argument("--game", default="pong")
    parser.add_argument("--total-steps", type=int, default=1_000_000)
    parser.add_argument("--num-envs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    least = Settings.rollout_steps * arguments.num_envs
    if arguments.total_steps < least:
        parser.error(f"--total-steps: {arguments.total_steps} is less than one rollout; give at least {least}")
    if arguments.game not in game_names():
        parser.error(f"--game: there is no {arguments.game!r}; choose one of {', '.join(game_names())}")
    train(
        arguments.engine, arguments.game, arguments.total_steps, arguments.seed, Settings(num_envs=arguments.num_envs)
    )
