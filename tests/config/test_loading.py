"""Presets and files are read, extend each other, and take overrides; what cannot be read gets one sentence."""

import pytest

from rl_speed.config import game_remarks, load_config, preset_names
from rl_speed.config.loading import configs_directory
from rl_speed.system.errors import ConfigError

PRESETS = {
    "smoke", "slow_grads", "baseline", "n_envs", "parallel", "wrappers_n_envs", "wrappers_parallel", "actors",
    "native", "cuda", "fast_cpu", "fast_gpu", "atari", "dqn_2015", "rainbow",
}  # fmt: skip


def test_the_presets_are_there_and_each_has_a_line():
    assert set(preset_names()) >= PRESETS
    for name in preset_names():
        assert load_config(name).description, name


def test_baseline_is_the_ladders_first_rung():
    config = load_config("baseline")
    assert (config.envs.backend, config.envs.count, config.update.batch_size) == ("classic", 1, 32)
    assert (config.replay.capacity_env_steps, config.replay.prefill_env_steps) == (100_000, 10_000)
    assert (config.exploration.epsilon_start, config.exploration.epsilon_end) == (1.0, 0.02)
    assert config.exploration.decay_env_steps == 100_000
    assert config.update.learning_rate == 1e-4
    assert (config.update.target_sync_gradient_steps, config.replay.gamma, config.update.loss) == (
        1000,
        0.99,
        "mse",
    )
    assert (config.replay.n_step, config.update.env_steps_per_gradient_step) == (1, 1)


@pytest.mark.parametrize(
    ("child", "parent", "section"),
    [
        ("slow_grads", "baseline", "update"),
        ("parallel", "baseline", "actors"),
        ("wrappers_parallel", "parallel", "envs"),
    ],
)
def test_a_rung_changes_only_what_its_name_says(child, parent, section):
    here, below = load_config(child), load_config(parent)
    changed = {
        name
        for name in type(here).model_fields
        if name != "description" and getattr(here, name) != getattr(below, name)
    }
    assert section in changed
    assert changed <= {section, "update"}


def test_overrides_change_one_field_each_and_read_numbers():
    config = load_config("baseline", ["envs.count=3", "update.learning_rate=1e-3", "stop.max_env_steps=null"])
    assert config.envs.count == 3
    assert config.update.learning_rate == 1e-3
    assert config.stop.max_env_steps is None
    assert config.replay == load_config("baseline").replay


def test_a_configuration_survives_its_own_dump():
    from rl_speed.config import validate

    config = load_config("fast_cpu")
    assert validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("envs: [1, 2", "not valid YAML"),
        ("- a\n- b", "must hold keys and values"),
        ("extends: nowhere", r"'nowhere', which .*run\.yaml extends, is neither a preset nor a file"),
        ("extends: 3", "extends = 3"),
        ("envs:\n  count: 0", "envs.count = 0"),
        ("seed: 1\nseed: 2", "'seed' stands twice"),
        ("1: 2", "key 1 is not a text"),
        ("for_game: 3", "for_game = 3 must hold settings by game"),
        ("for_game: {pong: 3}", "must hold settings by game"),
        ("for_game: {pogn: {seed: 1}}", "for_game.pogn: envs.game = 'pogn' .* did you mean pong"),
        ("for_game: {breakout: {envs: {crop: 1}}}", "for_game.breakout: unknown key envs.crop"),
        ("for_game: {breakout: {envs: {game: pong}}}", "for_game.breakout sets envs.game"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path, text, part):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=part):
        load_config(str(path))


