"""What is exported of a run: the network that acts, in float32."""

import torch

from rl_speed.experience.parts import Parts
from rl_speed.exports.agent import read_agent
from rl_speed.training.checkpoint.folders import resolve
from rl_speed.training.checkpoint.reading import load_network, read_model


def test_it_is_the_acting_network_with_the_plain_first_layer(run_folder, agent):
    trained, config = load_network(resolve(run_folder))
    assert config.network.fused is True
    assert (agent.config.network.fused, agent.config.update.precision, agent.precision) == (False, "fp32", "bf16")
    observation = torch.randint(0, 256, (5, *config.envs.observation_shape), dtype=torch.uint8)
    assert torch.allclose(agent.network(observation), trained(observation), atol=1e-5)
    weights = read_model(resolve(run_folder))["state_dict"]
    average = weights["average_network.advantage.weight"]
    assert torch.equal(agent.network.state_dict()["advantage.weight"], average)
    assert not torch.equal(average, weights["online_network.advantage.weight"])


def test_what_it_says_of_itself(agent):
    facts = agent.describe()
    assert (facts["game"], facts["actions"][:2], agent.num_actions) == ("pong", ["NOOP", "FIRE"], 6)
    assert facts["input"]["shape"] == ["batch", *agent.config.envs.observation_shape]
    assert facts["preprocessing"]["image_width"] == 20
    assert facts["rl_speed"]["kept"]["update.precision"] == "fp32"


def test_nothing_of_the_users_machine_is_told(agent, run_folder):
    assert str(run_folder.parent) not in repr(agent.describe())
    assert "logging" not in agent.facts["config"]
    assert "address" not in agent.facts["config"]["actors"]


def test_a_network_of_the_callers_own(tmp_path):
    import rl_speed
    from tests.conftest import TINY
    from tests.corridor import Corridor

    def network(shape, num_actions):
        return torch.nn.Sequential(Floats(), torch.nn.Flatten(), torch.nn.Linear(shape[0] * 400, num_actions))

    logging = {"directory": str(tmp_path), "progress_bar": False}
    stop = {"max_gradient_steps": 10, "confirm_episodes": 0}
    changes = {**TINY, "logging": logging, "stop": stop}
    result = rl_speed.train("baseline", changes, env=Corridor, network=network)
    own = read_agent(result.checkpoint, Parts(None, network), but_env=True)
    assert own.action_names is None
    assert own.actions == [str(number) for number in range(own.num_actions)]
    assert "noop_max" not in own.preprocessing()


class Floats(torch.nn.Module):
    def forward(self, observation):
        return observation.float() / 255
