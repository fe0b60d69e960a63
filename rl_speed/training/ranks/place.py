"""Where this process stands among those that learn together: alone, or as the launcher that started it says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

from rl_speed.config import TrainerConfig
from rl_speed.system.errors import ConfigError


@dataclass(frozen=True)
class Place:
    """A process among those that learn together.

    Attributes:
        rank: 0 to world_size - 1; 0 writes logs, results and networks, and judges the run.
        world_size: W, of all machines.
        local_rank: number on this machine; also of its GPU.
        local_world_size: ranks on this machine.
        launcher: what started it: nothing (alone, or the run starts the others itself), torchrun, slurm or ray.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    launcher: str = ""

    @property
    def is_first(self) -> bool:
        """Whether this is the rank that writes and judges."""
        return self.rank == 0

    def others(self) -> list[Place]:
        """The places of the other ranks of this machine, where this one starts them."""
        return [replace(self, rank=rank, local_rank=rank) for rank in range(1, self.world_size)]

    @property
    def starts_others(self) -> bool:
        """Whether this process has to start the other ranks itself."""
        return self.world_size > 1 and self.rank == 0 and not self.launcher


def find_place(config: TrainerConfig, variables: Mapping[str, str] | None = None) -> Place:
    """This process's place in a run of `config.world_size` ranks.

    Args:
        config: devices and machines that are asked for.
        variables: of the environment; by default the process's own.

    Raises:
        ConfigError: they were set by a launcher that started another number of processes.
    """
    variables = os.environ if variables is None else variables
    if config.world_size == 1 or config.launcher == "ray":  # there this process is none of the ranks
        return Place()
    if "TORCHELASTIC_RUN_ID" in variables or {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= set(variables):
        return _of_torchrun(config, variables)
    if int(variables.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return _of_slurm(config, variables)
    if config.num_nodes > 1:
        raise ConfigError(
            f"trainer.num_nodes = {config.num_nodes} needs a launcher on every machine: torchrun, srun, or "
            f"trainer.launcher = ray (docs/devices.md); with one machine set it to 1"
        )
    return Place(0, config.devices, 0, config.devices)


def _of_torchrun(config: TrainerConfig, variables: Mapping[str, str]) -> Place:
    world_size = int(variables["WORLD_SIZE"])
    local = int(variables.get("LOCAL_WORLD_SIZE", config.devices))
    _check_numbers(config, "torchrun", world_size, local)
    rank = int(variables["RANK"])
    return Place(rank, world_size, int(variables.get("LOCAL_RANK", rank % local)), local, "torchrun")


def _of_slurm(config: TrainerConfig, variables: Mapping[str, str]) -> Place:
    world_size = int(variables["SLURM_STEP_NUM_TASKS"])
    local = world_size // int(variables.get("SLURM_STEP_NUM_NODES", config.num_nodes))
    _check_numbers(config, "srun", world_size, local)
    return Place(int(variables["SLURM_PROCID"]), world_size, int(variables["SLURM_LOCALID"]), local, "slurm")


def _check_numbers(config: TrainerConfig, launcher: str, world_size: int, local: int) -> None:
    if (world_size, local) != (config.world_size, config.devices):
        raise ConfigError(
            f"trainer.devices = {config.devices} with trainer.num_nodes = {config.num_nodes} is not what {launcher} "
            f"started: {world_size} processes, {local} on this machine; set trainer.devices={local} and "
            f"trainer.num_nodes={max(1, world_size // local)}"
        )


def main_address(place: Place) -> tuple[str, int]:
    """Where rank 0 can be reached: host and port, for launchers that say so in variables of the environment."""
    if place.launcher == "slurm":
        nodes = os.environ.get("SLURM_NODELIST", "127.0.0.1")
        host = os.environ.get("MASTER_ADDR") or SLURMEnvironment.resolve_root_node_address(nodes)
        port = 15_000 + int(os.environ.get("SLURM_JOB_ID", "0")) % 10_000  # of this job, and the same on all machines
        return host, int(os.environ.get("MASTER_PORT", port))
    return os.environ.get("MASTER_ADDR", "127.0.0.1"), int(os.environ.get("MASTER_PORT", "0"))


def started_alone(config: TrainerConfig, variables: Mapping[str, str] | None = None) -> str | None:
    """A sentence for a run of one process that torchrun has started beside others; None: nothing has to be said."""
    variables = os.environ if variables is None else variables
    others = variables.get("WORLD_SIZE", "1")
    if config.world_size > 1 or "TORCHELASTIC_RUN_ID" not in variables or others == "1":
        return None
    return (
        f"trainer.devices = 1: each of torchrun's {others} processes is a run of its own; set trainer.devices (and "
        f"trainer.num_nodes) to have them learn together"
    )
