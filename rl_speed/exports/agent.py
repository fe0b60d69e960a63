"""What is exported: the acting network in float32, and what a program that uses it has to know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rl_speed.config import RunConfig
from rl_speed.experience.envs.preprocessing import action_names
from rl_speed.experience.parts import Parts
from rl_speed.training.checkpoint.folders import LIBRARY
from rl_speed.training.checkpoint.reading import load_network, read_model

# What an export is whatever its run was: float32, in the plain order of the first layer.
_AS_EXPORTED = {"update.precision": "fp32", "network.fused": False}
_FACTS = ("format", "preset", "parts", "num_actions")


@dataclass(frozen=True)
class TrainedAgent:
    """A network out of a checkpoint, with its facts.

    Attributes:
        network: frozen, float32, on the CPU; uint8 [B, K, H, W] -> q_value float32 [B, A].
        config: the run, with nothing left to decide, and as the export is played: in float32.
        precision: in which the run computed, fp32 or bf16.
        facts: what `load` has to know, as a checkpoint holds it.
        action_names: of the actions 0..A-1; None where no game of ale-py is played.
        num_actions: A.
    """

    network: nn.Module
    config: RunConfig
    precision: str
    facts: dict[str, Any]
    action_names: tuple[str, ...] | None
    num_actions: int

    def describe(self) -> dict[str, Any]:
        """What config.json holds: for people and other programs, and under `rl_speed` for `load`."""
        envs = self.config.envs
        shape = list(envs.observation_shape)
        return {
            "library_name": LIBRARY,
            "game": self.game,
            "actions": self.actions,
            "input": {"name": "observation", "dtype": "uint8", "shape": ["batch", *shape]},
            "output": {"name": "q_value", "dtype": "float32", "shape": ["batch", self.num_actions]},
            "preprocessing": self.preprocessing(),
            "rl_speed": self.facts,
        }

    @property
    def game(self) -> str:
        """What it plays, in a word: the game, the registered env, or the name of the caller's own env."""
        own = self.facts["parts"]["own_env"]
        if own is None:
            return self.config.envs.name
        name = str(own).rpartition(".")[2]
        return name if name.isidentifier() else "an env of its own"  # a lambda has no name

    @property
    def actions(self) -> list[str]:
        """What the actions 0..A-1 are called."""
        return list(self.action_names or map(str, range(self.num_actions)))

    def preprocessing(self) -> dict[str, Any]:
        """The fields of `envs` that decide what the network sees, by name."""
        names = ["image_width", "image_height", "crop_top", "crop_bottom", "frame_stack"]
        if self.action_names is not None:
            names += [
                "frame_skip", "max_pool", "noop_max", "fire_on_reset", "sticky_probability", "max_episode_frames",
                "mode", "difficulty",
            ]  # fmt: skip
        return self.config.envs.model_dump(mode="json", include=set(names))


def read_agent(folder: Path, parts: Parts, but_env: bool) -> TrainedAgent:
    """Reads the acting network of a checkpoint or of an export.

    Args:
        folder: of it.
        parts: the caller's own network and env, if the run had one.
        but_env: the env does not matter: nothing is played.

    Raises:
        CheckpointError: it is not usable.
    """
    trained, config = load_network(folder, parts, but_env)
    facts = read_model(folder)["rl_speed"]
    plain = config.network.model_copy(update={"fused": False})
    shape = config.envs.observation_shape
    num_actions = facts.get("num_actions") or _count_actions(trained, shape)
    network = parts.make_network(plain, shape, num_actions)
    network.load_state_dict(trained.state_dict())
    network.requires_grad_(False)
    played = config.model_copy(
        update={"network": plain, "update": config.update.model_copy(update={"precision": "fp32"})}
    )
    is_game = config.envs.is_atari and facts["parts"]["own_env"] is None
    names = action_names(config.envs) if is_game else None
    kept = {**facts.get("kept", {}), **_AS_EXPORTED}
    public = {name: facts.get(name) for name in _FACTS}
    public |= {"num_actions": num_actions, "config": _public(facts["config"]), "kept": kept}
    return TrainedAgent(network.eval(), played, config.update.precision, public, names, num_actions)


def _count_actions(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Of a network whose checkpoint does not say it."""
    with torch.no_grad():
        return int(network(torch.zeros((1, *shape), dtype=torch.uint8)).shape[1])


def _public(config: dict[str, Any]) -> dict[str, Any]:
    """A run's configuration without folders and addresses of its user's."""
    actors = {name: value for name, value in config.get("actors", {}).items() if name != "address"}
    return {**{name: value for name, value in config.items() if name != "logging"}, "actors": actors}
