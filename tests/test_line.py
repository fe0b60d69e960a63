"""One transition, from a scripted env to a hand-computed gradient; and the loop around it."""

import threading

import pytest
import torch

from rl_speed.experience.dataset import ExperienceDataset
from rl_speed.experience.generators.in_process import InProcessGenerator
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.experience.replay import Replay, ReplaySettings
from rl_speed.system.ending import Ending
from rl_speed.system.stage_timer import StageTimer
from tests.conftest import CountingEnv, make_module


class Table(torch.nn.Module):
    """q_value of action a = weight[a] * newest pixel: a network whose gradient is known on paper."""

    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight))

    def forward(self, observation):
        return observation[:, -1, 0, 0].float()[:, None] * self.weight


def make_line(config, env, network):
    """Everything from the games to the batches."""
    clock, stop = StageTimer(), threading.Event()
    policy = ExploringPolicy(network, env.num_actions, seed=0)
    generator = InProcessGenerator(env, policy, config.envs, config.actors.rollout_env_steps, clock)
    settings = ReplaySettings(config.envs.frame_stack, config.replay.n_step, config.replay.gamma)
    steps = config.replay.capacity_env_steps // env.num_envs
    replay = Replay(steps, env.num_envs, 20, 20, settings, seed=0)
    prefill, free_running = config.replay.prefill_env_steps, config.actors.free_running
    dataset = ExperienceDataset(generator, replay, config.update, prefill, clock, Ending(stop), free_running)
    return dataset, policy, stop


def test_one_transition_travels_to_its_gradient(tiny_config):
    config = tiny_config(replay={"gamma": 0.5, "n_step": 2}, update={"batch_size": 1, "double": True})
    dataset, policy, _ = make_line(config, CountingEnv([1000]), Table([0.0, 0.0, 0.0]))
    policy.epsilon = 0.0  # ties go to action 0
    batch = next(iter(dataset)).minibatch(0)
    # 40 env steps of prefill, and one that the first gradient step waits for.
    assert dataset.generator.env_steps == 41
    row = int(batch.index)
    assert batch.observation[0, :, 0, 0].tolist() == [max(row - 1, 0), row]
    assert batch.action.tolist() == [0]
    # Rewards count up from 1: r(row) = row + 1.
    assert batch.n_step_return.tolist() == [(row + 1) + 0.5 * (row + 2)]
    assert batch.bootstrap_discount.tolist() == [0.25]
    assert batch.next_observation[0, :, 0, 0].tolist() == [row + 1, row + 2]

    module = make_module(config)
    module.online_network = Table([0.25, 0.5, 0.125])
    module.target_network = Table([3.0, 1.0, 2.0])
    loss, error = module.loss(batch)
    loss.backward()
    # The online network chooses action 1, the target network values it at 1 * (row + 2).
    target = (row + 1) + 0.5 * (row + 2) + 0.25 * 1.0 * (row + 2)
    difference = 0.25 * row - target
    assert loss.item() == pytest.approx(difference**2, rel=1e-5)
    assert error.item() == pytest.approx(abs(difference), rel=1e-5)
    gradient = module.online_network.weight.grad
    assert gradient.tolist() == pytest.approx([2 * difference * row, 0.0, 0.0], rel=1e-5)
    assert module.target_network.weight.grad is None


def test_slow_grads_costs_time_but_changes_no_gradient(tiny_config):
    gradients = []
    for slow in (False, True):
        config = tiny_config(update={"slow_grads": slow, "double": True})
        torch.manual_seed(0)
        module = make_module(config)
        dataset, _, _ = make_line(config, CountingEnv([7]), module.online_network)
        loss, _ = module.loss(next(iter(dataset)).minibatch(0))
        loss.backward()
        gradients.append([parameter.grad.clone() for parameter in module.online_network.parameters()])
        assert all(parameter.grad is None for parameter in module.target_network.parameters())
        assert all(parameter.requires_grad == slow for parameter in module.target_network.parameters())
    for fast, slow in zip(*gradients, strict=True):
        assert torch.equal(fast, slow)


@pytest.mark.parametrize(
    ("ratio", "steps_per_batch", "envs"), [(1, 1, 1), (4, 1, 2), (4, 2, 2), (0.5, 2, 1), (2.5, 1, 2)]
)
def test_the_replay_ratio_is_locked(tiny_config, ratio, steps_per_batch, envs):
    config = tiny_config(
        envs={"count": envs},
        update={"env_steps_per_gradient_step": float(ratio), "gradient_steps_per_batch": steps_per_batch},
    )
    dataset, _, _ = make_line(config, CountingEnv([9] * envs), torch.nn.Flatten())
    for batch, _ in zip(dataset, range(50), strict=False):
        assert batch.gradient_steps == steps_per_batch
        due = 40 + dataset.gradient_steps * ratio
        assert due <= dataset.generator.env_steps < due + envs


def test_iterating_again_goes_on(tiny_config):
    config = tiny_config()
    dataset, _, _ = make_line(config, CountingEnv([9]), torch.nn.Flatten())
    next(iter(dataset))
    next(iter(dataset))
    assert dataset.gradient_steps == 2
    assert dataset.generator.env_steps == 42


def test_a_stopped_run_yields_no_more(tiny_config):
    config = tiny_config()
    dataset, _, stop = make_line(config, CountingEnv([9]), torch.nn.Flatten())
    next(iter(dataset))
    stop.set()
    assert list(dataset) == []


def test_frames_become_floats_before_the_transfer_only_if_asked(tiny_config):
    for on_device, dtype in ((True, torch.uint8), (False, torch.float32)):
        config = tiny_config(update={"uint8_to_device": on_device})
        dataset, _, _ = make_line(config, CountingEnv([9]), torch.nn.Flatten())
        assert next(iter(dataset)).observation.dtype == dtype


def test_finished_games_are_handed_on_once(tiny_config):
    config = tiny_config()
    dataset, _, _ = make_line(config, CountingEnv([20]), torch.nn.Flatten())
    next(iter(dataset))
    assert [end.episode_length_env_steps for end in dataset.take_episode_ends()] == [20, 20]
    assert dataset.take_episode_ends() == []


class Overshot:
    """A generator and a replay after a prefill that has played more than it had to."""

    env_steps, rows_written, num_envs, rows_drawable = 1000, 100, 10, range(1, 90)

    def is_ready(self):
        return False

    def sample(self, gradient_steps, batch_size):
        return gradient_steps, batch_size


def test_ranks_hold_their_wishes_from_the_first_batch_on(tiny_config):
    """The prefill may have played what the first batch needs, so that no rollout comes before it."""
    ending, line = Ending(), Overshot()
    dataset = ExperienceDataset(line, line, tiny_config().update, 900, StageTimer(), ending, False, 2)
    next(iter(dataset))
    ending.stop.set()
    assert (ending.wish, ending.reason) == ("interrupted", None)
