"""What plays and what learns: ale-py's games and our network, or the caller's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cloudpickle
import gymnasium
import torch
from torch import nn

from rl_speed.config import EnvsConfig, NetworkConfig
from rl_speed.experience.envs import make_env, make_filmed_env
from rl_speed.experience.envs.protocol import FilmedEnv, VectorEnv
from rl_speed.learner.network import make_network
from rl_speed.system.errors import ConfigError

EnvFactory = Callable[[], "gymnasium.Env[object, object]"]
NetworkFactory = Callable[[tuple[int, int, int], int], nn.Module]


def qualified_name(factory: Callable[..., object] | None) -> str | None:
    """Module and name of a factory, for people; None of none."""
    if factory is None:
        return None
    return f"{getattr(factory, '__module__', '?')}.{getattr(factory, '__qualname__', type(factory).__qualname__)}"


@dataclass(frozen=True)
class Parts:
    """What a run is made of besides its configuration. It is pickled whole, code included, for actor processes.

    Attributes:
        own_env: makes one image env of the caller's; None: the configured game of ale-py, or registered env.
        own_network: (K, H, W) and the number of actions -> network from uint8 [B, K, H, W] to q_value [B, A]; None:
            the configured QNetwork.
    """

    own_env: EnvFactory | None = None
    own_network: NetworkFactory | None = None

    def __reduce__(self) -> tuple[Callable[[bytes], Parts], tuple[bytes]]:
        # Plain pickle wants functions that can be imported: not those of a script, a notebook, or a lambda.
        return _unpickled, (cloudpickle.dumps((self.own_env, self.own_network)),)

    def make_env(
        self, config: EnvsConfig, num_envs: int, seed: int, threads: int, can_resume: bool = True
    ) -> VectorEnv:
        """See `envs.make_env`."""
        if self.own_env is None:
            return make_env(config, num_envs, seed, threads, can_resume)
        from rl_speed.experience.envs.gymnasium_env import GymnasiumVectorEnv

        return GymnasiumVectorEnv(self.own_env, config, num_envs, seed)

    def make_filmed_env(self, config: EnvsConfig) -> FilmedEnv:
        """See `envs.make_filmed_env`."""
        if self.own_env is None:
            return make_filmed_env(config)
        from rl_speed.experience.envs.gymnasium_env import GymnasiumEnv

        return GymnasiumEnv(self.own_env(), config)

    def make_network(
        self, config: NetworkConfig, observation_shape: tuple[int, int, int], num_actions: int
    ) -> nn.Module:
        """A new network with random weights, float32 on the CPU."""
        if self.own_network is None:
            return make_network(config, observation_shape, num_actions)
        network = self.own_network(observation_shape, num_actions)
        if not isinstance(network, nn.Module):
            raise ConfigError(f"network: it made a {type(network).__name__}; make a torch.nn.Module")
        return network

    def check_network(self, config: NetworkConfig, observation_shape: tuple[int, int, int], num_actions: int) -> None:
        """Tries the caller's own network, if there is one, on two observations.

        Raises:
            ConfigError: it cannot read them, gives something else than one value per action, or cannot be trained
                beside a target network; or the configuration wants of it what only our own networks have.
        """
        if self.own_network is None:
            return
        if config.noisy:
            raise ConfigError(
                "network.noisy = true explores by the noise of our own networks, and network= is another one; set it "
                "to false, and exploration.epsilon_start and epsilon_end to shares of random actions"
            )
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            network, other = (self.make_network(config, observation_shape, num_actions) for _ in range(2))
            try:
                value = network(torch.zeros((2, *observation_shape), dtype=torch.uint8))
            except Exception as error:
                reason = " ".join(str(error).split())
                raise ConfigError(
                    f"network: it cannot read uint8 observations of {observation_shape}: {reason}; divide them by 255 "
                    f"in its forward"
                ) from error
        shape = tuple(getattr(value, "shape", ()))
        if shape != (2, num_actions):
            raise ConfigError(
                f"network: it gives {shape} for two observations of {observation_shape}, not {(2, num_actions)}, one "
                f"value per action"
            )
        _check_trainable(network, other)

    def names(self) -> dict[str, str | None]:
        """What a checkpoint notes, so that nobody takes one game or network for another."""
        return {"own_env": qualified_name(self.own_env), "own_network": qualified_name(self.own_network)}


def _check_trainable(network: nn.Module, other: nn.Module) -> None:
    """Two networks that a factory made: one learns, the other one, which was not called yet, stays behind it."""
    if any(torch.nn.parameter.is_lazy(parameter) for parameter in other.parameters()):
        raise ConfigError("network: it has parameters whose size is not known before it is called; give their sizes")
    trained = {id(parameter) for parameter in network.parameters() if parameter.requires_grad}
    if not trained:
        raise ConfigError("network: none of its parameters can be trained; leave requires_grad of some of them true")
    if any(id(parameter) in trained for parameter in other.parameters()):
        raise ConfigError(
            "network: what it makes has the parameters of what it made before, and the target network needs its own; "
            "make a new module with each call"
        )


def _unpickled(content: bytes) -> Parts:
    return Parts(*cloudpickle.loads(content))
