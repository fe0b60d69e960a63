"""How the cores are shared out between the games and the learner."""

from __future__ import annotations

from dataclasses import dataclass

from rl_speed.config import RunConfig, UpdateConfig
from rl_speed.learner.network import multiply_adds
from rl_speed.system.cores import Cores

MAX_LEARNER_THREADS = 8  # networks of this size gain nothing from more
# The samples of an env step, times the network's multiply-adds: from here on actors wait most of the time. Those of
# `parallel`, at 32 samples and 300 million, are busy 15 % of it on two cores, and a learner with both cores was 1.3
# times faster than with the one that they left. Our own emulator's games take a quarter of the time of ale-py's: those
# of `fast_cpu`, at 5 samples and 3.4 million, and acting are busy 30 %.
LIGHT_PLAY_WORK = {"classic": 150e6, "ale_vector": 150e6, "native": 2.5e6, "gymnasium": 150e6}
# Acting passes through the network too, once per env step, where learning does four or five times per sample.
LIGHT_PLAY_SAMPLES = 1.5


@dataclass(frozen=True)
class Threads:
    """How the cores are shared out.

    Attributes:
        learner_cores: that the learner may keep busy.
        env: threads of each process's vector env.
        left: cores beside the learner's; -n: n of the learner's play games, too.
        reason: what decided, in words.
    """

    learner_cores: int
    env: int
    reason: str
    left: int = 0

    def of_each_shard(self, config: UpdateConfig, num_shards: int) -> int:
        """Torch threads for each of the parts of a minibatch."""
        return config.threads or max(1, self.learner_cores // num_shards)


def _plays_lightly(config: RunConfig) -> bool:
    """Whether actors wait for the learner most of the time."""
    samples = config.update.batch_size / config.update.env_steps_per_gradient_step  # per env step
    work = samples * multiply_adds(config.network, config.envs.observation_shape)
    return samples >= LIGHT_PLAY_SAMPLES and work >= LIGHT_PLAY_WORK[config.envs.backend]


def plan_threads(config: RunConfig, cores: Cores) -> Threads:
    """Shares the cores out so that the defaults add up to what there is.

    Torch's threads spin at barriers: when envs and learner together ask for more threads than there are cores, an
    update gets many times slower. So the learner takes what the envs leave; only actors that mostly wait for it need
    no core of their own. Arithmetic goes by cores, games by hardware threads too: a second thread on a core adds
    little to the first one's products, but plays games well.

    Args:
        config: explicit counts (not 0) are taken as they are; `envs.backend` decides how heavy a game is, and
            `trainer.accelerator`, once decided, how heavy learning.
        cores: that may be used.
    """
    is_beside = config.actors.plays_apart and not config.actors.plays_elsewhere
    if config.actors.plays_elsewhere:
        env, taken = config.envs.threads or 1, 0
        players, share = f"{config.actors.count} players in a Ray cluster", "nobody knows on which machines"
    elif config.actors.plays_apart:
        env = config.envs.threads or 1
        is_light = _plays_lightly(config)
        taken = 0 if is_light else config.actors.count * max(config.actors.threads, env)
        players = f"{config.actors.count} actor process{'es' if config.actors.count > 1 else ''}"
        share = "mostly waiting" if is_light else f"{taken} of the cores"
    else:
        # A learner that draws and computes on a GPU only launches kernels.
        only_launches = config.trainer.accelerator == "gpu" and config.replay.device == "cuda"
        free = cores.count - 1 if only_launches else cores.count // 2
        env = config.envs.threads or min(max(1, free), config.envs.count)
        # Such envs are stepped by the learner's own thread, in turn with its updates; the GPU needs none.
        is_own = config.envs.steps_in_turn or config.envs.backend == "cuda"
        taken = 0 if is_own else env
        players, share = "games in the learner's process", "in turn with it" if is_own else f"{env} threads"
    learner_cores = min(max(1, min(cores.count - taken, cores.physical)), MAX_LEARNER_THREADS)
    busy = config.actors.count * max(config.actors.threads, env) if is_beside else taken
    return Threads(learner_cores, env, f"{cores.reason}; {players}, {share}", cores.physical - learner_cores - busy)
