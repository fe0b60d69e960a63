"""What a run takes over from the checkpoint that it goes on from, and which changes that allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_speed.config import Overrides, RunConfig, as_changes, merge, validate
from rl_speed.system.errors import CheckpointError, ConfigError
from rl_speed.training.checkpoint.folders import is_export
from rl_speed.training.checkpoint.reading import read_config, read_model
from rl_speed.training.run_folder import run_of

# What a checkpoint's replay, games and networks are made for.
_FIXED_ON_RESUME = ("seed", "envs", "actors", "replay", "network")
_FREE_ON_RESUME = {"threads", "timeout_seconds", "address", "device", "fused"}


@dataclass(frozen=True)
class Request:
    """A run that is asked for.

    Attributes:
        folder: the checkpoint that it goes on from; None: from the start.
        preset: name of its configuration.
        config: what is asked for.
        kept: what was decided before the checkpoint and holds on, by field.
        run_folder: that of the checkpoint's run, to go on in; None: a new one below `logging.directory`.
    """

    folder: Path | None
    preset: str
    config: RunConfig
    kept: dict[str, Any] = field(default_factory=dict)
    run_folder: Path | None = None


def resume_config(folder: Path, overrides: Overrides, max_seconds: float | None) -> Request:
    """Preset and configuration of a checkpoint, with changes that it allows.

    Args:
        folder: the checkpoint.
        overrides: see `config.as_changes`; a field that is named there is decided anew.
        max_seconds: limit of wall time from now on; None: none, whatever the checkpoint's run had.

    Raises:
        ConfigError: a change that the saved replay, games or networks do not fit.
        CheckpointError: the checkpoint is not usable.
    """
    if is_export(folder):
        raise CheckpointError(
            f"checkpoint {folder} is an export, which holds no optimizer, no replay and no games to go on with; resume "
            f"the run that it was made from"
        )
    saved, facts = read_config(folder), read_model(folder)["rl_speed"]
    content = merge(saved.model_dump(), {"stop": {"max_seconds": max_seconds}})
    changes = as_changes(overrides)
    for change in changes:
        content = merge(content, change)
    config = validate(content, is_new=bool(changes))
    _check_fixed(saved, config)
    kept = {name: value for name, value in facts.get("kept", {}).items() if not _names(changes, name)}
    run_folder = run_of(folder)
    if _names(changes, "logging.directory") and run_folder is not None:
        # Where the run is to be: the checkpoint's own folder, unless another one is asked for.
        wanted = Path(config.logging.directory).resolve()
        run_folder = run_folder if run_folder.parent == wanted else None
    return Request(folder, str(facts["preset"]), config, kept, run_folder)


def _names(changes: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Whether one of the changes sets `section.field`."""
    section, _, field_name = name.partition(".")
    return any(field_name in change.get(section, {}) for change in changes)


def _check_fixed(saved: RunConfig, config: RunConfig) -> None:
    for name in _FIXED_ON_RESUME:
        section = getattr(saved, name)
        fields = [field for field in getattr(type(section), "model_fields", {}) if field not in _FREE_ON_RESUME]
        pairs = [
            (f"{name}.{field}", getattr(section, field), getattr(getattr(config, name), field)) for field in fields
        ]
        for path, before, now in pairs or [(name, section, getattr(config, name))]:
            if before != now:
                raise ConfigError(
                    f"{path} cannot change from {before!r} to {now!r} on resume: the saved replay, games and networks "
                    f"would not fit; leave it, or start a new run"
                )
