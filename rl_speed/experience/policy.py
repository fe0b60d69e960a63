"""Acting: the epsilon schedule, and choices that are epsilon-greedy and soft, each env's on its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rl_speed.config import ExplorationConfig
from rl_speed.learner.captured import on_device
from rl_speed.learner.network import QNetwork
from rl_speed.system.transfer import sent


def epsilon_at(env_steps: int, prefill_env_steps: int, config: ExplorationConfig) -> float:
    """Epsilon after a number of env steps: flat during the prefill, then linear, then flat.

    Args:
        env_steps: env steps of the run, all envs together.
        prefill_env_steps: env steps before the decay begins.
        config: ends and length of the decay.

    Returns:
        epsilon, 0..1.
    """
    progress = (env_steps - prefill_env_steps) / config.decay_env_steps
    share = min(max(progress, 0.0), 1.0)
    return config.epsilon_start + (config.epsilon_end - config.epsilon_start) * share


class ExploringPolicy:
    """Acts with a network's weights as they are now; `epsilon` and `temperature` are set from outside.

    With a temperature above 0 actions that are not random are drawn from a softmax over the values: where actions are
    worth the same, it tries them all, and where one is better, it takes that one. Without, a game without chance that
    is lost in one way is lost in that way again and again, and nothing is learned from it.

    Args:
        network: reads uint8 [E, K, H, W] and returns q_value [E, A].
        num_actions: A.
        seed: of the exploration draws.
        device: where the network is.
        use_bf16: run the network under bfloat16 autocast.
        with_autograd: build the graph while acting (the `slow_grads` rung: slow for no gain).
        is_captured: on a GPU, the network's kernels are launched as one.

    Source: Mnih et al. 2015 (epsilon-greedy); Kaelbling et al. 1996, section 2.2 (Boltzmann exploration).
    """

    def __init__(
        self,
        network: nn.Module,
        num_actions: int,
        seed: int,
        device: torch.device | str = "cpu",
        use_bf16: bool = False,
        with_autograd: bool = False,
        is_captured: bool = False,
    ) -> None:
        self.network = network
        self.num_actions = num_actions
        self.device = torch.device(device)
        self.use_bf16 = use_bf16
        self.with_autograd = with_autograd
        self.epsilon = 1.0
        self.temperature = 0.0  # in units of reward
        self._choose = on_device("acting", self._best, self.device, is_captured)
        # The draws stay on the CPU: the same seed explores alike on every device.
        self._generator = torch.Generator().manual_seed(seed)

    def act(self, observation: Tensor) -> Tensor:
        """Chooses one action per env; each env draws on its own.

        Args:
            observation: uint8 [E, K, H, W] on any device.

        Returns:
            int64 [E] on the observation's device.
        """
        num_envs = observation.shape[0]
        random_action = torch.randint(self.num_actions, (num_envs,), generator=self._generator)
        is_random = torch.rand(num_envs, generator=self._generator) < self.epsilon
        all_random = bool(is_random.all())
        random_action, is_random = sent(random_action, observation.device), sent(is_random, observation.device)
        if all_random:
            return random_action
        if isinstance(self.network, QNetwork):
            self.network.draw_noise(self._generator)
        noise = self._softmax_noise(num_envs)
        (best_action,) = self._choose(observation, noise)
        return torch.where(is_random, random_action, best_action.to(observation.device))

    def _best(self, observation: Tensor, noise: Tensor) -> tuple[Tensor]:
        """The best action int64 [E], once noise [E, A] is added to the values."""
        # A network of the caller's own may keep tensors from call to call, and nothing is learned with those of
        # inference mode.
        quietly = torch.inference_mode if isinstance(self.network, QNetwork) else torch.no_grad
        with (
            torch.enable_grad() if self.with_autograd else quietly(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.use_bf16),
        ):
            q_value = self.network(observation)  # [E, A]
        return ((q_value.detach() + noise).argmax(dim=1),)

    def _softmax_noise(self, num_envs: int) -> Tensor:
        """Makes the best of the values with it a draw from their softmax at the temperature, float32 [E, A].

        Source: the Gumbel-max trick, Maddison et al. 2014, section 2.
        """
        if self.temperature == 0:
            return torch.zeros(num_envs, self.num_actions)
        uniform = torch.rand((num_envs, self.num_actions), generator=self._generator)
        return self.temperature * uniform.log_().neg_().log_().neg_()

    def state_dict(self) -> dict[str, Any]:
        """What resumes: epsilon and the exploration generator."""
        return {"epsilon": self.epsilon, "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.epsilon = state["epsilon"]
        self._generator.set_state(state["generator"])
