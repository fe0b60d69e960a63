"""What a run really does, decided in one place before anything is built, each choice with its reason.

A configuration says what is asked for; a machine says what can be had. The plan holds the configuration with nothing
left to decide, and that is what every part of a run is made from. `doctor` prints it, checkpoints, results and the
bench keep it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_speed.config import RunConfig, rank_share
from rl_speed.emulator.compiler import EmulatorUnavailableError
from rl_speed.emulator.consoles import Consoles
from rl_speed.emulator.games import find_game
from rl_speed.experience.parts import Parts
from rl_speed.experience.replay import ring_bytes
from rl_speed.system.compiler import compiler_of_torch
from rl_speed.system.cores import shared_by, usable_cores
from rl_speed.system.ending import Ending
from rl_speed.system.errors import ConfigError, UserError
from rl_speed.system.machine import gpu_names, has_cuda
from rl_speed.system.memory import free_memory_bytes
from rl_speed.training.probe import kept_probe
from rl_speed.training.ranks.place import Place
from rl_speed.training.threads import Threads, plan_threads

# What a resumed run takes over from its checkpoint: another choice would not go on number for number.
KEPT_ON_RESUME = ("envs.backend", "update.precision", "update.shards", "update.compile", "network.fused")
_FROM_CHECKPOINT = "as in the checkpoint"


@dataclass(frozen=True)
class Decision:
    """A value and why it is that."""

    value: Any
    reason: str


@dataclass(frozen=True)
class Seeds:
    """Independent seeds for everything random in one rank."""

    policy: int
    replay: int
    env: int
    actors: list[tuple[int, int]]  # env seed and policy seed of each actor
    confirmation: int  # one that no training env had


@dataclass(frozen=True)
class Plan:
    """What a run does on this machine.

    Attributes:
        asked: the configuration as it was given.
        config: the same with nothing left to decide.
        share: what this rank plays, keeps and learns of that (`config.rank_share`); all of it if there is one rank.
        decisions: by field, what was decided and why.
        device: "cpu" or "cuda:<index>".
        threads: how the cores are shared out.
        learner_threads: torch threads of the learner, for each of `update.shards`.
        seeds: of everything random.
        num_actions: of the game; None where only the device can tell.
        parts: what plays and what learns.
        place: among the processes that learn together.
    """

    asked: RunConfig
    config: RunConfig
    share: RunConfig
    decisions: dict[str, Decision]
    device: str
    threads: Threads
    learner_threads: int
    seeds: Seeds
    num_actions: int | None
    parts: Parts
    place: Place

    def replaced(self) -> dict[str, Decision]:
        """Decisions against what was asked for by name: this machine cannot do it."""
        return {
            field: decision
            for field, decision in self.decisions.items()
            if (asked := _field(self.asked, field)) != decision.value and asked not in ("auto", 0)
        }

    def lines(self) -> list[str]:
        """Sentences for what had to be replaced, and one for what the configuration left open."""
        lines = [f"{field} = {plain(d.value)}: {d.reason}" for field, d in self.replaced().items()]
        chosen = [
            f"{field} = {plain(decision.value)} ({decision.reason})"
            for field, decision in self.decisions.items()
            if field in KEPT_ON_RESUME and _field(self.asked, field) == "auto"
        ]
        if self.place.world_size > 1:
            lines.append(f"{self.place.world_size} ranks: {self.decisions['trainer.devices'].reason}")
        return [*lines, f"chosen for this machine: {'; '.join(chosen)}"] if chosen else lines

    def summary(self) -> dict[str, Any]:
        """The plan for machines: what checkpoints, results and the bench keep."""
        return {
            "device": self.device,
            "rank": self.place.rank,
            "world_size": self.place.world_size,
            "learner_threads": self.learner_threads,
            "env_threads": self.threads.env,
            "parts": self.parts.names(),
            "decisions": {
                field: {"value": decision.value, "reason": decision.reason}
                for field, decision in self.decisions.items()
            },
        }

    def kept(self) -> dict[str, Any]:
        """What a resumed run takes over, by field."""
        return {field: _field(self.config, field) for field in KEPT_ON_RESUME}


def _field(config: RunConfig, field: str) -> Any:
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


def decided_fields(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What a stored plan (`Plan.summary`) decided of the configuration, by field."""
    return {field: summary["decisions"][field]["value"] for field in KEPT_ON_RESUME if field in summary["decisions"]}


def default_preset() -> tuple[str, str]:
    """The fast preset for this machine, and why it is that."""
    return ("fast_gpu", "CUDA works here") if has_cuda() else ("fast_cpu", "no working CUDA device")


