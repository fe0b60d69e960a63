"""The network of Mnih 2015 in any size, with a first layer that can read blocks of pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rl_speed.config import NetworkConfig
from rl_speed.learner.image_blocks import image_blocks
from rl_speed.learner.q_network import QNetwork

_WORDS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by their bytes


class ConvolutionalNetwork(QNetwork):
    """A row of convolutions. With the default configuration this is the network of Mnih 2015.

    Args:
        config: shape of the network.
        observation_shape: (K, H, W), frames, rows and columns.
        num_actions: A.

    Source: Mnih et al. 2015, Methods, "Model architecture".
    Differs: `normalise` puts a GroupNorm of one group after each convolution; see QNetwork, too.
    """

    def __init__(self, config: NetworkConfig, observation_shape: tuple[int, int, int], num_actions: int) -> None:
        super().__init__(config, observation_shape)
        layers: list[nn.Module] = []
        in_channels, height, width = observation_shape
        # Blocks of stride x stride pixels that the first convolution reads, see `_blocks`.
        margin = config.kernels[0] // config.strides[0] - 1
        self._block_rows = (height - config.kernels[0]) // config.strides[0] + 1 + margin
        self._block_columns = (width - config.kernels[0]) // config.strides[0] + 1 + margin
        for out_channels, kernel, stride in zip(config.channels, config.kernels, config.strides, strict=True):
            layers.append(nn.Conv2d(in_channels, out_channels, kernel, stride))
            if config.normalise:
                layers.append(nn.GroupNorm(1, out_channels))
            layers.append(nn.ReLU(inplace=True))
            height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
            in_channels = out_channels
        layers.pop()  # the last rectifier comes after the flattening
        first = layers.pop(0)
        assert isinstance(first, nn.Conv2d)
        self.first = first
        self.fused = config.is_fused
        self.convolutions = nn.Sequential(*layers)  # what follows the first convolution
        self.make_heads(config, in_channels * height * width, num_actions)

    def prepare(self, observation: Tensor) -> Tensor:
        """See QNetwork; [B, K*S*S, H', W'], as blocks of S*S pixels, if `fused`."""
        if not self.fused:
            return super().prepare(observation)
        shape, dtype = (self._block_rows, self._block_columns), self.image_dtype(observation)
        blocks = image_blocks(observation, self.input_mean, shape, self.first.stride[0], dtype)
        if blocks is None:
            mean = self.input_mean.expand(1, observation.shape[1], -1, -1)  # [1, K, H, W]
            blocks = self.shifted(self._blocks(observation), self._blocks(mean))
        return blocks.permute(0, 3, 1, 2)

    def features(self, image: Tensor) -> Tensor:
        """See QNetwork."""
        weight, stride = self._first_weight()
        feature: Tensor = self.convolutions(F.conv2d(image, weight, self.first.bias, stride))
        return feature

    def _blocks(self, image: Tensor) -> Tensor:
        """[B, K, H, W] -> [B, H', W', K*S*S], the pixels that lie in the same S*S block beside each other.

        A convolution of stride S over pixels is one of stride 1 over blocks. Of two input channels, oneDNN makes use
        of a fraction of a vector: over blocks its gradient took 0.60 ms instead of 0.88 (128 images of 64 x 42).
        """
        stride, (count, frames) = self.first.stride[0], image.shape[:2]
        height, width = self._block_rows, self._block_columns
        image = image[..., : height * stride, : width * stride].contiguous()
        # A block's row of bytes moves as one number.
        word = _WORDS.get(stride) if image.dtype == torch.uint8 else None
        pixels = image if word is None else image.view(word)
        pixels = pixels.view(count, frames, height, stride, width, -1)  # the last axis: a block's row, or 1 number
        moved = pixels.new_empty((count, height, width, frames, stride, pixels.shape[-1]))
        for frame in range(frames):  # 2.7 times faster than all at once: the inner loops are longer
            moved[:, :, :, frame].copy_(pixels[:, frame].transpose(2, 3))
        return moved.flatten(3).view(image.dtype)

    def _first_weight(self) -> tuple[Tensor, int]:
        """The first convolution's weights for what `prepare` returned, and its stride there."""
        # The scale goes into the first layer's weights, a thousandth of the image's size: preparing the image was a
        # third of an update.
        weight = self.first.weight * self.input_scale  # [O, K, kernel, kernel]
        stride = self.first.stride[0]
        if not self.fused:
            return weight, stride
        outputs, channels, kernel, _ = weight.shape
        blocks = kernel // stride
        weight = weight.reshape(outputs, channels, blocks, stride, blocks, stride).permute(0, 2, 4, 1, 3, 5)
        return weight.reshape(outputs, blocks, blocks, -1).permute(0, 3, 1, 2), 1
