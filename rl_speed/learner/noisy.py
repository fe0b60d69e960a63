"""Layers whose weights are noise around a mean: how much of it, is learned."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class NoisyLinear(nn.Linear):
    """A linear layer with factorised Gaussian noise on weights and biases; in evaluation mode it has none.

    Args:
        in_features: I.
        out_features: O.
        sigma: standard deviation of the noise at the start, times the square root of I.

    Source: Fortunato et al. 2018, section 3, "factorised Gaussian noise", and its initialisation.
    Differs: one noise for a whole minibatch, and for all envs of one step; heads that are one matrix product share the
        noise of their inputs; double DQN chooses with the noise of the loss, not with a third one.
    """

    noise_in: Tensor  # float32 [I]
    noise_out: Tensor  # float32 [O]

    def __init__(self, in_features: int, out_features: int, sigma: float) -> None:
        super().__init__(in_features, out_features)
        bound = 1 / math.sqrt(in_features)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)
        self.weight_sigma = nn.Parameter(torch.full_like(self.weight, sigma * bound))
        self.bias_sigma = nn.Parameter(torch.full_like(self.bias, sigma * bound))
        # Drawn anew before each use, so a checkpoint does without.
        self.register_buffer("noise_in", torch.zeros(in_features), persistent=False)
        self.register_buffer("noise_out", torch.zeros(out_features), persistent=False)

    def draw_noise(self, generator: torch.Generator | None = None) -> None:
        """Draws noise that holds until the next call; on the CPU, so that a seed means the same on every device."""
        for noise in (self.noise_in, self.noise_out):
            draw = torch.randn(noise.shape, generator=generator)
            noise.copy_(draw.sign() * draw.abs().sqrt())

    def forward(self, input: Tensor) -> Tensor:
        """float [..., I] -> float [..., O]."""
        mean = super().forward(input)
        if not self.training:
            return mean
        # (sigma * outer(out, in)) x = out * (sigma (in * x)): no matrix of noise is ever made.
        noise = F.linear(input * self.noise_in.to(input.dtype), self.weight_sigma) + self.bias_sigma.to(mean.dtype)
        return mean + noise * self.noise_out.to(mean.dtype)
