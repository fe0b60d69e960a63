"""What the fields of a configuration demand of each other: one small function for each rule.

A rule returns the sentence for the user, with the fields, their values and the fix; None if it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rl_speed.config.game_rules import (
    backend_plays_the_variant,
    game_has_the_actions,
    game_has_the_variant,
    game_lasts_longer_than_a_step,
    rom_can_be_read,
)
from rl_speed.config.learner_rules import (
    convolutions_fit_the_frame,
    convolutions_have_equal_lists,
    convolutions_have_sizes,
    fused_kernel_is_whole_blocks,
    one_way_chooses_the_next_action,
    value_range_rises,
)
from rl_speed.config.schema import RunConfig
from rl_speed.config.sharing import rank_share, share_problem
from rl_speed.system.errors import ConfigError

LEAST_FRAME_ROWS = 20
ADDRESS = re.compile(r"([^\s:/]+|\[[0-9a-fA-F:.]+\]):\d{1,5}")  # a host, or an IPv6 address in brackets, and a port


def options_are_of_an_id(config: RunConfig) -> str | None:
    """What only an env of Gymnasium's registry takes is not set without one."""
    envs = config.envs
    if envs.id is not None:
        return None
    for name, value in (("options", envs.options), ("render_observation", envs.render_observation)):
        if value:
            return f"envs.{name} = {value} is for an env of Gymnasium's registry; set envs.id, or leave it out"
    return None


def frame_keeps_rows(config: RunConfig) -> str | None:
    """The crop leaves enough of the image."""
    envs = config.envs
    if envs.frame_height >= LEAST_FRAME_ROWS:
        return None
    return (
        f"envs.crop_top + envs.crop_bottom leave {envs.frame_height} of envs.image_height = "
        f"{envs.image_height} rows; leave at least {LEAST_FRAME_ROWS}"
    )


def _env_steps_of_one_sample(config: RunConfig) -> int:
    """Env steps of each env from which one sample can be drawn."""
    return (
        max(config.replay.n_step, config.annealing.n_step or 1)
        + config.envs.frame_stack
        + config.actors.rollout_env_steps
        + 1
    )


def replay_holds_a_sample(config: RunConfig) -> str | None:
    """The ring of each env is long enough to draw from."""
    steps, needed = config.replay.capacity_env_steps // config.total_envs, _env_steps_of_one_sample(config)
    if steps >= needed:
        return None
    return (
        f"replay.capacity_env_steps = {config.replay.capacity_env_steps} leaves {steps} steps for each of "
        f"{config.total_envs} envs, fewer than {needed}, the sum of the larger of replay.n_step and annealing.n_step, "
        f"envs.frame_stack, actors.rollout_env_steps and 1; "
        f"raise it to at least {needed * config.total_envs}"
    )


def prefill_fits_the_replay(config: RunConfig) -> str | None:
    """What is played before training is kept."""
    replay = config.replay
    if replay.prefill_env_steps <= replay.capacity_env_steps:
        return None
    return (
        f"replay.prefill_env_steps = {replay.prefill_env_steps} is more than "
        f"replay.capacity_env_steps = {replay.capacity_env_steps}; lower the first or raise the second"
    )


def prefill_holds_a_sample(config: RunConfig) -> str | None:
    """The first batch can be drawn right after the prefill."""
    needed = _env_steps_of_one_sample(config) * config.total_envs
    if config.replay.prefill_env_steps >= needed:
        return None
    return (
        f"replay.prefill_env_steps = {config.replay.prefill_env_steps} is too few to draw one sample from "
        f"{config.total_envs} envs; raise it to at least {needed}"
    )


def target_syncs_at_batch_ends(config: RunConfig) -> str | None:
    """A hard sync falls between two batches."""
    update = config.update
    is_soft = update.target_sync_rate is not None
    if is_soft or update.target_sync_gradient_steps % update.gradient_steps_per_batch == 0:
        return None
    return (
        f"update.target_sync_gradient_steps = {update.target_sync_gradient_steps} must be a multiple "
        f"of update.gradient_steps_per_batch = {update.gradient_steps_per_batch}"
    )


