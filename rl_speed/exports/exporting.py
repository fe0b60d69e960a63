"""Makes an export: reads the checkpoint, judges the network, writes the folder, pushes it if asked to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from rl_speed.experience.parts import Parts
from rl_speed.exports.agent import TrainedAgent, read_agent
from rl_speed.exports.card import Facts, make_page
from rl_speed.exports.curve_picture import draw_curve
from rl_speed.exports.folder import CURVE, PAGE, VIDEO, check_folder, new_folder, writing
from rl_speed.exports.formats import check_format, write_network
from rl_speed.exports.hub import Hub, Pushed
from rl_speed.exports.scores import Score, confirmed, read_result, score_of
from rl_speed.system.durable import sync_path, write_text_whole
from rl_speed.system.errors import ConfigError
from rl_speed.system.json_file import write_whole
from rl_speed.training.checkpoint.folders import EXPORT_FILE, resolve
from rl_speed.training.checkpoint.reading import read_model
from rl_speed.training.evaluation import DEFAULT, play_games
from rl_speed.training.progress import film_bar, games_bar
from rl_speed.training.video import record_video


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
        is_public: everybody is to see that; else a new one is private, and one that is there stays as it is.
        parts: the caller's own env and network, if the run had them.
    """

    checkpoint: Path
    out: Path
    formats: Sequence[str] = ("safetensors",)
    episodes: int | None = None
    with_video: bool = False
    push: str | None = None
    is_public: bool = False
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
        if self.is_public and self.push is None:
            raise ConfigError("--public is for what is pushed; name the repository with --push USER/NAME")
        check_folder(self.out)

    def check_source(self, folder: Path) -> None:
        """Refuses to put an export that cannot be loaded in the place of the weights that it is made from.

        Args:
            folder: the checkpoint, or the export.

        Raises:
            ConfigError: it would.
        """
        if folder.resolve() == self.out.resolve() and "safetensors" not in self.formats:
            raise ConfigError(
                f"--out {self.out} holds the weights that are exported, and without --format safetensors none would be "
                f"left to load; add that format, or choose another folder"
            )


def make_export(wish: Wish, console: Console) -> Pushed | None:
    """Writes the folder; it appears when it is whole, and an older export stays until then.

    Args:
        wish: what is asked for.
        console: where the user sees how far it is.

    Returns:
        where it is on the hub, if it was pushed.

    Raises:
        UserError: a mistake that can be put right, in one sentence.
    """
    wish.check()
    hub = None if wish.push is None else Hub(wish.push, wish.is_public)
    folder = resolve(wish.checkpoint)
    wish.check_source(folder)
    content = read_model(folder)
    result = read_result(folder, content)
    plays = wish.with_video or wish.episodes is None or wish.episodes > 0
    agent = read_agent(folder, wish.parts, but_env=not plays)
    with new_folder(wish.out) as partial:
        # First what may fail at once, then games that may take long.
        with writing(wish.out):
            for name in wish.formats:
                write_network(agent, name, partial)
            write_whole(partial / EXPORT_FILE, agent.describe())
            has_curve = _draw(agent, content, partial / CURVE)
        score = _score(agent, wish, result, console)
        video_return = _film(agent, wish.parts, partial / VIDEO, console) if wish.with_video else None
        seconds = content["rl_speed"].get("elapsed_seconds")
        facts = Facts(agent, wish.formats, score, content.get("global_step"), seconds, result, has_curve, video_return)
        with writing(wish.out):
            write_text_whole(partial / PAGE, make_page(facts))
    if hub is None:
        return None
    if options := agent.config.envs.options:
        text = f"envs.options goes along, for all who see {wish.push}: {options}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    return hub.push(wish.out)


def _draw(agent: TrainedAgent, content: Mapping[str, Any], path: Path) -> bool:
    """Draws the curve that a checkpoint holds, if there is enough of it; tells whether."""
    curve = content.get("callbacks", {}).get("EpisodeStatistics", {}).get("curve", {}).get("points", [])
    if len(curve) < 2:
        return False
    write_text_whole(path, draw_curve(curve, agent.config.stop.reward))
    return True


def _score(agent: TrainedAgent, wish: Wish, result: dict[str, Any] | None, console: Console) -> Score | None:
    if wish.episodes is None and (score := confirmed(agent, result)) is not None:
        return score
    episodes = DEFAULT.episodes if wish.episodes is None else wish.episodes
    if episodes == 0:
        return None
    protocol = replace(DEFAULT, episodes=episodes)
    with games_bar(console, "evaluating", episodes) as on_step:
        games = play_games(agent.network, agent.config, protocol, wish.parts, None, on_step)
    assert games is not None  # nobody stops it
    return score_of(games, protocol)


def _film(agent: TrainedAgent, parts: Parts, path: Path, console: Console) -> float:
    with film_bar(console) as on_step:
        episode_return = record_video(agent.network, agent.config, path, 0.0, DEFAULT.seed, on_step, parts)
    sync_path(path)
    return episode_return
