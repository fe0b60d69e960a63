"""Blocks of images by C++, pixel by pixel, and in a network beside torch's."""

import pytest
import torch

from rl_speed.config import load_config
from rl_speed.learner import image_blocks as module
from rl_speed.learner.image_blocks import compile_image_blocks, image_blocks
from rl_speed.learner.network import make_network
from rl_speed.system.code_cache import NativeCodeError

DTYPES = [torch.float32, torch.bfloat16]


def blocks_by_hand(image, mean, stride):
    """image uint8 [B, K, H, W], mean float32 [H, W]; pixel by pixel."""
    rows, columns = image.shape[2] // stride, image.shape[3] // stride
    shifted = image.float() - mean
    cut = shifted[..., : rows * stride, : columns * stride].unflatten(3, (columns, stride)).unflatten(2, (rows, stride))
    return cut.permute(0, 2, 4, 1, 3, 5).flatten(3)  # [B, h, w, K*S*S]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("stride", "size"), [(2, (7, 9)), (4, (64, 42)), (8, (25, 16))])
@pytest.mark.parametrize("frames", [1, 2, 4])
def test_blocks_are_exact(dtype, stride, size, frames):
    draw = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (5, frames, *size), dtype=torch.uint8, generator=draw)
    mean = torch.randint(0, 256, size, generator=draw).float()
    shape = (size[0] // stride, size[1] // stride)
    found = image_blocks(image, mean, shape, stride, dtype)
    assert (found.dtype, found.shape) == (dtype, (5, *shape, frames * stride * stride))
    assert torch.equal(found.float(), blocks_by_hand(image, mean, stride))
    # As a view: every second image of a minibatch. And a mean in another memory order.
    for view, middle in ((image[1::2], mean), (image[1::2], mean.t().contiguous().t())):
        assert torch.equal(image_blocks(view, middle, shape, stride, dtype), found[1::2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_mean_that_is_no_whole_number_is_rounded_as_torch_rounds(dtype):
    image = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    mean = torch.rand((16, 16), generator=torch.Generator().manual_seed(1)) * 255
    torchs = image.to(dtype) - mean.to(dtype)
    expected = torchs.unflatten(3, (4, 4)).unflatten(2, (4, 4)).permute(0, 2, 4, 1, 3, 5).flatten(3)
    assert torch.equal(image_blocks(image, mean, (4, 4), 4, dtype), expected)


def test_what_is_no_work_for_it_is_left_to_torch():
    image, mean = torch.zeros((1, 1, 12, 12), dtype=torch.uint8), torch.zeros(12, 12)
    assert image_blocks(image, mean, (3, 3), 4, torch.float32) is not None
    assert image_blocks(image, mean, (4, 4), 3, torch.float32) is None
    assert image_blocks(image.float(), mean, (3, 3), 4, torch.float32) is None
    assert image_blocks(image, mean, (3, 3), 4, torch.float64) is None
    assert image_blocks(image, mean.double(), (3, 3), 4, torch.float32) is None
    assert image_blocks(image[..., 1:], mean, (3, 3), 4, torch.float32) is None  # not the image that the mean is of


def without_a_compiler(monkeypatch):
    def refuse(*_):
        raise NativeCodeError("there is none")

    monkeypatch.setattr(module, "library_path", refuse)
    monkeypatch.setattr(module, "_library", module._library.__wrapped__)


def outputs(network, observation, use_bf16):
    with torch.autocast("cpu", torch.bfloat16, enabled=use_bf16):
        result = network.output(observation)
    return [result.detach(), *torch.autograd.grad(result.square().sum(), list(network.parameters()))]


@pytest.mark.parametrize("use_bf16", [False, True])
def test_a_network_computes_the_same_with_a_compiler_and_without(use_bf16, monkeypatch):
    config = load_config("fast_cpu", ["network.fused=true"])
    torch.manual_seed(0)
    network = make_network(config.network, config.envs.observation_shape, 3)
    network.standardise_input(torch.rand(config.envs.observation_shape[1:]) * 255, 30.0)
    observation = torch.randint(0, 256, (32, *config.envs.observation_shape), dtype=torch.uint8)
    assert compile_image_blocks() is not None
    with_compiler = outputs(network, observation, use_bf16)
    without_a_compiler(monkeypatch)
    assert compile_image_blocks() is None
    for one, other in zip(outputs(network, observation, use_bf16), with_compiler, strict=True):
        assert torch.equal(one, other)


def test_a_traced_network_computes_what_it_is_given():
    config = load_config("fast_cpu", ["network.fused=true"])
    network = make_network(config.network, config.envs.observation_shape, 3).requires_grad_(False)
    draw = torch.Generator().manual_seed(6)
    first, second = torch.randint(0, 256, (2, 3, *config.envs.observation_shape), dtype=torch.uint8, generator=draw)
    compiled = torch.compile(network.prepare, backend="eager", fullgraph=True)
    assert torch.equal(compiled(first), network.prepare(first))
    assert torch.equal(compiled(second), network.prepare(second))
