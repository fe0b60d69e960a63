"""How many runs go side by side, and on which cores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rl_speed.config import RunConfig, rank_share
from rl_speed.system.cores import Cores
from rl_speed.training.decisions import replay_bytes
from rl_speed.training.threads import plan_threads

# Beside the replay: `baseline` takes 1.15 GB with a replay of 0.71 GB (README, the ladder).
RUN_BYTES = 500_000_000


@dataclass(frozen=True)
class Placement:
    """How runs share the machine.

    Attributes:
        at_once: runs side by side.
        reason: in words.
    """

    at_once: int
    reason: str

    def cores(self, slot: int, allowed: list[int]) -> list[int]:
        """The processors of one of the slots 0..at_once-1; every slot has one at least.

        Every n-th one: where a core's two hardware threads are numbered half the machine apart, they stay together.
        """
        share = allowed[slot :: self.at_once]
        return share or [allowed[slot % len(allowed)]]


def needs_all_cores(config: RunConfig, cores: Cores) -> str | None:
    """Why one run keeps all cores busy; None if one is enough for it."""
    if config.trainer.world_size > 1:
        return f"learns with {config.trainer.world_size} ranks"
    if config.actors.plays_apart:
        return f"plays in {config.actors.count} process{'es' if config.actors.count > 1 else ''} beside the learner"
    if config.envs.backend == "cuda":
        return "plays on the GPU"
    threads = plan_threads(rank_share(config), cores).env
    if config.envs.backend != "classic" and threads > 1:
        return f"plays with {threads} threads"
    return None


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
        return Placement(1, "runs at equal wall time have the machine to themselves")
    for (preset, _), config in configs.items():
        if room.has_gpu and config.trainer.accelerator != "cpu":
            return Placement(1, f"a run of {preset} has the GPU to itself")
        why = needs_all_cores(config, room.cores)
        if why is not None:
            return Placement(1, f"a run of {preset} {why}, so it takes all cores ({room.cores.reason})")
    largest = max(replay_bytes(config) for config in configs.values()) + RUN_BYTES
    by_memory = max(1, room.free_bytes // largest)
    if by_memory < room.cores.physical:
        return Placement(by_memory, f"{room.free_bytes / 1e9:.1f} GB are free, and a run takes {largest / 1e9:.1f} GB")
    return Placement(room.cores.physical, f"a run plays and learns in turn on one core ({room.cores.reason})")
