"""A suite that nobody ran: folders with scores that are made up, for what reads and reports them."""

from __future__ import annotations

import json
from pathlib import Path

from rl_speed.config import load_config
from rl_speed.suite.folder import EPISODES_FILE, FAILURE_FILE, SCORE_FILE, RunKey
from rl_speed.suite.plan import Asked, SuitePlan, configs_of, make_plan, write_plan
from rl_speed.suite.record import Episodes, write_episodes
from rl_speed.suite.schedule import Suite


def plan_for(games="pong,breakout", seeds=3, presets=("baseline", "smoke"), **asked):
    return make_plan(None, Asked(games, seeds, None, presets, asked.pop("env_steps", 100_000), **asked))


def suite_of(plan: SuitePlan, out: Path) -> Suite:
    return Suite(plan, configs_of(plan), out)


def score(plan: SuitePlan, key: RunKey, mean: float, seconds: float = 100.0):
    config = load_config(plan.presets[key.preset], plan.changes(key)).model_dump(mode="json")
    content = json.loads((Path(__file__).parent / "score.json").read_text())
    content |= {"preset": key.preset, "game": key.game, "seed": key.seed, "config": config}
    content["evaluation"] |= {"mean": mean, "returns": [mean, mean], "min": mean, "max": mean}
    content["training"] |= {"seconds": seconds, "env_steps": plan.env_steps or 100_000}
    return content


def write_score(out: Path, plan: SuitePlan, key: RunKey, mean: float, returns=None, seconds: float = 100.0):
    """A finished run whose training games end evenly spread over its env steps and its time."""
    folder = key.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    returns = [mean / 2, mean] if returns is None else returns
    share = [(number + 1) / len(returns) for number in range(len(returns))]
    steps = plan.env_steps or 100_000
    write_episodes(
        folder / EPISODES_FILE,
        Episodes([seconds * part for part in share], [int(steps * part) for part in share], list(returns)),
    )
    (folder / SCORE_FILE).write_text(json.dumps(score(plan, key, mean, seconds)))


def write_failure(out: Path, key: RunKey, sentence: str):
    folder = key.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FAILURE_FILE).write_text(json.dumps({"error": sentence}))


def made_up_suite(out: Path, plan: SuitePlan, mean=lambda key: 10.0 + key.seed, leave_out=()):
    """A folder in which every run is finished, but for those left out."""
    out.mkdir(parents=True, exist_ok=True)
    write_plan(out, plan, configs_of(plan))
    for key in plan.runs():
        if key not in leave_out:
            write_score(out, plan, key, mean(key))
    return out
