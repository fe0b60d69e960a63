"""Makes the objects of a run from its plan: the only place where they are wired."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import Callback
from rich.console import Console

from rl_speed.experience.dataset import ExperienceDataset
from rl_speed.experience.generators.actors import start_actors
from rl_speed.experience.generators.in_process import InProcessGenerator
from rl_speed.experience.generators.protocol import RolloutGenerator
from rl_speed.experience.policy import ExploringPolicy
from rl_speed.experience.replay import make_replay
from rl_speed.learner.mean import GradientMean
from rl_speed.learner.module import DQNModule
from rl_speed.system.ending import Ending, Stopwatch
from rl_speed.system.stage_timer import StageTimer
from rl_speed.system.torch_threads import torch_threads
from rl_speed.training.callbacks.ends import CloseAll, StopAtLimits
from rl_speed.training.callbacks.episodes import EpisodeCounter, EpisodePrinter, GamesRestarted
from rl_speed.training.callbacks.exchange import Exchange, agree_to_end
from rl_speed.training.callbacks.finite import EndDiverged
from rl_speed.training.callbacks.goal import StopAtGoal
from rl_speed.training.callbacks.learning import InputStandardisation, PriorityUpdate, TargetSync
from rl_speed.training.callbacks.schedules import Annealing, EpsilonDecay
from rl_speed.training.callbacks.signals import KeepSignalHandlers
from rl_speed.training.callbacks.speed import SpeedLogger
from rl_speed.training.checkpoint.restoring import RandomStateRestorer, restore_experience
from rl_speed.training.checkpoint.writing import CheckpointWriter, PlainCheckpointIO
from rl_speed.training.confirmation import Confirmation
from rl_speed.training.launcher import launcher_hidden
from rl_speed.training.logger import RunLogger
from rl_speed.training.plan import Plan
from rl_speed.training.progress import ProgressBar
from rl_speed.training.ranks.group import Ranks
from rl_speed.training.ranks.strategy import RanksStrategy
from rl_speed.training.run_folder import CHECKPOINTS
from rl_speed.training.speed import SpeedMeter
from rl_speed.training.statistics import EpisodeStatistics
from rl_speed.training.trackers import make_logger


@dataclass(frozen=True)
class Occasion:
    """What surrounds a run: who asked for it, who reads along, and what it goes on from.

    Attributes:
        preset: name of the configuration.
        folder: of the run.
        console: where the user reads.
        ending: when the run has to end before its goal.
        watch: the run's wall time.
        checkpoint: folder of the checkpoint to go on from; None: from the start.
        ranks: the processes that learn together.
    """

    preset: str
    folder: Path
    console: Console = field(default_factory=lambda: Console(quiet=True))
    ending: Ending = field(default_factory=Ending)
    watch: Stopwatch = field(default_factory=Stopwatch)
    checkpoint: Path | None = None
    ranks: Ranks = field(default_factory=Ranks)

    def notify(self, text: str) -> None:
        """A sentence for the user, as it is: brackets in a path are no markup."""
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)


@dataclass(frozen=True)
class Line:
    """The way of a transition: what plays, what is stored, what learns."""

    timer: StageTimer
    module: DQNModule
    policy: ExploringPolicy
    generator: RolloutGenerator
    dataset: ExperienceDataset


@dataclass(frozen=True)
class Run:
    """All objects of a run, wired."""

    plan: Plan
    line: Line
    trainer: pl.Trainer
    statistics: EpisodeStatistics
    meter: SpeedMeter
    goal: StopAtGoal
    limits: StopAtLimits
    checkpoints: CheckpointWriter
    confirmation: Confirmation


@contextmanager
def at_work(plan: Plan) -> Iterator[None]:
    """What a rank needs around `build` and the training: its GPU, torch's threads, no variables of launchers."""
    with ExitStack() as stack:
        if plan.device != "cpu":
            stack.enter_context(torch.cuda.device(plan.device))  # which "cuda" alone means
        stack.enter_context(launcher_hidden(plan.place.rank))
        stack.enter_context(torch_threads(plan.learner_threads))
        yield


def build(plan: Plan, occasion: Occasion) -> Run:
    """Makes every object of a run, inside `at_work`; what was started is ended again if one of them cannot be made."""
    torch.manual_seed(plan.config.seed)
    plan, line = make_line(plan, occasion.ending, occasion.ranks)
    try:
        return _wire(plan, line, occasion)
    except BaseException:
        line.generator.close()
        raise


def make_line(plan: Plan, ending: Ending, ranks: Ranks | None = None) -> tuple[Plan, Line]:
    """What carries a transition from the games to the gradient, and the plan with the number of actions in it.

    It is this rank's own but for the gradient.
    """
    config, timer, ranks = plan.share, StageTimer(), ranks or Ranks()
    with ExitStack() as undo:
        env: Any = None
        if not config.actors.plays_apart:
            env = plan.parts.make_env(config.envs, config.envs.count, plan.seeds.env, plan.threads.env)
            undo.callback(env.close)
            if plan.num_actions is None:  # what only the device could tell
                plan.parts.check_network(config.network, config.envs.observation_shape, env.num_actions)
            plan = replace(plan, num_actions=env.num_actions)
        mean = GradientMean(ranks.sum, timer) if ranks.size > 1 else None
        module, policy = _make_learner(plan, timer, mean)
        # What may fail comes before the processes.
        replay = make_replay(
            config.replay,
            config.envs.observation_shape,
            config.total_envs,
            plan.seeds.replay,
            config.update.is_captured,
        )
        generator: RolloutGenerator
        if env is not None:
            generator = InProcessGenerator(env, policy, config.envs, config.actors.rollout_env_steps, timer)
        else:
            generator = start_actors(config, plan.parts, policy, plan.seeds.actors, plan.threads.env, timer, ending)
            undo.callback(generator.close)
        dataset = ExperienceDataset(
            generator, replay, config.update, config.replay.prefill_env_steps, timer, ending,
            config.actors.free_running, ranks.size, partial(agree_to_end, ranks, ending),
        )  # fmt: skip
        undo.pop_all()
    return plan, Line(timer, module, policy, generator, dataset)


