"""Trains for hours and watches the memory: a leak shows as a slope that does not end.

python benchmarks/campaign/soak.py --hours 8 --out soak.csv -- --config fast_cpu --set stop.reward=100000
"""

from __future__ import annotations

import argparse
import csv
import shutil
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
SHARED = Path("/dev/shm")
END_SECONDS = 120.0  # for the last checkpoint


@dataclass(frozen=True)
class Sample:
    """Memory of a run at one time."""

    seconds: float  # since the start
    processes: int
    pss_mb: float  # a page that n processes share counts 1/n in each: the sum is what the run takes
    rss_mb: float
    shared_mb: float  # used of /dev/shm, by whomever
    shared_files: int


def take_sample(pid: int, seconds: float) -> Sample | None:
    """Sums over the process and all below it; None if it has ended."""
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return None
    pss = rss = count = 0
    for process in processes:
        try:
            memory = process.memory_full_info()
        except psutil.Error:
            continue
        pss, rss, count = pss + memory.pss, rss + memory.rss, count + 1
    if count == 0:
        return None
    shared = shutil.disk_usage(SHARED).used if SHARED.is_dir() else 0
    files = len(list(SHARED.iterdir())) if SHARED.is_dir() else 0
    return Sample(round(seconds, 1), count, pss / 1e6, rss / 1e6, shared / 1e6, files)


def watch(process: subprocess.Popen[bytes], seconds: float, every_seconds: float, path: Path) -> list[Sample]:
    """Samples until the time is over or the run has ended; every row is on disk at once."""
    start, samples = time.monotonic(), []
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Sample)])
        writer.writeheader()
        while time.monotonic() - start < seconds and process.poll() is None:
            sample = take_sample(process.pid, time.monotonic() - start)
            if sample is not None:
                samples.append(sample)
                writer.writerow({name: round(value, 1) for name, value in asdict(sample).items()})
                file.flush()
            due = start + len(samples) * every_seconds
            time.sleep(max(0.1, min(due - time.monotonic(), start + seconds - time.monotonic())))
    return samples


def slope_mb_per_hour(samples: list[Sample]) -> float:
    """Least squares over time."""
    hours = [sample.seconds / 3600 for sample in samples]
    return statistics.linear_regression(hours, [sample.pss_mb for sample in samples]).slope


def report(samples: list[Sample], warm_up_seconds: float) -> None:
    """Says how the memory went after the replay was full and every path was taken once."""
    warm = [sample for sample in samples if sample.seconds >= warm_up_seconds]
    if len(warm) < 4:
        print(f"only {len(warm)} samples after the warm-up: too few to say anything")
        return
    span = min(3600.0, (warm[-1].seconds - warm[0].seconds) / 2)
    parts = {
        "first": [sample for sample in warm if sample.seconds <= warm[0].seconds + span],
        "last": [sample for sample in warm if sample.seconds >= warm[-1].seconds - span],
    }
    for name, part in parts.items():
        print(
            f"{name} {span / 3600:.2f} h after the warm-up: median PSS {statistics.median(s.pss_mb for s in part):.1f} "
            f"MB, RSS {statistics.median(s.rss_mb for s in part):.1f} MB, "
            f"/dev/shm {statistics.median(s.shared_mb for s in part):.1f} MB"
        )
    print(
        f"slope of PSS: {slope_mb_per_hour(warm):+.2f} MB per hour over {len(warm)} samples; processes "
        f"{min(s.processes for s in warm)} to {max(s.processes for s in warm)}"
    )


def end(process: subprocess.Popen[bytes]) -> int:
    """Asks the run to save itself and end; returns its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, required=True, help="wall time of the run")
    parser.add_argument("--out", type=Path, required=True, help="CSV to write, one row per sample")
    parser.add_argument("--every-seconds", type=float, default=30.0, help="between samples")
    parser.add_argument("--warm-up-minutes", type=float, default=15.0, help="left out of medians and slope")
    parser.add_argument("train", nargs="*", metavar="-- ARGUMENT", help="arguments of rl-speed train")
    arguments = parser.parse_args()
    process = subprocess.Popen([sys.executable, str(ROOT / "cli.py"), "train", *arguments.train])
    try:
        samples = watch(process, arguments.hours * 3600, arguments.every_seconds, arguments.out)
        ended_early = process.poll() is not None
    finally:
        status = end(process)
    report(samples, arguments.warm_up_minutes * 60)
    print(f"{arguments.out}: {len(samples)} samples; exit status {status}{', before its time' if ended_early else ''}")
    return 0 if status == 128 + signal.SIGTERM and not ended_early else 1


if __name__ == "__main__":
    sys.exit(main())
