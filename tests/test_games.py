"""Any game of ale-py's can be started, played, judged and filmed on every backend, or is refused by name."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from types import SimpleNamespace

import pytest
from ale_py import roms

from rl_speed.bench.commands import _choose
from rl_speed.config import load_config
from rl_speed.system.errors import ConfigError
from tests.any_game import BACKENDS, NOT_FOR_ONE_PLAYER, try_out, try_out_all
from tests.command_line import ENDLESS

OF_ALE_PY = ("classic", "ale_vector")
# One with no difficulty 0 and no NOOP among its actions, one that takes no FIRE, and one that flickers.
ODD_GAMES = ("backgammon", "skiing", "ms_pacman")
ROMS = sorted(roms.get_all_rom_ids())


@pytest.mark.parametrize(
    "game", [ODD_GAMES[0], *(pytest.param(game, marks=pytest.mark.slow) for game in ODD_GAMES[1:])]
)
def test_a_game_is_played_judged_and_filmed(game, tmp_path):
    assert try_out(game, tmp_path, OF_ALE_PY) == dict.fromkeys(OF_ALE_PY)


@pytest.mark.slow
@pytest.mark.parametrize("game", ODD_GAMES)
def test_our_own_emulator_plays_it_too(game, tmp_path):
    assert try_out(game, tmp_path, BACKENDS) == dict.fromkeys(BACKENDS)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.exhaustive
def test_every_rom_is_a_game_or_refused(tmp_path):
    # In processes of their own: ale-py ends the process that gives it a ROM which it does not play.
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
        # Each on one of ale-py's backends; the odd ones above are played on both.
        parts = [
            processes.submit(try_out_all, ROMS[part::8], tmp_path, (OF_ALE_PY[part % len(OF_ALE_PY)],))
            for part in range(8)
        ]
        answers = {game: refusals for part in parts for game, refusals in part.result().items()}
    assert sorted(answers) == ROMS
    for game, refusals in answers.items():
        for backend, sentence in refusals.items():
            assert (sentence is not None) == (game in NOT_FOR_ONE_PLAYER), f"{game}, {backend}: {sentence}"


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
    assert config.annealing.returns is None
    pong = load_config(preset).replay
    # From a hit to a point it takes longer than most rewards are away, and long returns want fresh experience.
    assert config.replay.n_step <= min(10, pong.n_step)
    assert config.replay.capacity_env_steps >= pong.capacity_env_steps
    own = ("n_step", "capacity_env_steps")
    assert config.replay.model_copy(update={name: getattr(pong, name) for name in own}) == pong


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
        SimpleNamespace(problem=told.append, prepare=lambda contestant: None),
    )
    assert ([contestant.name for contestant in chosen], is_wrong) == (["baseline", "wrappers_n_envs"], False)
    assert told == [sentence]
