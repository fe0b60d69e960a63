"""Who is measured: rungs of the ladder, points of the sweeps, and peers."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_speed.config import RunConfig, load_config, merge, preset_names, validate
from rl_speed.system.errors import ConfigError

# From slow to fast; what the installed presets do not have is left out.
LADDER = (
    "slow_grads", "baseline", "n_envs", "parallel", "wrappers_n_envs", "wrappers_parallel", "actors", "native", "cuda",
    "fast_cpu", "fast_gpu",
)  # fmt: skip
GPU_PRESETS = ("cuda", "fast_gpu")
SWEEPS = ("envs", "actors", "wrappers", "devices")
ENV_ONLY_COUNT = 16  # games of the comparison without a learner
PREFILL_ENV_STEPS = 1000
DEVICE_COUNTS = (1, 2, 4, 8, 16)
LEAST_POINTS = 4  # also where there are fewer cores: that it does not pay is an answer


@dataclass(frozen=True)
class Contestant:
    """One thing to measure, in a process of its own."""

    name: str
    group: str  # ladder, peers, env_only, or a sweep's name
    kind: str  # train: the whole line; play: acting and games; env: games alone; script: a peer's program
    preset: str | None = None  # what `kind` runs, for all but scripts
    overrides: tuple[str, ...] = ()
    script: str | None = None
    arguments: tuple[str, ...] = ()
    point: dict[str, Any] = field(default_factory=dict)  # where on a sweep's axes
    needs: str | None = None  # a module that may be missing
    about: str = ""  # settings, in words
    package: str | None = None  # a peer's package, for version and licence

    def missing(self) -> str | None:
        """The sentence for the user if this cannot run here; None if it can."""
        if self.needs is None or importlib.util.find_spec(self.needs) is not None:
            return None
        return (
            f"{self.name} needs the package {self.needs}, which is not installed; run `make peers`, or "
            f"pip install '.[bench]' in the sources"
        )


def peers_directory() -> Path:
    """The folder of the peers' programs: inside an installed package, or beside it in a source checkout."""
    inside = Path(__file__).parent / "peers"
    return inside if inside.is_dir() else Path(__file__).parent.parent.parent / "benchmarks" / "peers"


def measured_config(contestant: Contestant, overrides: Sequence[str] = ()) -> RunConfig:
    """A rung's configuration as it is measured: short prefill, final epsilon at once, nothing saved or confirmed.

    Acting costs nothing while every action is random, so speeds at the start of the decay would flatter a slow rung.

    Args:
        contestant: of kind train, play or env.
        overrides: the user's changes.

    Raises:
        ConfigError: with one sentence.
    """
    assert contestant.preset is not None
    return as_measured(load_config(contestant.preset, [*overrides, *contestant.overrides]))


def as_measured(config: RunConfig) -> RunConfig:
    """A configuration as it is measured, see `measured_config`.

    Raises:
        ConfigError: its ranks are not processes that the bench can watch.
    """
    if config.trainer.launcher == "ray":
        raise ConfigError("trainer.launcher = ray: the bench measures the ranks of this machine; set it to auto")
    needed = config.replay.n_step + config.envs.frame_stack + config.actors.rollout_env_steps + 1
    prefill = min(max(PREFILL_ENV_STEPS, 4 * needed * config.total_envs), config.replay.capacity_env_steps)
    changes = {
        "replay": {"prefill_env_steps": prefill},
        "exploration": {"decay_env_steps": 1},
        "checkpoint": {"every_seconds": 1e9, "save_replay": False},
        "logging": {"kind": "tensorboard", "progress_bar": False, "print_episodes": False},
        # The window ends the run, nothing else.
        "stop": {"reward": 1e9, "max_env_steps": None, "max_gradient_steps": None, "max_seconds": None},
    }
    return validate(merge(config.model_dump(mode="json"), changes))


def ladder(gpu: bool) -> list[Contestant]:
    """The rungs that this machine can run, from slow to fast."""
    known = preset_names()
    return [rung(name) for name in LADDER if name in known and (gpu or name not in GPU_PRESETS)]


def rung(name: str) -> Contestant:
    """A preset or YAML file on the whole line."""
    # A file of the user's that is called as a preset is must not pass for it.
    is_foreign = Path(name).stem in preset_names() and name not in preset_names()
    return Contestant(name=name if is_foreign else Path(name).stem, group="ladder", kind="train", preset=name)


def envs_point(count: int, kind: str) -> Contestant:
    """The sweep over envs: `n_envs` with batch and env steps per update in proportion, or acting without learning."""
    scaled: tuple[str, ...] = (f"envs.count={count}",)
    if kind == "train":
        scaled += (f"update.batch_size={32 * count}", f"update.env_steps_per_gradient_step={count}")
        name, preset = f"train, {count} envs", "n_envs"
    else:
        scaled += ("envs.backend=ale_vector", "update.batch_size=32", "update.env_steps_per_gradient_step=1")
        name, preset = f"play only, {count} envs", "n_envs"
    return Contestant(
        name, "envs", kind, preset, scaled, point={"envs": count, "kind": kind},
        about="n_envs" if kind == "train" else "n_envs on ale-py's vector env, acting but not learning",
    )  # fmt: skip


