"""Tensors on their way to a device."""

import pytest
import torch

from rl_speed.system.transfer import Parcel, sent


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_parcel_arrives_as_it_was_sent(device):
    draw = torch.Generator().manual_seed(0)
    tensors = [
        torch.randint(0, 256, (3, 5), dtype=torch.uint8, generator=draw),
        torch.rand(7, dtype=torch.float64, generator=draw),
        torch.tensor([True, False, True]),
        torch.rand((2, 2), generator=draw),
        torch.randint(0, 99, (), generator=draw),
        torch.empty(0, 4),
    ]
    parcel = Parcel(tensors, torch.device(device))
    places = [tensor.data_ptr() for tensor in parcel.tensors]
    for changed in (
        [tensor.clone() for tensor in tensors],
        [tensor.flip(0) if tensor.dim() else tensor for tensor in tensors],
    ):
        parcel.send(changed)
        expected = [tensor.clone() for tensor in changed]
        for tensor in changed:
            tensor.zero_()  # the sender uses its memory again
        for found, tensor in zip(parcel.tensors, expected, strict=True):
            assert (found.device.type, found.dtype) == (device, tensor.dtype)
            assert torch.equal(found.cpu(), tensor)
    assert [tensor.data_ptr() for tensor in parcel.tensors] == places


@pytest.mark.gpu
def test_what_is_sent_to_a_gpu_may_be_written_over_at_once():
    tensor = torch.arange(1_000_000)
    there = sent(tensor, torch.device("cuda"))
    tensor.zero_()
    assert torch.equal(there.cpu(), torch.arange(1_000_000))
