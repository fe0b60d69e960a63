"""Temporal-difference learning as pure functions: no state, no device, no logging."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rl_speed.config import UpdateConfig


def n_step_return(reward: Tensor, is_terminal: Tensor, length: Tensor, gamma: float | Tensor) -> tuple[Tensor, Tensor]:
    """Discounted sum of the rewards of a window and the discount of what follows it.

    With r_1..r_n the rewards of a window of which `length` = k may be used, and a terminal step j:
    G = sum over i = 1..min(k, j) of gamma^(i-1) r_i; the discount is gamma^k, or 0 if j <= k.

    Args:
        reward: float32 [B, n].
        is_terminal: bool [B, n], the return ends with this step's reward.
        length: int64 [B], steps of the window that may be used, 0..n.
        gamma: discount of one step; a tensor is of shape [].

    Returns:
        n_step_return float32 [B] and bootstrap_discount float32 [B].

    Source: Sutton & Barto 2018, section 7.1.
    """
    n = reward.shape[1]
    step = torch.arange(n, device=reward.device)
    is_usable = step < length[:, None]  # [B, n]
    is_terminal = is_terminal & is_usable
    # A step counts if no earlier step of the window was terminal.
    ended_before = is_terminal.cumsum(1) - is_terminal.to(torch.int64) > 0  # [B, n]
    discount = torch.pow(gamma, step.to(torch.float32))
    total = (reward * discount * (is_usable & ~ended_before)).sum(1)
    bootstrap = torch.pow(gamma, length.to(torch.float32)) * ~is_terminal.any(1)
    return total, bootstrap


@dataclass(frozen=True)
class Backup:
    """What the value of a sample is made of: its rewards, and the values of the actions that may follow them."""

    n_step_return: Tensor  # float32 [B]
    discount: Tensor  # float32 [B], of what follows; 0 where nothing does
    policy: Tensor  # float32 [B, A], probabilities of the next action
    bonus: Tensor | None = None  # float32 [B, A], added to the value of each next action; None: nothing


def greedy_backup(n_step_return: Tensor, discount: Tensor, chooser: Tensor) -> Backup:
    """The next action is the best one.

    Args:
        n_step_return: float32 [B].
        discount: float32 [B].
        chooser: float [B, A], q_value of the next observation by which it is chosen: the target network's, or the
            online network's (double DQN).

    Source: Mnih et al. 2015, equation 2; double: van Hasselt et al. 2016, equation 4.
    """
    policy = F.one_hot(chooser.argmax(dim=1), chooser.shape[1]).to(torch.float32)
    return Backup(n_step_return, discount, policy)


def munchausen_backup(
    n_step_return: Tensor, discount: Tensor, next_q_value: Tensor, q_value: Tensor, action: Tensor, config: UpdateConfig
) -> Backup:
    """The next action is drawn from a softmax, whose entropy counts; the action taken earns what it was likely.

    Args:
        n_step_return: float32 [B].
        discount: float32 [B].
        next_q_value: float [B, A], the target network's of the next observation.
        q_value: float [B, A], the target network's of the observation.
        action: int64 [B], that was taken there.
        config: alpha, temperature and the least logarithm.

    Source: Vieillard, Pietquin & Geist 2020, equation 1 and the paragraph "M-DQN" of section 2 (the logarithm is
        clipped).
    Differs: of the rewards of a return of n steps, the first one alone is augmented.
    """
    assert config.munchausen is not None
    temperature = config.entropy_temperature
    next_log_policy = F.log_softmax(next_q_value.float() / temperature, dim=1)
    log_policy = F.log_softmax(q_value.float() / temperature, dim=1).gather(1, action[:, None]).squeeze(1)
    likely = (temperature * log_policy).clamp(min=config.log_policy_min, max=0.0)
    return Backup(
        n_step_return + config.munchausen * likely, discount, next_log_policy.exp(), -temperature * next_log_policy
    )


def weighted_mean(loss: Tensor, is_valid: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean over the valid samples, float32 [].

    Args:
        loss: float32 [B].
        is_valid: bool [B]; samples that are not valid have no loss.
        weight: float32 [B], importance weights.

    Source: Schaul et al. 2016, section 3.4.
    """
    mask = weight * is_valid
    return (loss * mask).sum() / is_valid.sum().clamp(min=1)
