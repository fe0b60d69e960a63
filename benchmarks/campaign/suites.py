"""Kills a small suite at random moments, starts it again each time, and compares its scores with one left alone.

python benchmarks/campaign/suites.py --kills 10 --seed 0
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import runs

# Four runs of a few seconds each.
SUITE = ("--games", "pong,breakout", "--seeds", "2", "--preset", "tiny.yaml", "--env-steps", "6000", "--episodes", "2")
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MOST_SECONDS = 45.0  # from the start to the signal: imports, runs, scores
TRAINED = ("env_steps", "gradient_steps", "episodes", "avg_reward")


def command() -> list[str]:
    return [sys.executable, str(runs.ROOT / "cli.py"), "suite", *SUITE, "--out", "suite"]


def prepare(directory: Path) -> None:
    (directory / "tiny.yaml").write_text(runs.CONFIG)


def finish(directory: Path) -> str:
    """Runs the suite to its end; what went wrong, or nothing."""
    done = subprocess.run(command(), cwd=directory, capture_output=True, text=True, check=False, timeout=1200)
    said = done.stdout + done.stderr
    return "" if done.returncode == 0 else f"the suite ends with {done.returncode}: {said[-500:]}"


def scores(directory: Path) -> dict[str, Any]:
    """What every finished run has computed; seconds and paths left out."""
    found = {}
    for path in sorted((directory / "suite").glob("tiny/*/seed_*/score.json")):
        content = json.loads(path.read_text())
        games = [line.split(",")[1:] for line in (path.parent / "episodes.csv").read_text().splitlines()]
        training = {name: content["training"][name] for name in TRAINED}
        found[str(path.parent.relative_to(directory))] = (content["evaluation"]["returns"], training, games)
    return found


def kill(directory: Path, number: signal.Signals, seconds: float, losses: list[str]) -> str:
    """Starts the suite and sends it the signal after that time; what it met."""
    before = {path: path.stat().st_mtime_ns for path in (directory / "suite").rglob("score.json")}
    blocks = runs.shared_blocks()
    with (directory / "out.txt").open("ab") as file:
        process = subprocess.Popen(command(), cwd=directory, stdout=file, stderr=file, start_new_session=True)
    deadline = time.monotonic() + seconds
    runs.wait_until(lambda: time.monotonic() >= deadline, process)
    if process.poll() is not None:
        return "ended before"
    children = runs.family(process)
    process.send_signal(number)
    process.wait()
    if left := runs.survivors(children, 90.0):
        losses.append(f"processes {left} outlive the suite")
    if left_blocks := runs.shared_blocks() - blocks:
        losses.append(f"shared memory {sorted(left_blocks)} is left")
    if changed := [str(path) for path, stamp in before.items() if path.stat().st_mtime_ns != stamp]:
        losses.append(f"{changed} were finished and are written again")
    return number.name


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    counts: Counter[str] = Counter()
    losses: list[str] = []
    with tempfile.TemporaryDirectory(prefix="rl_speed_suites_") as name:
        alone, killed = Path(name) / "alone", Path(name) / "killed"
        for directory in (alone, killed):
            directory.mkdir()
            prepare(directory)
        losses += filter(None, [finish(alone)])
        for number in range(arguments.kills):
            seconds = draw.uniform(0.0, MOST_SECONDS)
            done = kill(killed, draw.choice(SIGNALS), seconds, losses)
            counts[done] += 1
            finished = len(scores(killed))
            print(f"kill {number} ({done} after {seconds:.1f} s): {finished} of 4 runs have a score", flush=True)
        losses += filter(None, [finish(killed)])
        if scores(killed) != scores(alone):
            losses.append("the scores differ from those of a suite that was left alone")
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    print(f"{arguments.kills} kills ({kinds}): {'; '.join(losses) or 'nothing lost'}")
    return int(bool(losses))


if __name__ == "__main__":
    sys.exit(main())