def test_files_that_extend_each_other_are_refused(tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(f"extends: {second}")
    second.write_text(f"extends: {first}")
    with pytest.raises(ConfigError, match="extends"):
        load_config(str(first))


def test_what_a_file_extends_is_found_beside_it(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "base.yaml").write_text("extends: baseline\nseed: 5\n")
    (tmp_path / "a" / "base.yaml").write_text("extends: ../base.yaml\nenvs: {count: 3}\n")
    (tmp_path / "a" / "b" / "run.yaml").write_text("extends: ../base.yaml\n")
    monkeypatch.chdir(tmp_path)
    config = load_config("a/b/run.yaml")
    assert (config.seed, config.envs.count) == (5, 3)
    monkeypatch.chdir(tmp_path / "a")
    assert load_config("b/run.yaml") == config


def test_a_file_that_extends_itself_is_refused_whatever_it_is_called(tmp_path, monkeypatch):
    (tmp_path / "run.yaml").write_text("extends: ./run.yaml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="not one that extends this"):
        load_config("run.yaml")


def test_an_unreadable_file_gets_one_sentence(tmp_path):
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(str(path))


def test_an_unknown_preset_offers_a_near_one():
    with pytest.raises(ConfigError, match="did you mean baseline"):
        load_config("baselin")


def test_a_user_file_may_extend_a_preset(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: baseline\nenvs: {game: breakout, episodic_life: true}\n")
    config = load_config(str(path))
    assert (config.envs.game, config.envs.episodic_life, config.update.batch_size) == ("breakout", True, 32)


def test_the_folder_of_presets_is_found():
    assert (configs_directory() / "baseline.yaml").is_file()


TWO_GAMES = """
extends: fast_cpu
envs: {crop_bottom: 7}
for_game:
  pong: {envs: {crop_top: 10}}
  breakout: {stop: {reward: 30}, envs: {crop_top: 3}}
"""


@pytest.fixture
def two_games(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(TWO_GAMES)
    return str(path)


def test_what_holds_for_a_game_alone_is_laid_over_its_own_file(two_games):
    pong = load_config(two_games)
    # A file that extends another has the last word, in general and for a game.
    assert (pong.envs.crop_top, pong.envs.crop_bottom, pong.envs.actions) == (10, 7, ("NOOP", "RIGHT", "LEFT"))
    assert pong.annealing.returns == (6, 19.5)
    breakout = load_config(two_games, ["envs.game=breakout"])
    assert (breakout.envs.crop_top, breakout.envs.crop_bottom, breakout.envs.actions) == (3, 7, "minimal")
    assert (breakout.stop.reward, breakout.annealing.returns) == (30, None)
    other = load_config(two_games, ["envs.game=seaquest"])
    assert (other.envs.crop_top, other.envs.crop_bottom, other.stop.reward) == (0, 7, None)


def test_what_is_set_with_an_override_holds_for_any_game(two_games):
    changes = ["envs.game=breakout", "envs.crop_top=5", "stop.reward=1", "envs.max_pool=false"]
    config = load_config(two_games, changes)
    assert (config.envs.crop_top, config.stop.reward, config.envs.max_pool) == (5, 1, False)


def test_an_env_of_the_callers_own_has_nothing_of_a_games(two_games):
    config = load_config(two_games, own_env=True)
    assert (config.envs.crop_top, config.envs.crop_bottom, config.stop.reward) == (0, 7, None)
    assert load_config("fast_cpu", {"stop.reward": 5}, own_env=True).stop.reward == 5


def test_an_env_of_the_registry_has_nothing_of_a_games(two_games):
    config = load_config(two_games, ["envs.id=CarRacing-v3", "envs.options.continuous=false"])
    assert (config.envs.crop_top, config.envs.crop_bottom, config.stop.reward) == (0, 7, None)
    assert config.envs.options == {"continuous": False}
    left_out, no_goal = game_remarks("fast_cpu", ["envs.id=CarRacing-v3"])
    assert "for pong alone what does not hold for CarRacing-v3: " in left_out
    assert "CarRacing-v3 is played without a goal until Ctrl-C" in no_goal


def test_two_ways_to_say_what_is_played_exclude_each_other():
    with pytest.raises(ConfigError, match=r"envs\.id = 'X-v0' and envs\.game = 'pong' exclude"):
        load_config("fast_cpu", ["envs.game=pong", "envs.id=X-v0"])
    with pytest.raises(ConfigError, match=r"env= and envs\.id = 'X-v0' exclude"):
        load_config("fast_cpu", ["envs.id=X-v0"], own_env=True)


def test_the_user_hears_what_is_left_out(two_games):
    assert game_remarks("fast_cpu") == []
    assert game_remarks("fast_cpu", ["stop.reward=null"])[0].startswith("stop.reward = null: pong is played without a")
    (left_out,) = game_remarks("fast_cpu", ["envs.game=breakout", "envs.crop_top=14", "stop.reward=30"])
    assert "for pong alone what does not hold for breakout: annealing." in left_out
    assert "envs.actions, envs.crop_bottom" in left_out
    assert "annealing.returns" in left_out
    assert "crop_top" not in left_out
    (left_out,) = game_remarks(two_games, ["envs.game=breakout"])
    assert "envs.actions" in left_out
    assert "crop" not in left_out
    left_out, no_goal = game_remarks("fast_cpu", ["stop.max_seconds=9.5"], own_env=True)
    assert "envs.crop_top" in left_out
    assert "an env of your own is played without a goal until stop.max_seconds" in no_goal


def test_settings_of_another_game_that_do_not_fit_are_a_sentence(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("replay: {n_step: 0}\nfor_game: {pong: {replay: {n_step: 3}}, breakout: {envs: {count: 3}}}\n")
    with pytest.raises(ConfigError, match=r"for_game\.breakout does not fit .*replay\.n_step = 0"):
        game_remarks(str(path))


def test_what_is_missing_in_a_chain_is_told_with_who_extends_it(tmp_path):
    (tmp_path / "f.yaml").write_text("extends: nofile")
    (tmp_path / "g.yaml").write_text("extends: f.yaml")
    with pytest.raises(ConfigError, match=r"config 'nofile', which .*f\.yaml extends, is neither"):
        load_config(str(tmp_path / "g.yaml"))


def test_settings_for_games_belong_into_a_file():
    with pytest.raises(ConfigError, match="for_game belongs into a file"):
        load_config("baseline", ["for_game.pong.envs.count=3"])
