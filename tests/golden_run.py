"""Short runs of fixed steps, and what they gave when they were recorded (golden_run.json).

Renew the record after a change that is meant to change what is computed, and say so in the commit:

    OMP_NUM_THREADS=1 python -m tests.golden_run
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback

import rl_speed
from rl_speed.training.checkpoint.reading import read_experience, read_model
from tests.corridor import Corridor

RECORD = Path(__file__).with_suffix(".json")

PLAIN: dict[str, Any] = {
    "envs": {"count": 3, "image_height": 20, "image_width": 20, "frame_stack": 2},
    "replay": {"capacity_env_steps": 600, "prefill_env_steps": 90, "gamma": 0.9},
    "network": {"channels": [4], "kernels": [4], "strides": [4], "hidden": 16},
    "update": {
        "batch_size": 16, "learning_rate": 1e-3, "env_steps_per_gradient_step": 4.5, "gradient_steps_per_batch": 2,
        "target_sync_gradient_steps": 8, "threads": 1,
    },
    "exploration": {"epsilon_end": 0.1, "decay_env_steps": 150},
    "stop": {"max_gradient_steps": 42, "confirm_episodes": 0},
    "trainer": {"accelerator": "cpu"},
}  # fmt: skip

EVERYTHING: dict[str, Any] = {
    **PLAIN,
    "replay": {**PLAIN["replay"], "n_step": 3, "priority_exponent": 0.6},
    "network": {**PLAIN["network"], "dueling": True, "standardise": True, "normalise": True},
    "update": {
        **PLAIN["update"], "double": True, "loss": "huber", "max_gradient_norm": 0.5, "averaging_rate": 0.3,
    },
    "annealing": {
        "gradient_steps": 60, "learning_rate": 1e-4, "env_steps_per_gradient_step": 6.0, "epsilon": 0.4, "n_step": 1,
        "gamma": 0.95,
    },
}  # fmt: skip

# What "everything" cannot have beside what it has.
FAMILY: dict[str, Any] = {
    **PLAIN,
    "network": {
        **PLAIN["network"], "kind": "impala", "channels": [4, 4], "value": "categorical", "atoms": 9,
        "value_range": [-1.0, 2.0], "noisy": True,
    },
    "replay": {**PLAIN["replay"], "priority_exponent": 0.5},
    "update": {**PLAIN["update"], "munchausen": 0.9, "entropy_temperature": 0.1, "target_sync_rate": 0.1},
    "annealing": {"gradient_steps": 60, "importance_exponent": 1.0},
}  # fmt: skip

RUNS = {"plain": PLAIN, "everything": EVERYTHING, "family": FAMILY}


class Losses(Callback):
    """Keeps the loss of every gradient step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        self.values += outputs["loss"].tolist()


def play(name: str) -> dict[str, Any]:
    """The run of that name: whole numbers and numbers that may differ in their last digits between machines."""
    losses = Losses()
    with tempfile.TemporaryDirectory() as directory:
        content = {**RUNS[name], "logging": {"directory": directory, "progress_bar": False}}
        result = rl_speed.train("baseline", content, seed=5, env=Corridor, callbacks=[losses])
        assert result.checkpoint is not None
        model, experience = read_model(result.checkpoint), read_experience(result.checkpoint, 0)
        games = rl_speed.evaluate(result.checkpoint, episodes=5, epsilon=0.5, seed=2, env=Corridor)
    weights = {name: float(tensor.float().norm()) for name, tensor in model["state_dict"].items()}
    return {
        "exact": {
            "env_steps": result.env_steps,
            "gradient_steps": result.gradient_steps,
            "episodes": result.episodes,
            "actions": experience["replay"]["ring"]["action"].flatten().tolist(),
            "lengths_of_evaluation": games.lengths_env_steps,
        },
        "close": {
            "losses": losses.values,
            "weights": weights,
            "learning_rate": model["optimizer_states"][0]["param_groups"][0]["lr"],
            "priorities": experience["replay"]["ring"]["priority"].flatten().tolist()[-60:],
            "average_return": result.avg_reward,
            "returns_of_evaluation": games.returns,
        },
    }


def _rounded(value: Any) -> Any:
    """Floats with six digits: more differ between machines, and nobody reads them."""
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


if __name__ == "__main__":
    RECORD.write_text(json.dumps({name: _rounded(play(name)) for name in RUNS}) + "\n")
    print(f"{RECORD} written")
