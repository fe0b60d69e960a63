"""One game on several backends: started, played with random actions, judged and filmed."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import torch

from rl_speed.config import load_config
from rl_speed.experience.envs import make_env
from rl_speed.learner.network import make_network
from rl_speed.system.errors import ConfigError
from rl_speed.training.evaluation import Protocol, play_games
from rl_speed.training.video import record_video

BACKENDS = ("classic", "ale_vector", "native")
# What ale-py's emulator cannot load for one player: it ends the process, or raises.
NOT_FOR_ONE_PLAYER = {"combat", "joust", "maze_craze", "warlords"}
ENV_STEPS = 200
SMALL = [
    "envs.image_height=42", "envs.image_width=42", "envs.max_episode_frames=80", "network.channels=[4]",
    "network.kernels=[4]", "network.strides=[4]", "network.hidden=8", "trainer.accelerator=cpu",
]  # fmt: skip


def played(game, backend):
    """The configuration that loads, and what an env of it answers to random actions."""
    config = load_config("baseline", [f"envs.game={game}", f"envs.backend={backend}", *SMALL])
    env = make_env(config.envs, 1, 0, 1)
    generator = np.random.default_rng(0)
    try:
        answers = [env.reset()]
        for _ in range(ENV_STEPS):
            env.send(torch.from_numpy(generator.integers(env.num_actions, size=1)))
            answers += vars(env.recv()).values()
        return config, env.num_actions, [answer.numpy() for answer in answers]
    finally:
        env.close()


def judged_and_filmed(config, num_actions, folder):
    """One game on ale-py, and one that becomes a video."""
    network = make_network(config.network, config.envs.observation_shape, num_actions)
    games = play_games(network, config, Protocol(1, 0.5, seed=1))
    video = Path(folder) / f"{config.envs.game}.mp4"
    filmed = record_video(network, config, video, epsilon=0.5, seed=1)
    assert video.stat().st_size > 1000
    assert 1 <= games.lengths_env_steps[0] <= 20
    assert np.isfinite([games.mean, filmed]).all()


def try_out(game, folder, backends):
    """For each backend the sentence that refuses the game, or None; those that play it have to play the same."""
    refusals, seen = {}, {}
    config = None
    for backend in backends:
        try:
            config, num_actions, seen[backend] = played(game, backend)
        except ConfigError as error:
            refusals[backend] = str(error)
        else:
            refusals[backend] = None
    for one, other in itertools.pairwise(seen.values()):
        for first, second in zip(one, other, strict=True):
            np.testing.assert_array_equal(first, second, err_msg=game)
    if config is not None:  # ale-py does both, whatever the backend
        judged_and_filmed(config, num_actions, folder)
    return refusals


def try_out_all(games, folder, backends):
    """`try_out` of each game, by name."""
    return {game: try_out(game, folder, backends) for game in games}
