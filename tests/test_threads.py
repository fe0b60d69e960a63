"""The defaults add up to the cores that there are."""

import pytest

from rl_speed.config import load_config
from rl_speed.training.plan import plan_threads


@pytest.mark.parametrize(
    ("preset", "overrides", "cores", "learner", "env"),
    [
        ("baseline", [], 2, 2, 1),  # games and learner take turns in one thread
        ("smoke", [], 2, 1, 1),
        ("smoke", [], 8, 4, 4),
        ("smoke", ["envs.threads=1"], 4, 3, 1),
        ("smoke", ["envs.threads=2"], 2, 1, 2),
        ("parallel", [], 2, 2, 1),  # its actor waits most of the time
        ("actors", [], 2, 2, 1),
        ("actors", [], 8, 8, 1),
        ("actors", ["update.env_steps_per_gradient_step=24"], 8, 6, 1),
        ("fast_cpu", [], 1, 1, 1),
        ("fast_cpu", [], 2, 1, 1),
        ("fast_cpu", [], 64, 4, 1),
        ("fast_cpu", ["update.threads=2"], 8, 2, 1),
    ],
)
def test_threads(preset, overrides, cores, learner, env):
    plan = plan_threads(load_config(preset, overrides), cores)
    assert (plan.learner, plan.env) == (learner, env)
