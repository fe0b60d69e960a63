"""What a run may change when it goes on."""

import pytest

from rl_speed.config import load_config
from rl_speed.system.errors import ConfigError
from rl_speed.training.checkpoint.resuming import _check_fixed


@pytest.mark.parametrize(
    "change", ["actors.address=192.0.2.2:6379", "actors.address=null", "actors.timeout_seconds=5", "envs.threads=2"]
)
def test_what_the_saved_games_do_not_depend_on_may_change(change):
    saved = load_config("smoke", ["actors.kind=ray", "actors.address=192.0.2.1:6379"])
    _check_fixed(saved, load_config("smoke", ["actors.kind=ray", "actors.address=192.0.2.1:6379", change]))


@pytest.mark.parametrize("change", ["envs.frame_skip=3", "replay.n_step=4", "seed=9", "network.hidden=7"])
def test_what_they_depend_on_may_not(change):
    with pytest.raises(ConfigError, match=f"{change.partition('=')[0]} cannot change from .* on resume"):
        _check_fixed(load_config("smoke"), load_config("smoke", [change]))
