"""The learner: online and target network, and the gradient step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer

from rl_speed.config import RunConfig
from rl_speed.learner.gradient import ShardedGradient
from rl_speed.learner.network import QNetwork, value_of_both
from rl_speed.learner.td import td_loss, td_target
from rl_speed.records import Batch
from rl_speed.system.stage_timer import StageTimer


class DQNModule(pl.LightningModule):
    """A DQN under manual optimisation: one `training_step` takes N gradient steps.

    Args:
        config: network and update.
        num_actions: A.
        clock: charged with transfer and update.

    Source: Mnih et al. 2015, algorithm 1.
    Differs: Adam instead of RMSProp; n-step returns, double, dueling and priorities as configured.
    """

    def __init__(self, config: RunConfig, num_actions: int, clock: StageTimer) -> None:
        super().__init__()
        self.automatic_optimization = False
        self._config, self._clock = config.update, clock
        self._fused = config.network.fused
        shape = (config.envs.frame_stack, config.envs.frame_height, config.envs.image_width, num_actions)
        self.online_network = QNetwork(config.network, *shape)
        self.target_network = QNetwork(config.network, *shape)
        self.target_network.requires_grad_(config.update.slow_grads)
        self.sync_target(rate=None)
        # The loss is compiled, not the module: Lightning's hooks would break the graph.
        self.compiled_loss: Callable[[Batch], tuple[Tensor, Tensor]] = (
            torch.compile(self.loss, dynamic=False) if config.update.compile else self.loss
        )
        self._sharded = ShardedGradient(self.loss, config.update) if config.update.shards > 1 else None

    def forward(self, observation: Tensor) -> Tensor:
        """q_value [B, A] of the online network."""
        q_value: Tensor = self.online_network(observation)
        return q_value

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss [] and |td_error| [B] of one minibatch."""
        with torch.set_grad_enabled(self._config.slow_grads):
            next_q_target, next_q_online = self._next_q_values(batch.next_observation)
            target = td_target(batch.n_step_return, batch.bootstrap_discount, next_q_target, next_q_online)
        # slow_grads built the graph of the target for nothing; the gradient must not flow through it.
        target = target.detach()
        with torch.enable_grad():
            q_value = self.online_network(batch.observation)
            return td_loss(q_value, batch.action, target, batch.is_valid, batch.weight, self._config.loss)

    def _next_q_values(self, next_observation: Tensor) -> tuple[Tensor, Tensor | None]:
        """q_value [B, A] of the target network and, for double DQN, of the online network."""
        if not self._config.double:
            return self.target_network(next_observation), None
        if self._fused:
            return value_of_both(self.target_network, self.online_network, next_observation)
        return self.target_network(next_observation), self.online_network(next_observation)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Takes one gradient step per minibatch.

        Returns:
            loss float32 [N] and td_error float32 [N, B], detached, on the device.
        """
        with self._clock.measure("update"):
            losses, errors = [], []
            for n in range(batch.gradient_steps):
                loss, error = self._gradient_step(batch.minibatch(n))
                losses.append(loss)
                errors.append(error)
            return {"loss": torch.stack(losses), "td_error": torch.stack(errors)}

    def _gradient_step(self, minibatch: Batch) -> tuple[Tensor, Tensor]:
        optimizer: Any = self.optimizers()
        optimizer.zero_grad(set_to_none=True)
        # Lightning's autocast lasts for the whole training_step and would go on with the bfloat16 copies of the weights
        # that the first gradient step made.
        torch.clear_autocast_cache()
        if self._sharded is not None:
            loss, error = self._sharded(minibatch, list(self.online_network.parameters()))
        else:
            loss, error = self.compiled_loss(minibatch)
            self.manual_backward(loss)
        if self._config.max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.online_network.parameters(), self._config.max_gradient_norm)
        optimizer.step()
        return loss.detach(), error

    @torch.no_grad()
    def sync_target(self, rate: float | None) -> None:
        """Moves the target network to the online one: wholly (None), or by a share `rate` of the way."""
        online, target = self.online_network.state_dict(), self.target_network.state_dict()
        for name, tensor in target.items():
            if rate is None:
                tensor.copy_(online[name])
            else:
                tensor.lerp_(online[name], rate)

    def configure_optimizers(self) -> Optimizer:
        """Adam over the online network only."""
        return torch.optim.Adam(
            self.online_network.parameters(),
            lr=self._config.learning_rate,
            eps=self._config.adam_epsilon,
            fused=True,
        )

    def set_learning_rate(self, learning_rate: float) -> None:
        """Sets the step size of all parameters."""
        optimizer: Any = self.optimizers()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Moves a batch; nothing is copied if it is there already."""
        with self._clock.measure("transfer"):
            return batch.to(device)
