"""The program as functions, for a script, a notebook or a thread.

They print nothing unless they are asked to, install no signal handlers and no warning filters, and give torch's thread
count and the global random generators back as they were. An interrupt raises KeyboardInterrupt as in any function; the
run is saved first.
"""

from __future__ import annotations

import logging
import multiprocessing
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback
from rich.console import Console

from rl_speed.config import NetworkConfig, Overrides, as_changes, game_remarks, load_config, merge, validate
from rl_speed.experience.envs.preprocessing import action_names
from rl_speed.experience.parts import EnvFactory, NetworkFactory, Parts
from rl_speed.exports.exporting import Wish, make_export
from rl_speed.system.errors import ConfigError, UserError
from rl_speed.system.output import patient
from rl_speed.training.agent import Agent
from rl_speed.training.checkpoint.folders import find_last, resolve
from rl_speed.training.checkpoint.random_state import random_state, set_random_state
from rl_speed.training.checkpoint.reading import load_network, read_model
from rl_speed.training.checkpoint.resuming import Request, resume_config
from rl_speed.training.evaluation import DEFAULT, Evaluation, Protocol, play_games
from rl_speed.training.fit import fit
from rl_speed.training.plan import default_preset
from rl_speed.training.progress import film_bar, games_bar
from rl_speed.training.ranks.place import find_place
from rl_speed.training.video import record_video


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        solved: the mean return of the last 100 training games reached the goal, and the confirmation bore it out.
        stop_reason: solved, not_confirmed, interrupted, or the limit that was reached; what result.json knows beside
            these raises.
        seconds: wall time, confirmations not included.
        env_steps, gradient_steps, episodes: counts of the run.
        avg_reward: mean return of the last 100 training games; None before the first one.
        confirmation: mean, std, min and max over fresh games; None without one that bore the goal out.
        directory: the run's folder.
        checkpoint: the last one; None if none was written.
        content: all of result.json (docs/metrics.md).
    """

    solved: bool
    stop_reason: str
    seconds: float
    env_steps: int
    gradient_steps: int
    episodes: int
    avg_reward: float | None
    confirmation: dict[str, float] | None
    directory: Path
    checkpoint: Path | None
    content: dict[str, Any]


def train(
    preset: str | Path | None = None,
    overrides: Overrides = (),
    *,
    seed: int | None = None,
    max_seconds: float | None = None,
    resume: str | Path | None = None,
    env: EnvFactory | None = None,
    network: NetworkFactory | None = None,
    callbacks: Sequence[Callback] = (),
    stop: threading.Event | None = None,
    verbose: bool = False,
    started: float | None = None,
) -> Result:
    """Trains until the goal, a limit or an interrupt, as `rl-speed train` does.

    Args:
        preset: name of a preset or path of a YAML file; None: the fast one for this machine, or
            `atari` where another game or env is named than that was made for.
        overrides: values by field, e.g. {"envs.game": "breakout"}, or texts as for --set.
        seed: of networks, exploration, replay and games; None: the preset's.
        max_seconds: give up after this wall time.
        resume: "last", or the folder of a checkpoint or run, to go on from there; it excludes `preset`.
        env: makes one Gymnasium env with images and discrete actions, to be played instead of a game of ale-py
            (`envs.id` does that for one of Gymnasium's registry); what the preset sets for single games is left out
            then, and there is no goal but a `stop.reward` that is set.
        network: (K, H, W) and the number of actions -> a new network from uint8 [B, K, H, W] to values [B, A], the mean
            returns. It takes the place of all that the section `network` says; `network.noisy` is refused.
        callbacks: Lightning callbacks, called after the program's own.
        stop: set from another thread or a signal handler, it ends and saves the run at the next batch.
        verbose: print what the command line prints.
        started: moment of `time.monotonic` from which `max_seconds` and the run's time count; None: this call.

    Returns:
        the result.

    Raises:
        UserError: a mistake that can be put right, in one sentence.
        ActorError: an actor process failed.
        RankError: a process that learned together with this one is gone.
        KeyboardInterrupt: it was interrupted; the run is saved.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UserError("rl_speed.train was called while a process of its own imported the script")
    started = time.monotonic() if started is None else started
    console = Console(quiet=not verbose, file=patient(sys.stdout))
    changes = as_changes(overrides)
    if seed is not None:
        changes.append({"seed": seed})
    if resume is None:
        request = _new_run(preset, changes, max_seconds, console, Parts(env, network))
    elif preset is not None:
        raise ConfigError(
            f"config {preset} and resume {resume} exclude each other: a resumed run has its configuration; change its "
            f"fields instead"
        )
    else:
        folder = _checkpoint(resume, changes)
        request = resume_config(folder, changes, max_seconds)
        if find_place(request.config.trainer).is_first:
            console.print(f"resuming {folder}", highlight=False, markup=False, soft_wrap=True)
    with _unchanged():
        outcome = fit(request, console, callbacks, Parts(env, network), stop, started)
    result = outcome.result
    names = (
        "solved",
        "stop_reason",
        "seconds",
        "env_steps",
        "gradient_steps",
        "episodes",
        "avg_reward",
        "confirmation",
    )
    checkpoint = result["checkpoint"]
    return Result(
        **{name: result[name] for name in names},
        directory=outcome.directory,
        checkpoint=None if checkpoint is None else Path(checkpoint),
        content=result,
    )


def _new_run(
    preset: str | Path | None,
    changes: list[dict[str, Any]],
    max_seconds: float | None,
    console: Console,
    parts: Parts,
) -> Request:
    own_env = parts.own_env is not None
    if max_seconds is not None:
        changes = [*changes, {"stop": {"max_seconds": float(max_seconds)}}]
    lines = []
    if preset is None:
        preset, reason = default_preset(changes, own_env)
        lines.append(f"preset {preset}: {reason}")
    config = load_config(str(preset), changes, own_env)
    lines += game_remarks(str(preset), changes, own_env)
    if parts.own_network is not None and (set_for_ours := _changed_fields(config.network)):
        lines.append(f"network= is one of your own, for which these do not hold: {', '.join(set_for_ours)}")
    for line in lines if find_place(config.trainer).is_first else ():
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return Request(None, Path(preset).stem, config)


def _changed_fields(network: NetworkConfig) -> list[str]:
    usual = NetworkConfig()
    return [f"network.{name}" for name in type(network).model_fields if getattr(network, name) != getattr(usual, name)]


def _checkpoint(resume: str | Path, changes: Sequence[Mapping[str, Any]]) -> Path:
    if str(resume) != "last":
        return resolve(Path(resume))
    content: dict[str, Any] = {}
    for change in changes:
        content = merge(content, change)
    return find_last(Path(validate({"logging": content.get("logging", {})}).logging.directory))


def evaluate(
    checkpoint: str | Path,
    episodes: int = DEFAULT.episodes,
    epsilon: float = DEFAULT.epsilon,
    seed: int = DEFAULT.seed,
    *,
    env: EnvFactory | None = None,
    network: NetworkFactory | None = None,
    verbose: bool = False,
) -> Evaluation:
    """Plays full games with frozen weights: on ale-py, or on the env of another kind that the run was trained on.

    Args:
        checkpoint: folder of a run or of one of its checkpoints.
        episodes: games.
        epsilon: share of random actions.
        seed: of the games and of these.
        env, network: those that the run was trained with, if it was.
        verbose: show on standard error how far the games are.

    Returns:
        returns and lengths of the games, with `mean` and `std`.

    Raises:
        UserError: a mistake that can be put right, in one sentence.
    """
    if episodes < 1:
        raise UserError(f"episodes = {episodes} must be 1 or more")
    _check_chance(epsilon, seed)
    parts = Parts(env, network)
    with _unchanged():
        trained, config = load_network(resolve(Path(checkpoint)), parts)
        console = Console(quiet=not verbose, file=patient(sys.stderr))
        with games_bar(console, "evaluating", episodes) as on_step:
            outcome = play_games(trained, config, Protocol(episodes, epsilon, seed), parts, None, on_step)
    assert outcome is not None  # nobody stops it
    return outcome


def play(
    checkpoint: str | Path,
    video: str | Path,
    epsilon: float = 0.0,
    seed: int = 1,
    *,
    env: EnvFactory | None = None,
    network: NetworkFactory | None = None,
    verbose: bool = False,
) -> float:
    """Plays one full game with a checkpoint and writes it as an mp4 file with the score.

    An env whose `render_mode` is rgb_array shows what it renders, others what they observe.

    Args:
        checkpoint: folder of a run or of one of its checkpoints.
        video: file to write.
        epsilon: share of random actions.
        seed: of the game and of these.
        env, network: those that the run was trained with, if it was.
        verbose: show on standard error how far the game is.

    Returns:
        the game's return.

    Raises:
        UserError: a mistake that can be put right, in one sentence.
    """
    _check_chance(epsilon, seed)
    parts = Parts(env, network)
    with _unchanged():
        trained, config = load_network(resolve(Path(checkpoint)), parts)
        with film_bar(Console(quiet=not verbose, file=patient(sys.stderr))) as on_step:
            return record_video(trained, config, Path(video), epsilon, seed, on_step, parts)


def load(
    checkpoint: str | Path, *, epsilon: float = 0.0, seed: int = 0, network: NetworkFactory | None = None
) -> Agent:
    """A checkpoint's network as an agent: `agent(screen)` gives the number of an action, `agent.reset()` begins a game.

    Args:
        checkpoint: folder of a run or of one of its checkpoints.
        epsilon: share of random actions.
        seed: of these.
        network: the caller's own, if the run was trained with one.

    Raises:
        UserError: a mistake that can be put right, in one sentence.
    """
    _check_chance(epsilon, seed)
    folder = resolve(Path(checkpoint))
    facts = read_model(folder)["rl_speed"]
    own_env = facts.get("parts", {}).get("own_env")
    with _unchanged():
        trained, config = load_network(folder, Parts(None, network), but_env=True)
    names = action_names(config.envs) if own_env is None and config.envs.is_atari else None
    num_actions = facts.get("num_actions") or len(names or ())
    return Agent(trained, config, names, num_actions, epsilon, seed)


def export(
    checkpoint: str | Path,
    out: str | Path,
    formats: str | Sequence[str] = "safetensors",
    *,
    episodes: int | None = None,
    video: bool = False,
    push: str | None = None,
    public: bool = False,
    env: EnvFactory | None = None,
    network: NetworkFactory | None = None,
    verbose: bool = False,
) -> str | None:
    """Writes a checkpoint's acting network for other programs, with a page that tells all about it.

    Args:
        checkpoint: folder of a run or of one of its checkpoints.
        out: folder to write: a new one, or an older export, which is replaced.
        formats: safetensors (which `load`, `evaluate` and `play` take as a checkpoint), onnx, torchscript, or several.
        episodes: games that judge it; 0: none; None: the run's confirmation where that was of this network, else 30.
        video: also film one game.
        push: upload the folder to this repository of the Hugging Face hub, "USER/NAME"; a new one is private.
        public: with push: everybody is to see it.
        env, network: those that the run was trained with, if it was; without games the env does not matter.
        verbose: show on standard error how far it is.

    Returns:
        the address of its page on the hub, if it was pushed.

    Raises:
        UserError: a mistake that can be put right, in one sentence.
    """
    names = (formats,) if isinstance(formats, str) else tuple(formats)
    wish = Wish(Path(checkpoint), Path(out), names, episodes, video, push, public, Parts(env, network))
    with _unchanged():
        pushed = make_export(wish, Console(quiet=not verbose, file=patient(sys.stderr)))
    return None if pushed is None else pushed.page


def _check_chance(epsilon: float, seed: int) -> None:
    if not 0 <= epsilon <= 1:
        raise UserError(f"epsilon = {epsilon} must be from 0 to 1")
    if not 0 <= seed < 2**31:
        raise UserError(f"seed = {seed} must be from 0 to {2**31 - 1}")


@contextmanager
def _unchanged() -> Iterator[None]:
    """The caller's random numbers go on as if nothing had happened; Lightning's advice stays unsaid meanwhile."""
    state = random_state()
    lightning = logging.getLogger("pytorch_lightning")
    level = lightning.level
    lightning.setLevel(max(level, logging.ERROR))
    try:
        yield
    finally:
        lightning.setLevel(level)
        set_random_state(state)
