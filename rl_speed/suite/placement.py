"""How many runs go side by side, and on which cores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rl_speed.config import RunConfig, rank_share
from rl_speed.suite.child import LEAST_PATIENCE_SECONDS
from rl_speed.system.cores import Cores
from rl_speed.training.decisions import replay_bytes
from rl_speed.training.threads import plan_threads

# Beside the replay: `baseline` takes 1.15 GB with a replay of 0.71 GB (README, the ladder).
RUN_BYTES = 500_000_000


# What a disk that runs share takes in at the least.
SAVE_BYTES_PER_SECOND = 50_000_000


@dataclass(frozen=True)
class Placement:
    """How runs share the machine.

    Attributes:
        at_once: runs side by side.
        reason: in words.
        shares: into which the machine's cores are dealt, at least one for each run; 1: a run has them all.
    """

    at_once: int
    reason: str
    shares: int

    def cores(self, slot: int, allowed: list[int]) -> list[int]:
        """The processors of one of the slots 0..at_once-1; every slot has one at least.

        Every n-th one: where a core's two hardware threads are numbered half the machine apart, they stay together.
        """
        share = allowed[slot :: self.shares]
        return share or [allowed[slot % len(allowed)]]


def cores_of(config: RunConfig, cores: Cores) -> tuple[int, str]:
    """How many cores one run keeps busy by its plan, all of them at the most, and why."""
    if config.trainer.world_size > 1:
        return cores.physical, f"learns with {config.trainer.world_size} ranks"
    if config.envs.backend == "cuda":
        return cores.physical, "plays on the GPU"
    threads = plan_threads(rank_share(config), cores)
    if config.actors.plays_apart:
        why = f"plays in {config.actors.count} process{'es' if config.actors.count > 1 else ''} beside the learner"
    elif config.envs.backend != "classic" and threads.env > 1:
        why = f"plays with {threads.env} threads"
    else:
        return 1, "plays and learns in turn on one core"
    return min(cores.physical, cores.physical - threads.left), why


@dataclass(frozen=True)
class Room:
    """What the machine has.

    Attributes:
        cores: that may be used.
        free_bytes: of main memory.
        has_gpu: whether runs may learn on one.
    """

    cores: Cores
    free_bytes: int
    has_gpu: bool


def decide_at_once(configs: Mapping[tuple[str, str], RunConfig], room: Room, is_timed: bool) -> Placement:
    """Chooses the number of runs side by side: as many as do not slow each other.

    Args:
        configs: of all runs, by preset and game.
        room: what there is.
        is_timed: whether wall time is the runs' limit.
    """
    if is_timed:
        return Placement(1, "runs at equal wall time have the machine to themselves", 1)
    for (preset, _), config in configs.items():
        if room.has_gpu and config.trainer.accelerator != "cpu":
            return Placement(1, f"a run of {preset} has the GPU to itself", 1)
    needs = [(*cores_of(config, room.cores), preset) for (preset, _), config in configs.items()]
    taken, why, preset = max(needs, key=lambda need: need[0])
    largest = max(replay_bytes(config) for config in configs.values()) + RUN_BYTES
    by_memory, by_cores = max(1, room.free_bytes // largest), max(1, room.cores.physical // taken)
    if by_memory < by_cores:
        room_text = f"{room.free_bytes / 1e9:.1f} GB are free, and a run takes {largest / 1e9:.1f} GB"
        return Placement(by_memory, f"{room_text} and {taken} core{'s' if taken > 1 else ''}", by_cores)
    share = "" if taken == 1 else ", so it takes all cores" if by_cores == 1 else f", so it takes {taken} cores"
    return Placement(by_cores, f"a run of {preset} {why}{share} ({room.cores.reason})", by_cores)


def saved_bytes(config: RunConfig) -> int:
    """What the replay in one checkpoint of a run takes on the disk; the networks beside it are small."""
    return replay_bytes(config) if config.checkpoint.save_replay else 0


def disk_bytes(config: RunConfig) -> int:
    """What a run takes on the disk until it is finished: its checkpoints, and the next one while that is written."""
    return (config.checkpoint.keep + 1) * saved_bytes(config)


def patience_seconds(configs: Iterable[RunConfig], at_once: int) -> float:
    """How long a run that is asked to end may take to save itself, where all runs side by side do so."""
    largest = max(map(saved_bytes, configs))
    return max(LEAST_PATIENCE_SECONDS, at_once * largest / SAVE_BYTES_PER_SECOND)
