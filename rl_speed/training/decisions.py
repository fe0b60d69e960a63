"""What of a run depends on the machine: each thing decided, with its reason, or refused in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rl_speed.config import RunConfig
from rl_speed.config.rules import shards_divide_the_batch
from rl_speed.emulator.consoles import Consoles
from rl_speed.emulator.games import find_game
from rl_speed.experience.parts import Parts
from rl_speed.experience.replay import ring_bytes
from rl_speed.system.code_cache import NativeCodeError
from rl_speed.system.compiler import compiler_of_torch
from rl_speed.system.ending import Ending
from rl_speed.system.errors import ConfigError, UserError
from rl_speed.system.machine import gpu_names, has_cuda
from rl_speed.system.memory import free_memory_bytes
from rl_speed.training.probe import kept_probe
from rl_speed.training.ranks.place import Place
from rl_speed.training.threads import Threads

_FROM_CHECKPOINT = "as in the checkpoint"
# Of two parts of a minibatch, where an actor takes a third of the second one's core (docs/notebook.md).
FIRST_OF_TWO = 0.66


@dataclass(frozen=True)
class Decision:
    """A value and why it is that."""

    value: Any
    reason: str


def field_of(config: RunConfig, field: str) -> Any:
    """The value of `section.field`."""
    value: Any = config
    for part in field.split("."):
        value = getattr(value, part)
    return value


def plain(value: Any) -> str:
    """A value as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def with_fields(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """The configuration with `section.field` set to other values, which are known to be valid."""
    sections: dict[str, dict[str, Any]] = {}
    for field, value in values.items():
        section, _, name = field.partition(".")
        sections.setdefault(section, {})[name] = value
    changed = {name: getattr(config, name).model_copy(update=update) for name, update in sections.items()}
    return config.model_copy(update=changed)


def each_rank(share: RunConfig, device: str, place: Place) -> str:
    """What a rank does, in words."""
    players = "" if share.num_players == 1 else f"{share.num_players} actors with "
    devices = "the CPU" if device == "cpu" else "a GPU of its own"
    return (
        f"each on {devices} of {place.world_size // place.local_world_size} machine(s), with {players}"
        f"{share.envs.count} envs, {share.replay.capacity_env_steps:,} transitions, {share.update.batch_size} samples "
        f"of a minibatch"
    )


def decide_device(config: RunConfig, place: Place) -> tuple[Decision, str]:
    """What learns, and this rank's device, "cpu" or "cuda:<index>".

    Raises:
        ConfigError: it is not there.
    """
    accelerator = _decide_accelerator(config)
    if accelerator.value == "cpu":
        return accelerator, "cpu"
    there = len(gpu_names())
    if there == 1 and place.launcher in ("slurm", "ray"):  # which may show each process its own GPU only
        return accelerator, "cuda:0"
    if place.local_world_size > there:
        raise ConfigError(
            f"trainer.devices = {place.local_world_size}, but this machine has {there} GPU(s); set it to {there}, or "
            f"trainer.accelerator to cpu"
        )
    return accelerator, f"cuda:{place.local_rank}"


def _decide_accelerator(config: RunConfig) -> Decision:
    wants = config.trainer.accelerator
    if wants == "cpu":
        return Decision("cpu", "as configured")
    if has_cuda():
        return Decision("gpu", "CUDA works here")
    if config.envs.backend == "cuda":
        raise ConfigError(
            "envs.backend = cuda, but CUDA does not work here; see `rl-speed doctor`, or play on the CPU with a preset "
            "such as native"
        )
    if wants == "gpu":
        raise ConfigError(
            "trainer.accelerator = gpu, but CUDA does not work here; use --set trainer.accelerator=cpu, or see "
            "`rl-speed doctor`"
        )
    return Decision("cpu", "no working CUDA device")


def decide_backend(
    config: RunConfig, parts: Parts, kept: Mapping[str, Any], ending: Ending | None
) -> tuple[Decision, int | None]:
    """Who plays, and how many actions there are. ale-py takes over from our emulator, with the same game variant."""
    envs = config.envs
    decision = Decision(envs.backend, "as configured")
    if kept.get("envs.backend", envs.backend) != envs.backend:
        decision = Decision(kept["envs.backend"], _FROM_CHECKPOINT)
    if decision.value == "cuda":
        return decision, None
    try:
        if decision.value == "native" and parts.own_env is None:
            Consoles(find_game(envs.game), ending=ending).close()  # compiles it, which may take a minute
        return decision, _count_actions(with_fields(config, {"envs.backend": decision.value}), parts)
    except NativeCodeError as error:
        if kept:
            raise UserError(f"{error} This run is played on our own emulator.") from error
        # ale-py's vector env plays the default variant only: no other game is put in the place of the one asked for.
        backend = "ale_vector" if envs.is_default_variant else "classic"
        decision = Decision(backend, f"ale-py plays, for our own emulator cannot be had here. {error}")
        return decision, _count_actions(with_fields(config, {"envs.backend": backend}), parts)


def _count_actions(config: RunConfig, parts: Parts) -> int:
    env = parts.make_env(config.envs, 1, 0, 1, can_resume=False)
    try:
        return env.num_actions
    finally:
        env.close()


def decide_compile(config: RunConfig, device: str, kept: Mapping[str, Any]) -> Decision:
    """Whether the loss is compiled."""
    if not config.update.compile:
        return Decision(False, "as configured")
    if device == "cpu" and compiler_of_torch() is None:
        return Decision(
            False, "torch.compile needs a C++ compiler that it can start by one name; install g++ to make it faster"
        )
    if kept.get("update.compile") is False:
        return Decision(False, _FROM_CHECKPOINT)
    return Decision(True, "as configured")


def decide_cuda_graph(config: RunConfig, parts: Parts, device: str) -> Decision:
    """Whether a gradient step is launched as one graph.

    Raises:
        ConfigError: it is asked for where it cannot be.
    """
    asked = config.update.cuda_graph
    against = {"on the CPU": device == "cpu", "with update.compile = true": config.update.compile}
    reason = next((reason for reason, holds in against.items() if holds), None)
    if asked is True and reason is not None:
        raise ConfigError(f"update.cuda_graph = true cannot be {reason}; set it to auto")
    if asked != "auto":
        return Decision(asked, "as configured")
    if reason is None and parts.own_network is not None:
        reason = "a network of your own may wait for the device; true tries it"
    return Decision(reason is None, reason or "launching kernels one by one takes longer than they do")


def decide_update(
    config: RunConfig, parts: Parts, threads: Threads, device: str, kept: Mapping[str, Any]
) -> dict[str, Decision]:
    """Precision, shards and fused: as configured, as in the checkpoint, or by measuring."""
    fields = ("update.precision", "update.shards", "network.fused")
    given = {field: field_of(config, field) for field in fields}
    decisions = {field: Decision(value, "as configured") for field, value in given.items() if value != "auto"}
    if device != "cpu":
        if decisions.get("update.shards", Decision(1, "")).value > 1:
            raise ConfigError(
                f"update.shards = {config.update.shards} is for the CPU; set it to 1, or trainer.accelerator to cpu"
            )
        fixed = {"update.shards": 1, "network.fused": False, **_cuda_precision()}
        return {field: decisions.get(field, Decision(fixed[field], "on a GPU")) for field in fields}
    for field in fields:
        if field not in decisions and field in kept and _still_fits(config, field, kept[field]):
            decisions[field] = Decision(kept[field], _FROM_CHECKPOINT)
    if len(decisions) < len(fields):
        settled = with_fields(config, {field: decision.value for field, decision in decisions.items()})
        decisions = {**_measure(settled, parts, threads), **decisions}
    return {field: decisions[field] for field in fields}


def _still_fits(config: RunConfig, field: str, value: Any) -> bool:
    """Whether what was decided before goes together with what the user has changed since."""
    return field != "update.shards" or shards_divide_the_batch(with_fields(config, {field: value})) is None


def decide_first_shard(config: RunConfig, threads: Threads, kept: Mapping[str, Any]) -> Decision:
    """How much of a minibatch the learner's own thread computes."""
    asked, shards = config.update.first_shard, config.update.num_shards
    if asked != "auto":
        return Decision(asked, "as configured")
    if "update.first_shard" in kept and kept.get("update.shards") == shards:
        return Decision(kept["update.first_shard"], _FROM_CHECKPOINT)
    if shards == 2 and threads.left == -1:
        return Decision(FIRST_OF_TWO, "the other part's core plays the games, too")
    return Decision("auto", "equal parts")


def _cuda_precision() -> dict[str, str]:
    import torch

    return {"update.precision": "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"}


def _measure(config: RunConfig, parts: Parts, threads: Threads) -> dict[str, Decision]:
    """The best way here to compute what the configuration leaves open."""
    probe, was_kept = kept_probe(config, parts, threads)
    source = "measured earlier here" if was_kept else f"measured now, in {probe.seconds:.1f} s"
    if probe.was_disturbed:
        source += ", on a busy machine: it is measured again next time"
    chosen = {
        "update.precision": probe.chosen.precision,
        "update.shards": probe.chosen.shards,
        "network.fused": probe.chosen.fused,
    }
    return {
        field: Decision(value, f"{probe.text(field.partition('.')[2])}; {source}") for field, value in chosen.items()
    }


def check_memory(config: RunConfig, ranks: int, device: str) -> None:
    """Refuses a replay that this machine cannot hold, before anything is allocated.

    Args:
        config: a rank's share.
        ranks: on this machine.
        device: of this rank.
    """
    import torch

    settings = config.replay
    if settings.device != "cpu" and not has_cuda():
        raise ConfigError(f"replay.device = {settings.device} needs CUDA, which does not work here; set it to cpu")
    is_on_gpu = settings.device == "cuda"
    needed = replay_bytes(config) * (1 if is_on_gpu else ranks)
    free = torch.cuda.mem_get_info(device)[0] if is_on_gpu else free_memory_bytes()
    if needed > free:
        raise ConfigError(
            f"replay.capacity_env_steps = {config.replay.capacity_env_steps * config.trainer.world_size} takes "
            f"{needed / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are free; lower it"
        )
    if settings.device == "cuda" and config.checkpoint.save_replay and needed > free_memory_bytes():
        raise ConfigError(
            f"checkpoint.save_replay = true takes the GPU's replay of {needed / 1e9:.1f} GB through this machine's "
            f"memory, of which {free_memory_bytes() / 1e9:.1f} GB are free; set it to false"
        )


def replay_bytes(config: RunConfig) -> int:
    """Memory of the replay."""
    steps = config.replay.capacity_env_steps // config.total_envs
    return ring_bytes(steps, config.total_envs, config.envs.frame_height, config.envs.image_width)