def make_plan(
    asked: RunConfig,
    parts: Parts | None = None,
    kept: Mapping[str, Any] | None = None,
    attempt: int = 0,
    ending: Ending | None = None,
    place: Place | None = None,
) -> Plan:
    """Decides everything about a run.

    Args:
        asked: the configuration.
        parts: what plays and what learns; by default ale-py's game and our network.
        kept: choices that are made already, by field: in the checkpoint that the run goes on from, or by rank 0.
        attempt: differs after a resume, so that games which start anew are other ones.
        ending: when the run has to end; what takes long looks at it.
        place: of this process among those that learn together; None: rank 0 of those that the configuration asks for.

    Raises:
        EndedBeforeStartError: it had to end here.
        UserError: with a sentence: this machine cannot do it, and nothing else does the same.
    """
    parts, kept = parts or Parts(), dict(kept or {})
    place = place or Place(0, asked.trainer.world_size, 0, asked.trainer.devices)
    accelerator, device = decide_device(asked, place)
    decisions = {"trainer.accelerator": accelerator}
    backend, num_actions = _decide_backend(asked, parts, kept, ending)
    if parts.own_env is None:
        decisions["envs.backend"] = backend
    decisions["update.compile"] = _decide_compile(asked, device, kept)
    config = with_fields(asked, {field: d.value for field, d in decisions.items() if field != "trainer.accelerator"})
    threads = plan_threads(rank_share(config), shared_by(usable_cores(), place.local_world_size))
    choices = _decide_update(rank_share(config), parts, threads, device, kept)
    decisions |= choices
    config = with_fields(config, {field: decision.value for field, decision in choices.items()})
    num_shards = config.update.num_shards
    learner_threads = threads.of_each_shard(config.update, num_shards)
    is_given = config.update.threads > 0
    decisions["update.threads"] = Decision(
        learner_threads, "as configured" if is_given else f"{threads.reason}; {num_shards} part(s) of a minibatch"
    )
    decisions["envs.threads"] = Decision(threads.env, "as configured" if config.envs.threads else threads.reason)
    share = rank_share(config)
    if place.world_size > 1:
        decisions["trainer.devices"] = Decision(asked.trainer.devices, _each_rank(share, device, place))
    _check_memory(share, place.local_world_size)
    if num_actions is not None:
        parts.check_network(config.envs.observation_shape, num_actions)
    return Plan(
        asked, config, share, decisions, device, threads, learner_threads, make_seeds(share, place.rank, attempt),
        num_actions, parts, place,
    )  # fmt: skip


def make_seeds(config: RunConfig, rank: int, attempt: int) -> Seeds:
    """Draws independent seeds from the run's one, for one rank; `attempt` differs after a resume with new games."""

    def draw(*key: int) -> int:
        return int(np.random.SeedSequence([config.seed, rank, *key]).generate_state(1)[0] >> 1)

    again = [attempt] if attempt else []
    return Seeds(
        policy=draw(1, *again),
        replay=draw(2, *again),
        env=draw(3, *again),
        actors=[(draw(4, i, attempt), draw(5, i, attempt)) for i in range(config.actors.count)],
        confirmation=int(np.random.SeedSequence([config.seed, 6]).generate_state(1)[0] >> 1),
    )


def _each_rank(share: RunConfig, device: str, place: Place) -> str:
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


def _decide_backend(
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
    except EmulatorUnavailableError as error:
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


def _decide_compile(config: RunConfig, device: str, kept: Mapping[str, Any]) -> Decision:
    if not config.update.compile:
        return Decision(False, "as configured")
    if device == "cpu" and compiler_of_torch() is None:
        return Decision(
            False, "torch.compile needs a C++ compiler that it can start by one name; install g++ to make it faster"
        )
    if kept.get("update.compile") is False:
        return Decision(False, _FROM_CHECKPOINT)
    return Decision(True, "as configured")


def _decide_update(
    config: RunConfig, parts: Parts, threads: Threads, device: str, kept: Mapping[str, Any]
) -> dict[str, Decision]:
    """Precision, shards and fused: as configured, as in the checkpoint, or by measuring."""
    fields = ("update.precision", "update.shards", "network.fused")
    decisions = {
        field: Decision(_field(config, field), "as configured") for field in fields if _field(config, field) != "auto"
    }
    if device != "cpu":
        if decisions.get("update.shards", Decision(1, "")).value > 1:
            raise ConfigError(
                f"update.shards = {config.update.shards} is for the CPU; set it to 1, or trainer.accelerator to cpu"
            )
        fixed = {"update.shards": 1, "network.fused": False, **_cuda_precision()}
        return {field: decisions.get(field, Decision(fixed[field], "on a GPU")) for field in fields}
    for field in fields:
        if field not in decisions and field in kept:
            decisions[field] = Decision(kept[field], _FROM_CHECKPOINT)
    if len(decisions) < len(fields):
        settled = with_fields(config, {field: decision.value for field, decision in decisions.items()})
        decisions = {**_measure(settled, parts, threads), **decisions}
    return {field: decisions[field] for field in fields}


def _cuda_precision() -> dict[str, str]:
    import torch

    return {"update.precision": "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"}


def _measure(config: RunConfig, parts: Parts, threads: Threads) -> dict[str, Decision]:
    """The fastest way here to compute what the configuration leaves open."""
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


def _check_memory(config: RunConfig, ranks: int) -> None:
    """Refuses a replay that this machine cannot hold, before anything is allocated.

    Args:
        config: a rank's share.
        ranks: on this machine.
    """
    import torch

    settings = config.replay
    if settings.device != "cpu" and not has_cuda():
        raise ConfigError(f"replay.device = {settings.device} needs CUDA, which does not work here; set it to cpu")
    is_on_gpu = settings.device == "cuda"
    needed = replay_bytes(config) * (1 if is_on_gpu else ranks)
    free = torch.cuda.mem_get_info()[0] if is_on_gpu else free_memory_bytes()
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
