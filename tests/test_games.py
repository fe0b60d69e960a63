"""Any game of ale-py's can be started, played, judged and filmed on every backend, or is refused by name."""

from __future__ import annotations

import itertools
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ale_py import roms

from rl_speed.bench.commands import _choose
from rl_speed.config import load_config
from rl_speed.experience.envs import make_env
from rl_speed.learner.network import make_network
from rl_speed.system.errors import ConfigError
from rl_speed.training.evaluation import Protocol, play_games
from rl_speed.training.video import record_video
from tests.command_line import ENDLESS

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
    video = Path(folder) / "game.mp4"
    filmed = record_video(network, config, video, epsilon=0.5, seed=1)
    assert video.stat().st_size > 1000
    assert 1 <= games.lengths_env_steps[0] <= 20
    assert np.isfinite([games.mean, filmed]).all()


def try_out(game, folder):
    """For each backend the sentence that refuses the game, or None; those that play it have to play the same."""
    refusals, seen = {}, {}
    config = None
    for backend in BACKENDS:
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


# One with no difficulty 0 and no NOOP among its actions, one that takes no FIRE, and one that flickers.
@pytest.mark.parametrize("game", ["backgammon", "skiing", "ms_pacman"])
def test_a_game_is_played_judged_and_filmed(game, tmp_path):
    assert try_out(game, tmp_path) == dict.fromkeys(BACKENDS)


@pytest.mark.slow
@pytest.mark.parametrize("game", roms.get_all_rom_ids())
def test_every_rom_is_a_game_or_refused(game, tmp_path):
    # In a process of its own: ale-py ends the process that gives it a ROM which it does not play.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        refusals = process.submit(try_out, game, tmp_path).result()
    for backend, sentence in refusals.items():
        assert (sentence is not None) == (game in NOT_FOR_ONE_PLAYER), f"{backend}: {sentence}"


@pytest.mark.parametrize("backend", [*BACKENDS, "cuda"])
@pytest.mark.parametrize("game", sorted(NOT_FOR_ONE_PLAYER))
def test_what_cannot_be_played_is_refused_when_the_configuration_loads(game, backend):
    with pytest.raises(ConfigError, match=f"envs.game = '{game}' is a ROM .* choose another, e.g. pong"):
        load_config("baseline", [f"envs.game={game}", f"envs.backend={backend}"])


@pytest.mark.parametrize("preset", ["fast_cpu", "fast_gpu", "baseline", "cuda"])
def test_a_preset_of_pongs_plays_another_game_as_that_game_is(preset):
    config = load_config(preset, ["envs.game=breakout"])
    assert (config.envs.actions, config.envs.crop_top, config.envs.crop_bottom) == ("minimal", 0, 0)
    assert config.envs.max_pool
    assert config.envs.clip_reward
    assert config.stop.reward is None
    assert config.update.anneal_returns is None
    assert config.replay == load_config(preset).replay


def test_a_game_without_a_goal_is_trained_to_its_limit(here, tmp_path):
    (tmp_path / "run.yaml").write_text(ENDLESS)
    changes = ["envs.game=backgammon", "stop.max_gradient_steps=20", "logging.progress_bar=false"]
    answer = here("train", "--config", "run.yaml", *(f"--set={change}" for change in changes), cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "stop.reward = null: backgammon is played without a goal until stop.max_gradient_steps" in answer.stdout
    run = tmp_path / "lightning_logs" / "version_0"
    result = json.loads((run / "result.json").read_text())
    assert (result["solved"], result["stop_reason"]) == (False, "max_gradient_steps")
    assert result["config"]["stop"]["reward"] is None
    resumed = here("train", "--resume", "last", "--set", "stop.max_gradient_steps=30", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    later = json.loads((run / "result.json").read_text())["config"]
    assert later == {**result["config"], "stop": {**result["config"]["stop"], "max_gradient_steps": 30}}
    judged = here("evaluate", str(run), "--episodes", "1", cwd=tmp_path)
    assert judged.returncode == 0, judged.stderr
    assert judged.stdout.startswith("backgammon: mean")
    filmed = here("play", str(run), "--video", "game.mp4", cwd=tmp_path)
    assert filmed.returncode == 0, filmed.stderr
    assert (tmp_path / "game.mp4").stat().st_size > 1000


def test_doctor_and_the_bench_say_what_is_left_out(here, tmp_path):
    answer = here("doctor", "--config", "wrappers_n_envs", "--set", "envs.game=breakout", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    sentence = "config wrappers_n_envs sets for pong alone what does not hold for breakout: envs.max_pool"
    assert sentence in answer.stdout.splitlines()
    assert "stop.reward = null: breakout is played without a goal until Ctrl-C" in answer.stdout
    told = []
    chosen, is_wrong = _choose(
        ["baseline", "wrappers_n_envs"],
        SimpleNamespace(overrides=("envs.game=breakout",)),
        SimpleNamespace(problem=told.append),
    )
    assert ([contestant.name for contestant in chosen], is_wrong) == (["baseline", "wrappers_n_envs"], False)
    assert told == [sentence]
