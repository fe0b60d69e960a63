"""Configurations: presets load, overrides act, and bad input gets one sentence with the field and the fix."""

import pytest

from rl_speed.config import load_config, preset_names
from rl_speed.config.loading import configs_directory
from rl_speed.system.errors import ConfigError

PRESETS = {
    "smoke", "slow_grads", "baseline", "n_envs", "parallel", "wrappers_n_envs", "wrappers_parallel", "actors",
    "native", "cuda", "fast_cpu", "fast_gpu",
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
    ("override", "parts"),
    [
        ("envs.game=pongg", ["envs.game", "'pongg'", "did you mean pong"]),
        ("envs.game=MsPacman", ["envs.game", "ms_pacman"]),
        ("envs.cuont=3", ["unknown key envs.cuont", "did you mean envs.count"]),
        ("learning_rate=1", ["unknown key learning_rate"]),
        ("envs.count=0", ["envs.count = 0", "greater than or equal to 1"]),
        ("envs.count=three", ["envs.count = 'three'", "integer"]),
        ("envs.count=2.5", ["envs.count = 2.5", "integer"]),
        ("envs.count=true", ["envs.count = True", "integer"]),
        ("replay.gamma=1.5", ["replay.gamma = 1.5", "less than or equal to 1"]),
        ("update.learning_rate=.nan", ["update.learning_rate", "finite"]),
        ("update.loss=l1", ["update.loss = 'l1'", "'mse' or 'huber'"]),
        ("envs.actions=[NOOP, JUMP]", ["envs.actions", "'JUMP'", "RIGHT"]),
        ("envs.actions=[NOOP, NOOP]", ["envs.actions", "two different"]),
        ("envs=3", ["envs = 3", "must hold keys and values"]),
        ("envs=null", ["envs = None", "must hold keys and values"]),
        ("1=2", ["unknown key 1"]),
        ("seed=2020-99-99", ["--set", "not valid YAML"]),
        ("stop.max_env_steps=1e6", ["stop.max_env_steps = 1000000.0", "write 1000000"]),
        ("stop.max_env_steps=500", ["stop.max_env_steps = 500", "raise it"]),
        ("update.final_learning_rate=1e-5", ["update.final_learning_rate", "together"]),
        ("network.strides=[4, 0, 1]", ["network.strides = [4, 0, 1]", "from 1 to 4096"]),
        ("actors.networks=2", ["actors.networks = 2", "subprocess"]),
        ("actors.free_running=true", ["actors.free_running", "subprocess"]),
        ("trainer.devices=2", ["trainer.devices = 2"]),
        ("network.kernels=[8, 4]", ["one entry per convolution"]),
        ("network.kernels=[80, 4, 3]", ["network.kernels", "to nothing"]),
        ("replay.capacity_env_steps=3", ["replay.capacity_env_steps = 3", "raise it"]),
        ("replay.prefill_env_steps=200000", ["replay.prefill_env_steps", "lower the first"]),
        ("actors.count=2", ["actors.count", "subprocess"]),
        ("update.gradient_steps_per_batch=3", ["multiple", "gradient_steps_per_batch = 3"]),
        ("envs.crop_top=80", ["envs.crop_top", "leave at least 20"]),
        ("envs.count", ["--set 'envs.count'", "section.field=value"]),
        ("envs.count=[", ["--set", "not valid YAML"]),
        ("envs.mode=77", ["envs.mode = 77", "pong", "[0, 1]"]),
        ("envs.difficulty=4", ["envs.difficulty = 4", "less than or equal to 3"]),
    ],
)
def test_bad_values_name_the_field_the_value_and_the_fix(override, parts):
    with pytest.raises(ConfigError) as caught:
        load_config("baseline", [override])
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("preset", "override", "parts"),
    [
        ("n_envs", "envs.backend=cuda trainer.accelerator=cpu", ["trainer.accelerator = cpu", "set it to auto or gpu"]),
        ("parallel", "envs.backend=cuda", ["actors.kind = subprocess", "set it to in_process"]),
        ("smoke", "envs.mode=1", ["envs.mode = 1", "native or classic"]),
        ("baseline", "envs.game=alien envs.mode=9", ["envs.mode = 9", "alien", "[0, 1, 2, 3]"]),
    ],
)
def test_values_that_do_not_go_together_are_refused(preset, override, parts):
    with pytest.raises(ConfigError) as caught:
        load_config(preset, override.split())
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("envs: [1, 2", "not valid YAML"),
        ("- a\n- b", "must hold keys and values"),
        ("extends: nowhere", "'nowhere' is neither a preset nor a file"),
        ("extends: 3", "extends = 3"),
        ("envs:\n  count: 0", "envs.count = 0"),
        ("seed: 1\nseed: 2", "'seed' stands twice"),
        ("1: 2", "key 1 is not a text"),
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


def test_every_field_is_described():
    from rl_speed.config import RunConfig

    for section_name, section in RunConfig.model_fields.items():
        fields = getattr(section.annotation, "model_fields", {})
        for name, field in fields.items():
            assert field.description, f"{section_name}.{name}"


def test_the_folder_of_presets_is_found():
    assert (configs_directory() / "baseline.yaml").is_file()


def test_a_fused_network_needs_whole_blocks():
    with pytest.raises(ConfigError, match=r"network.fused = true needs .* not 8 and 3; set it to false"):
        load_config("fast_cpu", ["network.strides=[3, 2]", "network.fused=true"])
