"""Torch's thread count for a while."""

import pytest
import torch

from rl_speed.system.torch_threads import torch_threads


def test_the_caller_gets_its_count_back_even_after_an_error():
    before = torch.get_num_threads()
    with torch_threads(before + 2):
        assert torch.get_num_threads() == before + 2
    assert torch.get_num_threads() == before

    def fail():
        with torch_threads(before + 1):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.get_num_threads() == before
