"""The run configuration: frozen sections of fields with types and ranges.

Every field says its meaning, unit and the source of its default. What fields demand of each other is in rules.py.
"""

from __future__ import annotations

import difflib
import os
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rl_speed.emulator.actions import ACTION_NAMES
from rl_speed.emulator.games import NOT_FOR_ONE_PLAYER, game_names

# Mean returns that are said to solve a game; no other game has a goal of its own.
GOALS = {"pong": 19.5}
DEFAULT_GAME = "pong"


class Section(BaseModel):
    """A frozen group of settings that refuses unknown keys and silent type conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class EnvsConfig(Section):
    """The game, how it is shown to the network, and how many copies of it run in one process."""

    game: str = Field(DEFAULT_GAME, description="ALE game in snake_case, e.g. pong, ms_pacman")
    backend: Literal["classic", "ale_vector", "native", "cuda"] = Field(
        "ale_vector",
        description="classic: one Python env at a time; ale_vector: ale-py's C++ vector env; native: our own emulator; "
        "cuda: our own on the GPU, where frames stay",
    )
    mode: int | None = Field(
        None, ge=0, description="of the game, one that it has (not with ale_vector); null: its default"
    )
    difficulty: int = Field(
        0, ge=0, le=3, description="0: as ale-py starts; 1: left switch at A, 2: right, 3: both (not with ale_vector)"
    )
    count: int = Field(1, ge=1, le=65_536, description="envs stepped together in one process")
    threads: int = Field(0, ge=0, le=1024, description="threads of the vector env; 0: chosen from the cores")
    actions: Literal["minimal", "full"] | Annotated[tuple[str, ...], Field(strict=False)] = Field(
        "minimal", description="the game's minimal set, all that it takes (18 in most), or a list of ALE's names"
    )
    image_height: int = Field(84, ge=20, le=210, description="pixels (Mnih 2015: 84)")
    image_width: int = Field(84, ge=20, le=160, description="pixels (Mnih 2015: 84)")
    crop_top: int = Field(0, ge=0, le=200, description="rows cut from the resized image's top")
    crop_bottom: int = Field(0, ge=0, le=200, description="rows cut from the resized image's bottom")
    frame_stack: int = Field(4, ge=1, le=16, description="frames in one observation (Mnih 2015: 4)")
    frame_skip: int = Field(4, ge=1, le=60, description="frames per env step (Mnih 2015: 4)")
    max_pool: bool = Field(True, description="pixel maximum of the last two frames of a step (Mnih 2015)")
    noop_max: int = Field(30, ge=0, le=1000, description="a game starts with 0..noop_max-1 no-ops (Mnih 2015)")
    fire_on_reset: bool = Field(True, description="press FIRE once at the start, where the game has it")
    episodic_life: bool = Field(False, description="a lost life ends the return that is learned, not the game")
    clip_reward: bool = Field(True, description="learn from the reward clipped to -1..1 (Mnih 2015)")
    sticky_probability: float = Field(0.0, ge=0, lt=1, description="chance that ALE repeats the last action")
    max_episode_frames: int = Field(108_000, ge=4, description="time limit of a game in frames (30 minutes)")
    reseed_env_steps: int = Field(
        4000,
        ge=1,
        description="for resume: an env starts its next game from a fresh seed after this many env steps",
    )

    @field_validator("game")
    @classmethod
    def _known_game(cls, game: str) -> str:
        from ale_py import roms

        if game in NOT_FOR_ONE_PLAYER:
            raise ValueError("is a ROM that ale-py ships but cannot play with one player; choose another, e.g. pong")
        known = [name for name in roms.get_all_rom_ids() if name in game_names()]
        if game in known:
            return game
        near = difflib.get_close_matches(game.lower().replace("-", "_"), known, n=3) or ["pong", "breakout"]
        raise ValueError(f"is not a game of ale-py; did you mean {' or '.join(near)}?")

    @field_validator("actions")
    @classmethod
    def _known_actions(cls, actions: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(actions, str):
            return actions
        for name in actions:
            if name not in ACTION_NAMES:
                raise ValueError(f"holds {name!r}; use names from {', '.join(ACTION_NAMES)}")
        if len(set(actions)) != len(actions) or len(actions) < 2:
            raise ValueError("must hold at least two different action names")
        return actions

    @property
    def frame_height(self) -> int:
        """Rows of a stored frame, after the crop."""
        return self.image_height - self.crop_top - self.crop_bottom

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """(K, H, W) of what the network reads: frames, rows and columns."""
        return self.frame_stack, self.frame_height, self.image_width

    @property
    def is_default_variant(self) -> bool:
        """Whether the game is played as ale-py's vector env plays it: in its default mode, with the switches at B."""
        return self.mode is None and self.difficulty == 0


