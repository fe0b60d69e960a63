"""Full games with frozen weights, unclipped: on ale-py, or on the env that is no game of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from rl_speed.config import EnvsConfig, RunConfig
from rl_speed.experience.generators.player import Player, RolloutSpace
from rl_speed.experience.parts import Parts
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.records import EpisodeEnd
from rl_speed.system.cores import usable_cores
from rl_speed.system.ending import Ending
from rl_speed.system.stage_timer import StageTimer
from rl_speed.system.torch_threads import torch_threads

MAX_ENVS = 32
GROUPS = 2

OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class Evaluation:
    """Raw returns of full games."""

    returns: list[float]
    lengths_env_steps: list[int]

    @property
    def mean(self) -> float:
        """Mean return."""
        return sum(self.returns) / len(self.returns)

    @property
    def std(self) -> float:
        """Standard deviation of the returns (of the sample; 0 for one game)."""
        if len(self.returns) < 2:
            return 0.0
        return math.sqrt(sum((x - self.mean) ** 2 for x in self.returns) / (len(self.returns) - 1))

    def summary(self) -> dict[str, float]:
        """The numbers that go into result.json."""
        return {
            "episodes": len(self.returns),
            "mean": self.mean,
            "std": self.std,
            "min": min(self.returns),
            "max": max(self.returns),
        }


@dataclass(frozen=True)
class Protocol:
    """How games are played to judge a network."""

    episodes: int
    epsilon: float  # share of random actions
    seed: int  # of games and exploration
    sticky_probability: float | None = None  # chance that ALE repeats the last action; None: as in training


DEFAULT = Protocol(episodes=30, epsilon=0.01, seed=1)  # of `evaluate` and of an export's score


def play_games(
    network: nn.Module,
    config: RunConfig,
    protocol: Protocol,
    parts: Parts | None = None,
    ending: Ending | None = None,
    on_step: OnStep | None = None,
) -> Evaluation | None:
    """Plays full games on ale-py with the training's preprocessing and precision, with all cores.

    Each env plays a fixed number of games, so that short games do not count more often than long ones. The envs step in
    two groups: while one's games run on threads of their own the network acts for the other, and a group that has
    played its games rests. More groups rest sooner, but the network then acts for few envs at a time.

    Args:
        network: frozen Q-network.
        config: the run that it was trained in, with nothing left to decide.
        protocol: how many games, and how.
        parts: with the caller's own env, if the run had one; that is played then.
        ending: when playing has to end before that.
        on_step: told after each env step how many games have ended, and how many env steps each env has taken.

    Returns:
        the games, or None if it had to end before.

    Source: the fixed assignment of games to envs follows Stable-Baselines3's evaluation.
    """
    parts, envs = parts or Parts(), _on_ale(config.envs, protocol.sticky_probability)
    device = next(network.parameters()).device
    is_captured = config.update.is_captured and device.type == "cuda"
    groups = []
    with ExitStack() as opened, torch_threads(1):  # the games have the cores
        for number, quota in enumerate(_quotas(protocol.episodes)):
            seed = int(np.random.SeedSequence([protocol.seed, number]).generate_state(1)[0])
            env = parts.make_env(envs, len(quota), seed, usable_cores().count, can_resume=False)
            opened.callback(env.close)
            policy = ExploringPolicy(
                network, env.num_actions, seed, device, config.update.uses_bf16, is_captured=is_captured
            )
            policy.epsilon = protocol.epsilon
            player = Player(env, policy, envs, first_env=0, timer=StageTimer())
            groups.append(_Group(player, RolloutSpace.allocate(1, len(quota), envs), quota))
        return _play(groups, ending or Ending(), on_step)


def _on_ale(config: EnvsConfig, sticky_probability: float | None) -> EnvsConfig:
    """The same games on ale-py: our own emulator never grades itself. Other envs are what they are."""
    if not config.is_atari:
        return config
    # ale-py's vector env plays no mode but the default.
    update: dict[str, Any] = {"backend": "ale_vector" if config.is_default_variant else "classic"}
    if sticky_probability is not None:
        update["sticky_probability"] = sticky_probability
    return config.model_copy(update=update)


def _quotas(episodes: int) -> list[list[int]]:
    """Games that each env of each group plays."""
    num_envs = min(episodes, MAX_ENVS)
    quota = [episodes // num_envs + (i < episodes % num_envs) for i in range(num_envs)]
    size = -(-num_envs // GROUPS)
    return [quota[first : first + size] for first in range(0, num_envs, size)]


@dataclass(frozen=True)
class _Group:
    """Envs that step together, and the games that each has yet to play."""

    player: Player
    space: RolloutSpace
    quota: list[int]

    def finish(self) -> list[EpisodeEnd]:
        """Ends the step; the games that ended in it and count."""
        self.player.finish(self.space, 0)
        counted = []
        for end in self.player.take_episode_ends(0, 1):
            if self.quota[end.env] > 0:
                self.quota[end.env] -= 1
                counted.append(end)
        return counted


def _play(groups: list[_Group], ending: Ending, on_step: OnStep | None) -> Evaluation | None:
    counted: list[EpisodeEnd] = []
    env_steps = 0
    while playing := [group for group in groups if any(group.quota)]:
        if ending.reason is not None:
            return None
        for group in playing:
            group.player.begin()
        for group in playing:
            counted += group.finish()
        env_steps += 1
        if on_step is not None:
            on_step(len(counted), env_steps)
    return Evaluation([end.episode_return for end in counted], [end.episode_length_env_steps for end in counted])
