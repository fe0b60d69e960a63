"""Kills tiny runs (kill -9) at random moments, resumes them, and looks for anything lost or left behind.

python benchmarks/campaign/kills.py --rounds 20 --seed 0 [--actors]
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import runs

MOMENTS = ("prefill", "training", "saving", "confirming")
MORE_GRADIENT_STEPS = 20  # that a resumed run takes
# A goal that the first games reach, and games enough for a kill to hit.
GOAL_AT_ONCE = ("stop.reward=-21", "stop.confirm_episodes=3000")


def settings(*texts: str) -> list[str]:
    return [part for text in texts for part in ("--set", text)]


def has_partial(directory: Path) -> bool:
    folder = runs.run_folder(directory) / "checkpoints"
    return folder.is_dir() and any(path.name.endswith(".partial") for path in folder.iterdir())


def wait_for(moment: str, directory: Path, process: subprocess.Popen[bytes], draw: random.Random) -> bool:
    """Waits for a random point in that part of the run; whether it was reached."""
    output = directory / "out.txt"
    is_reached = {
        "prefill": lambda: (runs.run_folder(directory) / "config.yaml").exists(),
        "training": lambda: bool(runs.checkpoints(directory)),
        "saving": lambda: has_partial(directory),
        "confirming": lambda: b"confirming over" in output.read_bytes(),
    }[moment]
    if moment == "saving":  # any of the saves, not always the first
        target = draw.randrange(3)
        if not runs.wait_until(lambda: len(runs.checkpoints(directory)) >= min(target, 2), process):
            return False
        time.sleep(draw.uniform(0.0, 0.4))
    if not runs.wait_until(is_reached, process, every_seconds=0.0005 if moment == "saving" else 0.02):
        return False
    time.sleep(draw.uniform(0.0, {"prefill": 1.0, "training": 2.0, "saving": 0.02, "confirming": 1.0}[moment]))
    return process.poll() is None


def kill(moment: str, directory: Path, draw: random.Random, losses: list[str]) -> bool:
    """Starts a run and kills it; whether the moment was met."""
    before = runs.shared_blocks()
    goal = GOAL_AT_ONCE if moment == "confirming" else ()
    process = runs.start(directory, "--config", "run.yaml", *settings(*goal))
    is_met = wait_for(moment, directory, process, draw)
    children = runs.family(process)
    process.kill()
    process.wait()
    if left := runs.survivors(children):
        losses.append(f"processes {left} outlive the killed run")
    if left_blocks := runs.shared_blocks() - before:
        losses.append(f"shared memory {sorted(left_blocks)} is left")
    return is_met


def resume(directory: Path, losses: list[str], is_exact: bool) -> str:
    """Goes on from the newest checkpoint, or starts anew where there is none; what was done."""
    whole = runs.checkpoints(directory)
    if not whole:
        status, output = runs.call(
            directory, "--config", "run.yaml", *settings(f"stop.max_gradient_steps={MORE_GRADIENT_STEPS}")
        )
        if status != 0:
            losses.append(f"a new start ends with {status}: {output[-500:]}")
        return "started anew"
    gradient_steps = int(whole[0].name.split("=")[1]) + MORE_GRADIENT_STEPS
    limits = settings(f"stop.max_gradient_steps={gradient_steps}", "stop.reward=100", "stop.confirm_episodes=0")
    status, output = runs.call(directory, "--resume", "last", *limits)
    if status != 0:
        losses.append(f"resume ends with {status}: {output[-500:]}")
        return "resumed"
    newest = runs.checkpoints(directory)[0]
    if int(newest.name.split("=")[1]) != gradient_steps:
        losses.append(f"the resumed run ends at {newest.name}, not at {gradient_steps}")
    elif is_exact:
        compare(directory, newest, losses)
    return "resumed"


def compare(directory: Path, found: Path, losses: list[str]) -> None:
    """The resumed run against one of the same seed that nobody has killed, number for number."""
    limits = settings(f"stop.max_gradient_steps={int(found.name.split('=')[1])}", "checkpoint.every_seconds=100000")
    with tempfile.TemporaryDirectory() as name:
        status, output = runs.call(
            Path(name), "--config", str(directory / "run.yaml"), *limits, *settings("logging.directory=lightning_logs")
        )
        if status != 0:
            losses.append(f"the uninterrupted run ends with {status}: {output[-500:]}")
            return
        where = runs.difference(runs.state(runs.checkpoints(Path(name))[0]), runs.state(found))
    if where is not None:
        losses.append(f"the resumed run differs from an uninterrupted one in {where}")


def play_round(moment: str, seed: int, draw: random.Random, has_actors: bool) -> tuple[str, list[str]]:
    """One killed and resumed run: what was done, and what was lost."""
    losses: list[str] = []
    with tempfile.TemporaryDirectory(prefix="rl_speed_kills_") as name:
        directory = Path(name)
        (directory / "run.yaml").write_text(f"{runs.CONFIG}seed: {seed}\n{runs.ACTORS if has_actors else ''}")
        is_met = kill(moment, directory, draw, losses)
        done = resume(directory, losses, is_exact=not has_actors)
        # A run that never had a checkpoint was not resumed: nobody has cleared up behind it yet.
        if done == "resumed" and (left := runs.hidden_leftovers(directory)):
            losses.append(f"{left} are left after the resumed run")
    return f"{moment if is_met else 'ended before ' + moment}, {done}", losses


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="killed runs")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and of the runs")
    parser.add_argument("--actors", action="store_true", help="with actor processes, whose results are not compared")
    parser.add_argument("--moment", choices=MOMENTS, help="kill there only; by default all in turn, at random")
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    counts: Counter[str] = Counter()
    total = 0
    for number in range(arguments.rounds):
        moment = arguments.moment or draw.choice(MOMENTS)
        done, losses = play_round(moment, arguments.seed + number, draw, arguments.actors)
        counts[done] += 1
        total += bool(losses)
        print(f"round {number} ({done}): {'; '.join(losses) or 'nothing lost'}", flush=True)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    print(f"{arguments.rounds} rounds ({kinds}): {total} with a loss")
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main())
