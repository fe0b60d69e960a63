"""How the cores are shared out between the games and the learner."""

from __future__ import annotations

from dataclasses import dataclass

from rl_speed.config import RunConfig

MAX_LEARNER_THREADS = 8  # networks of this size gain nothing from more
# Samples learned per env step from which on actors wait most of the time: those of `parallel`, at 32, are busy 15 % of
# it on two cores, and a learner with both cores was 1.3 times faster than with the one that they left.
# Our own emulator's games take a quarter of the time of ale-py's: those of `fast_cpu`, at 5, and acting are busy 30 %.
LIGHT_PLAY_SAMPLES = {"classic": 16, "ale_vector": 16, "native": 4}


@dataclass(frozen=True)
class Threads:
    """How the cores are shared out."""

    learner: int  # torch's, for each of update.shards
    env: int  # of each process's vector env


def plan_threads(config: RunConfig, cores: int) -> Threads:
    """Shares the cores out so that the defaults add up to what there is.

    Torch's threads spin at barriers: when envs and learner together ask for more threads than there are cores, an
    update gets many times slower. So the learner takes what the envs leave; only actors that mostly wait for it need
    no core of their own.

    Args:
        config: explicit counts (not 0) are taken as they are.
        cores: cores that may be used.
    """
    plays_apart = config.actors.kind == "subprocess"
    if plays_apart:
        env = config.envs.threads or 1
        samples_per_env_step = config.update.batch_size / config.update.env_steps_per_gradient_step
        is_light = samples_per_env_step >= LIGHT_PLAY_SAMPLES[config.envs.backend]
        taken = 0 if is_light else config.actors.count * max(config.actors.threads, env)
    else:
        env = config.envs.threads or min(max(1, cores // 2), config.envs.count)
        # Classic envs are stepped by the learner's own thread, in turn with its updates; the GPU needs none.
        taken = 0 if config.envs.backend in ("classic", "cuda") else env
    free = min(max(1, cores - taken), MAX_LEARNER_THREADS)
    learner = config.update.threads or max(1, free // config.update.shards)
    return Threads(learner=learner, env=env)