def actors_points() -> list[Contestant]:
    """The sweep over actor processes, envs of each, and acting networks; slow line and fast line."""
    points = []
    for actors, envs, networks in [(1, 1, 1), (1, 4, 1), (2, 1, 1), (2, 4, 1), (2, 4, 2), (4, 4, 1), (4, 4, 4)]:
        total = actors * envs
        overrides: tuple[str, ...] = (
            f"actors.count={actors}", f"envs.count={envs}", f"actors.networks={networks}",
            f"update.batch_size={32 * total}", f"update.env_steps_per_gradient_step={total}",
        )  # fmt: skip
        points.append(_actors_point("wrappers_parallel", actors, envs, networks, overrides))
    for actors, envs, networks in [(1, 16, 1), (2, 8, 1), (2, 8, 2), (2, 16, 1), (4, 8, 4)]:
        overrides = (f"actors.count={actors}", f"envs.count={envs}", f"actors.networks={networks}")
        points.append(_actors_point("fast_cpu", actors, envs, networks, overrides))
    return points


def _actors_point(preset: str, actors: int, envs: int, networks: int, overrides: tuple[str, ...]) -> Contestant:
    return Contestant(
        f"{preset}: {actors} x {envs} envs, {networks} network{'s' if networks > 1 else ''}", "actors", "train",
        preset, overrides, point={"line": preset, "actors": actors, "envs": envs, "networks": networks},
    )  # fmt: skip


def wrappers_points() -> list[Contestant]:
    """Each ingredient of the light wrappers on its own, on `n_envs`."""
    ingredients = {
        "as n_envs": (),
        "no no-op start": ("envs.noop_max=0",),
        "no max of two frames": ("envs.max_pool=false",),
        "2 frames, not 4": ("envs.frame_stack=2",),
        "42 x 42, not 84 x 84": ("envs.image_height=42", "envs.image_width=42"),
        "uint8 to the device": ("update.uint8_to_device=true",),
    }
    return [
        Contestant(name, "wrappers", "train", "n_envs", overrides, point={"ingredient": name})
        for name, overrides in ingredients.items()
    ]


def devices_points(gpus: int, cores: int) -> list[Contestant]:
    """The sweep over ranks, which share the work of one run, and over actor processes of one rank.

    Args:
        gpus: of this machine; with none, ranks are processes of its CPU.
        cores: that may be used.
    """
    preset = "fast_gpu" if gpus else "fast_cpu"
    ranks = [count for count in DEVICE_COUNTS if count <= (gpus or max(cores, LEAST_POINTS))]
    players = [count for count in DEVICE_COUNTS if count <= max(cores, LEAST_POINTS)]
    envs = load_config(preset).total_envs
    of_ranks = [
        _devices_point(preset, "ranks", count, (f"trainer.devices={count}",), f"{count} rank{'s' * (count > 1)}")
        for count in ranks
    ]
    of_players = [
        _devices_point(
            preset,
            "players",
            count,
            ("actors.kind=subprocess", f"actors.count={count}", f"envs.count={envs // count}"),
            f"{count} actor{'s' * (count > 1)} x {envs // count} envs",
        )
        for count in players
    ]
    return of_ranks + of_players


def _devices_point(preset: str, what: str, count: int, overrides: tuple[str, ...], name: str) -> Contestant:
    return Contestant(f"{preset}: {name}", "devices", "train", preset, overrides, point={"line": preset, what: count})


def peers() -> list[Contestant]:
    """Other people's DQN, and a plain one, on the work of `baseline`."""
    sb3 = "CnnPolicy, AtariWrapper, stack 4, batch 32, buffer 100,000, Adam 1e-4, target every 1,000, final epsilon"
    return [
        Contestant(
            "sb3", "peers", "script", script="sb3_dqn.py", arguments=("--train-frequency", "4"),
            needs="stable_baselines3", package="stable-baselines3", about=f"{sb3}; one update per 4 env steps",
        ),
        Contestant(
            "sb3_every_step", "peers", "script", script="sb3_dqn.py", arguments=("--train-frequency", "1"),
            needs="stable_baselines3", package="stable-baselines3",
            about=f"{sb3}; one update per env step, as baseline",
        ),
        Contestant(
            "single_file", "peers", "script", script="single_file_dqn.py",
            about="a plain loop with baseline's settings, benchmarks/peers/single_file_dqn.py",
        ),
    ]  # fmt: skip


def env_only() -> list[Contestant]:
    """Games alone with random actions: 84 x 84, 4 frames stacked or stackable, max of two frames, all cores."""
    count = f"envs.count={ENV_ONLY_COUNT}"
    ours = [
        Contestant(
            f"env {backend}", "env_only", "env", "baseline", (count, f"envs.backend={backend}"),
            about=f"this project's VectorEnv over {what}",
        )
        for backend, what in (
            ("classic", "Gymnasium's AtariEnv, one at a time"),
            ("ale_vector", "ale-py's vector env"),
            ("native", "its own emulator"),
        )
    ]  # fmt: skip
    theirs = [
        ("gymnasium sync", "gymnasium_sync", "gymnasium", "AtariPreprocessing and FrameStackObservation"),
        ("gymnasium async", "gymnasium_async", "gymnasium", "the same, one process per game"),
        ("ale-py vector", "ale_vector", "ale-py", "AtariVectorEnv as it comes, all cores"),
        ("envpool", "envpool", "envpool", "Pong-v5, noop 30, all cores"),
    ]
    return ours + [
        Contestant(
            name, "env_only", "script", script="env_only.py",
            arguments=("--engine", engine, "--num-envs", str(ENV_ONLY_COUNT)),
            needs="envpool" if engine == "envpool" else None, package=package, about=about,
        )
        for name, engine, package, about in theirs
    ]  # fmt: skip
