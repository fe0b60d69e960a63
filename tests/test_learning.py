"""Whole runs on a game that takes foresight: the program learns, and does so through its own wiring."""

import pytest

import rl_speed
from tests.corridor import Corridor

RUN = {
    "envs": {"count": 4, "image_height": 20, "image_width": 20, "frame_stack": 1},
    "replay": {"capacity_env_steps": 4000, "prefill_env_steps": 1000, "gamma": 0.9},
    "network": {"channels": [8], "kernels": [4], "strides": [2], "hidden": 32},
    "update": {
        "batch_size": 32, "learning_rate": 3e-3, "env_steps_per_gradient_step": 4.0, "gradient_steps_per_batch": 4,
        "target_sync_gradient_steps": 20, "threads": 1,
        # Smaller steps at the end: the greedy policy that is judged must not be caught in a swing.
        "final_learning_rate": 1e-4, "anneal_gradient_steps": 800,
    },
    "exploration": {"epsilon_end": 0.15, "decay_env_steps": 3000},
    "stop": {"window_episodes": 50, "reward": 100.0, "max_gradient_steps": 800, "confirm_episodes": 0},
    "trainer": {"accelerator": "cpu"},
}  # fmt: skip

EVERYTHING = {
    "replay": {"n_step": 3, "priority_exponent": 0.6},
    "network": {"dueling": True, "standardise": True, "normalise": True},
    "update": {"double": True, "loss": "huber"},
}
WITH_ACTORS = {"actors": {"kind": "subprocess", "rollout_env_steps": 2}}
IN_RAY = {"actors": {"kind": "ray", "count": 2, "rollout_env_steps": 2}, "envs": {"count": 2}}


VARIANTS = {"plain": {}, "everything": EVERYTHING, "actors": WITH_ACTORS, "ray": IN_RAY}


def merged(first, second):
    return {name: {**first.get(name, {}), **second.get(name, {})} for name in {**first, **second}}


def mean_return(checkpoint, epsilon):
    return rl_speed.evaluate(checkpoint, episodes=64, epsilon=epsilon, env=Corridor).mean


@pytest.mark.parametrize("name", [*list(VARIANTS)[:-1], pytest.param("ray", marks=pytest.mark.ray)])
def test_a_run_learns_to_look_ahead(name, tmp_path):
    content = merged(merged(RUN, VARIANTS[name]), {"logging": {"directory": str(tmp_path)}})
    if name == "ray":
        pytest.importorskip("ray")
    result = rl_speed.train("baseline", content, seed=1, env=Corridor)
    # At random 0.23; who values only the next reward turns left for 0.1.
    assert mean_return(result.checkpoint, epsilon=1.0) < 0.45
    assert mean_return(result.checkpoint, epsilon=0.02) > 0.85
    # The games of the training itself, in which 15 % of the actions are random.
    assert result.avg_reward > 0.6
