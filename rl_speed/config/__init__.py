"""The run configuration: what can be set, what fits together, and how it is read.

A configuration that loads can be run: bad names, types, ranges and combinations are refused while loading, with one
sentence for each.
"""

from rl_speed.config.learning import AnnealingConfig, ExplorationConfig, NetworkConfig, UpdateConfig
from rl_speed.config.loading import (
    Overrides,
    as_changes,
    asked_game,
    game_remarks,
    games_made_for,
    load_config,
    merge,
    parse_override,
    preset_names,
    validate,
)
from rl_speed.config.playing import ActorsConfig, EnvsConfig, ReplayConfig
from rl_speed.config.schema import CheckpointConfig, LoggingConfig, RunConfig, StopConfig, TrainerConfig
from rl_speed.config.sharing import rank_share
from rl_speed.emulator.actions import ACTION_NAMES

__all__ = [
    "ACTION_NAMES",
    "ActorsConfig",
    "AnnealingConfig",
    "CheckpointConfig",
    "EnvsConfig",
    "ExplorationConfig",
    "LoggingConfig",
    "NetworkConfig",
    "Overrides",
    "ReplayConfig",
    "RunConfig",
    "StopConfig",
    "TrainerConfig",
    "UpdateConfig",
    "as_changes",
    "asked_game",
    "game_remarks",
    "games_made_for",
    "load_config",
    "merge",
    "parse_override",
    "preset_names",
    "rank_share",
    "validate",
]
