"""The learner: online and target network, and the gradient step."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rl_speed.config import UpdateConfig
from rl_speed.learner.captured import CapturedStep, StepParts
from rl_speed.learner.compiled import compiled
from rl_speed.learner.gradient import Gradient
from rl_speed.learner.mean import GradientMean
from rl_speed.learner.network import QNetwork, output_of, outputs_of_both, value_kind_of
from rl_speed.learner.td import Backup, greedy_backup, munchausen_backup, weighted_mean
from rl_speed.records import Batch
from rl_speed.system.stage_timer import StageTimer


class DQNModule(pl.LightningModule):
    """A DQN under manual optimisation: one `training_step` takes N gradient steps.

    Args:
        online_network: uint8 or float32 [B, K, H, W] -> q_value [B, A]; it is trained.
        target_network: of the same shape; it becomes a copy of the online one.
        config: the gradient step, with nothing left to decide.
        timer: charged with transfer and update.
        mean: of the gradients of ranks that learn together; None: there is one.

    Source: Mnih et al. 2015, algorithm 1.
    Differs: Adam instead of RMSProp; n-step returns, double, Munchausen targets, distributions, dueling, noise and
        priorities as configured; an exponential mean of the weights acts if `averaging_rate` is set (Schwarzer et al.
        2023 act with their soft target network).
    """

    def __init__(
        self,
        online_network: nn.Module,
        target_network: nn.Module,
        config: UpdateConfig,
        timer: StageTimer,
        mean: GradientMean | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self._config, self._timer = config, timer
        self.online_network, self.target_network = online_network, target_network
        self._values = value_kind_of(online_network)
        self.average_network: nn.Module | None = None
        if config.averaging_rate is not None:
            self.average_network = deepcopy(online_network).requires_grad_(config.slow_grads)
        self.target_network.requires_grad_(config.slow_grads)
        self.sync_target()
        # The loss is compiled, not the module: Lightning's hooks would break the graph.
        self.gradient = Gradient(compiled(self.loss) if config.compile else self.loss, config)
        self._mean = mean
        self._take_step = CapturedStep(self.step_parts) if config.is_captured else self._step

    def forward(self, observation: Tensor) -> Tensor:
        """q_value [B, A] of the online network."""
        q_value: Tensor = self.online_network(observation)
        return q_value

    @property
    def acting_network(self) -> nn.Module:
        """The network that plays, in training and wherever the run is judged."""
        return self.online_network if self.average_network is None else self.average_network

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss [] and size of the errors [B] of one minibatch."""
        with torch.set_grad_enabled(self._config.slow_grads):
            next_output, backup = self._backup(batch)
            target = self._values.target(next_output, backup)
        # slow_grads built the graph of the target for nothing; the gradient must not flow through it.
        target = target.detach()
        with torch.enable_grad():
            output = output_of(self.online_network, batch.observation)  # [B, A, M]
            index = batch.action[:, None, None].expand(-1, 1, output.shape[2])
            chosen = output.gather(1, index).squeeze(1).float()  # [B, M]
            loss, error = self._values.loss(chosen, target, self._config.loss)
            return weighted_mean(loss, batch.is_valid, batch.weight), error * batch.is_valid

    def _backup(self, batch: Batch) -> tuple[Tensor, Backup]:
        """The target network's output [B, A, M] of the next observation, and how the next action is chosen."""
        rewards, target = (batch.n_step_return, batch.bootstrap_discount), self.target_network
        if self._config.double:
            next_output, online_output = outputs_of_both(target, self.online_network, batch.next_observation)
            return next_output, greedy_backup(*rewards, self._values.q_value(online_output))
        next_output = output_of(target, batch.next_observation)
        next_q_value = self._values.q_value(next_output)
        if self._config.munchausen is None:
            return next_output, greedy_backup(*rewards, next_q_value)
        q_value = self._values.q_value(output_of(target, batch.observation))
        return next_output, munchausen_backup(*rewards, next_q_value, q_value, batch.action, self._config)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Takes one gradient step per minibatch.

        Returns:
            loss float32 [N], of all ranks, and td_error float32 [N, B] of this one, the size of each sample's error,
            detached, on the device.
        """
        optimizer: Any = self.optimizers()
        with self._timer.measure("update"):
            losses, errors = [], []
            for n in range(batch.gradient_steps):
                loss, error = self.gradient_step(batch.minibatch(n), optimizer)
                losses.append(loss)
                errors.append(error)
            return {"loss": torch.stack(losses), "td_error": torch.stack(errors)}

    def gradient_step(self, minibatch: Batch, optimizer: Any) -> tuple[Tensor, Tensor]:
        """One step of the optimizer; also what the plan's probe and the bench time.

        Args:
            minibatch: without the axis N.
            optimizer: of `configure_optimizers`, or Lightning's wrapper around it, which counts the steps.

        Returns:
            loss [] and size of the errors [B], detached.
        """
        for network in (self.online_network, self.target_network):
            if isinstance(network, QNetwork):
                network.draw_noise()
        return self._take_step(minibatch, optimizer)

    def _step(self, minibatch: Batch, optimizer: Any) -> tuple[Tensor, Tensor]:
        parts = self.step_parts
        loss, error = parts.gradient(minibatch)
        if parts.share is not None:
            loss = parts.share(loss, minibatch)
        parts.apply(optimizer)
        return loss, error

    @property
    def step_parts(self) -> StepParts:
        """A gradient step, part by part."""
        return StepParts(self._compute_gradient, None if self._mean is None else self._share, self._apply_gradient)

    def _compute_gradient(self, minibatch: Batch) -> tuple[Tensor, Tensor]:
        return self.gradient(minibatch, self._trained_parameters())

    def _share(self, loss: Tensor, minibatch: Batch) -> Tensor:
        assert self._mean is not None
        return self._mean(self._trained_parameters(), loss, minibatch.is_valid.sum())

    def _apply_gradient(self, optimizer: Any) -> None:
        parameters = self._trained_parameters()
        if self._config.max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, self._config.max_gradient_norm)
        optimizer.step()
        if self._config.target_sync_rate is not None:
            self.sync_target(self._config.target_sync_rate)
        if self.average_network is not None:
            assert self._config.averaging_rate is not None
            _follow(self.online_network, self.average_network, self._config.averaging_rate)

    def sync_target(self, rate: float = 1.0) -> None:
        """Moves the target network towards the online one, by a share `rate` of the way; 1: wholly.

        Source: a share per gradient step: Lillicrap et al. 2016, algorithm 1.
        """
        _follow(self.online_network, self.target_network, rate)

    def configure_optimizers(self) -> Optimizer:
        """Adam over the online network only."""
        parameters = self._trained_parameters()
        return torch.optim.Adam(
            parameters,
            lr=self._step_size(self._config.learning_rate, parameters[0].device),
            eps=self._config.adam_epsilon,
            fused=True,
            capturable=self._config.is_captured,
        )

    def _step_size(self, rate: float, device: torch.device) -> float | Tensor:
        """As the optimizer reads it: a graph reads it from the device, each time."""
        return torch.tensor(rate, device=device) if self._config.is_captured else rate

    def _trained_parameters(self) -> list[nn.Parameter]:
        """A network of the caller's own may hold others, such as those of an encoder that is used as it is."""
        return [parameter for parameter in self.online_network.parameters() if parameter.requires_grad]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Fits networks that were saved with averaged weights, or without, to whether there are any now."""
        state = checkpoint["state_dict"]
        averaged = [name for name in state if name.startswith("average_network.")]
        if self.average_network is None:
            for name in averaged:
                del state[name]
        elif not averaged:
            for name in [name for name in state if name.startswith("online_network.")]:
                state[name.replace("online_network", "average_network", 1)] = state[name].clone()

    def on_train_start(self) -> None:
        """A resumed run's optimizer has come back with the settings of its checkpoint; those of now hold.

        Its step size may be a tensor where a number is wanted, or the other way round.
        """
        for group in self._parameter_groups():
            group["eps"] = self._config.adam_epsilon
            group["capturable"] = self._config.is_captured
            group["lr"] = self._step_size(float(group["lr"]), self.device)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        optimizer: Any = self.optimizers()
        groups: list[dict[str, Any]] = optimizer.param_groups
        return groups

    def set_learning_rate(self, learning_rate: float) -> None:
        """Sets the step size of all parameters."""
        for group in self._parameter_groups():
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(learning_rate)
            else:
                group["lr"] = learning_rate

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Moves a batch; nothing is copied if it is there already."""
        with self._timer.measure("transfer"):
            return batch.to(device)


@torch.no_grad()
def _follow(leader: nn.Module, follower: nn.Module, rate: float) -> None:
    """Moves one network's weights and buffers a share `rate` of the way towards another's."""
    kinds: dict[bool, tuple[list[Tensor], list[Tensor]]] = {True: ([], []), False: ([], [])}
    for source, tensor in zip(_tensors(leader), _tensors(follower), strict=True):
        sources, tensors = kinds[rate < 1.0 and tensor.is_floating_point()]
        sources.append(source)
        tensors.append(tensor)
    # All at once: on a GPU each tensor is a launch otherwise.
    for is_mixed, (sources, tensors) in kinds.items():
        if tensors and is_mixed:
            torch._foreach_lerp_(tensors, sources, rate)
        elif tensors:
            torch._foreach_copy_(tensors, sources)


def _tensors(network: nn.Module) -> list[Tensor]:
    """Weights and buffers; one that is used in several places is there once."""
    return [*network.parameters(), *network.buffers()]