class ActorsConfig(Section):
    """Where experience is generated: in the learner's process, or in processes of its own, here or elsewhere."""

    kind: Literal["in_process", "subprocess", "ray"] = Field(
        "in_process",
        description="in_process: play and train in turn; subprocess: play and train apart; ray: apart, anywhere in a "
        "Ray cluster",
    )
    count: int = Field(1, ge=1, le=256, description="actor processes (not in_process), envs.count envs each")
    rollout_env_steps: int = Field(1, ge=1, le=4096, description="env steps of each env in one rollout")
    threads: int = Field(1, ge=1, le=256, description="torch threads of each actor process")
    networks: int = Field(
        1,
        ge=1,
        le=64,
        description="acting networks, each a rollout older than the one before; at most one for each actor",
    )
    free_running: bool = Field(
        False, description="learner and actors do not wait for each other; the replay ratio is what it is"
    )
    timeout_seconds: float = Field(60.0, gt=0, description="a silent but living actor is given up after this")
    address: str | None = Field(
        None,
        description="of a running Ray cluster's head, host:port, or auto where this machine is in one; null: a cluster "
        "of this machine alone, for this run alone",
    )

    @property
    def plays_apart(self) -> bool:
        """Whether games are played in processes of their own."""
        return self.kind != "in_process"

    @property
    def plays_elsewhere(self) -> bool:
        """Whether those processes may be on any machine."""
        return self.kind == "ray" and self.address is not None


class ReplayConfig(Section):
    """The memory of experience and what one sample of it means."""

    capacity_env_steps: int = Field(100_000, ge=1, description="transitions kept, all envs together")
    prefill_env_steps: int = Field(10_000, ge=1, description="random env steps before the first gradient step")
    n_step: int = Field(1, ge=1, le=100, description="rewards summed before bootstrapping (1: Mnih 2015)")
    gamma: float = Field(0.99, ge=0, le=1, description="discount of one env step (Mnih 2015)")
    priority_exponent: float = Field(0.0, ge=0, le=2, description="0: uniform; Schaul 2016 uses 0.6")
    importance_exponent: float = Field(0.4, ge=0, le=1, description="correction of the priorities (Schaul 2016)")
    device: Literal["cpu", "pinned", "cuda"] = Field("cpu", description="where the frames are kept")


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
        description="same values, faster on some CPUs: first layer over blocks of pixels, both double-DQN networks at "
        "once; auto: measured on this machine",
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
        "fp32", description="bf16: autocast to bfloat16; auto: the faster one, measured on this machine"
    )
    compile: bool = Field(False, description="torch.compile the loss (needs a C++ compiler on the CPU)")
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


class StopConfig(Section):
    """When the run ends."""

    reward: float | None = Field(
        None,
        description="goal: mean raw return of the last `window_episodes` training episodes (default: 19.5 for pong, "
        "none for other games); null: only a limit ends the run",
    )
    window_episodes: int = Field(
        100, ge=1, le=100_000, description="episodes in that mean; one for each env where those are more"
    )
    max_env_steps: int | None = Field(None, ge=1, description="give up after this many env steps")
    max_gradient_steps: int | None = Field(None, ge=1, description="give up after this many gradient steps")
    max_seconds: float | None = Field(
        None, gt=0, description="give up after this wall time, from the start of the program on"
    )
    confirm_episodes: int = Field(
        30, ge=0, le=10_000, description="fresh games whose mean has to reach the goal too; 0: none"
    )
    confirm_epsilon: float = Field(0.01, ge=0, le=1, description="epsilon of the confirmation")
    confirm_attempts: int = Field(
        10, ge=1, le=1000, description="confirmations below the goal after which the run ends unsolved"
    )
    confirm_unsolved: bool = Field(False, description="play those games also where the run ended without its goal")


