"""The run configuration: frozen sections of fields with types and ranges.

Every field says its meaning, unit and the source of its default. What is played is in playing.py, what learns in
learning.py, what surrounds them here. What fields demand of each other is in rules.py.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from rl_speed.config.learning import AnnealingConfig, ExplorationConfig, NetworkConfig, UpdateConfig
from rl_speed.config.playing import ActorsConfig, EnvsConfig, ReplayConfig, atari_game
from rl_speed.config.section import Section

# Mean returns that are said to solve a game; no other game has a goal of its own.
GOALS = {"pong": 19.5}


class StopConfig(Section):
    """When the run ends."""

    reward: float | None = Field(
        None,
        description="goal: mean raw return of the last `window_episodes` training episodes (default: 19.5 for pong, "
        "none for other games); null: only a limit ends the run",
    )
    window_episodes: int = Field(
        100, ge=1, le=100_000, description="episodes in that mean; one for each env where those are more"
    )
    max_env_steps: int | None = Field(None, ge=1, description="give up after this many env steps")
    max_gradient_steps: int | None = Field(None, ge=1, description="give up after this many gradient steps")
    max_seconds: float | None = Field(
        None, gt=0, description="give up after this wall time, from the start of the program on"
    )
    confirm_episodes: int = Field(
        30, ge=0, le=10_000, description="fresh games whose mean has to reach the goal too; 0: none"
    )
    confirm_epsilon: float = Field(0.01, ge=0, le=1, description="epsilon of the confirmation")
    confirm_attempts: int = Field(
        10, ge=1, le=1000, description="confirmations below the goal after which the run ends unsolved"
    )
    confirm_unsolved: bool = Field(False, description="play those games also where the run ended without its goal")


class CheckpointConfig(Section):
    """How often the run is saved, and what with it."""

    every_seconds: float = Field(300.0, gt=0, description="wall time between checkpoints")
    keep: int = Field(2, ge=1, le=1000, description="checkpoints kept, the newest ones")
    save_replay: bool = Field(True, description="false: a resumed run fills its replay anew")


class LoggingConfig(Section):
    """What is shown and where it goes."""

    directory: str = Field(
        "lightning_logs", min_length=1, description="folder of the runs; version_N is made inside it"
    )
    kind: Literal["tensorboard", "csv", "wandb", "mlflow", "trackio"] = Field(
        "tensorboard", description="what keeps the curves; the last three are packages of their own (docs/sharing.md)"
    )
    project: str = Field("rl_speed", min_length=1, description="of wandb and trackio; mlflow's experiment")
    every_seconds: float = Field(2.0, gt=0, description="wall time between points of loss, epsilon and speed")
    print_episodes: bool = Field(False, description="one line per finished episode")
    progress_bar: bool = Field(True, description="the live progress bar, where the output is a terminal")

    @field_validator("directory")
    @classmethod
    def _expanded(cls, directory: str) -> str:
        return os.path.expanduser(os.path.expandvars(directory))


class TrainerConfig(Section):
    """What is handed to Lightning's Trainer."""

    accelerator: Literal["auto", "cpu", "gpu"] = Field("auto", description="auto: a GPU where CUDA works")
    devices: int = Field(
        1, ge=1, le=1024, description="ranks on each machine, which learn together: its GPUs, or processes on its CPU"
    )
    num_nodes: int = Field(1, ge=1, le=1024, description="machines; more than one take a launcher (docs/devices.md)")
    launcher: Literal["auto", "ray"] = Field(
        "auto",
        description="auto: ranks are started here, or by torchrun or srun; ray: as workers of Ray Train in a cluster, "
        "all of them anew from the last checkpoint when one dies",
    )
    max_restarts: int = Field(3, ge=0, le=1000, description="of all ranks, with launcher = ray")
    timeout_seconds: float = Field(
        300.0, gt=0, le=604_800, description="ranks that have not come after this are given up"
    )

    @property
    def world_size(self) -> int:
        """W: ranks on all machines together."""
        return self.devices * self.num_nodes


class RunConfig(Section):
    """Everything that decides a run."""

    description: str = Field("", description="one line about the preset")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of networks, exploration, replay and envs")
    envs: EnvsConfig = Field(default_factory=EnvsConfig)
    actors: ActorsConfig = Field(default_factory=ActorsConfig)
    replay: ReplayConfig = Field(default_factory=ReplayConfig)
    network: NetworkConfig = Field(default_factory=NetworkConfig)
    update: UpdateConfig = Field(default_factory=UpdateConfig)
    exploration: ExplorationConfig = Field(default_factory=ExplorationConfig)
    annealing: AnnealingConfig = Field(default_factory=AnnealingConfig)
    stop: StopConfig = Field(default_factory=StopConfig)
    checkpoint: CheckpointConfig = Field(default_factory=CheckpointConfig)
    logging: LoggingConfig = Field(default_factory=LoggingConfig)
    trainer: TrainerConfig = Field(default_factory=TrainerConfig)

    @model_validator(mode="before")
    @classmethod
    def _goal_of_the_game(cls, content: Any) -> Any:
        """A goal that nothing is said of is the game's."""
        stop = content.get("stop", {}) if isinstance(content, dict) else None
        if not isinstance(stop, dict) or "reward" in stop:
            return content
        return {**content, "stop": {**stop, "reward": GOALS.get(atari_game(content) or "")}}

    @property
    def total_envs(self) -> int:
        """Envs of all players together."""
        return self.envs.count * self.num_players

    @property
    def num_players(self) -> int:
        """Actors, or the one process that plays and learns in turn."""
        return self.actors.count if self.actors.plays_apart else 1
