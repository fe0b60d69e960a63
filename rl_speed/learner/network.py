"""Q-networks: uint8 observation -> q_value [B, A]."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rl_speed.config import NetworkConfig

_WORDS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by their bytes


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
            layers.append(nn.ReLU(inplace=True))
            height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
            in_channels = out_channels
        layers.pop()  # the last rectifier comes after the flattening
        first = layers.pop(0)
        assert isinstance(first, nn.Conv2d)
        self.first = first
        self.fused = config.is_fused
        # Blocks of stride x stride pixels that the first convolution reads, see `_blocks`.
        margin = config.kernels[0] // config.strides[0] - 1
        self._block_rows = (frame_height - config.kernels[0]) // config.strides[0] + 1 + margin
        self._block_columns = (frame_width - config.kernels[0]) // config.strides[0] + 1 + margin
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
        return self._value_of(self._prepare(observation))

    def _value_of(self, image: Tensor) -> Tensor:
        """Values float32 [B, A] of what `_prepare` returned."""
        weight, stride = self._first_weight()
        feature = F.conv2d(image, weight, self.first.bias, stride)
        return self._value(self.convolutions(feature))

    def _prepare(self, observation: Tensor) -> Tensor:
        """The image that the first convolution reads: grey levels minus their mean.

        Args:
            observation: uint8 or float32 [B, K, H, W].

        Returns:
            float32, or bfloat16 under autocast, [B, K, H, W]; as blocks [B, K*S*S, H', W'] of S*S pixels if `fused`.
        """
        # uint8 becomes floating point here, on the device: a quarter of the bytes travel.
        dtype = torch.bfloat16 if torch.is_autocast_enabled(observation.device.type) else torch.float32
        image, mean = observation, self.input_mean.to(dtype).expand(1, observation.shape[1], -1, -1)  # [1, K, H, W]
        if self.fused:
            image, mean = self._blocks(image), self._blocks(mean)
        # As rows, so that the inner loop of the subtraction is long. In place: memory that was not just used is slow to
        # write, which took two thirds of the subtraction's time.
        rows = image.flatten(1).to(dtype, copy=True).sub_(mean.flatten())
        image = rows.view(image.shape)
        return image.permute(0, 3, 1, 2) if self.fused else image

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
        """The first convolution's weights for what `_prepare` returned, and its stride there."""
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

    def _value(self, feature: Tensor) -> Tensor:
        """Values float32 [B, A] of what the last convolution (and its norm) returned, float [B, C, h, w]."""
        # Channels vary fastest, as they do in memory: in the usual order every pass would copy them. The rectifier
        # comes after the flattening: before it, its gradient would meet an activation in another memory order, which
        # is 5 times slower.
        feature = F.relu(feature.permute(0, 2, 3, 1).flatten(1))  # [B, h*w*C]
        heads = self.hidden(feature).chunk(self.num_heads, dim=1)  # num_heads x [B, hidden]
        activation = [F.relu(norm(head)) for norm, head in zip(self.norms, heads, strict=True)]
        # bfloat16 ends here: its spacing at a value of 1 is a quarter of the usual gap between two actions. Products
        # with so few columns are faster in float32, too.
        with torch.autocast(feature.device.type, enabled=False):
            advantage: Tensor = self.advantage(activation[0].float())
            if self.value is None:
                return advantage
            value: Tensor = self.value(activation[1].float())
            return value + advantage - advantage.mean(dim=1, keepdim=True)


def make_network(config: NetworkConfig, observation_shape: tuple[int, int, int], num_actions: int) -> QNetwork:
    """A QNetwork with random weights, float32 on the CPU.

    Args:
        config: shape of the network, with nothing left to decide.
        observation_shape: (K, H, W), frames, rows and columns.
        num_actions: A.
    """
    return QNetwork(config, *observation_shape, num_actions)


def value_of_both(first: QNetwork, second: QNetwork, observation: Tensor) -> tuple[Tensor, Tensor]:
    """What two networks of one shape and one `standardise_input` say of the same observation, which is prepared once.

    Args:
        first: one network.
        second: the other one.
        observation: uint8 or float32 [B, K, H, W], grey levels 0..255.

    Returns:
        float32 [B, A] of the first and of the second network.
    """
    image = first._prepare(observation)
    return first._value_of(image), second._value_of(image)
