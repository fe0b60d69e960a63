"""Env backends behind one protocol."""

from __future__ import annotations

from functools import partial

from rl_speed.config import EnvsConfig
from rl_speed.experience.envs.journal import SeedJournal
from rl_speed.experience.envs.protocol import FilmedEnv, VectorEnv


def make_env(config: EnvsConfig, num_envs: int, seed: int, threads: int, can_resume: bool = True) -> VectorEnv:
    """Builds the configured backend.

    Args:
        config: game, backend and preprocessing.
        num_envs: E.
        seed: all envs' seeds derive from it.
        threads: emulator threads, for backends that have them.
        can_resume: keep what `state_dict` needs, and start games from fresh seeds so that it stays short.
    """
    if config.backend == "gymnasium":
        from rl_speed.experience.envs.gymnasium_env import GymnasiumVectorEnv
        from rl_speed.experience.envs.registered import registered_env

        return GymnasiumVectorEnv(partial(registered_env, config), config, num_envs, seed)
    journal = SeedJournal(num_envs, seed, config.reseed_env_steps if can_resume else None)
    if config.backend == "classic":
        from rl_speed.experience.envs.classic import ClassicVectorEnv

        return ClassicVectorEnv(config, num_envs, journal)
    if config.backend == "native":
        from rl_speed.experience.envs.native import NativeVectorEnv

        return NativeVectorEnv(config, num_envs, journal, threads)
    if config.backend == "cuda":
        from rl_speed.experience.envs.cuda import CudaVectorEnv

        return CudaVectorEnv(config, num_envs, journal)
    from rl_speed.experience.envs.ale_vector import AleVectorEnv

    return AleVectorEnv(config, num_envs, journal, threads)


def make_filmed_env(config: EnvsConfig) -> FilmedEnv:
    """One env that shows its pictures: the configured game on ale-py, or the env of Gymnasium's registry."""
    if config.is_atari:
        from rl_speed.experience.envs.classic import ClassicEnv

        return ClassicEnv(config)
    from rl_speed.experience.envs.gymnasium_env import GymnasiumEnv
    from rl_speed.experience.envs.registered import registered_env

    return GymnasiumEnv(registered_env(config, for_a_film=True), config)
