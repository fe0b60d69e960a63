"""The residual network of IMPALA: deeper, slower, and better where much is to be seen."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from rl_speed.config import NetworkConfig
from rl_speed.learner.q_network import QNetwork


class _Residual(nn.Module):
    """Two convolutions beside a path that leaves everything as it is."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.ReLU(),  # not in place: the path beside it needs what was there
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, feature: Tensor) -> Tensor:
        """float [B, C, h, w], the same shape."""
        result: Tensor = feature + self.convolutions(feature)
        return result


class ImpalaNetwork(QNetwork):
    """Stages of a convolution, a pooling that halves rows and columns, and two residual blocks.

    Args:
        config: `channels`, one for each stage; kernels and strides are not used.
        observation_shape: (K, H, W), frames, rows and columns.
        num_actions: A.

    Source: Espeholt et al. 2018, figure 3, right.
    Differs: the heads of QNetwork follow, without an LSTM; `normalise` puts a GroupNorm of one group after each stage's
        first convolution.
    """

    def __init__(self, config: NetworkConfig, observation_shape: tuple[int, int, int], num_actions: int) -> None:
        super().__init__(config, observation_shape)
        in_channels, height, width = observation_shape
        self.first = nn.Conv2d(in_channels, config.channels[0], 3, padding=1)
        stages: list[nn.Module] = []
        in_channels = config.channels[0]
        for number, out_channels in enumerate(config.channels):
            if number > 0:
                stages.append(nn.Conv2d(in_channels, out_channels, 3, padding=1))
            if config.normalise:
                stages.append(nn.GroupNorm(1, out_channels))
            stages += [nn.MaxPool2d(3, stride=2, padding=1), _Residual(out_channels), _Residual(out_channels)]
            in_channels, height, width = out_channels, (height + 1) // 2, (width + 1) // 2
        self.stages = nn.Sequential(*stages)  # what follows the first convolution
        self.make_heads(config, in_channels * height * width, num_actions)

    def features(self, image: Tensor) -> Tensor:
        """See QNetwork."""
        # The image is scaled by the first layer's weights, as in ConvolutionalNetwork.
        weight = self.first.weight * self.input_scale
        feature: Tensor = self.stages(F.conv2d(image, weight, self.first.bias, padding=1))
        return feature
