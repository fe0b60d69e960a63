"""What one run of a suite does: trains to its limit, plays the evaluation with the last network, writes the score."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from rl_speed.config import load_config
from rl_speed.suite.folder import EPISODES_FILE, FAILURE_FILE, SCORE_FILE
from rl_speed.suite.record import STATE_KEY, EpisodeRecord, episodes_of, write_episodes
from rl_speed.system.commit import commit
from rl_speed.system.cores import usable_cores
from rl_speed.system.ending import Ending
from rl_speed.system.errors import CheckpointError, EndedBeforeStartError, UserError
from rl_speed.system.json_file import write_whole
from rl_speed.system.machine import machine, versions
from rl_speed.training.checkpoint.folders import MODEL_FILE, experience_file, list_checkpoints
from rl_speed.training.checkpoint.reading import load_network, read_experience, read_model
from rl_speed.training.checkpoint.resuming import Request, resume_config
from rl_speed.training.evaluation import Protocol, play_games
from rl_speed.training.fit import fit, quiet_lightning
from rl_speed.training.plan import make_seeds
from rl_speed.training.result import RESULT_FILE
from rl_speed.training.run_folder import CHECKPOINTS

LIMITS = ("max_env_steps", "max_seconds")
_KEPT = ("stop_reason", "seconds", "env_steps", "gradient_steps", "episodes", "avg_reward", "env_steps_per_second")


def train_and_judge(spec: Mapping[str, Any], stop: threading.Event) -> bool:
    """Does what of a run is still to do.

    Args:
        spec: see `schedule.spec_of`.
        stop: set when the run is to end; it is saved then.

    Returns:
        whether the score is written.

    Raises:
        UserError, ActorError, RankError: the run failed.
    """
    quiet_lightning()
    folder = Path(spec["folder"])
    checkpoint = _trained(folder) or _train(spec, folder, stop)
    if checkpoint is None or stop.is_set():
        return False
    evaluation = _judge(checkpoint, spec, stop)
    if evaluation is None:
        return False
    _write_score(spec, folder, checkpoint, evaluation)
    return True


def checkpoints_of(folder: Path) -> list[Path]:
    """The checkpoints of a run, the newest first."""
    return [
        path for run in sorted(folder.glob("version_*"), reverse=True) for path in list_checkpoints(run / CHECKPOINTS)
    ]


def _result(checkpoint: Path) -> dict[str, Any]:
    """result.json of the run that a checkpoint is of; empty if there is none."""
    try:
        content: dict[str, Any] = json.loads((checkpoint.parent.parent / RESULT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content


def _trained(folder: Path) -> Path | None:
    """The last checkpoint of training that has reached its limit; None if there is something left to train."""
    for checkpoint in checkpoints_of(folder)[:1]:
        result = _result(checkpoint)
        if result.get("stop_reason") in LIMITS and read_model(checkpoint)["global_step"] == result["gradient_steps"]:
            return checkpoint
    return None


def _usable(folder: Path) -> Path | None:
    """The newest checkpoint that can be gone on from; what was begun and left none is cleared away."""
    for checkpoint in checkpoints_of(folder):
        try:
            read_model(checkpoint)
            read_experience(checkpoint, 0)
        except CheckpointError as error:
            sys.stderr.write(f"{error}\n")
        else:
            return checkpoint
    for leftover in folder.glob("version_*"):
        shutil.rmtree(leftover, ignore_errors=True)
    return None


def _train(spec: Mapping[str, Any], folder: Path, stop: threading.Event) -> Path | None:
    """Trains on, or from the start; the last checkpoint, or None if it had to stop before the limit."""
    earlier, limit = _usable(folder), spec["max_seconds"]
    if earlier is None:
        changes = [*_threads(spec["threads"]), *spec["changes"], {"logging.directory": str(folder)}]
        config = load_config(spec["source"], changes)
        request = Request(None, spec["preset"], config)
    else:
        spent = float(read_model(earlier)["rl_speed"]["elapsed_seconds"])
        # A limit that is over is met at the first look at the clock.
        request = resume_config(earlier, [], None if limit is None else max(1e-3, limit - spent))
    try:
        outcome = fit(request, Console(file=sys.stdout), [EpisodeRecord()], stop=stop, started=spec["started"])
    except EndedBeforeStartError:
        if stop.is_set():
            return None
        if earlier is None:
            raise
        return earlier  # its wall time was over, but for what it takes to start
    newest = checkpoints_of(folder)[0]
    if outcome.result["stop_reason"] not in LIMITS:
        return None
    if read_model(newest)["global_step"] != outcome.result["gradient_steps"]:
        raise UserError(f"the last checkpoint, {newest}, is not the end of training; make room and start again")
    return newest


def _threads(count: int | None) -> list[dict[str, Any]]:
    """Limits threads where a process cannot be kept to cores."""
    return [] if count is None else [{"update.threads": count, "envs.threads": count}]


def _judge(checkpoint: Path, spec: Mapping[str, Any], stop: threading.Event) -> dict[str, Any] | None:
    """Plays the evaluation with the acting network of a checkpoint."""
    network, config = load_network(checkpoint)
    # Games that no training env had, and the same ones for every preset of this seed.
    seed = make_seeds(config, 0, 0).confirmation
    sticky = config.envs.sticky_probability if spec["sticky"] is None else spec["sticky"]
    protocol = Protocol(spec["episodes"], spec["epsilon"], seed, sticky)
    begun = time.monotonic()
    games = play_games(network, config, protocol, ending=Ending(stop))
    if games is None:
        return None
    return {
        **games.summary(), "epsilon": protocol.epsilon, "sticky_probability": sticky, "seed": seed,
        "noop_max": config.envs.noop_max, "frame_skip": config.envs.frame_skip,
        "max_episode_frames": config.envs.max_episode_frames,
        "actions": config.envs.actions if isinstance(config.envs.actions, str) else list(config.envs.actions),
        "seconds": round(time.monotonic() - begun, 3), "returns": games.returns,
        "lengths_env_steps": games.lengths_env_steps,
    }  # fmt: skip


def _training(checkpoint: Path) -> dict[str, Any]:
    """How training ended: as result.json says, or as the checkpoint knows it where its run ended without one."""
    result, content = _result(checkpoint), read_model(checkpoint)
    if result.get("stop_reason") not in LIMITS:
        games = content["callbacks"]["EpisodeStatistics"]["recent"]
        now = content["callbacks"][STATE_KEY]["now"]
        result = {
            **now, "stop_reason": "max_seconds", "gradient_steps": content["global_step"],
            "episodes": content["callbacks"]["EpisodeStatistics"]["episodes"],
            "avg_reward": sum(games) / len(games) if games else None, "env_steps_per_second": None,
        }  # fmt: skip
    return {**{name: result[name] for name in _KEPT}, "plan": content["rl_speed"]["plan"]}


def _write_score(spec: Mapping[str, Any], folder: Path, checkpoint: Path, evaluation: dict[str, Any]) -> None:
    content = read_model(checkpoint)
    write_episodes(folder / EPISODES_FILE, episodes_of(content["callbacks"][STATE_KEY]))
    score = {
        **{name: spec[name] for name in ("preset", "game", "seed")},
        "evaluation": evaluation,
        "training": _training(checkpoint),
        "checkpoint": str(checkpoint.relative_to(folder)),
        "config": content["rl_speed"]["config"],
        "cores": usable_cores().reason,
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
    }
    write_whole(folder / SCORE_FILE, score)
    (folder / FAILURE_FILE).unlink(missing_ok=True)
    drop_experience(folder)


def drop_experience(folder: Path) -> None:
    """Removes what only going on would need, of a run that is finished: replays, and all checkpoints but the last."""
    for checkpoint in checkpoints_of(folder)[1:]:
        shutil.rmtree(checkpoint, ignore_errors=True)
    for checkpoint in checkpoints_of(folder):
        for path in checkpoint.iterdir():
            if path.name != MODEL_FILE and path.name.startswith(experience_file(0).partition("0")[0]):
                path.unlink(missing_ok=True)
