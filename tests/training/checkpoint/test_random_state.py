"""The global generators of random numbers come back."""

import random

import numpy as np
import pytest
import torch

from rl_speed.training.checkpoint.random_state import random_state, set_random_state


def draws():
    return random.random(), float(np.random.rand()), float(torch.rand(1))


def test_numbers_go_on_where_they_were():
    state = random_state()
    first = draws()
    set_random_state(state)
    assert draws() == first


@pytest.mark.parametrize(("saved", "there"), [(2, 1), (1, 2), (0, 1), (2, 0)])
def test_another_number_of_gpus_than_when_it_was_saved(saved, there, monkeypatch):
    given = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: given.setdefault(device, state))
    set_random_state({**random_state_of_the_cpu(), "cuda": [torch.tensor([n]) for n in range(saved)]})
    assert {device: int(state) for device, state in given.items()} == {n: n for n in range(min(saved, there))}


def random_state_of_the_cpu():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        return random_state()
