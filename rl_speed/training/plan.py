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

from rl_speed.config import Overrides, RunConfig, asked_game, games_made_for, rank_share
from rl_speed.experience.generators.actors import check_shared_memory
from rl_speed.experience.parts import Parts
from rl_speed.learner.image_blocks import compile_image_blocks
from rl_speed.system.cores import shared_by, usable_cores
from rl_speed.system.ending import Ending
from rl_speed.system.machine import has_cuda
from rl_speed.training.decisions import (
    Decision,
    check_memory,
    decide_backend,
    decide_compile,
    decide_cuda_graph,
    decide_device,
    decide_first_shard,
    decide_update,
    each_rank,
    field_of,
    plain,
    with_fields,
)
from rl_speed.training.ranks.place import Place
from rl_speed.training.threads import Threads, plan_threads
from rl_speed.training.trackers import check_tracker

# What a resumed run takes over from its checkpoint: another choice would not go on number for number.
KEPT_ON_RESUME = (
    "envs.backend", "update.precision", "update.shards", "update.first_shard", "update.compile", "network.fused",
)  # fmt: skip


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
            if (asked := field_of(self.asked, field)) != decision.value and asked not in ("auto", 0)
        }

    def lines(self) -> list[str]:
        """Sentences for what had to be replaced, and one for what the configuration left open."""
        lines = [f"{field} = {plain(d.value)}: {d.reason}" for field, d in self.replaced().items()]
        chosen = [
            f"{field} = {plain(decision.value)} ({decision.reason})"
            for field, decision in self.decisions.items()
            if field in KEPT_ON_RESUME and field_of(self.asked, field) == "auto" != decision.value
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
        return {field: field_of(self.config, field) for field in KEPT_ON_RESUME}


def decided_fields(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What a stored plan (`Plan.summary`) decided of the configuration, by field."""
    return {field: summary["decisions"][field]["value"] for field in KEPT_ON_RESUME if field in summary["decisions"]}


def default_preset(overrides: Overrides = (), own_env: bool = False) -> tuple[str, str]:
    """The preset of a run that names none, and why it is that.

    Args:
        overrides: what the run asks for; a game or env there that the fast preset was not made for takes `atari`.
        own_env: an env of the caller's is played.
    """
    fast, why = ("fast_gpu", "CUDA works here") if has_cuda() else ("fast_cpu", "no working CUDA device")
    asked, made_for = "an env of your own" if own_env else asked_game(overrides), games_made_for(fast)
    if asked is None or asked in made_for:
        return fast, why
    return "atari", f"for any game; {fast} was made for {' and '.join(sorted(made_for))}"


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
    if place.is_first:  # which alone draws curves
        check_tracker(asked.logging)
    accelerator, device = decide_device(asked, place)
    decisions = {"trainer.accelerator": accelerator}
    decisions["envs.backend"], num_actions = decide_backend(asked, parts, kept, ending)
    if num_actions is not None:
        parts.check_network(asked.network, asked.envs.observation_shape, num_actions)
    decisions["update.compile"] = decide_compile(asked, device, kept)
    decisions["update.cuda_graph"] = decide_cuda_graph(
        with_fields(asked, {"update.compile": decisions["update.compile"].value}), parts, device
    )
    config = with_fields(asked, {field: d.value for field, d in decisions.items() if field != "trainer.accelerator"})
    placed = with_fields(rank_share(config), {"trainer.accelerator": accelerator.value})
    threads = plan_threads(placed, shared_by(usable_cores(), place.local_world_size))
    if device == "cpu" and config.network.may_be_fused and parts.own_network is None:
        compile_image_blocks(ending)  # which takes seconds once, and may have to end
    choices = decide_update(rank_share(config), parts, threads, device, kept)
    decisions |= choices
    config = with_fields(config, {field: decision.value for field, decision in choices.items()})
    decisions["update.first_shard"] = decide_first_shard(config, threads, kept)
    config = with_fields(config, {"update.first_shard": decisions["update.first_shard"].value})
    num_shards = config.update.num_shards
    learner_threads = threads.of_each_shard(config.update, num_shards)
    is_given = config.update.threads > 0
    decisions["update.threads"] = Decision(
        learner_threads, "as configured" if is_given else f"{threads.reason}; {num_shards} part(s) of a minibatch"
    )
    decisions["envs.threads"] = Decision(threads.env, "as configured" if config.envs.threads else threads.reason)
    share = rank_share(config)
    if place.world_size > 1:
        decisions["trainer.devices"] = Decision(asked.trainer.devices, each_rank(share, device, place))
    check_memory(share, place.local_world_size, "cuda" if device == "cpu" else device)
    if num_actions is not None:
        check_shared_memory(share, parts, num_actions, device, place.local_world_size)
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