def shards_divide_the_batch(config: RunConfig) -> str | None:
    """Every part has samples; what is compiled is not cut."""
    update = config.update
    if update.first_shard != "auto" and update.shards in ("auto", 1):
        return (
            f"update.first_shard = {update.first_shard} goes together with two or more update.shards, which is "
            f"{update.shards}; set that, or update.first_shard to auto"
        )
    if update.shards == "auto" or update.shards == 1:
        return None
    if update.batch_size % update.shards == 0 and not update.compile:
        if min(update.shard_sizes(update.batch_size)) > 0:
            return None
        return (
            f"update.first_shard = {update.first_shard} leaves a part without a sample of update.batch_size = "
            f"{update.batch_size} in update.shards = {update.shards} parts; set it to auto"
        )
    return (
        f"update.shards = {update.shards} must divide update.batch_size = {update.batch_size}, and "
        f"goes together with update.compile = false only; set it to 1 or change those"
    )


def annealing_has_one_way_and_a_goal(config: RunConfig) -> str | None:
    """Values to anneal to, and one thing that leads there."""
    annealing = config.annealing
    final = annealing.model_dump(exclude={"gradient_steps", "returns", "fall_back_episodes"}, exclude_none=True)
    by_steps, by_returns = annealing.gradient_steps > 0, annealing.returns is not None
    ways = f"annealing.gradient_steps = {annealing.gradient_steps} and annealing.returns = {annealing.returns}"
    if by_steps and by_returns:
        return f"{ways} exclude each other; set the first to 0 or the second to null"
    if final and not (by_steps or by_returns):
        listed = ", ".join(f"annealing.{name} = {value}" for name, value in final.items())
        return f"{listed}: nothing leads there with {ways}; set one of these two"
    if not final and (by_steps or by_returns):
        return f"{ways}: there is no value to anneal to; set one, e.g. annealing.learning_rate, or neither of these two"
    return None


def annealing_leads_what_is_used(config: RunConfig) -> str | None:
    """A value that is led somewhere means something on the way."""
    annealing = config.annealing
    if annealing.importance_exponent is not None and config.replay.priority_exponent == 0:
        return (
            f"annealing.importance_exponent = {annealing.importance_exponent} leads the weights of samples that are "
            f"drawn by priority, but replay.priority_exponent = 0; set that, or the first to null"
        )
    if annealing.env_steps_per_gradient_step is not None and config.actors.free_running:
        return (
            f"annealing.env_steps_per_gradient_step = {annealing.env_steps_per_gradient_step} leads a ratio that "
            f"actors.free_running = true does not keep; set the first to null or the second to false"
        )
    return None


def annealing_returns_rise(config: RunConfig) -> str | None:
    """From a lower to a higher mean return."""
    returns = config.annealing.returns
    if returns is None or returns[0] < returns[1]:
        return None
    return f"annealing.returns = {list(returns)} must rise; write the lower return first"


def limit_leaves_room_for_training(config: RunConfig) -> str | None:
    """The limit lies behind the prefill."""
    limit = config.stop.max_env_steps
    if limit is None or limit > config.replay.prefill_env_steps:
        return None
    return (
        f"stop.max_env_steps = {limit} ends before replay.prefill_env_steps = "
        f"{config.replay.prefill_env_steps} are played; raise it"
    )


def what_is_asked_for_is_confirmed(config: RunConfig) -> str | None:
    """A confirmation has games."""
    stop = config.stop
    if not stop.confirm_unsolved or stop.confirm_episodes > 0:
        return None
    return (
        "stop.confirm_unsolved = true asks for a confirmation, but stop.confirm_episodes = 0 games; set it to 1 or more"
    )


def ranks_divide_the_work(config: RunConfig) -> str | None:
    """Every rank takes the same share."""
    return share_problem(config)


def every_rank_keeps_the_rules(config: RunConfig) -> str | None:
    """A rank's share is a run of its own in these respects."""
    if config.trainer.world_size == 1:
        return None
    share = rank_share(config)
    for rule in (shards_divide_the_batch, prefill_holds_a_sample, every_network_acts):
        sentence = rule(share)
        if sentence is not None:
            return f"of each of {config.trainer.world_size} ranks: {sentence}"
    return None


def cuda_games_stay_with_the_learner(config: RunConfig) -> str | None:
    """Games on the GPU are played in the learner's process."""
    if config.envs.backend != "cuda":
        return None
    for field, chosen, allowed in (
        ("actors.kind", config.actors.kind, ("in_process",)),
        ("trainer.accelerator", config.trainer.accelerator, ("auto", "gpu")),
    ):
        if chosen not in allowed:
            return (
                f"envs.backend = cuda plays on the learner's GPU, so {field} = {chosen} cannot be; set it to "
                f"{' or '.join(allowed)}"
            )
    return None


