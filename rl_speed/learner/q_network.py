"""What all Q-networks share: the preparation of images, and the heads. uint8 observation -> q_value [B, A]."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rl_speed.config import NetworkConfig
from rl_speed.learner.noisy import NoisyLinear
from rl_speed.learner.values import make_value_kind


class QNetwork(nn.Module, ABC):
    """Images in, features by a subclass, one hidden layer, and M numbers per action; optionally dueling and normalised.

    A subclass calls `make_heads` when it knows how many features it has, and defines `features`.

    Args:
        config: shape of the network.
        observation_shape: (K, H, W), frames, rows and columns.

    Source: Mnih et al. 2015, Methods, "Model architecture"; dueling: Wang et al. 2016, equation 9, and for
        distributions Hessel et al. 2018, "The integrated agent"; noisy: Fortunato et al. 2018.
    Differs: `standardise_input` replaces the division by 255; `normalise` puts a LayerNorm in each head, before the
        rectifier.
    """

    input_mean: Tensor  # float32 [H, W]
    input_scale: Tensor  # float32 []
    hidden: nn.Linear
    advantage: nn.Linear
    value: nn.Linear | None

    def __init__(self, config: NetworkConfig, observation_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.values = make_value_kind(config)
        # What the image is shifted and scaled by; measured after the prefill if `standardise` is on.
        self.register_buffer("input_mean", torch.zeros(observation_shape[1:]))
        self.register_buffer("input_scale", torch.tensor(1.0 / 255.0))
        self.num_heads = 2 if config.dueling else 1

    def make_heads(self, config: NetworkConfig, num_features: int, num_actions: int) -> None:
        """Makes what follows the features."""

        def linear(inputs: int, outputs: int) -> nn.Linear:
            return NoisyLinear(inputs, outputs, config.noisy_sigma) if config.noisy else nn.Linear(inputs, outputs)

        self.num_actions = num_actions
        # Both heads' hidden layers are one matrix product: twice as fast as two on one core.
        self.hidden = linear(num_features, self.num_heads * config.hidden)
        self.norms = nn.ModuleList(
            nn.LayerNorm(config.hidden) if config.normalise else nn.Identity() for _ in range(self.num_heads)
        )
        self.advantage = linear(config.hidden, num_actions * self.values.width)
        self.value = linear(config.hidden, self.values.width) if config.dueling else None
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it

    def standardise_input(self, mean: Tensor, deviation: float) -> None:
        """Shifts and scales images by what was measured, so that a static background becomes zero.

        The mean is rounded to whole grey levels: bfloat16 holds those exactly, so zero is zero there too.

        Args:
            mean: float32 [H, W], grey levels 0..255.
            deviation: standard deviation around it in grey levels; at least 1 is used.
        """
        self.input_mean.copy_(mean.round())
        self.input_scale.fill_(1.0 / max(deviation, 1.0))

    def draw_noise(self, generator: torch.Generator | None = None) -> None:
        """Draws the noise of noisy layers anew, if there are any.

        Args:
            generator: on the CPU; None: torch's own.
        """
        for layer in (self.hidden, self.advantage, self.value):
            if isinstance(layer, NoisyLinear):
                layer.draw_noise(generator)

    def forward(self, observation: Tensor) -> Tensor:
        """Values of all actions.

        Args:
            observation: uint8 or float32 [B, K, H, W], grey levels 0..255.

        Returns:
            float32 [B, A], discounted return in units of reward.
        """
        return self.values.q_value(self.output(observation))

    def output(self, observation: Tensor) -> Tensor:
        """What the network says of all actions, float32 [B, A, M]; see `values`.

        Args:
            observation: uint8 or float32 [B, K, H, W], grey levels 0..255.
        """
        return self.output_of(self.prepare(observation))

    def output_of(self, image: Tensor) -> Tensor:
        """The output float32 [B, A, M] for what `prepare` returned."""
        # Channels vary fastest, as they do in memory: in the usual order every pass would copy them. The rectifier
        # comes after the flattening: before it, its gradient would meet an activation in another memory order, which
        # is 5 times slower.
        feature = F.relu(self.features(image).permute(0, 2, 3, 1).flatten(1))  # [B, h*w*C]
        heads = self.hidden(feature).chunk(self.num_heads, dim=1)  # num_heads x [B, hidden]
        activation = [F.relu(norm(head)) for norm, head in zip(self.norms, heads, strict=True)]
        # bfloat16 ends here: its spacing at a value of 1 is a quarter of the usual gap between two actions. Products
        # with so few columns are faster in float32, too.
        with torch.autocast(feature.device.type, enabled=False):
            shape = (-1, self.num_actions, self.values.width)
            advantage: Tensor = self.advantage(activation[0].float()).view(shape)
            if self.value is None:
                return advantage
            value: Tensor = self.value(activation[1].float())
            return value[:, None] + advantage - advantage.mean(dim=1, keepdim=True)

    def prepare(self, observation: Tensor) -> Tensor:
        """The image that the first convolution reads: grey levels minus their mean.

        Args:
            observation: uint8 or float32 [B, K, H, W].

        Returns:
            float32, or bfloat16 under autocast, [B, K, H, W].
        """
        return self.shifted(observation, self.input_mean.expand(1, observation.shape[1], -1, -1))

    def shifted(self, image: Tensor, mean: Tensor) -> Tensor:
        """The image minus a mean image [1, ...] of its shape, in the precision of the convolutions."""
        # uint8 becomes floating point here, on the device: a quarter of the bytes travel.
        dtype = self.image_dtype(image)
        # As rows, so that the inner loop of the subtraction is long. In place: memory that was not just used is slow to
        # write, which took two thirds of the subtraction's time.
        rows = image.flatten(1).to(dtype, copy=True).sub_(mean.flatten().to(dtype))
        return rows.view(image.shape)

    @staticmethod
    def image_dtype(observation: Tensor) -> torch.dtype:
        """The precision of the convolutions."""
        return torch.bfloat16 if torch.is_autocast_enabled(observation.device.type) else torch.float32

    @abstractmethod
    def features(self, image: Tensor) -> Tensor:
        """What is seen in images that `prepare` returned, before the last rectifier, float [B, C, h, w]."""