class CheckpointConfig(Section):
    """How often the run is saved, and what with it."""

    every_seconds: float = Field(300.0, gt=0, description="wall time between checkpoints")
    keep: int = Field(2, ge=1, le=1000, description="checkpoints kept, the newest ones")
    save_replay: bool = Field(True, description="false: a resumed run fills its replay anew")


class LoggingConfig(Section):
    """What is shown and where it goes."""

    directory: str = Field(
        "lightning_logs", min_length=1, description="folder of the runs; version_N is made inside it"
    )
    every_seconds: float = Field(2.0, gt=0, description="wall time between points of loss, epsilon and speed")
    print_episodes: bool = Field(False, description="one line per finished episode")
    progress_bar: bool = Field(True, description="the live progress bar, where the output is a terminal")

    @field_validator("directory")
    @classmethod
    def _expanded(cls, directory: str) -> str:
        return os.path.expanduser(os.path.expandvars(directory))


class TrainerConfig(Section):
    """What is handed to Lightning's Trainer."""

    accelerator: Literal["auto", "cpu", "gpu"] = Field("auto", description="auto: a GPU where CUDA works")
    devices: int = Field(
        1, ge=1, le=1024, description="ranks on each machine, which learn together: its GPUs, or processes on its CPU"
    )
    num_nodes: int = Field(1, ge=1, le=1024, description="machines; more than one take a launcher (docs/devices.md)")
    launcher: Literal["auto", "ray"] = Field(
        "auto",
        description="auto: ranks are started here, or by torchrun or srun; ray: as workers of Ray Train in a cluster, "
        "all of them anew from the last checkpoint when one dies",
    )
    max_restarts: int = Field(3, ge=0, le=1000, description="of all ranks, with launcher = ray")
    timeout_seconds: float = Field(300.0, gt=0, description="ranks that have not come after this are given up")

    @property
    def world_size(self) -> int:
        """W: ranks on all machines together."""
        return self.devices * self.num_nodes


class RunConfig(Section):
    """Everything that decides a run."""

    description: str = Field("", description="one line about the preset")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of networks, exploration, replay and envs")
    envs: EnvsConfig = Field(default_factory=EnvsConfig)
    actors: ActorsConfig = Field(default_factory=ActorsConfig)
    replay: ReplayConfig = Field(default_factory=ReplayConfig)
    network: NetworkConfig = Field(default_factory=NetworkConfig)
    update: UpdateConfig = Field(default_factory=UpdateConfig)
    exploration: ExplorationConfig = Field(default_factory=ExplorationConfig)
    annealing: AnnealingConfig = Field(default_factory=AnnealingConfig)
    stop: StopConfig = Field(default_factory=StopConfig)
    checkpoint: CheckpointConfig = Field(default_factory=CheckpointConfig)
    logging: LoggingConfig = Field(default_factory=LoggingConfig)
    trainer: TrainerConfig = Field(default_factory=TrainerConfig)

    @model_validator(mode="before")
    @classmethod
    def _goal_of_the_game(cls, content: Any) -> Any:
        """A goal that nothing is said of is the game's."""
        envs, stop = (content.get(name, {}) if isinstance(content, dict) else None for name in ("envs", "stop"))
        if not (isinstance(envs, dict) and isinstance(stop, dict)) or "reward" in stop:
            return content
        return {**content, "stop": {**stop, "reward": GOALS.get(str(envs.get("game", DEFAULT_GAME)))}}

    @property
    def total_envs(self) -> int:
        """Envs of all players together."""
        return self.envs.count * self.num_players

    @property
    def num_players(self) -> int:
        """Actors, or the one process that plays and learns in turn."""
        return self.actors.count if self.actors.plays_apart else 1
