"""How the cores are shared out between the games and the learner."""

from __future__ import annotations

from dataclasses import dataclass

from rl_speed.config import RunConfig

MAX_LEARNER_THREADS = 8  # networks of this size gain nothing from more


@dataclass(frozen=True)
class Threads:
    """How the cores are shared out."""

    learner: int
    env: int  # of each process's vector env


def plan_threads(config: RunConfig, cores: int) -> Threads:
    """Shares the cores out so that the defaults add up to what there is.

    Torch's threads spin at barriers: when envs and learner together ask for more threads than there are cores, an
    update gets many times slower. So the learner takes what the envs leave.

    Args:
        config: explicit counts (not 0) are taken as they are.
        cores: cores that may be used.
    """
    plays_apart = config.actors.kind == "subprocess"
    if plays_apart:
        env = config.envs.threads or 1
        taken = config.actors.count * max(config.actors.threads, env)
    else:
        env = config.envs.threads or min(max(1, cores // 2), config.envs.count)
        # Classic envs are stepped by the learner's own thread, in turn with its updates.
        taken = env if config.envs.backend == "ale_vector" else 0
    learner = config.update.threads or min(max(1, cores - taken), MAX_LEARNER_THREADS)
    return Threads(learner=learner, env=env)
