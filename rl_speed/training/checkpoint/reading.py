"""Reads checkpoints: tensors and plain values only, with a sentence for everything that can be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rl_speed.config import RunConfig, merge, validate
from rl_speed.experience.parts import Parts
from rl_speed.system.errors import CheckpointError, ConfigError
from rl_speed.training.checkpoint.exported import load_export
from rl_speed.training.checkpoint.folders import MODEL_FILE, experience_file, is_export, list_checkpoints

FORMAT = 2  # 1: the hidden layer read its features in another order


def _load(path: Path) -> tuple[dict[str, Any], str | None]:
    """Reads tensors and plain values only, onto the CPU; returns them, or what is wrong.

    Tensors stay in the file until they are looked at: a replay is not held twice.
    """
    try:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except UnicodeError:  # torch maps no file whose name is no text
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return {}, "is missing"
    except OSError as error:
        return {}, f"cannot be read ({error.strerror})"
    except Exception as error:  # torch raises a different type for each way in which a file can be broken
        return {}, f"cannot be read, it is truncated or foreign ({first_line(error)})"
    return (content, None) if isinstance(content, dict) else ({}, "is not one of rl_speed")


def _load_model(folder: Path) -> tuple[dict[str, Any], str | None]:
    content, problem = load_export(folder) if is_export(folder) else _load(folder / MODEL_FILE)
    if problem is None and not isinstance(content.get("rl_speed"), dict):
        problem = "is not one of rl_speed"
    if problem is None and content["rl_speed"].get("format") != FORMAT:
        problem = f"has format {content['rl_speed'].get('format')!r}, not {FORMAT}"
    return content, problem


def _load_experience(folder: Path, rank: int) -> tuple[dict[str, Any], str | None]:
    content, problem = _load(folder / experience_file(rank))
    if problem is None and content.get("format") != FORMAT:
        problem = "is not one of rl_speed"
    return content, problem


def read_model(folder: Path) -> dict[str, Any]:
    """Reads a checkpoint's model file, or an export: that holds `acting_network` in place of all other state.

    Raises:
        CheckpointError: it is truncated, foreign, or of another format; an older usable one is named.
    """
    content, problem = _load_model(folder)
    if problem is not None:
        raise CheckpointError(f"checkpoint {folder} {problem}; {_offer_older(folder)}")
    return content


def first_line(error: BaseException) -> str:
    """An error in a line, without what a library says below it."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:80]}" if text else type(error).__name__


def _offer_older(folder: Path) -> str:
    """Names the newest whole checkpoint of fewer gradient steps, if there is one."""
    for other in list_checkpoints(folder.parent):
        if other.name < folder.name and _load_model(other)[1] is None and _load_experience(other, 0)[1] is None:
            return f"an older one is usable: --resume {other}"
    return "there is no other usable one beside it, so start anew"


def read_config(folder: Path) -> RunConfig:
    """The configuration that a checkpoint's run had asked for."""
    return _config_of(folder, read_model(folder)["rl_speed"], {})


def read_played_config(folder: Path) -> RunConfig:
    """The configuration that a checkpoint's run was carried out with: what was left open is as it was decided there."""
    facts = read_model(folder)["rl_speed"]
    return _config_of(folder, facts, facts.get("kept", {}))


def _config_of(folder: Path, facts: dict[str, Any], fields: Mapping[str, Any]) -> RunConfig:
    content = dict(facts["config"])
    for field, value in fields.items():
        section, _, name = field.partition(".")
        content = merge(content, {section: {name: value}})
    try:
        return validate(content, is_new=False)
    except ConfigError as error:
        raise CheckpointError(f"checkpoint {folder} holds a configuration that is not usable: {error}") from None


def read_experience(folder: Path, rank: int) -> dict[str, Any]:
    """Reads a rank's games, counters and, where it was saved, replay.

    Raises:
        CheckpointError: the file is missing, truncated or foreign; an older usable checkpoint is named.
    """
    content, problem = _load_experience(folder, rank)
    if problem is not None:
        raise CheckpointError(f"experience file {folder / experience_file(rank)} {problem}; {_offer_older(folder)}")
    return content


def check_parts(folder: Path, facts: dict[str, Any], parts: Parts, but_env: bool = False) -> None:
    """Refuses to go on with another game or network than those of the run.

    Args:
        folder: the checkpoint.
        facts: what it says of its run.
        parts: what is given now.
        but_env: the env does not matter.

    Raises:
        CheckpointError: one of the two has an env or a network of the caller's own, and the other has not.
    """
    given = parts.names()
    for name, argument in (("own_env", "env"), ("own_network", "network"))[but_env:]:
        saved = facts.get("parts", {}).get(name)
        if (saved is None) != (given[name] is None):
            what = f"{argument}={saved or given[name]}"
            how = f"call rl_speed from Python with {what}" if saved else f"leave {what} out"
            raise CheckpointError(
                f"checkpoint {folder} was trained with {'an' if argument == 'env' else 'a'} {argument} of "
                f"{'the caller' if saved else 'rl_speed'}'s own; {how}"
            )


def _acting_weights(content: dict[str, Any], config: RunConfig) -> dict[str, Tensor]:
    """Those of the network that plays, of all that a run has."""
    prefix = "online_network." if config.update.averaging_rate is None else "average_network."
    names = [name for name in content["state_dict"] if name.startswith(prefix)]
    return {name.removeprefix(prefix): content["state_dict"][name] for name in names}


def load_network(folder: Path, parts: Parts | None = None, but_env: bool = False) -> tuple[nn.Module, RunConfig]:
    """The acting network of a checkpoint, frozen, on the CPU, and the configuration it was trained with.

    Args:
        folder: the checkpoint, or an export.
        parts: the caller's own network, if the run had one.
        but_env: see `check_parts`.

    Raises:
        CheckpointError: the checkpoint is not usable.
    """
    parts = parts or Parts()
    config, content = read_played_config(folder), read_model(folder)
    check_parts(folder, content["rl_speed"], parts, but_env)
    try:
        weights = content["acting_network"] if "acting_network" in content else _acting_weights(content, config)
        num_actions = content["rl_speed"].get("num_actions") or weights["advantage.weight"].shape[0]
        network = parts.make_network(config.network, config.envs.observation_shape, num_actions)
        network.load_state_dict(weights)
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"checkpoint {folder} holds no network that fits its configuration ({error})") from None
    network.requires_grad_(False)
    return network.eval(), config
