"""Builds a run from its configuration and carries it out: the only place where objects are wired."""

from __future__ import annotations

import logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import yaml
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import Callback
from rich.console import Console

from rl_speed.config import RunConfig
from rl_speed.emulator.compiler import CompilerMissingError
from rl_speed.experience.dataset import ExperienceDataset
from rl_speed.experience.envs import make_env
from rl_speed.experience.generators.actors import start_actors
from rl_speed.experience.generators.in_process import InProcessGenerator
from rl_speed.experience.generators.protocol import RolloutGenerator
from rl_speed.experience.policy import EpsilonGreedyPolicy
from rl_speed.experience.replay import Replay, make_replay
from rl_speed.learner.module import DQNModule
from rl_speed.system.errors import ConfigError, UserError
from rl_speed.system.machine import has_cpp_compiler, has_cuda, usable_cores
from rl_speed.system.stage_timer import StageTimer
from rl_speed.training.callbacks import (
    Annealing,
    EpisodePrinter,
    EpisodeStatistics,
    EpsilonDecay,
    FpsLogger,
    InputStandardisation,
    PriorityUpdate,
    StopAtLimits,
    StopAtReward,
    TargetSync,
)
from rl_speed.training.checkpoint import (
    MODEL_FILE,
    CheckpointWriter,
    PlainCheckpointIO,
    RandomStateRestorer,
    read_model,
    restore_experience,
)
from rl_speed.training.evaluation import play_games
from rl_speed.training.logger import RunLogger
from rl_speed.training.plan import plan_threads
from rl_speed.training.progress import ProgressBar
from rl_speed.training.result import last_line, make_result, write_result
from rl_speed.training.signals import OwnSignals, stop_on_signals


@dataclass
class Run:
    """All objects of a run, wired."""

    config: RunConfig
    trainer: pl.Trainer
    module: DQNModule
    policy: EpsilonGreedyPolicy
    dataset: ExperienceDataset
    clock: StageTimer
    statistics: EpisodeStatistics
    fps: FpsLogger
    stop_at_reward: StopAtReward
    stop_at_limits: StopAtLimits
    checkpoints: CheckpointWriter
    directory: Path


def _seeds(config: RunConfig, rank: int, attempt: int) -> dict[str, Any]:
    """Independent seeds for everything random in one rank; `attempt` differs after a resume with new games."""

    def draw(*key: int) -> int:
        return int(np.random.SeedSequence([config.seed, rank, *key]).generate_state(1)[0] >> 1)

    return {
        "policy": draw(1),
        "replay": draw(2),
        "env": draw(3),
        "actors": [(draw(4, i, attempt), draw(5, i, attempt)) for i in range(config.actors.count)],
    }


def _device(config: RunConfig) -> torch.device:
    wants = config.trainer.accelerator
    if config.envs.backend == "cuda" and not has_cuda():
        raise ConfigError(
            "envs.backend = cuda, but CUDA does not work here; see `rl-speed doctor`, or play on the CPU with a preset "
            "such as native"
        )
    if wants == "gpu" and not has_cuda():
        raise ConfigError(
            "trainer.accelerator = gpu, but CUDA does not work here; use --set trainer.accelerator=cpu, or see "
            "`rl-speed doctor`"
        )
    return torch.device("cuda" if wants != "cpu" and has_cuda() else "cpu")


class Stopwatch:
    """Wall time of a run, earlier parts of a resumed run included."""

    def __init__(self, earlier_seconds: float = 0.0) -> None:
        self._start = time.monotonic() - earlier_seconds

    def elapsed_seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._start


