"""The sections that say what learns, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rl_speed.config.section import Section


class NetworkConfig(Section):
    """The shape of the Q-network, and what it says of an action."""

    kind: Literal["convolutional", "impala"] = Field(
        "convolutional", description="convolutional: a row of convolutions; impala: the residual one of Espeholt 2018"
    )
    channels: tuple[int, ...] = Field(
        (32, 64, 64), strict=False, description="per convolution (Mnih 2015), or per stage (Espeholt 2018: 16, 32, 32)"
    )
    kernels: tuple[int, ...] = Field((8, 4, 3), strict=False, description="pixels, per convolution; not of impala")
    strides: tuple[int, ...] = Field((4, 2, 1), strict=False, description="pixels, per convolution; not of impala")
    hidden: int = Field(512, ge=1, le=65536, description="units of the hidden layer (of each head if dueling)")
    dueling: bool = Field(False, description="separate value and advantage heads (Wang 2016)")
    standardise: bool = Field(
        False,
        description="images minus their mean over the prefill, divided by the deviation, instead of /255",
    )
    normalise: bool = Field(False, description="GroupNorm (one group) per convolution, LayerNorm per head")
    fused: bool | Literal["auto"] = Field(
        False,
        description="same values, faster on some CPUs: first layer over blocks of pixels, which C++ prepares "
        "where there is a compiler; auto: measured on this machine",
    )

    value: Literal["expected", "categorical", "quantile"] = Field(
        "expected",
        description="what is said of an action: its mean return, or the distribution of its returns by the "
        "probabilities of fixed ones (Bellemare 2017) or by quantiles (Dabney 2018)",
    )
    atoms: int = Field(51, ge=2, le=1001, description="fixed returns of value = categorical (Bellemare 2017: 51)")
    value_range: tuple[float, float] = Field(
        (-10.0, 10.0), strict=False, description="the lowest and the highest of them (Bellemare 2017: -10, 10)"
    )
    quantiles: int = Field(200, ge=1, le=1000, description="of value = quantile (Dabney 2018: 200)")
    noisy: bool = Field(False, description="noise of a learned size in the heads, which explores (Fortunato 2018)")
    noisy_sigma: float = Field(0.5, gt=0, le=10, description="its size at the start (Fortunato 2018: 0.5)")

    @property
    def can_be_fused(self) -> bool:
        """Whether the first layer can read blocks of stride x stride pixels."""
        return self.kind == "convolutional" and self.kernels[0] % self.strides[0] == 0

    @property
    def may_be_fused(self) -> bool:
        """Whether it can be and nobody has said that it shall not."""
        return self.can_be_fused and self.fused is not False

    @property
    def is_fused(self) -> bool:
        """`fused`, once the plan has decided."""
        assert self.fused != "auto", "training/plan.py decides network.fused first"
        return self.fused


class UpdateConfig(Section):
    """The gradient step: what it minimises, how often it is taken, and in which precision."""

    batch_size: int = Field(32, ge=1, le=65536, description="transitions per gradient step (Mnih 2015)")
    env_steps_per_gradient_step: float = Field(
        1.0, gt=0, le=1e6, description="replay ratio: env steps taken, all envs together, per gradient step"
    )
    gradient_steps_per_batch: int = Field(1, ge=1, le=1024, description="gradient steps in one training_step")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Adam's step size")
    adam_epsilon: float = Field(1e-8, gt=0, le=1, description="Adam's epsilon")
    max_gradient_norm: float | None = Field(None, gt=0, description="gradients are scaled down to this norm")
    loss: Literal["mse", "huber"] = Field(
        "mse", description="of the TD error, with network.value = expected; huber: Mnih 2015's clipping"
    )
    double: bool = Field(False, description="the online network chooses the next action (van Hasselt 2016)")
    munchausen: float | None = Field(
        None,
        gt=0,
        le=1,
        description="share of the action's log-probability that is added to its reward, under a softmax that also "
        "gives the next action (Vieillard 2020: 0.9); null: the best action is next",
    )
    entropy_temperature: float = Field(0.03, gt=0, le=100, description="of that softmax (Vieillard 2020: 0.03)")
    log_policy_min: float = Field(
        -1.0, lt=0, description="least value of temperature x log-probability there (Vieillard 2020: -1)"
    )
    target_sync_gradient_steps: int = Field(1000, ge=1, description="gradient steps between hard target syncs")
    target_sync_rate: float | None = Field(
        None, gt=0, le=1, description="soft sync instead: share of the online weights taken per gradient step"
    )
    averaging_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="an exponential mean of the weights plays, in training and where the run is judged: share of the "
        "online weights taken per gradient step (Schwarzer 2023: 0.005); null: the online network plays",
    )
    precision: Literal["fp32", "bf16", "auto"] = Field(
        "fp32",
        description="bf16: autocast to bfloat16; auto: measured on this machine, bf16 unless fp32 is 1.5 times as fast",
    )
    compile: bool = Field(False, description="torch.compile the loss (needs a C++ compiler on the CPU)")
    cuda_graph: bool | Literal["auto"] = Field(
        "auto",
        description="a gradient step, acting beside it and the replay's work are each captured once and launched as a "
        "whole; auto: on a GPU, unless the loss is compiled or the network is the caller's own",
    )
    shards: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = Field(
        1,
        description="parts of a minibatch whose gradients are computed at once, on cores of their own; auto: measured "
        "on this machine",
    )
    first_shard: Annotated[float, Field(gt=0, lt=1)] | Literal["auto"] = Field(
        "auto",
        description="share of a minibatch that the learner's own thread computes, where there are several parts; auto: "
        "more than the others' where games are played on their cores",
    )
    uint8_to_device: bool = Field(True, description="false: frames become float32 before they are transferred")
    slow_grads: bool = Field(False, description="the mistake to measure: autograd on in acting and targets")
    threads: int = Field(0, ge=0, le=1024, description="torch threads of the learner; 0: chosen from the cores")

    @property
    def uses_bf16(self) -> bool:
        """Whether networks run under bfloat16 autocast, once the plan has decided."""
        assert self.precision != "auto", "training/plan.py decides update.precision first"
        return self.precision == "bf16"

    @property
    def is_captured(self) -> bool:
        """Whether gradient steps are captured; not as long as nobody has decided `cuda_graph`."""
        return self.cuda_graph is True

    @property
    def num_shards(self) -> int:
        """`shards`, once the plan has decided."""
        assert self.shards != "auto", "training/plan.py decides update.shards first"
        return self.shards

    def shard_sizes(self, samples: int) -> list[int]:
        """Samples of each part of a minibatch; as good as equal where `first_shard` is `auto`."""
        count = self.num_shards
        first = 1 / count if self.first_shard == "auto" or count == 1 else self.first_shard
        ends = [round(samples * (first + (1 - first) * n / max(1, count - 1))) for n in range(count)]
        return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]


class ExplorationConfig(Section):
    """Which actions are not the best one: epsilon-greedy, and a softmax over the values."""

    epsilon_start: float = Field(1.0, ge=0, le=1, description="epsilon during the prefill and right after it")
    epsilon_end: float = Field(0.02, ge=0, le=1, description="epsilon after the decay")
    decay_env_steps: int = Field(100_000, ge=1, description="env steps of the linear decay, after the prefill")
    temperature: float = Field(
        0.0, ge=0, le=100, description="of the softmax, in units of clipped reward; 0: the best action (Kaelbling 1996)"
    )


class AnnealingConfig(Section):
    """What is led from its value elsewhere to a final one while a run goes on, and what leads it; none: it stays."""

    gradient_steps: int = Field(0, ge=0, description="it takes so many gradient steps; 0: not by steps")
    returns: Annotated[tuple[float, float], Field(strict=False)] | None = Field(
        None, description="mean returns of the last 20 games between which it happens instead (docs/notebook.md)"
    )
    fall_back_episodes: int | None = Field(
        30, ge=1, description="where returns fall, games in which it goes back two thirds of the way; null: it does not"
    )
    learning_rate: float | None = Field(None, gt=0, le=1, description="final update.learning_rate")
    env_steps_per_gradient_step: float | None = Field(
        None, gt=0, le=1e6, description="final update.env_steps_per_gradient_step"
    )
    epsilon: float | None = Field(None, ge=0, le=1, description="final epsilon, from exploration.epsilon_end")
    temperature: float | None = Field(None, ge=0, le=100, description="final exploration.temperature")
    n_step: int | None = Field(None, ge=1, le=100, description="final replay.n_step (Schwarzer 2023: 3, from 10)")
    gamma: float | None = Field(None, ge=0, le=1, description="final replay.gamma (Schwarzer 2023: 0.997, from 0.97)")
    importance_exponent: float | None = Field(
        None, ge=0, le=1, description="final replay.importance_exponent (Schaul 2016: 1, from 0.4)"
    )
