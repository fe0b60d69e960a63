"""What fields demand of each other: each rule is kept by one configuration and broken by another."""

import pytest

from rl_speed.config import load_config
from rl_speed.system.errors import ConfigError


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


def test_a_fused_network_needs_whole_blocks():
    with pytest.raises(ConfigError, match=r"network.fused = true needs .* not 8 and 3; set it to false"):
        load_config("fast_cpu", ["network.strides=[3, 2]", "network.fused=true"])