class CloseGenerator(Callback):
    """Ends games and actor processes, however the run ends; comes last."""

    def __init__(self, generator: RolloutGenerator) -> None:
        self._generator = generator

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """The normal end."""
        self._generator.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Every other end."""
        self._generator.close()


def _with_playable_backend(config: RunConfig, console: Console, resumes: bool) -> RunConfig:
    """The configuration, with ale-py instead of our own emulator where that cannot be compiled."""
    if config.envs.backend != "native":
        return config
    try:
        make_env(config.envs, 1, 0, 1, can_resume=False).close()
    except CompilerMissingError as error:
        if resumes:
            raise UserError(f"{error} The run that is resumed was played on our own emulator.") from error
        print_plain(console, f"{error} ale-py plays instead.")
        return config.model_copy(update={"envs": config.envs.model_copy(update={"backend": "ale_vector"})})
    return config


def build(
    config: RunConfig,
    preset: str,
    stop: threading.Event,
    watch: Stopwatch,
    console: Console,
    resume: Path | None = None,
    version: int | None = None,
) -> Run:
    """Makes every object of a run.

    Args:
        config: the run.
        preset: its name.
        stop: set when the run should end.
        watch: the run's wall time.
        console: where the user reads.
        resume: folder of the checkpoint to go on from.
        version: number of the run's folder; None: the next free one.
    """
    device = _device(config)
    if device.type != "cpu" and config.update.shards > 1:
        raise ConfigError(
            f"update.shards = {config.update.shards} is for the CPU; set it to 1, or trainer.accelerator to cpu"
        )
    config = _with_playable_backend(config, console, resume is not None)
    threads = plan_threads(config, usable_cores())
    torch.set_num_threads(threads.learner)
    if config.update.compile and not has_cpp_compiler():
        print_plain(console, "no C++ compiler found, so the update is not compiled; install g++ to make it faster")
        config = config.model_copy(update={"update": config.update.model_copy(update={"compile": False})})
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    attempt = 0 if resume is None else 1 + read_model(resume)["global_step"]
    seeds = _seeds(config, rank, attempt)
    torch.manual_seed(config.seed)

    def tell(text: str) -> None:
        if rank == 0:
            print_plain(console, text)

    replay = make_replay(config, seeds["replay"], tell)
    clock = StageTimer()
    num_actions, env = _first_env(config, seeds["env"], threads.env)
    module = DQNModule(config, num_actions, clock)
    module.to(device)
    policy = EpsilonGreedyPolicy(
        module.online_network,
        num_actions,
        seeds["policy"],
        device,
        use_bf16=config.update.precision == "bf16",
        with_autograd=config.update.slow_grads,
    )
    policy.epsilon = config.exploration.epsilon_start
    generator: RolloutGenerator
    if env is not None:
        generator = InProcessGenerator(env, policy, config.envs, config.actors.rollout_env_steps, clock)
    else:
        generator = start_actors(config, policy, seeds["actors"], threads.env, clock, stop)
    try:
        return _wire(
            config, preset, stop, watch, console, tell, resume, version, replay, clock, module, policy, generator
        )
    except BaseException:
        generator.close()
        raise


def _wire(
    config: RunConfig,
    preset: str,
    stop: threading.Event,
    watch: Stopwatch,
    console: Console,
    tell: Callable[[str], None],
    resume: Path | None,
    version: int | None,
    replay: Replay,
    clock: StageTimer,
    module: DQNModule,
    policy: EpsilonGreedyPolicy,
    generator: RolloutGenerator,
) -> Run:
    """Dataset, callbacks and trainer around what generates and what learns."""
    deadline = None if config.stop.max_seconds is None else time.monotonic() + config.stop.max_seconds
    dataset = ExperienceDataset(generator, replay, config, clock, stop, deadline)
    callbacks: list[Callback] = [OwnSignals()]
    if resume is not None:
        rank = int(os.environ.get("LOCAL_RANK", "0"))
        callbacks.append(RandomStateRestorer(restore_experience(dataset, resume, rank, tell)))
    logger = RunLogger(config.logging.directory, version, tell)
    directory = Path(logger.log_dir)
    statistics = EpisodeStatistics(config.stop, config.total_envs, dataset, watch.elapsed_seconds)
    fps = FpsLogger(dataset, policy, clock, config.logging.every_seconds)
    stop_at_reward = StopAtReward(statistics)
    stop_at_limits = StopAtLimits(config.stop, dataset, stop, deadline)
    checkpoints = CheckpointWriter(config, preset, dataset, directory / "checkpoints", watch.elapsed_seconds, tell)
    if config.network.standardise:
        callbacks.append(InputStandardisation(dataset))
    annealing = Annealing(config, dataset, statistics)
    callbacks += [fps, annealing]
    if config.replay.priority_exponent > 0:
        callbacks.append(PriorityUpdate(dataset, clock))
    callbacks += [TargetSync(config), EpsilonDecay(config, dataset, policy, annealing), statistics]
    if config.logging.print_episodes:
        callbacks.append(EpisodePrinter(statistics, tell))
    if config.logging.progress_bar:
        callbacks.append(ProgressBar(config.stop, dataset, policy, statistics, fps, watch.elapsed_seconds, console))
    # Checkpoints after everything that changes with a batch, and before the processes are closed.
    callbacks += [stop_at_reward, stop_at_limits, checkpoints, CloseGenerator(generator)]
    trainer = pl.Trainer(
        accelerator="gpu" if policy.device.type == "cuda" else "cpu",
        devices=config.trainer.devices,
        precision="bf16-mixed" if config.update.precision == "bf16" else "32-true",
        logger=logger,
        callbacks=callbacks,
        # A finished epoch would end a resumed run at once; epochs mean nothing here.
        max_epochs=-1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1_000_000_000,
        use_distributed_sampler=False,
        # Lightning would guess a cluster from the environment, e.g. under SLURM.
        plugins=[PlainCheckpointIO(), LightningEnvironment()],
    )
    return Run(
        config,
        trainer,
        module,
        policy,
        dataset,
        clock,
        statistics,
        fps,
        stop_at_reward,
        stop_at_limits,
        checkpoints,
        directory,
    )


def print_plain(console: Console, text: str) -> None:
    """Prints a line as it is: brackets in a path are no markup."""
    console.print(text, highlight=False, soft_wrap=True, markup=False)


def _first_env(config: RunConfig, seed: int, threads: int) -> tuple[int, Any]:
    """Number of actions, and the games if they are played in this process."""
    if config.actors.kind == "in_process":
        env = make_env(config.envs, config.envs.count, seed, threads)
        return env.num_actions, env
    probe = make_env(config.envs, 1, seed, 1)
    try:
        return probe.num_actions, None
    finally:
        probe.close()


def quiet_lightning() -> None:
    """Silences advice that does not apply here: the loader has no workers by design, logs have their own axes."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    for text in (".*does not have many workers.*", ".*treespec.*", ".*`isinstance.treespec.*", ".*barrier.*"):
        warnings.filterwarnings("ignore", text)
    warnings.filterwarnings("ignore", category=FutureWarning)


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    result: dict[str, Any]
    directory: Path
    signal: int | None


def fit(
    config: RunConfig,
    preset: str,
    resume: Path | None = None,
    console: Console | None = None,
    watchers: Sequence[Callback] = (),
) -> Outcome:
    """Trains until the goal, a limit or a signal; then confirms on fresh games and writes result.json.

    Args:
        config: the run.
        preset: its name, for the result.
        resume: folder of the checkpoint to go on from; the run's own folder is used again.
        console: where the user reads; standard output by default.
        watchers: callbacks of the caller's, after all others but the one that closes the games.

    Returns:
        the result and where it lies.

    Raises:
        UserError: with a sentence for the user.
    """
    console = console or Console()
    quiet_lightning()
    stop = threading.Event()
    earlier = 0.0 if resume is None else float(read_model(resume)["rl_speed"]["elapsed_seconds"])
    version = None if resume is None else _version_of(resume, config)
    watch = Stopwatch(earlier)

    def tell(text: str) -> None:
        print_plain(console, text)

    with stop_on_signals(stop) as received:
        run = build(config, preset, stop, watch, console, resume, version)
        callbacks: list[Callback] = run.trainer.callbacks  # type: ignore[attr-defined]
        callbacks[-1:-1] = watchers
        try:
            _start_folder(run, tell)
            run.trainer.fit(
                run.module,
                train_dataloaders=run.dataset,
                ckpt_path=None if resume is None else str(resume / MODEL_FILE),
                weights_only=True,
            )
        finally:
            run.dataset.generator.close()
        seconds = watch.elapsed_seconds()
        reason = "solved" if run.stop_at_reward.is_solved else run.stop_at_limits.reason or "interrupted"
        result = make_result(
            run.config,
            preset,
            reason,
            seconds,
            run.dataset.generator.env_steps,
            run.trainer.global_step,
            run.statistics,
            run.fps,
            run.checkpoints.newest,
        )
        if run.trainer.is_global_zero:
            try:
                write_result(run.directory, result)
                if not stop.is_set() and config.stop.confirm_episodes:
                    result["confirmation"] = _confirm(run, stop, tell)
                    write_result(run.directory, result)
            finally:
                tell(last_line(result))
            if run.checkpoints.error is not None:
                raise run.checkpoints.error
    return Outcome(result, run.directory, received.get("signal"))


def _version_of(checkpoint: Path, config: RunConfig) -> int | None:
    """The number of the run that a checkpoint lies in; None if it lies elsewhere."""
    run = checkpoint.resolve().parent.parent
    if run.parent != Path(config.logging.directory).resolve():
        return None
    name, _, number = run.name.partition("_")
    return int(number) if name == "version" and number.isdigit() else None


def _start_folder(run: Run, tell: Callable[[str], None]) -> None:
    """Makes the run's folder and writes the configuration into it."""
    if not run.trainer.is_global_zero:
        return
    try:
        run.directory.mkdir(parents=True, exist_ok=True)
        (run.directory / "config.yaml").write_text(
            yaml.safe_dump(run.config.model_dump(mode="json"), sort_keys=False), encoding="utf-8"
        )
    except OSError as error:
        raise UserError(
            f"logging.directory = {run.config.logging.directory!r} cannot be written ({error}); choose another folder"
        ) from None
    tell(f"logs: {run.directory}")


def _confirm(run: Run, stop: threading.Event, tell: Callable[[str], None]) -> dict[str, float] | None:
    """Plays fresh games with the final weights, off the clock; None if it was stopped."""
    episodes, epsilon = run.config.stop.confirm_episodes, run.config.stop.confirm_epsilon
    tell(f"confirming over {episodes} games at epsilon {epsilon:g} ...")
    network = run.module.online_network.eval()
    torch.set_num_threads(1)  # the games have the cores
    # A seed that no training env had.
    seed = int(np.random.SeedSequence([run.config.seed, 6]).generate_state(1)[0] >> 1)
    played = play_games(network, run.config, episodes, epsilon, seed, usable_cores(), stop)
    return None if played is None else played.summary()
