"""What a network says of an action: its mean return, or a distribution of returns. One class for each way.

A class says how many numbers an action takes, what their mean is, what they are pulled toward and by which loss. The
networks and the gradient step know no more of it; docs/extending.md adds another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rl_speed.config import NetworkConfig
from rl_speed.learner.td import Backup

Regression = Literal["mse", "huber"]


class ValueKind(nn.Module, ABC):
    """M numbers for each action, called output, float [B, A, M]; there is nothing to train in it."""

    width: int  # M

    @abstractmethod
    def q_value(self, output: Tensor) -> Tensor:
        """Mean return of each action, float32 [B, A]."""

    @abstractmethod
    def target(self, next_output: Tensor, backup: Backup) -> Tensor:
        """What the output of the action that was taken is pulled toward.

        Args:
            next_output: float [B, A, M], the target network's of the next observation.
            backup: rewards, and how the next action is chosen.

        Returns:
            float32 [B, M].
        """

    @abstractmethod
    def loss(self, chosen: Tensor, target: Tensor, regression: Regression) -> tuple[Tensor, Tensor]:
        """How far the output is from its target.

        Args:
            chosen: float32 [B, M], output of the action that was taken.
            target: float32 [B, M].
            regression: for kinds that are a regression.

        Returns:
            loss float32 [B] and the size of each error, float32 [B], detached, for the priorities.
        """


class ExpectedValue(ValueKind):
    """The mean return itself.

    Source: Mnih et al. 2015, equation 2.
    """

    width = 1

    def q_value(self, output: Tensor) -> Tensor:
        """See ValueKind."""
        return output.squeeze(2)

    def target(self, next_output: Tensor, backup: Backup) -> Tensor:
        """See ValueKind."""
        return _shifted(_mixed(next_output, backup), backup)

    def loss(self, chosen: Tensor, target: Tensor, regression: Regression) -> tuple[Tensor, Tensor]:
        """See ValueKind; the corner of huber is at 1."""
        function = F.smooth_l1_loss if regression == "huber" else F.mse_loss
        loss = function(chosen, target, reduction="none").squeeze(1)
        return loss, (target - chosen).abs().squeeze(1).detach()


class CategoricalValue(ValueKind):
    """Probabilities of M returns (atoms), which lie at equal distances; the output is their logarithms.

    Args:
        atoms: M.
        lowest: return of the first atom.
        highest: of the last one.

    Source: Bellemare, Dabney & Munos 2017, algorithm 1.
    Differs: the error, by which samples get their priority, is the divergence from the target: the loss without the
        target's own entropy (Hessel et al. 2018 take "the KL loss").
    """

    support: Tensor  # float32 [M]

    def __init__(self, atoms: int, lowest: float, highest: float) -> None:
        super().__init__()
        self.width = atoms
        self.register_buffer("support", torch.linspace(lowest, highest, atoms), persistent=False)

    def q_value(self, output: Tensor) -> Tensor:
        """See ValueKind."""
        return (output.float().softmax(2) * self.support).sum(2)

    def target(self, next_output: Tensor, backup: Backup) -> Tensor:
        """See ValueKind: the atoms are moved, and their probabilities shared out among those where they come to lie."""
        probability = next_output.float().softmax(2) * backup.policy[..., None]  # [B, A, M]
        if backup.bonus is None:  # all actions' atoms lie at the same places
            probability, place = probability.sum(1, keepdim=True), self.support.expand(1, 1, -1)
        else:
            place = self.support + backup.bonus[..., None]  # [B, A, M]
        place = backup.n_step_return[:, None, None] + backup.discount[:, None, None] * place
        return self.projected(place.flatten(1), probability.flatten(1))

    def projected(self, place: Tensor, probability: Tensor) -> Tensor:
        """Probabilities of returns anywhere, as probabilities of the atoms: each is shared by its two neighbours.

        Args:
            place: float32 [B, J], returns.
            probability: float32 [B, J].

        Returns:
            float32 [B, M].
        """
        lowest, last = self.support[0], self.width - 1
        step = (self.support[-1] - lowest) / last
        index = ((place - lowest) / step).clamp(0, last)  # [B, J], in atoms
        below = index.floor().clamp(max=last - 1)
        share_above = index - below
        atom = below.long().clamp(0, last - 1)  # of what is not a number, too, which then reaches the loss
        result = probability.new_zeros((len(place), self.width))
        result.scatter_add_(1, atom, probability * (1 - share_above))
        return result.scatter_add_(1, atom + 1, probability * share_above)

    def loss(self, chosen: Tensor, target: Tensor, regression: Regression) -> tuple[Tensor, Tensor]:
        """See ValueKind: cross-entropy."""
        loss = -(target * chosen.log_softmax(1)).sum(1)
        return loss, (loss + torch.xlogy(target, target).sum(1)).clamp(min=0.0).detach()


class QuantileValue(ValueKind):
    """M returns, each of which a game exceeds with another probability.

    Args:
        quantiles: M.

    Source: Dabney et al. 2018, "Distributional reinforcement learning with quantile regression", algorithm 1, with the
        corner of the Huber loss at 1 (QR-DQN-1).
    Differs: under a policy that is not greedy, quantiles of the same number are averaged, as in Vieillard et al. 2020
        for M-IQN. The error, by which samples get their priority, is the loss.
    """

    middle: Tensor  # float32 [M], the probability that belongs to each quantile

    def __init__(self, quantiles: int) -> None:
        super().__init__()
        self.width = quantiles
        self.register_buffer("middle", (torch.arange(quantiles) + 0.5) / quantiles, persistent=False)

    def q_value(self, output: Tensor) -> Tensor:
        """See ValueKind."""
        return output.float().mean(2)

    def target(self, next_output: Tensor, backup: Backup) -> Tensor:
        """See ValueKind."""
        return _shifted(_mixed(next_output, backup), backup)

    def loss(self, chosen: Tensor, target: Tensor, regression: Regression) -> tuple[Tensor, Tensor]:
        """See ValueKind: every quantile against every one of the target."""
        error = target[:, None, :] - chosen[:, :, None]  # [B, M, M]
        huber = F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none")
        weight = (self.middle[:, None] - (error.detach() < 0).float()).abs()
        loss = (weight * huber).mean(2).sum(1)
        return loss, loss.detach()


def _mixed(next_output: Tensor, backup: Backup) -> Tensor:
    """The next actions' outputs and bonuses, each weighted by its probability, float32 [B, M]."""
    value = next_output.float()
    if backup.bonus is not None:
        value = value + backup.bonus[..., None]
    return (backup.policy[..., None] * value).sum(1)


def _shifted(value: Tensor, backup: Backup) -> Tensor:
    """What the rewards make of the returns that follow them, float32 [B, M]."""
    return backup.n_step_return[:, None] + backup.discount[:, None] * value


def make_value_kind(config: NetworkConfig) -> ValueKind:
    """The configured one."""
    if config.value == "categorical":
        return CategoricalValue(config.atoms, *config.value_range)
    if config.value == "quantile":
        return QuantileValue(config.quantiles)
    return ExpectedValue()
