"""Draws the curves of several records of `rl-speed bench --to-solve` into one picture.

    python benchmarks/curves.py before=FOLDER after=FOLDER --out curves.svg

Each curve is one seed's mean return of the last 100 training games against the seconds of its run; a dot is the end of
a run that its confirmation bears out, a cross any other end. matplotlib comes with the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt

from rl_speed.bench.model.solving import why_not_solved

COLORS = ("#999999", "#0072b2", "#d55e00", "#009e73")


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("records", nargs="+", metavar="LABEL=FOLDER", help="what to call a record, and where it lies")
    parser.add_argument("--out", type=Path, required=True, help="picture: .svg or .png")
    arguments = parser.parse_args()
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for color, record in zip(COLORS, arguments.records, strict=False):
        label, _, folder = record.partition("=")
        runs = [run for run in json.loads((Path(folder) / "bench.json").read_text())["solve"] if "error" not in run]
        for i, run in enumerate(runs):
            seconds, returns = [point[0] for point in run["curve"]], [point[2] for point in run["curve"]]
            axes.plot(
                seconds, returns, color=color, linewidth=1, label=f"{label} ({len(runs)} seeds)" if not i else None
            )
            marker = "o" if why_not_solved(run) is None else "x"
            axes.plot(seconds[-1:], returns[-1:], color=color, marker=marker, markersize=5)
    axes.axhline(19.5, color="black", linewidth=0.6, linestyle=":")
    axes.set(xlabel="seconds", ylabel="mean return of the last 100 games", xlim=(0, None), ylim=(-21.5, 21.5))
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(arguments.out, metadata={"Date": None} if arguments.out.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
