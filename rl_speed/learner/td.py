"""Temporal-difference learning as pure functions: no state, no device, no logging."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F


def n_step_return(reward: Tensor, is_terminal: Tensor, length: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Discounted sum of the rewards of a window and the discount of what follows it.

    With r_1..r_n the rewards of a window of which `length` = k may be used, and a terminal step j:
    G = sum over i = 1..min(k, j) of gamma^(i-1) r_i; the discount is gamma^k, or 0 if j <= k.

    Args:
        reward: float32 [B, n].
        is_terminal: bool [B, n], the return ends with this step's reward.
        length: int64 [B], steps of the window that may be used, 0..n.
        gamma: discount of one step.

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


def td_target(
    n_step_return: Tensor, bootstrap_discount: Tensor, next_q_target: Tensor, next_q_online: Tensor | None
) -> Tensor:
    """What q_value is pulled toward: G + discount * Q_target(s', a').

    Args:
        n_step_return: float32 [B].
        bootstrap_discount: float32 [B].
        next_q_target: float [B, A], the target network's values of the next observation.
        next_q_online: float [B, A], the online network's; it chooses a' (double DQN). None: the target network does.

    Returns:
        float32 [B].

    Source: Mnih et al. 2015, equation 2; double: van Hasselt et al. 2016, equation 4.
    """
    chooser = next_q_target if next_q_online is None else next_q_online
    next_action = chooser.argmax(dim=1, keepdim=True)  # [B, 1]
    next_value = next_q_target.gather(1, next_action).squeeze(1).float()
    return n_step_return + bootstrap_discount * next_value


def td_loss(
    q_value: Tensor,
    action: Tensor,
    target: Tensor,
    is_valid: Tensor,
    weight: Tensor,
    kind: Literal["mse", "huber"],
) -> tuple[Tensor, Tensor]:
    """Weighted mean loss over the valid samples, and the size of each sample's error.

    Args:
        q_value: float [B, A].
        action: int64 [B], the action that was taken.
        target: float32 [B].
        is_valid: bool [B]; samples that are not valid have no loss and no error.
        weight: float32 [B], importance weights.
        kind: mse, or huber with the corner at 1.

    Returns:
        loss float32 [] and |td_error| float32 [B], detached.

    Source: Mnih et al. 2015, equation 2; weights: Schaul et al. 2016, section 3.4.
    """
    chosen = q_value.gather(1, action[:, None]).squeeze(1).float()  # [B, A] -> [B]
    if kind == "huber":
        loss = F.smooth_l1_loss(chosen, target, reduction="none")
    else:
        loss = F.mse_loss(chosen, target, reduction="none")
    mask = weight * is_valid
    mean = (loss * mask).sum() / is_valid.sum().clamp(min=1)
    error = ((target - chosen).abs() * is_valid).detach()
    return mean, error