def _make_learner(plan: Plan, timer: StageTimer, mean: GradientMean | None) -> tuple[DQNModule, ExploringPolicy]:
    """What learns, and what acts with its network."""
    config = plan.share
    assert plan.num_actions is not None
    networks = [
        plan.parts.make_network(config.network, config.envs.observation_shape, plan.num_actions) for _ in range(2)
    ]
    module = DQNModule(networks[0], networks[1], config.update, timer, mean).to(plan.device)
    policy = ExploringPolicy(
        module.acting_network,
        plan.num_actions,
        plan.seeds.policy,
        plan.device,
        use_bf16=config.update.uses_bf16,
        with_autograd=config.update.slow_grads,
        is_captured=config.update.is_captured and not config.actors.plays_apart,
    )
    policy.epsilon = config.exploration.epsilon_start
    return module, policy


def _wire(plan: Plan, line: Line, occasion: Occasion) -> Run:
    """Statistics, callbacks and trainer around the line."""
    config, dataset, watch, ranks = plan.config, line.dataset, occasion.watch, occasion.ranks
    exchange = Exchange(ranks, dataset, occasion.ending, watch.elapsed_seconds, config.update.gradient_steps_per_batch)
    statistics = EpisodeStatistics(config.stop, config.total_envs)
    meter = SpeedMeter(line.timer, config.logging.every_seconds, watch.elapsed_seconds)
    counter = EpisodeCounter(statistics, dataset, exchange)
    first: list[Callback] = [KeepSignalHandlers()]
    if occasion.checkpoint is not None:
        restored = restore_experience(dataset, occasion.checkpoint, plan.place, occasion.notify)
        first.append(RandomStateRestorer(restored.random))
        if not restored.has_games:
            first.append(GamesRestarted(exchange, counter))
    bar = None
    if config.logging.progress_bar and ranks.is_first:
        bar = ProgressBar(config.stop, dataset, line.policy, statistics, meter, watch.elapsed_seconds, occasion.console)
    checkpoints = CheckpointWriter(
        plan, occasion.preset, dataset, occasion.folder / CHECKPOINTS, exchange, ranks, occasion.notify
    )
    on_step = None if bar is None else bar.on_games
    confirmation = Confirmation(plan, occasion.ending, watch, occasion.notify, on_step)
    goal = StopAtGoal(config.stop, counter, checkpoints, confirmation, ranks)
    limits = StopAtLimits(config.stop, dataset, occasion.ending)
    printer = [EpisodePrinter(counter, occasion.notify)] if config.logging.print_episodes else []
    callbacks = [
        *first,
        exchange,
        *_learning(plan, line, meter, (exchange, counter), ranks),
        *printer,
        *([] if bar is None else [bar]),
        # Checkpoints after everything that changes with a batch, and before the processes are closed.
        goal,
        limits,
        checkpoints,
        CloseAll(line.generator, line.module),
    ]
    logger = make_logger(config.logging, occasion.folder, occasion.notify) if ranks.is_first else None
    trainer = make_trainer(plan, logger, callbacks, ranks)
    return Run(plan, line, trainer, statistics, meter, goal, limits, checkpoints, confirmation)


def _learning(
    plan: Plan, line: Line, meter: SpeedMeter, games: tuple[Exchange, EpisodeCounter], ranks: Ranks
) -> list[Callback]:
    """What has to happen around a batch, in this order; schedules go by the whole run, and set this rank's share."""
    config, dataset, (exchange, counter) = plan.config, line.dataset, games
    callbacks: list[Callback] = [EndDiverged(config.update, config.logging.every_seconds, exchange)]
    if config.network.standardise and plan.parts.own_network is None:
        callbacks.append(InputStandardisation(dataset.replay, ranks))
    annealing = Annealing(plan.share, dataset, counter.statistics)
    callbacks += [SpeedLogger(meter, dataset, line.policy, annealing), annealing]
    if config.replay.priority_exponent > 0:
        callbacks.append(PriorityUpdate(dataset.replay, line.timer))
    if config.update.target_sync_rate is None:
        callbacks.append(TargetSync(config.update))
    return [*callbacks, EpsilonDecay(config, dataset, line.policy, annealing), counter]


def make_trainer(plan: Plan, logger: RunLogger | None, callbacks: list[Callback], ranks: Ranks) -> pl.Trainer:
    """Lightning's trainer, with all that guesses or counts for itself switched off."""
    is_alone = ranks.size == 1
    plugins: list[Any] = [PlainCheckpointIO()]
    return pl.Trainer(
        accelerator="cpu" if plan.device == "cpu" else "gpu",
        # Ranks beside this one have devices of their own, which this process may not even see.
        devices=plan.config.trainer.devices if plan.device == "cpu" else [torch.device(plan.device).index],
        num_nodes=plan.config.trainer.num_nodes,
        strategy="auto" if is_alone else RanksStrategy(ranks, plan.device),
        # Precision belongs to the update and to acting, each of which sets its own.
        precision="32-true",
        logger=logger or False,
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
        plugins=[*plugins, LightningEnvironment()] if is_alone else plugins,
    )
