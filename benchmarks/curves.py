"""Draws the curves of several records of `rl-speed bench --to-solve` into one picture.

    python benchmarks/curves.py before=FOLDER after=FOLDER --out curves.svg

Each curve is one seed's mean return of the last 100 training games against the seconds of its run; a dot marks the last
game of a run that its confirmation bears out, a cross that of any other. matplotlib comes with the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rl_speed.bench.model.solving import by_name, why_not_solved

COLORS = ("#999999", "#0072b2", "#d55e00", "#009e73")  # one for each rung of each record


def record(text: str) -> dict[str, list[dict[str, Any]]]:
    """The runs that have a curve, by their label, of LABEL=FOLDER; the rung is named if there are several."""
    label, _, folder = text.partition("=")
    path = Path(folder) / "bench.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if folder else None
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise argparse.ArgumentTypeError(f"{text!r} must be LABEL=FOLDER with a bench.json in the folder")
    rungs = by_name([run for run in content.get("solve", []) if run.get("curve")])
    if not rungs:
        raise argparse.ArgumentTypeError(f"{path} holds no runs of --to-solve")
    return {label if len(rungs) == 1 else f"{label}, {name}": runs for name, runs in rungs.items()}


def draw(axes: Any, label: str, runs: list[dict[str, Any]], color: str) -> None:
    """One rung's curves, and how each ended."""
    for i, run in enumerate(runs):
        seconds, returns = [point[0] for point in run["curve"]], [point[2] for point in run["curve"]]
        name = None if i else f"{label} ({len(runs)} seed{'s' if len(runs) > 1 else ''})"
        axes.plot(seconds, returns, color=color, linewidth=1, label=name)
        marker = "o" if why_not_solved(run) is None else "x"
        axes.plot(seconds[-1], returns[-1], color=color, marker=marker, markersize=5)
        if run["stop_reward"] is not None:
            axes.axhline(run["stop_reward"], color="black", linewidth=0.3, linestyle=":")


def main(words: list[str] | None = None) -> None:
    """See above; bad arguments end with a sentence and status 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("records", nargs="+", metavar="LABEL=FOLDER", type=record, help="up to four rungs in all")
    parser.add_argument("--out", type=Path, required=True, help="picture: .svg or .png")
    arguments = parser.parse_args(words)
    rungs = [(label, runs) for one in arguments.records for label, runs in one.items()]
    if len(rungs) > len(COLORS):
        parser.error(f"{len(rungs)} rungs are too many to tell apart; name records of at most {len(COLORS)}")
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        parser.error("matplotlib is not installed; install it with pip install 'rl-speed[bench]'")
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for color, (label, runs) in zip(COLORS, rungs, strict=False):
        draw(axes, label, runs, color)
    axes.set(xlabel="seconds", ylabel="mean return of the last 100 games", xlim=(0, None))
    axes.legend(loc="lower right", frameon=False)
    try:
        figure.savefig(arguments.out)
    except (OSError, ValueError) as error:
        parser.error(f"--out {arguments.out} cannot be written ({error}); name an .svg or .png in a folder that exists")


if __name__ == "__main__":
    main(sys.argv[1:])
