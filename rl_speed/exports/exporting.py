"""Makes an export: reads the checkpoint, judges the network, writes the folder, pushes it if asked to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from rl_speed.experience.parts import Parts
from rl_speed.exports.agent import TrainedAgent, read_agent
from rl_speed.exports.card import Facts, make_page
from rl_speed.exports.curve_picture import draw_curve
from rl_speed.exports.folder import CURVE, PAGE, VIDEO, check_folder, new_folder
from rl_speed.exports.formats import check_format, write_network
from rl_speed.exports.hub import Hub
from rl_speed.exports.scores import DEFAULT_EPISODES, Score, confirmed, read_result, score_of
from rl_speed.system.durable import sync_path, write_text_whole
from rl_speed.system.errors import ConfigError
from rl_speed.system.json_file import write_whole
from rl_speed.training.checkpoint.folders import EXPORT_FILE, resolve
from rl_speed.training.checkpoint.reading import read_model
from rl_speed.training.evaluation import Protocol, play_games
from rl_speed.training.progress import film_bar, games_bar
from rl_speed.training.video import record_video

EPSILON, SEED = 0.01, 1  # of the games that judge, as `rl-speed evaluate` plays them


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    Attributes:
        checkpoint: folder of a run or of one of its checkpoints, or an older export.
        out: folder to write.
        formats: of the network, the first of which the page's example uses.
        episodes: games that judge it; 0: none; None: the run's confirmation where that was of this network, else 30.
        with_video: whether one game is filmed.
        push: repository on the Hugging Face hub; None: it stays here.
        parts: the caller's own env and network, if the run had them.
    """

    checkpoint: Path
    out: Path
    formats: Sequence[str] = ("safetensors",)
    episodes: int | None = None
    with_video: bool = False
    push: str | None = None
    parts: Parts = field(default_factory=Parts)

    def check(self) -> None:
        """Refuses what can be seen to be wrong before anything is read.

        Raises:
            UserError: in one sentence.
        """
        if not self.formats:
            raise ConfigError("--format is empty; name safetensors, onnx or torchscript")
        for name in self.formats:
            check_format(name)
        if self.episodes is not None and not 0 <= self.episodes <= 10_000:
            raise ConfigError(f"--episodes {self.episodes} must be from 0 to 10000")
        check_folder(self.out)


def make_export(wish: Wish, console: Console) -> str | None:
    """Writes the folder; it appears when it is whole, and an older export stays until then.

    Args:
        wish: what is asked for.
        console: where the user sees how far it is.

    Returns:
        the address of the page on the hub, if it was pushed.

    Raises:
        UserError: a mistake that can be put right, in one sentence.
    """
    wish.check()
    hub = None if wish.push is None else Hub(wish.push)
    folder = resolve(wish.checkpoint)
    content = read_model(folder)
    steps = content.get("global_step")
    result = read_result(folder, steps)
    plays = wish.with_video or wish.episodes is None or wish.episodes > 0
    agent = read_agent(folder, wish.parts, but_env=not plays)
    score = _score(agent, wish, result, console)
    curve = content.get("callbacks", {}).get("EpisodeStatistics", {}).get("curve", {}).get("points", [])
    with new_folder(wish.out) as partial:
        for name in wish.formats:
            write_network(agent, name, partial)
        write_whole(partial / EXPORT_FILE, agent.describe())
        has_curve = len(curve) > 1
        if has_curve:
            write_text_whole(partial / CURVE, draw_curve(curve, agent.config.stop.reward))
        video_return = _film(agent, wish.parts, partial / VIDEO, console) if wish.with_video else None
        seconds = content["rl_speed"].get("elapsed_seconds")
        facts = Facts(agent, wish.formats, score, steps, seconds, result, has_curve, video_return)
        write_text_whole(partial / PAGE, make_page(facts))
    return None if hub is None else hub.push(wish.out)


def _score(agent: TrainedAgent, wish: Wish, result: dict[str, Any] | None, console: Console) -> Score | None:
    if wish.episodes is None and (score := confirmed(agent, result)) is not None:
        return score
    episodes = DEFAULT_EPISODES if wish.episodes is None else wish.episodes
    if episodes == 0:
        return None
    protocol = Protocol(episodes, EPSILON, SEED)
    with games_bar(console, "evaluating", episodes) as on_step:
        games = play_games(agent.network, agent.config, protocol, wish.parts, None, on_step)
    assert games is not None  # nobody stops it
    return score_of(games, protocol)


def _film(agent: TrainedAgent, parts: Parts, path: Path, console: Console) -> float:
    with film_bar(console) as on_step:
        episode_return = record_video(agent.network, agent.config, path, 0.0, SEED, on_step, parts)
    sync_path(path)
    return episode_return
