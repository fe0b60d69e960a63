"""The page of an export, as the Hugging Face hub reads it: facts for machines on top, then the same for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from rl_speed.exports.agent import TrainedAgent
from rl_speed.exports.formats import FORMATS
from rl_speed.exports.scores import Score, failed_means
from rl_speed.exports.snippet import PACKAGES, example
from rl_speed.training.checkpoint.folders import LIBRARY
from rl_speed.training.result import clock_text

_FILES = {
    "safetensors": "weights; `rl_speed.load`, `rl-speed evaluate` and `rl-speed play` take this folder",
    "onnx": "graph of opset 18; input `observation` uint8, output `q_value` float32, the batch size is free",
    "torchscript": "TorchScript; uint8 in, float32 out, the batch size is free (torch 2.13 calls it deprecated)",
}


@dataclass(frozen=True)
class Facts:
    """What a page tells of.

    Attributes:
        agent: what was exported.
        formats: in which forms.
        score: of full games; None: none were played.
        gradient_steps: of the checkpoint.
        seconds: of training until then.
        result: of the run, if it ended with the checkpoint.
        has_curve: whether the picture lies beside the page.
        video_return: of the game in the video; None: there is none.
    """

    agent: TrainedAgent
    formats: Sequence[str]
    score: Score | None
    gradient_steps: int | None
    seconds: float | None
    result: Mapping[str, Any] | None
    has_curve: bool
    video_return: float | None


def make_page(facts: Facts) -> str:
    """README.md."""
    front = yaml.safe_dump(_front_matter(facts), sort_keys=False, allow_unicode=True)
    game = facts.agent.game
    sections = [
        f"# DQN that plays {game}",
        f"Trained with `rl_speed`, preset `{facts.agent.facts['preset']}`.",
        *_scores(facts),
        *(["![mean return of the last games against seconds](curve.svg)"] if facts.has_curve else []),
        *([] if facts.video_return is None else [f"`replay.mp4` is one game, return {facts.video_return:g}."]),
        "## Files",
        "\n".join(f"- `{FORMATS[name].file}`: {_FILES[name]}." for name in facts.formats)
        + "\n- `config.json`: game, actions and preprocessing, for programs.",
        "Values are computed in float32"
        + (" (the run itself computed in bfloat16)." if facts.agent.precision == "bf16" else "."),
        *_usage(facts),
        *_preprocessing(facts.agent),
        *_training(facts),
    ]
    return f"---\n{front}---\n\n" + "\n\n".join(sections) + "\n"


def _front_matter(facts: Facts) -> dict[str, Any]:
    game = facts.agent.game
    atari = ["atari"] if facts.agent.action_names is not None else []
    tags = [game, "reinforcement-learning", "deep-reinforcement-learning", "dqn", *atari]
    content: dict[str, Any] = {"library_name": LIBRARY, "tags": tags}
    if facts.score is None:
        return content
    task = {"type": "reinforcement-learning", "name": "reinforcement-learning"}
    value = f"{facts.score.mean:.2f} +/- {facts.score.std:.2f}"
    result = {
        "task": task,
        "dataset": {"name": game, "type": game},
        "metrics": [{"type": "mean_reward", "value": value, "name": "mean_reward", "verified": False}],
    }
    return {**content, "model-index": [{"name": "DQN", "results": [result]}]}


def _scores(facts: Facts) -> list[str]:
    score, envs = facts.score, facts.agent.config.envs
    failed = _failed(facts)
    if score is None:
        return ["No games were played to judge it.", *failed]
    is_game = facts.agent.action_names is not None
    where = "on ale-py, " if is_game else ""
    sticky = f"sticky actions {envs.sticky_probability:g}, " if is_game else ""
    limit = f", or to {envs.max_episode_frames:,} frames" if is_game else ""
    return [
        "| games | mean return | deviation | least | most |\n|---|---|---|---|---|\n"
        f"| {score.episodes} | {score.mean:.2f} | {score.std:.2f} | {score.min:g} | {score.max:g} |",
        f"Full games {where}to their end{limit} (a lost life ends none), rewards as the game gives them (never "
        f"clipped), {sticky}epsilon {score.epsilon:g}. Origin: {score.origin}.",
        *failed,
    ]


def _failed(facts: Facts) -> list[str]:
    """Goals that the run had reached in training and not in a confirmation; they belong to the score."""
    means = failed_means(facts.result)
    if not means:
        return []
    goal = facts.agent.config.stop.reward
    of = "the goal" if goal is None else f"the goal of {goal:g}"
    return [
        f"Confirmations of the same run that stayed below {of}, by their mean: {', '.join(f'{m:.2f}' for m in means)}."
    ]


def _usage(facts: Facts) -> list[str]:
    form = facts.formats[0]
    return ["## Use", f"    pip install {PACKAGES[form]}", f"```python\n{example(facts.agent, form)}```"]


def _preprocessing(agent: TrainedAgent) -> list[str]:
    envs = agent.config.envs
    frames, height, width = envs.observation_shape
    steps = [
        f"Grey screen, reduced to {envs.image_width} x {envs.image_height} pixels (width x height) by area averaging, "
        f"{envs.crop_top} rows cut off above and {envs.crop_bottom} below: {width} x {height} bytes.",
        f"The {frames} newest of these, oldest first, are one observation: uint8 [{frames}, {height}, {width}]. At the "
        f"start of a game the missing ones are zero. Grey levels stay 0 to 255; the network scales them.",
    ]
    if agent.action_names is not None:
        pooled = "what is seen is the pixel maximum of the last two" if envs.max_pool else "the last one is seen"
        fire = "FIRE is pressed once where the game has it, then " if envs.fire_on_reset else ""
        noops = f"NOOP 0 to {envs.noop_max - 1} times" if envs.noop_max > 1 else "nothing else"
        steps = [
            f"An action is repeated for {envs.frame_skip} frames; {pooled}.",
            *steps,
            f"A game starts so: {fire}{noops}. It is cut off after {envs.max_episode_frames:,} frames.",
            f"Sticky actions: {envs.sticky_probability:g}. Mode: {'default' if envs.mode is None else envs.mode}, "
            f"difficulty: {envs.difficulty}.",
        ]
    names = agent.action_names or [""] * agent.num_actions
    named = ", ".join(f"{number} {name}".strip() for number, name in enumerate(names))
    listed = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    return [
        "## What it sees, what it does",
        listed,
        f"Actions: {named}. The best one has the highest `q_value`.",
    ]


def _training(facts: Facts) -> list[str]:
    result = facts.result or {}
    machine, versions = result.get("machine", {}), result.get("versions", {})
    processor = f"{machine.get('processor')}, {machine.get('cores')} cores" if machine else None
    rows = {
        "env steps": f"{result['env_steps']:,}" if result else None,
        "gradient steps": None if facts.gradient_steps is None else f"{facts.gradient_steps:,}",
        "wall time": None if facts.seconds is None else clock_text(facts.seconds),
        "how the run ended": result.get("stop_reason"),
        "seed": result.get("seed"),
        "processor": processor,
        "GPU": ", ".join(machine.get("gpus", [])) or None,
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()) or None,
        "commit of rl_speed": result.get("commit"),
    }
    table = [f"| {name} | {value} |" for name, value in rows.items() if value is not None]
    settings = yaml.safe_dump(facts.agent.facts["config"], sort_keys=False, allow_unicode=True)
    folded = f"<details><summary>configuration</summary>\n\n```yaml\n{settings}```\n\n</details>"
    return ["## Training", "\n".join(["| | |", "|---|---|", *table]) if table else "Nothing is known of it.", folded]
