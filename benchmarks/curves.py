"""Draws the curves of several records of `rl-speed bench --to-solve` into one picture.

    python benchmarks/curves.py before=FOLDER after=FOLDER --out curves.svg

Each curve is one seed's mean return of the last 100 training games against the seconds of its run; a dot is the end of
a run that its confirmation bears out, a cross any other end. matplotlib comes with the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from rl_speed.bench.model.solving import why_not_solved

COLORS = ("#999999", "#0072b2", "#d55e00", "#009e73")  # one for each record


def record(text: str) -> tuple[str, list[dict[str, Any]]]:
    """A record's label, and its runs that have a curve; of LABEL=FOLDER."""
    label, _, folder = text.partition("=")
    path = Path(folder) / "bench.json"
    if not folder or not path.is_file():
        raise argparse.ArgumentTypeError(f"{text!r} must be LABEL=FOLDER with a bench.json in the folder")
    runs = [run for run in json.loads(path.read_text()).get("solve", []) if run.get("curve")]
    if not runs:
        raise argparse.ArgumentTypeError(f"{path} holds no runs of --to-solve")
    return label, runs


def draw(axes: Any, label: str, runs: list[dict[str, Any]], color: str) -> None:
    """One record's curves, and how each ended."""
    for i, run in enumerate(runs):
        seconds, returns = [point[0] for point in run["curve"]], [point[2] for point in run["curve"]]
        name = None if i else f"{label} ({len(runs)} seeds)"
        axes.plot(seconds, returns, color=color, linewidth=1, label=name)
        marker = "o" if why_not_solved(run) is None else "x"
        axes.plot(seconds[-1], returns[-1], color=color, marker=marker, markersize=5)
        if run["stop_reward"] is not None:
            axes.axhline(run["stop_reward"], color="black", linewidth=0.3, linestyle=":")


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("records", nargs="+", metavar="LABEL=FOLDER", type=record, help="up to four of them")
    parser.add_argument("--out", type=Path, required=True, help="picture: .svg or .png")
    arguments = parser.parse_args()
    if len(arguments.records) > len(COLORS):
        parser.error(f"{len(arguments.records)} records are too many to tell apart; name at most {len(COLORS)}")
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for color, (label, runs) in zip(COLORS, arguments.records, strict=False):
        draw(axes, label, runs, color)
    axes.set(xlabel="seconds", ylabel="mean return of the last 100 games", xlim=(0, None))
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(arguments.out)


if __name__ == "__main__":
    main()
