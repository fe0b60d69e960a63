"""A rank's share of a run: every number of a configuration is for the whole run, and W ranks take 1/W each."""

from __future__ import annotations

import math

from rl_speed.config.playing import ActorsConfig, EnvsConfig
from rl_speed.config.schema import RunConfig


def rank_share(config: RunConfig) -> RunConfig:
    """The configuration of one rank's games, replay and gradient steps; for a run of one process, the same.

    What is compared with counts of the whole run (limits, the decay of epsilon, the window of the goal) stays.

    Args:
        config: of the run; `share_problem` has nothing against it.
    """
    ranks = config.trainer.world_size
    if ranks == 1:
        return config
    envs, actors = _players(config, ranks)
    steps = config.replay.capacity_env_steps // config.total_envs  # of each env
    final = config.annealing.env_steps_per_gradient_step
    return config.model_copy(
        update={
            "envs": envs,
            "actors": actors,
            "replay": config.replay.model_copy(
                update={
                    "capacity_env_steps": steps * (config.total_envs // ranks),
                    "prefill_env_steps": math.ceil(config.replay.prefill_env_steps / ranks),
                }
            ),
            "update": config.update.model_copy(
                update={
                    "batch_size": config.update.batch_size // ranks,
                    "env_steps_per_gradient_step": config.update.env_steps_per_gradient_step / ranks,
                }
            ),
            "annealing": config.annealing.model_copy(
                update={"env_steps_per_gradient_step": None if final is None else final / ranks}
            ),
        }
    )


def _players(config: RunConfig, ranks: int) -> tuple[EnvsConfig, ActorsConfig]:
    """Actors are dealt out; where there are fewer than ranks, each rank has one, and the envs are dealt out."""
    count = config.num_players
    each = max(1, count // ranks)
    envs = config.envs.count * count // (ranks * each)
    return config.envs.model_copy(update={"count": envs}), config.actors.model_copy(update={"count": each})


def share_problem(config: RunConfig) -> str | None:
    """The sentence about a number that cannot be dealt out to the ranks; None if all can."""
    ranks = config.trainer.world_size
    if ranks == 1:
        return None
    who = f"{ranks} ranks (trainer.devices = {config.trainer.devices}, trainer.num_nodes = {config.trainer.num_nodes})"
    batch, players = config.update.batch_size, config.num_players
    if batch % ranks:
        near = max(ranks, round(batch / ranks) * ranks)
        return f"update.batch_size = {batch} cannot be dealt out to {who}; set it to {near}, or change the ranks"
    if players % ranks and (players > ranks or ranks % players):
        near = max(1, round(players / ranks)) * ranks
        return f"actors.count = {players} cannot be dealt out to {who}; set it to {near}, or change the ranks"
    if config.total_envs % ranks:
        near = math.ceil(config.total_envs / ranks) * ranks // players
        return (
            f"envs.count = {config.envs.count} cannot be dealt out to {who}: {config.total_envs} envs in all; set it "
            f"to {near}, or change the ranks"
        )
    if config.actors.free_running:
        return (
            f"actors.free_running = true has every rank play as many env steps as it has time for, so {who} would not "
            f"stay together; set it to false"
        )
    return None
