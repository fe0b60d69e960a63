"""score.json: what is expected of it, so that a file that is broken or of another version is no finished run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_speed.suite.folder import SCORE_FILE

FORMAT = 1  # a file without one is of this one
# What the report reads of it; None: whatever it holds.
_NEEDED: dict[str, Any] = {
    "evaluation": dict.fromkeys(
        ("mean", "std", "episodes", "epsilon", "sticky_probability", "noop_max", "max_episode_frames", "actions")
    ),
    "training": dict.fromkeys(("env_steps", "gradient_steps", "seconds", "episodes", "avg_reward", "stop_reason")),
    "config": {"envs": {"sticky_probability": None}},
    "machine": dict.fromkeys(("processor", "memory_bytes", "gpus")),
    "versions": dict.fromkeys(("python", "torch", "ale-py", "numpy")),
    "cores": None,
    "commit": None,
}


def read_score(folder: Path) -> dict[str, Any]:
    """The score of a run.

    Args:
        folder: the run's.

    Raises:
        FileNotFoundError: it has none.
        OSError, ValueError: there is one that cannot be read, or not as one of this version.
    """
    content = json.loads((folder / SCORE_FILE).read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("it holds no object")
    if content.get("format", FORMAT) != FORMAT:
        raise ValueError(f"it has format {content['format']!r}, not {FORMAT}")
    _check_holds(content, _NEEDED, "")
    numbers = content["evaluation"]["mean"], content["training"]["env_steps"], content["training"]["seconds"]
    if not all(isinstance(number, (int, float)) for number in numbers):
        raise ValueError("evaluation.mean, training.env_steps and training.seconds are not all numbers")
    return content


def has_score(folder: Path) -> bool:
    """Whether a run is finished: it has a score that can be read."""
    try:
        read_score(folder)
    except (OSError, ValueError):
        return False
    return True


def _check_holds(content: Any, needed: Mapping[str, Any], where: str) -> None:
    for name, below in needed.items():
        if not isinstance(content, dict) or name not in content:
            raise ValueError(f"it lacks {where}{name}")
        if below is not None:
            _check_holds(content[name], below, f"{where}{name}.")
