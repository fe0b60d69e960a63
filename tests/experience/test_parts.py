"""What plays and what learns, taken to another process."""

import pickle
import subprocess
import sys

import pytest
import torch

from rl_speed.config import NetworkConfig
from rl_speed.experience.parts import Parts
from rl_speed.learner.network import QNetwork
from rl_speed.system.errors import ConfigError


def test_without_anything_of_the_callers_it_is_our_network():
    network = Parts().make_network(NetworkConfig(), (4, 84, 84), 6)
    assert isinstance(network, QNetwork)
    assert Parts().names() == {"own_env": None, "own_network": None}


def test_code_that_cannot_be_imported_travels():
    width = 5
    parts = Parts(own_network=lambda shape, actions: torch.nn.Linear(width, actions))
    content = pickle.dumps(parts)
    code = (
        "import pickle, sys; parts = pickle.loads(sys.stdin.buffer.read()); "
        "print(parts.make_network(None, (1, 1, 1), 3).weight.shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=content, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "torch.Size([3, 5])"


def test_a_network_is_tried_before_it_is_used():
    def gives(make):
        return Parts(own_network=lambda shape, actions: make())

    class Right(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.zeros(3))

        def forward(self, observation):
            return observation.float().flatten(1)[:, :3] + self.bias

    drawing = Parts(own_network=lambda shape, actions: (torch.rand(1), Right())[1])
    before = torch.get_rng_state()
    drawing.check_network(NetworkConfig(), (2, 5, 5), 3)
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(ConfigError, match=r"gives \(2, 3\) for two observations of \(2, 5, 5\), not \(2, 4\)"):
        gives(Right).check_network(NetworkConfig(), (2, 5, 5), 4)
    with pytest.raises(ConfigError, match="cannot read uint8"):
        gives(lambda: torch.nn.Linear(5, 3)).check_network(NetworkConfig(), (2, 5, 5), 3)
    with pytest.raises(ConfigError, match=r"made a dict; make a torch\.nn\.Module"):
        gives(dict).check_network(NetworkConfig(), (2, 5, 5), 3)
    one = Right()
    with pytest.raises(ConfigError, match="make a new module with each call"):
        gives(lambda: one).check_network(NetworkConfig(), (2, 5, 5), 3)
    with pytest.raises(ConfigError, match="whose size is not known"):
        gives(lambda: torch.nn.Sequential(Right(), torch.nn.LazyLinear(3))).check_network(NetworkConfig(), (2, 5, 5), 3)
    with pytest.raises(ConfigError, match="none of its parameters can be trained"):
        gives(lambda: Right().requires_grad_(False)).check_network(NetworkConfig(), (2, 5, 5), 3)
    with pytest.raises(ConfigError, match=r"network\.noisy = true"):
        gives(Right).check_network(NetworkConfig(noisy=True), (2, 5, 5), 3)