def actor_settings_have_actors(config: RunConfig) -> str | None:
    """What only actor processes have is not set without them."""
    if config.actors.plays_apart:
        return None
    for name in ("count", "networks", "threads", "free_running"):
        value, usual = getattr(config.actors, name), type(config.actors).model_fields[name].default
        if value != usual:
            return (
                f"actors.{name} = {value} is for actors.kind = subprocess or ray; set it to {usual} or change the kind"
            )
    return None


def address_has_a_user(config: RunConfig) -> str | None:
    """A cluster is joined only by what runs in one."""
    address = config.actors.address
    users = {"actors.kind": config.actors.kind, "trainer.launcher": config.trainer.launcher}
    if address is None or "ray" in users.values():
        return None
    listed = " or ".join(f"{field} = ray, not {value}" for field, value in users.items())
    return f"actors.address = {address} is for {listed}; leave it out or change that"


def ranks_share_a_cluster(config: RunConfig) -> str | None:
    """Else each rank would start one of its own."""
    ranks = config.trainer.world_size
    if ranks == 1 or config.actors.kind != "ray" or config.actors.address or config.trainer.launcher == "ray":
        return None
    return (
        f"actors.kind = ray with {ranks} ranks takes one cluster for all of them; give actors.address of one that is "
        f"running, or set trainer.launcher to ray"
    )


def address_is_a_heads(config: RunConfig) -> str | None:
    """What a node of the cluster can join."""
    address = config.actors.address
    return None if address is None else address_problem("actors.address =", address)


def address_problem(given_as: str, address: str) -> str | None:
    """Why no node can join a cluster by this address, however it was given; None if nothing speaks against it."""
    if address == "auto" or ADDRESS.fullmatch(address):
        return None
    if address.startswith("ray://"):
        return (
            f"{given_as} {address} is for programs outside of a cluster; start this one on a machine of the "
            f"cluster, and give the head's host:port, usually {address[6:].partition(':')[0]}:6379, or auto"
        )
    return f"{given_as} {address} must be the head's host:port, such as 192.0.2.1:6379, or auto"


def every_network_acts(config: RunConfig) -> str | None:
    """Each actor plays with one network: more of them than actors are never used."""
    actors = config.actors
    if actors.networks <= actors.count:
        return None
    return (
        f"actors.networks = {actors.networks} is more than actors.count = {actors.count}, and each actor plays with "
        f"one; set it to {actors.count} at most"
    )


# Of a game of ale-py; other envs have none of what they are about.
GAME_RULES: tuple[Callable[[RunConfig], str | None], ...] = (
    rom_can_be_read,
    backend_plays_the_variant,
    game_has_the_variant,
    game_has_the_actions,
    game_lasts_longer_than_a_step,
)

# In the order in which a user hears of them; later ones may rely on earlier ones.
RULES: tuple[Callable[[RunConfig], str | None], ...] = (
    *GAME_RULES,
    options_are_of_an_id,
    convolutions_have_equal_lists,
    convolutions_have_sizes,
    fused_kernel_is_whole_blocks,
    value_range_rises,
    one_way_chooses_the_next_action,
    replay_holds_a_sample,
    prefill_fits_the_replay,
    prefill_holds_a_sample,
    target_syncs_at_batch_ends,
    shards_divide_the_batch,
    annealing_has_one_way_and_a_goal,
    annealing_leads_what_is_used,
    annealing_returns_rise,
    limit_leaves_room_for_training,
    what_is_asked_for_is_confirmed,
    ranks_divide_the_work,
    cuda_games_stay_with_the_learner,
    frame_keeps_rows,
    actor_settings_have_actors,
    address_has_a_user,
    ranks_share_a_cluster,
    address_is_a_heads,
    every_network_acts,
    every_rank_keeps_the_rules,
    convolutions_fit_the_frame,
)


# They refuse what would be without effect. What was trained with it is as good as any.
OF_NO_EFFECT = (annealing_leads_what_is_used, actor_settings_have_actors, address_has_a_user)


def check_rules(config: RunConfig, is_new: bool = True) -> None:
    """Refuses a configuration that breaks a rule.

    Args:
        config: of a run.
        is_new: it is asked for now; else a run has been carried out with it.

    Raises:
        ConfigError: with the sentence of the first broken one.
    """
    for rule in RULES:
        if (rule in GAME_RULES and not config.envs.is_atari) or (rule in OF_NO_EFFECT and not is_new):
            continue
        sentence = rule(config)
        if sentence is not None:
            raise ConfigError(sentence)
