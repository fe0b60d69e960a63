"""Makes Q-networks, and asks them and networks of the caller's own."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rl_speed.config import NetworkConfig
from rl_speed.learner.convolutional import ConvolutionalNetwork
from rl_speed.learner.impala import ImpalaNetwork
from rl_speed.learner.q_network import QNetwork
from rl_speed.learner.values import ExpectedValue, ValueKind

__all__ = ["QNetwork", "make_network", "multiply_adds", "output_of", "outputs_of_both", "value_kind_of"]

_KINDS: dict[str, type[ConvolutionalNetwork] | type[ImpalaNetwork]] = {
    "convolutional": ConvolutionalNetwork,
    "impala": ImpalaNetwork,
}


def make_network(config: NetworkConfig, observation_shape: tuple[int, int, int], num_actions: int) -> QNetwork:
    """A QNetwork with random weights, float32 on the CPU.

    Args:
        config: shape of the network, with nothing left to decide.
        observation_shape: (K, H, W), frames, rows and columns.
        num_actions: A.
    """
    return _KINDS[config.kind](config, observation_shape, num_actions)


@lru_cache
def multiply_adds(config: NetworkConfig, observation_shape: tuple[int, int, int], num_actions: int = 6) -> float:
    """Of one observation's way through a network.

    Args:
        config: shape of the network.
        observation_shape: (K, H, W), frames, rows and columns.
        num_actions: A; the last layer is small but for distributions.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network = make_network(config.model_copy(update={"fused": False}), observation_shape, num_actions)
        network(torch.zeros((1, *observation_shape), dtype=torch.uint8))
    return float(counter.get_total_flops()) / 2


def value_kind_of(network: nn.Module) -> ValueKind:
    """What a network says of an action; one of the caller's own says its mean return."""
    return network.values if isinstance(network, QNetwork) else ExpectedValue()


def output_of(network: nn.Module, observation: Tensor) -> Tensor:
    """What any network says of all actions, float [B, A, M].

    Args:
        network: a QNetwork, or one of the caller's own, which returns q_value [B, A].
        observation: uint8 or float32 [B, K, H, W], grey levels 0..255.
    """
    if isinstance(network, QNetwork):
        return network.output(observation)
    q_value: Tensor = network(observation)
    return q_value[..., None]


def outputs_of_both(first: nn.Module, second: nn.Module, observation: Tensor) -> tuple[Tensor, Tensor]:
    """What two networks of one kind, shape and `standardise_input` say of the same observation.

    Args:
        first: one network.
        second: the other one.
        observation: uint8 or float32 [B, K, H, W], grey levels 0..255.

    Returns:
        float [B, A, M] of the first and of the second network.
    """
    if isinstance(first, QNetwork) and isinstance(second, QNetwork):
        image = first.prepare(observation)  # once for both
        return first.output_of(image), second.output_of(image)
    return output_of(first, observation), output_of(second, observation)
