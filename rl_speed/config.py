"""The run configuration: frozen, validated, read from YAML and changed by dotted overrides.

Every field says its meaning, unit and the source of its default. A configuration that loads can be run: bad
names, types, ranges and combinations are refused here, with one sentence for each.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from rl_speed.errors import ConfigError

ACTION_NAMES = (
    "NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN", "UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT", "UPFIRE",
    "RIGHTFIRE", "LEFTFIRE", "DOWNFIRE", "UPRIGHTFIRE", "UPLEFTFIRE", "DOWNRIGHTFIRE", "DOWNLEFTFIRE",
)  # fmt: skip


def _modes_and_difficulties(game: str) -> tuple[list[int], list[int]]:
    """Those of a game of ale-py. A function of its own, so that no error keeps the console alive."""
    from ale_py import ALEInterface, LoggerMode, roms

    ALEInterface.setLoggerMode(LoggerMode.Error)
    ale = ALEInterface()
    ale.loadROM(str(roms.get_rom_path(game)))
    return list(ale.getAvailableModes()), list(ale.getAvailableDifficulties())


class Section(BaseModel):
    """A frozen group of settings that refuses unknown keys and silent type conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class EnvsConfig(Section):
    """The game, how it is shown to the network, and how many copies of it run in one process."""

    game: str = Field("pong", description="ALE game in snake_case, e.g. pong, ms_pacman")
    backend: Literal["classic", "ale_vector", "native", "cuda"] = Field(
        "ale_vector",
        description="classic: one Python env at a time; ale_vector: ale-py's C++ vector env; native: our own emulator; "
        "cuda: our own on the GPU, where frames stay",
    )
    mode: int | None = Field(
        None, ge=0, description="of the game, one that it has (not with ale_vector); none: its default"
    )
    difficulty: int = Field(0, ge=0, le=3, description="1: left switch at A, 2: right, 3: both (not with ale_vector)")
    count: int = Field(1, ge=1, le=65_536, description="envs stepped together in one process")
    threads: int = Field(0, ge=0, le=1024, description="threads of the vector env; 0: chosen from the cores")
    actions: Literal["minimal", "full"] | Annotated[tuple[str, ...], Field(strict=False)] = Field(
        "minimal", description="the game's minimal set, all 18, or a list of ALE action names"
    )
    image_height: int = Field(84, ge=20, le=210, description="pixels (Mnih 2015: 84)")
    image_width: int = Field(84, ge=20, le=160, description="pixels (Mnih 2015: 84)")
    crop_top: int = Field(0, ge=0, le=200, description="rows cut from the resized image's top")
    crop_bottom: int = Field(0, ge=0, le=200, description="rows cut from the resized image's bottom")
    frame_stack: int = Field(4, ge=1, le=16, description="frames in one observation (Mnih 2015: 4)")
    frame_skip: int = Field(4, ge=1, le=60, description="frames per env step (Mnih 2015: 4)")
    max_pool: bool = Field(True, description="pixel maximum of the last two frames of a step (Mnih 2015)")
    noop_max: int = Field(30, ge=0, le=1000, description="a game starts with 0..noop_max-1 no-ops (Mnih 2015)")
    fire_on_reset: bool = Field(True, description="press FIRE once at the start, where the game has it")
    episodic_life: bool = Field(False, description="a lost life ends the return that is learned, not the game")
    clip_reward: bool = Field(True, description="learn from the reward clipped to -1..1 (Mnih 2015)")
    sticky_probability: float = Field(0.0, ge=0, lt=1, description="chance that ALE repeats the last action")
    max_episode_frames: int = Field(108_000, ge=4, description="time limit of a game in frames (30 minutes)")
    reseed_env_steps: int = Field(
        4000,
        ge=1,
        description="for resume: an env starts its next game from a fresh seed after this many env steps",
    )

    @field_validator("game")
    @classmethod
    def _known_game(cls, game: str) -> str:
        from ale_py import roms

        known = roms.get_all_rom_ids()
        if game in known:
            return game
        near = difflib.get_close_matches(game.lower().replace("-", "_"), known, n=3) or ["pong", "breakout"]
        raise ValueError(f"is not a game of ale-py; did you mean {' or '.join(near)}?")

    @model_validator(mode="after")
    def _has_mode(self) -> EnvsConfig:
        if self.mode is None and self.difficulty == 0:
            return self
        if self.backend == "ale_vector":
            raise ValueError(
                f"envs.mode = {self.mode} and envs.difficulty = {self.difficulty}: ale-py's vector env plays the "
                f"default mode at difficulty 0 only; set envs.backend to native or classic"
            )
        modes, difficulties = _modes_and_difficulties(self.game)
        for name, value, known in (("mode", self.mode, modes), ("difficulty", self.difficulty, difficulties)):
            if value is not None and value not in known:
                raise ValueError(f"envs.{name} = {value} is not one that {self.game} has; choose one of {known}")
        return self

    @field_validator("actions")
    @classmethod
    def _known_actions(cls, actions: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(actions, str):
            return actions
        for name in actions:
            if name not in ACTION_NAMES:
                raise ValueError(f"holds {name!r}; use names from {', '.join(ACTION_NAMES)}")
        if len(set(actions)) != len(actions) or len(actions) < 2:
            raise ValueError("must hold at least two different action names")
        return actions

    @property
    def frame_height(self) -> int:
        """Rows of a stored frame, after the crop."""
        return self.image_height - self.crop_top - self.crop_bottom


class ActorsConfig(Section):
    """Where experience is generated: in the learner's process, or in processes of its own."""

    kind: Literal["in_process", "subprocess"] = Field(
        "in_process", description="in_process: play and train in turn; subprocess: play and train apart"
    )
    count: int = Field(1, ge=1, le=256, description="actor processes (subprocess only), envs.count envs each")
    rollout_env_steps: int = Field(1, ge=1, le=4096, description="env steps of each env in one rollout")
    threads: int = Field(1, ge=1, le=256, description="torch threads of each actor process")
    networks: int = Field(1, ge=1, le=64, description="acting networks: each is a copy this many rollouts old")
    free_running: bool = Field(
        False, description="learner and actors do not wait for each other; the replay ratio is what it is"
    )
    timeout_seconds: float = Field(60.0, gt=0, description="a silent but living actor is given up after this")


class ReplayConfig(Section):
    """The memory of experience and what one sample of it means."""

    capacity_env_steps: int = Field(100_000, ge=1, description="transitions kept, all envs together")
    prefill_env_steps: int = Field(10_000, ge=1, description="random env steps before the first gradient step")
    n_step: int = Field(1, ge=1, le=100, description="rewards summed before bootstrapping (1: Mnih 2015)")
    gamma: float = Field(0.99, ge=0, le=1, description="discount of one env step (Mnih 2015)")
    priority_exponent: float = Field(0.0, ge=0, le=2, description="0: uniform; Schaul 2016 uses 0.6")
    importance_exponent: float = Field(0.4, ge=0, le=1, description="correction of the priorities (Schaul 2016)")
    device: Literal["cpu", "pinned", "cuda"] = Field("cpu", description="where the frames are kept")


class NetworkConfig(Section):
    """The shape of the Q-network."""

    channels: tuple[int, ...] = Field((32, 64, 64), strict=False, description="per convolution (Mnih 2015)")
    kernels: tuple[int, ...] = Field((8, 4, 3), strict=False, description="pixels, per convolution")
    strides: tuple[int, ...] = Field((4, 2, 1), strict=False, description="pixels, per convolution")
    hidden: int = Field(512, ge=1, le=65536, description="units of the hidden layer (of each head if dueling)")
    dueling: bool = Field(False, description="separate value and advantage heads (Wang 2016)")
    standardise: bool = Field(
        False,
        description="images minus their mean over the prefill, divided by the deviation, instead of /255",
    )
    normalise: bool = Field(False, description="GroupNorm (one group) per convolution, LayerNorm per head")
    fused: bool = Field(
        False,
        description="same values, faster on a CPU: first layer over blocks of pixels, both double-DQN networks at once",
    )

    @model_validator(mode="after")
    def _same_length(self) -> NetworkConfig:
        if not 1 <= len(self.channels) == len(self.kernels) == len(self.strides):
            raise ValueError(
                f"network.channels, network.kernels and network.strides must have one entry per convolution each, "
                f"not {len(self.channels)}, {len(self.kernels)} and {len(self.strides)}"
            )
        for name in ("channels", "kernels", "strides"):
            values = getattr(self, name)
            if min(values) < 1 or max(values) > 4096:
                raise ValueError(f"network.{name} = {list(values)} must hold integers from 1 to 4096")
        if self.fused and self.kernels[0] % self.strides[0]:
            raise ValueError(
                f"network.fused = true needs a first kernel that is a multiple of its stride, not {self.kernels[0]} "
                f"and {self.strides[0]}; set it to false"
            )
        return self


class UpdateConfig(Section):
    """The gradient step: what it minimises, how often it is taken, and in which precision."""

    batch_size: int = Field(32, ge=1, le=65536, description="transitions per gradient step (Mnih 2015)")
    env_steps_per_gradient_step: float = Field(
        1.0, gt=0, le=1e6, description="replay ratio: env steps taken, all envs together, per gradient step"
    )
    gradient_steps_per_batch: int = Field(1, ge=1, le=1024, description="gradient steps in one training_step")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Adam's step size")
    final_learning_rate: float | None = Field(None, gt=0, le=1, description="where annealing leads the step size")
    final_env_steps_per_gradient_step: float | None = Field(
        None, gt=0, le=1e6, description="where annealing leads the replay ratio"
    )
    anneal_gradient_steps: int = Field(0, ge=0, description="gradient steps of the annealing; 0: not by steps")
    anneal_returns: Annotated[tuple[float, float], Field(strict=False)] | None = Field(
        None, description="mean returns of the last 20 games between which it happens instead (docs/notebook.md)"
    )
    adam_epsilon: float = Field(1e-8, gt=0, le=1, description="Adam's epsilon")
    max_gradient_norm: float | None = Field(None, gt=0, description="gradients are scaled down to this norm")
    loss: Literal["mse", "huber"] = Field("mse", description="of the TD error; huber: Mnih 2015's clipping")
    double: bool = Field(False, description="the online network chooses the next action (van Hasselt 2016)")
    target_sync_gradient_steps: int = Field(1000, ge=1, description="gradient steps between hard target syncs")
    target_sync_rate: float | None = Field(
        None, gt=0, le=1, description="soft sync instead: share of the online weights taken per batch"
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: autocast to bfloat16")
    compile: bool = Field(False, description="torch.compile the loss (needs a C++ compiler on the CPU)")
    shards: int = Field(
        1, ge=1, le=64, description="parts of a minibatch whose gradients are computed at once, on cores of their own"
    )
    uint8_to_device: bool = Field(True, description="false: frames become float32 before they are transferred")
    slow_grads: bool = Field(False, description="the mistake to measure: autograd on in acting and targets")
    threads: int = Field(0, ge=0, le=1024, description="torch threads of the learner; 0: chosen from the cores")


class ExplorationConfig(Section):
    """Epsilon-greedy exploration."""

    epsilon_start: float = Field(1.0, ge=0, le=1, description="epsilon during the prefill and right after it")
    epsilon_end: float = Field(0.02, ge=0, le=1, description="epsilon after the decay")
    decay_env_steps: int = Field(100_000, ge=1, description="env steps of the linear decay, after the prefill")
    annealed_epsilon: float | None = Field(
        None, ge=0, le=1, description="where update.anneal_returns or anneal_gradient_steps lead epsilon from there"
    )


class StopConfig(Section):
    """When the run ends."""

    reward: float = Field(19.5, description="mean raw return of the last `window_episodes` training episodes")
    window_episodes: int = Field(100, ge=1, le=100_000, description="episodes in that mean")
    max_env_steps: int | None = Field(None, ge=1, description="give up after this many env steps")
    max_gradient_steps: int | None = Field(None, ge=1, description="give up after this many gradient steps")
    max_seconds: float | None = Field(None, gt=0, description="give up after this wall time")
    confirm_episodes: int = Field(30, ge=0, le=10_000, description="games of the confirmation; 0: none")
    confirm_epsilon: float = Field(0.01, ge=0, le=1, description="epsilon of the confirmation")


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
    devices: int = Field(1, ge=1, le=1024, description="GPUs")


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
    stop: StopConfig = Field(default_factory=StopConfig)
    checkpoint: CheckpointConfig = Field(default_factory=CheckpointConfig)
    logging: LoggingConfig = Field(default_factory=LoggingConfig)
    trainer: TrainerConfig = Field(default_factory=TrainerConfig)

    @property
    def total_envs(self) -> int:
        """Envs of all processes together: E of a rollout."""
        return self.envs.count * (self.actors.count if self.actors.kind == "subprocess" else 1)

    @model_validator(mode="after")
    def _fits_together(self) -> RunConfig:
        steps = self.replay.capacity_env_steps // self.total_envs
        needed = self.replay.n_step + self.envs.frame_stack + self.actors.rollout_env_steps + 1
        if steps < needed:
            raise ValueError(
                f"replay.capacity_env_steps = {self.replay.capacity_env_steps} leaves {steps} steps for each of "
                f"{self.total_envs} envs, fewer than n_step + frame_stack + rollout_env_steps + 1 = {needed}; "
                f"raise it to at least {needed * self.total_envs}"
            )
        if self.replay.prefill_env_steps > self.replay.capacity_env_steps:
            raise ValueError(
                f"replay.prefill_env_steps = {self.replay.prefill_env_steps} is more than "
                f"replay.capacity_env_steps = {self.replay.capacity_env_steps}; lower the first or raise the second"
            )
        if self.replay.prefill_env_steps < needed * self.total_envs:
            raise ValueError(
                f"replay.prefill_env_steps = {self.replay.prefill_env_steps} is too few to draw one sample from "
                f"{self.total_envs} envs; raise it to at least {needed * self.total_envs}"
            )
        if self.update.target_sync_gradient_steps % self.update.gradient_steps_per_batch:
            raise ValueError(
                f"update.target_sync_gradient_steps = {self.update.target_sync_gradient_steps} must be a multiple "
                f"of update.gradient_steps_per_batch = {self.update.gradient_steps_per_batch}"
            )
        if self.update.batch_size % self.update.shards or (self.update.shards > 1 and self.update.compile):
            raise ValueError(
                f"update.shards = {self.update.shards} must divide update.batch_size = {self.update.batch_size}, and "
                f"goes together with update.compile = false only; set it to 1 or change those"
            )
        update = self.update
        ways = (update.anneal_gradient_steps > 0) + (update.anneal_returns is not None)
        goals = {
            "update.final_learning_rate": update.final_learning_rate,
            "update.final_env_steps_per_gradient_step": update.final_env_steps_per_gradient_step,
            "exploration.annealed_epsilon": self.exploration.annealed_epsilon,
        }
        if ways != any(value is not None for value in goals.values()):
            listed = ", ".join(f"{name} = {value}" for name, value in goals.items())
            raise ValueError(
                f"{listed}: a value to anneal to goes together with exactly one of update.anneal_gradient_steps = "
                f"{update.anneal_gradient_steps} and update.anneal_returns = {update.anneal_returns}; set both or none"
            )
        if update.anneal_returns is not None and update.anneal_returns[0] >= update.anneal_returns[1]:
            raise ValueError(
                f"update.anneal_returns = {list(update.anneal_returns)} must rise; write the lower return first"
            )
        limit = self.stop.max_env_steps
        if limit is not None and limit <= self.replay.prefill_env_steps:
            raise ValueError(
                f"stop.max_env_steps = {limit} ends before replay.prefill_env_steps = "
                f"{self.replay.prefill_env_steps} are played; raise it"
            )
        if self.trainer.devices > 1:
            raise ValueError(f"trainer.devices = {self.trainer.devices} is not supported yet; set it to 1")
        if self.envs.backend == "cuda":
            for field, chosen, allowed in (
                ("actors.kind", self.actors.kind, ("in_process",)),
                ("trainer.accelerator", self.trainer.accelerator, ("auto", "gpu")),
            ):
                if chosen not in allowed:
                    raise ValueError(
                        f"envs.backend = cuda plays on the learner's GPU, so {field} = {chosen} cannot be; set it to "
                        f"{' or '.join(allowed)}"
                    )
        if self.envs.frame_height < 20:
            raise ValueError(
                f"envs.crop_top + envs.crop_bottom leave {self.envs.frame_height} of envs.image_height = "
                f"{self.envs.image_height} rows; leave at least 20"
            )
        if self.actors.kind == "in_process":
            for name, usual in (("count", 1), ("networks", 1), ("free_running", False)):
                value = getattr(self.actors, name)
                if value != usual:
                    raise ValueError(
                        f"actors.{name} = {value} is for actors.kind = subprocess; set it to {usual} or change the kind"
                    )
        height, width = self.envs.frame_height, self.envs.image_width
        for kernel, stride in zip(self.network.kernels, self.network.strides, strict=True):
            height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
            if min(height, width) < 1:
                raise ValueError(
                    f"network.kernels = {list(self.network.kernels)} with network.strides = "
                    f"{list(self.network.strides)} shrink a {self.envs.frame_height}x{self.envs.image_width} image "
                    f"to nothing; use fewer or smaller ones"
                )
        return self


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads 1e-4 as text; people mean the number."""


def _unique_keys(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    """A mapping in which no key stands twice: the first of two would be lost without a word."""
    content: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.YAMLError(f"key {key!r} is not a text")
        if key in content:
            raise yaml.YAMLError(f"key {key!r} stands twice")
        content[key] = loader.construct_object(value_node, deep=True)
    return content


_Loader.add_constructor("tag:yaml.org,2002:map", _unique_keys)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


def configs_directory() -> Path:
    """The folder of the presets: inside an installed package, or beside it in a source checkout."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "configs"


def preset_names() -> list[str]:
    """Names of the presets, sorted."""
    return sorted(path.stem for path in configs_directory().glob("*.yaml"))


def _read_yaml(source: str, extended_by: tuple[str, ...] = ()) -> dict[str, Any]:
    """Reads a preset by name or a file by path, with the chain of files that it extends underneath."""
    by_name = configs_directory() / f"{source}.yaml"
    try:
        path = by_name if by_name.is_file() else Path(source)
        is_file = path.is_file()
    except (OSError, ValueError):  # longer than a path can be, or with a null byte
        is_file = False
    if not is_file:
        near = difflib.get_close_matches(source, preset_names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"use a file's path or one of {', '.join(preset_names())}"
        raise ConfigError(f"config {source!r} is neither a preset nor a file; {hint}")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {source!r} cannot be read ({error}); check the file and its rights") from None
    except (yaml.YAMLError, ValueError) as error:
        where = " ".join(str(error).split())
        raise ConfigError(f"config {source!r} is not valid YAML: {where}") from None
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise ConfigError(f"config {source!r} must hold keys and values, not a {type(content).__name__}")
    parent = content.pop("extends", None)
    if parent is None:
        return content
    if not isinstance(parent, str) or parent in (source, *extended_by):
        raise ConfigError(
            f"config {source!r}: extends = {parent!r} must name another preset or file, and not one that extends this"
        )
    return merge(_read_yaml(parent, (source, *extended_by)), content)


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Lays `change` over `base`, section by section; neither argument is altered."""
    merged = dict(base)
    for key, value in change.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def parse_override(text: str) -> dict[str, Any]:
    """Turns 'section.field=value' into a nested dictionary; the value is read as YAML."""
    key, equals, raw = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text!r} must look like section.field=value, e.g. envs.count=3")
    try:
        value = yaml.load(raw, _Loader)
    except (yaml.YAMLError, ValueError):
        raise ConfigError(f"--set {text!r}: the value {raw!r} is not valid YAML") from None
    for part in reversed(key.strip().split(".")):
        value = {part: value}
    return dict(value)


def load_config(source: str, overrides: Sequence[str] = ()) -> RunConfig:
    """Reads a preset or file and applies overrides.

    Args:
        source: name of a preset, or path of a YAML file (which may start with `extends: NAME`).
        overrides: texts `section.field=value`, applied in order.

    Raises:
        ConfigError: with one sentence that names the field, the value and the fix.
    """
    content = _read_yaml(source)
    for text in overrides:
        content = merge(content, parse_override(text))
    return validate(content)


def validate(content: Mapping[str, Any]) -> RunConfig:
    """Builds a RunConfig from nested dictionaries; raises ConfigError with one sentence."""
    try:
        return RunConfig.model_validate(dict(content))
    except ValidationError as error:
        raise ConfigError(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    """One sentence for the first problem of a failed validation."""
    first = error.errors()[0]
    location = [part for part in first["loc"] if isinstance(part, str) and part not in _UNION_TAGS]
    field = ".".join(location)
    kind, value, context = first["type"], first.get("input"), first.get("ctx", {})
    if kind == "extra_forbidden":
        known = _known_keys(location[:-1])
        near = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean {'.'.join([*location[:-1], near[0]])}?" if near else f"known: {', '.join(known)}"
        return f"unknown key {field}; {hint}"
    if kind == "value_error":
        message = str(context.get("error", first["msg"]))
        return f"{field} = {value!r} {message}" if len(location) == 2 else message
    if kind in ("model_type", "model_attributes_type"):
        return f"{field or 'the configuration'} = {value!r} must hold keys and values; write {field}: {{key: value}}"
    if kind == "int_type" and isinstance(value, float) and value.is_integer():
        return f"{field} = {value!r} must be a whole number; write {int(value)}"
    description = _description(location)
    about = f" ({description})" if description else ""
    return f"{field} = {value!r} is not usable: {first['msg'].lower()}{about}; change it in the file or with --set"


_UNION_TAGS = {"tuple[str, ...]", "literal['minimal','full']", "tuple[float, float]"}


def _known_keys(location: Sequence[str]) -> list[str]:
    section: Any = RunConfig
    for part in location:
        section = section.model_fields[part].annotation
    return list(section.model_fields)


def _description(location: Sequence[str]) -> str:
    section: Any = RunConfig
    field: Any = None
    for part in location:
        field = getattr(section, "model_fields", {}).get(part)
        if field is None:
            return ""
        section = field.annotation
    return (field.description or "") if field is not None else ""
