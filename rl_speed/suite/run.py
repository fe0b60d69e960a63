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

from rl_speed.config import merge, validate
from rl_speed.suite.folder import EPISODES_FILE, FAILURE_FILE, SCORE_FILE
from rl_speed.suite.record import STATE_KEY, EpisodeRecord, episodes_of, write_episodes
from rl_speed.suite.score_file import FORMAT
from rl_speed.system.commit import commit
from rl_speed.system.cores import usable_cores
from rl_speed.system.ending import Ending
from rl_speed.system.errors import CheckpointError, EndedBeforeStartError, UserError
from rl_speed.system.json_file import write_whole
from rl_speed.system.machine import machine, versions
from rl_speed.training.checkpoint.folders import is_experience_file, list_checkpoints
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
    checkpoint = _trained(folder, spec["config"]["stop"]["max_env_steps"]) or _train(spec, folder, stop)
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


def _result_file(checkpoint: Path) -> Path:
    """result.json of the run that a checkpoint is of."""
    return checkpoint.parent.parent / RESULT_FILE


def _result(checkpoint: Path) -> dict[str, Any]:
    """What result.json of a checkpoint's run holds; empty if there is none."""
    try:
        content: dict[str, Any] = json.loads(_result_file(checkpoint).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content


def _trained(folder: Path, max_env_steps: int | None) -> Path | None:
    """The last checkpoint of training that has reached its limit; None if there is something left to train."""
    newest = next(iter(checkpoints_of(folder)), None)
    if newest is None:
        return None
    try:
        content = read_model(newest)
    except CheckpointError as error:
        sys.stderr.write(f"{error}\n")
        return None  # training goes on from an older one
    result = _result(newest)
    if result.get("stop_reason") in LIMITS and content["global_step"] == result["gradient_steps"]:
        return newest
    if max_env_steps is None or content["callbacks"][STATE_KEY]["now"]["env_steps"] < max_env_steps:
        return None
    _note_end(newest, content, "max_env_steps")  # it was interrupted in its last batch, or before it wrote a result
    return newest


def _note_end(checkpoint: Path, content: Mapping[str, Any], reason: str) -> None:
    """Writes into result.json how training ended, where the checkpoint knows it and the run that trained did not."""
    statistics = content["callbacks"]["EpisodeStatistics"]
    games = statistics["recent"]
    facts = {
        **content["callbacks"][STATE_KEY]["now"], "stop_reason": reason, "gradient_steps": content["global_step"],
        "episodes": statistics["episodes"], "avg_reward": sum(games) / len(games) if games else None,
    }  # fmt: skip
    write_whole(_result_file(checkpoint), {"env_steps_per_second": None, **_result(checkpoint), **facts})


def _usable(folder: Path) -> Path | None:
    """The newest checkpoint that can be gone on from; None if there is none, and what was begun is cleared away.

    Raises:
        UserError: there are checkpoints, but none can be read. They stay: it may be the disk that cannot be read now.
    """
    errors = []
    for checkpoint in checkpoints_of(folder):
        try:
            read_model(checkpoint)
            read_experience(checkpoint, 0)
        except CheckpointError as error:
            sys.stderr.write(f"{error}\n")
            errors.append(str(error))
        else:
            return checkpoint
    if errors:
        raise UserError(
            f"none of the run's {len(errors)} checkpoints can be gone on from ({errors[0]}); remove {folder} to train "
            f"this run from the start"
        )
    for run in folder.glob("version_*"):
        if not _holds_checkpoints(run):
            shutil.rmtree(run, ignore_errors=True)
    return None


def _holds_checkpoints(run: Path) -> bool:
    """Whether something lies in a run's folder that is, or was, a whole checkpoint, under whatever name."""
    directory = run / CHECKPOINTS
    return directory.is_dir() and any(not path.name.endswith(".partial") for path in directory.iterdir())


def _train(spec: Mapping[str, Any], folder: Path, stop: threading.Event) -> Path | None:
    """Trains on, or from the start; the last checkpoint, or None if it had to stop before the limit."""
    earlier = _usable(folder)
    request = _from_start(spec, folder) if earlier is None else _going_on(earlier, spec["max_seconds"])
    try:
        outcome = fit(request, Console(file=sys.stdout), [EpisodeRecord()], stop=stop, started=spec["started"])
    except EndedBeforeStartError:
        if stop.is_set():
            return None
        if earlier is None:
            raise
        _note_end(earlier, read_model(earlier), "max_seconds")  # it was over, but for what it takes to start
        return earlier
    newest = checkpoints_of(folder)[0]
    if outcome.result["stop_reason"] not in LIMITS:
        return None
    if read_model(newest)["global_step"] != outcome.result["gradient_steps"]:
        raise UserError(f"the last checkpoint, {newest}, is not the end of training; make room and start again")
    return newest


def _from_start(spec: Mapping[str, Any], folder: Path) -> Request:
    """The run as the suite has read its configuration: a preset that is edited meanwhile changes nothing."""
    content = merge(spec["config"], {"logging": {"directory": str(folder)}})
    return Request(None, spec["preset"], validate(content))


def _going_on(earlier: Path, max_seconds: float | None) -> Request:
    """The run from a checkpoint on; a limit that is over is met at the first look at the clock."""
    spent = float(read_model(earlier)["rl_speed"]["elapsed_seconds"])
    return resume_config(earlier, [], None if max_seconds is None else max(1e-3, max_seconds - spent))


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


def _write_score(spec: Mapping[str, Any], folder: Path, checkpoint: Path, evaluation: dict[str, Any]) -> None:
    """Writes what is left of the run; the score comes last, for a run with a score is never looked at again."""
    content, result = read_model(checkpoint), _result(checkpoint)
    write_episodes(folder / EPISODES_FILE, episodes_of(content["callbacks"][STATE_KEY]))
    score = {
        "format": FORMAT,
        **{name: spec[name] for name in ("preset", "game", "seed")},
        "evaluation": evaluation,
        "training": {**{name: result[name] for name in _KEPT}, "plan": content["rl_speed"]["plan"]},
        "checkpoint": str(checkpoint.relative_to(folder)),
        "config": content["rl_speed"]["config"],
        "cores": usable_cores().reason,
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
    }
    drop_experience(folder, checkpoint)
    write_whole(folder / SCORE_FILE, score)
    (folder / FAILURE_FILE).unlink(missing_ok=True)


def drop_experience(folder: Path, last: Path) -> None:
    """Removes what only going on would need, of a run that is finished: replays, and all checkpoints but the last."""
    for path in folder.glob(f"version_*/{CHECKPOINTS}/*"):
        if path != last:
            shutil.rmtree(path, ignore_errors=True)
    for path in last.iterdir():
        if is_experience_file(path):
            path.unlink(missing_ok=True)
