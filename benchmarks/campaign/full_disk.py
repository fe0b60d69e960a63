"""Fills the disk under a tiny run at random moments: it has to go on, keep a usable checkpoint, and save again.

python benchmarks/campaign/full_disk.py --rounds 3

The disk is a tmpfs of a few megabytes, which only root may mount.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import runs

DISK_MEGABYTES = 8  # three checkpoints and the curves of a round
COMPLAINT = b"could not be written"


class NoMountError(Exception):
    """Mounting is not allowed here."""


@contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """A file system of its own at `path`."""
    path.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", str(path)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise NoMountError("there is no mount command") from None
    if done.returncode != 0:
        raise NoMountError(done.stderr.strip())
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(disk: Path) -> Path:
    """Writes a file until there is no room, to the last byte."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 10, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return path


def newest_usable(directory: Path) -> str | None:
    """Name of the newest checkpoint; None if it cannot be read."""
    while True:
        try:
            newest = runs.checkpoints(directory)[0]
            runs.state(newest)
            return newest.name
        except FileNotFoundError:  # removed while it was read, for a newer one
            continue
        except Exception:  # whatever is wrong with it, it is of no use
            return None


def complaints(directory: Path) -> int:
    return (directory / "out.txt").read_bytes().count(COMPLAINT)


def watch_full(directory: Path, process: subprocess.Popen[bytes], draw: random.Random, losses: list[str]) -> None:
    """Fills the disk, waits for a save that fails, makes room, and waits for one that does not."""
    time.sleep(draw.uniform(0.0, 1.5))
    before = complaints(directory)
    filler = fill(directory / "lightning_logs")
    if not runs.wait_until(lambda: complaints(directory) > before, process):
        losses.append("the run ends when the disk is full")
        return
    kept = newest_usable(directory)
    if kept is None:
        losses.append("no usable checkpoint is kept on the full disk")
    time.sleep(draw.uniform(0.0, 1.0))
    filler.unlink()
    if not runs.wait_until(lambda: runs.checkpoints(directory)[0].name > (kept or ""), process):
        losses.append("the run does not save again once there is room")


def play_round(seed: int, draw: random.Random) -> list[str]:
    """What one run lost on a disk that was full twice."""
    losses: list[str] = []
    with tempfile.TemporaryDirectory(prefix="rl_speed_full_disk_") as name:
        directory = Path(name)
        (directory / "run.yaml").write_text(f"{runs.CONFIG}seed: {seed}\n")
        with small_disk(directory / "lightning_logs"):
            process = runs.start(directory, "--config", "run.yaml")
            if not runs.wait_until(lambda: bool(runs.checkpoints(directory)), process):
                return [f"the run ends before it is saved: {(directory / 'out.txt').read_text()[-500:]}"]
            try:
                for _ in range(2):
                    watch_full(directory, process, draw, losses)
                process.send_signal(signal.SIGTERM)
                status = process.wait(120)
            finally:
                process.kill()
            if status != 128 + signal.SIGTERM:
                losses.append(f"SIGTERM ends the run with {status}: {(directory / 'out.txt').read_text()[-500:]}")
            limit = int(runs.checkpoints(directory)[0].name.split("=")[1]) + 20
            status, output = runs.call(directory, "--resume", "last", "--set", f"stop.max_gradient_steps={limit}")
            if status != 0:
                losses.append(f"resume ends with {status}: {output[-500:]}")
            if left := runs.hidden_leftovers(directory):
                losses.append(f"{left} are left")
    return losses


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="runs")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and of the runs")
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    total = 0
    for number in range(arguments.rounds):
        try:
            losses = play_round(arguments.seed + number, draw)
        except NoMountError as error:
            print(f"a small disk cannot be mounted here ({error}): run this as root, in a container with SYS_ADMIN")
            return 2
        total += bool(losses)
        print(f"round {number}: {'; '.join(losses) or 'nothing lost'}", flush=True)
    print(f"{arguments.rounds} rounds, two full disks each: {total} with a loss")
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main())
