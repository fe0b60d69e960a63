"""Bad values get one sentence with the field, the value and the fix."""

import pytest

from rl_speed.config import load_config
from rl_speed.system.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("envs.game=pongg", ["envs.game", "'pongg'", "did you mean pong"]),
        ("envs.game=MsPacman", ["envs.game", "ms_pacman"]),
        ("envs.game=combat", ["envs.game = 'combat'", "cannot play with one player", "choose another"]),
        ("envs.game=[pong]", ["envs.game", "string"]),
        ("envs.max_episode_frames=4", ["envs.max_episode_frames = 4", "raise it"]),
        ("for_game.pong.seed=1", ["for_game belongs into a file"]),
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
        ("annealing.learning_rate=1e-5", ["annealing.learning_rate = 1e-05", "set one of these two"]),
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
