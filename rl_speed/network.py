"""Q-networks: uint8 observation -> q_value [B, A]."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rl_speed.config import NetworkConfig


class QNetwork(nn.Module):
    """Convolutions, one hidden layer, and one value per action; optionally dueling and normalised.

    With the default configuration this is the network of Mnih 2015.

    Args:
        config: shape of the network.
        frame_stack: K.
        frame_height: H in pixels.
        frame_width: W in pixels.
        num_actions: A.

    Source: Mnih et al. 2015, Methods, "Model architecture"; dueling: Wang et al. 2016, equation 9.
    Differs: `standardise_input` replaces the division by 255; `normalise` puts a GroupNorm of one group after each
        convolution and a LayerNorm in each head, before the rectifier.
    """

    input_mean: Tensor  # float32 [H, W]
    input_scale: Tensor  # float32 []

    def __init__(
        self, config: NetworkConfig, frame_stack: int, frame_height: int, frame_width: int, num_actions: int
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        in_channels, height, width = frame_stack, frame_height, frame_width
        for out_channels, kernel, stride in zip(config.channels, config.kernels, config.strides, strict=True):
            layers.append(nn.Conv2d(in_channels, out_channels, kernel, stride))
            if config.normalise:
                layers.append(nn.GroupNorm(1, out_channels))
            layers.append(nn.ReLU())
            height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
            in_channels = out_channels
        first = layers.pop(0)
        assert isinstance(first, nn.Conv2d)
        self.first = first
        self.convolutions = nn.Sequential(*layers)  # what follows the first convolution
        # What the image is shifted and scaled by; measured after the prefill if `standardise` is on.
        self.register_buffer("input_mean", torch.zeros(frame_height, frame_width))
        self.register_buffer("input_scale", torch.tensor(1.0 / 255.0))
        self.num_heads = 2 if config.dueling else 1
        # Both heads' hidden layers are one matrix product: twice as fast as two on one core.
        self.hidden = nn.Linear(in_channels * height * width, self.num_heads * config.hidden)
        self.norms = nn.ModuleList(
            nn.LayerNorm(config.hidden) if config.normalise else nn.Identity() for _ in range(self.num_heads)
        )
        self.advantage = nn.Linear(config.hidden, num_actions)
        self.value = nn.Linear(config.hidden, 1) if config.dueling else None
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

    def forward(self, observation: Tensor) -> Tensor:
        """Values of all actions.

        Args:
            observation: uint8 or float32 [B, K, H, W], grey levels 0..255.

        Returns:
            float32 [B, A], discounted return in units of reward.
        """
        # uint8 becomes floating point here, on the device: a quarter of the bytes travel.
        dtype = torch.bfloat16 if torch.is_autocast_enabled(observation.device.type) else torch.float32
        rows = observation.permute(0, 2, 3, 1).flatten(1)  # [B, H*W*K], a view if K varies fastest in memory
        # As rows, so that the inner loop of the subtraction is long: 8 times faster than broadcasting over K.
        mean = self.input_mean.to(dtype)[..., None].expand(-1, -1, observation.shape[1]).flatten()  # [H*W*K]
        image = (rows.to(dtype) - mean).reshape(-1, *self.input_mean.shape, observation.shape[1]).permute(0, 3, 1, 2)
        # The scale goes into the first layer's weights, a thousandth of the image's size: preparing the image was a
        # third of an update.
        feature = F.conv2d(image, self.first.weight * self.input_scale, self.first.bias, self.first.stride)
        feature = self.convolutions(feature).flatten(1)  # [B, C, h, w] -> [B, C*h*w]
        heads = self.hidden(feature).chunk(self.num_heads, dim=1)  # num_heads x [B, hidden]
        activation = [F.relu(norm(head)) for norm, head in zip(self.norms, heads, strict=True)]
        # bfloat16 ends here: its spacing at a value of 1 is a quarter of the usual gap between two actions.
        advantage: Tensor = self.advantage(activation[0]).float()
        if self.value is None:
            return advantage
        value: Tensor = self.value(activation[1]).float()
        return value + advantage - advantage.mean(dim=1, keepdim=True)
