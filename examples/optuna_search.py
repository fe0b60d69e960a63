"""A search for step size, replay ratio and n-step return of a preset, with Optuna, on a short budget.

    pip install optuna
    python examples/optuna_search.py --game pong --trials 20 --env-steps 200000

Each trial is a run of `rl_speed.train`; what counts is the mean return of its last training games. A trial that is
worse than the median of the others after as many env steps is pruned. After Ctrl-C or a kill the same command goes on;
trials that had not ended are not counted. All runs have one seed, so that trials differ by their values alone: run the
best ones again with other seeds before you believe them.
"""

from __future__ import annotations

import argparse
import sys
import threading
from typing import Any

import optuna
from optuna.trial import TrialState
from pytorch_lightning import Callback, Trainer

import rl_speed
from rl_speed.config import load_config
from rl_speed.system.errors import UserError
from rl_speed.training.callbacks.episodes import EpisodeCounter
from rl_speed.training.divergence import DivergedError
from rl_speed.training.fit import quiet_lightning

REPORTS = 10  # shares of a trial, after each of which but the last it may be pruned
STARTUP_TRIALS = 5  # they are not pruned, and their values are drawn at random


class Pruning(Callback):
    """Tells a trial how its run stands, and stops the run where the trial is to be pruned."""

    def __init__(self, trial: optuna.Trial, every_env_steps: int) -> None:
        self.trial, self.every_env_steps = trial, every_env_steps
        self.stop, self.reports = threading.Event(), 0

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Looks after each batch whether a report is due."""
        (counter,) = (callback for callback in trainer.callbacks if isinstance(callback, EpisodeCounter))
        due, games = int(counter.place()["env_steps"]) // self.every_env_steps, counter.statistics
        # Short games end first and say little: a mean counts once every env has finished one.
        if not self.reports < due < REPORTS or not games.has_every_env_finished:
            return
        self.reports = due
        self.trial.report(games.average_return, step=due)
        if self.trial.should_prune():
            self.stop.set()


def drawn(trial: optuna.Trial, preset: str, fixed: list[Any]) -> dict[str, Any]:
    """The values to try, by field, around those of the preset."""
    update = load_config(preset, fixed).update
    values: dict[str, Any] = {"replay.n_step": trial.suggest_int("replay.n_step", 1, 20)}
    for name, factor in (("learning_rate", 10), ("env_steps_per_gradient_step", 4)):
        field, middle = f"update.{name}", getattr(update, name)
        values[field] = trial.suggest_float(field, middle / factor, middle * factor, log=True)
    return values


def mean_return(trial: optuna.Trial, preset: str, fixed: list[Any], env_steps: int) -> float:
    """Trains with the values of a trial; the mean return of its last games."""
    pruning = Pruning(trial, env_steps // REPORTS)
    try:
        result = rl_speed.train(preset, [*fixed, drawn(trial, preset, fixed)], callbacks=[pruning], stop=pruning.stop)
    except DivergedError as error:
        raise optuna.TrialPruned(str(error)) from None
    trial.set_user_attr("folder", str(result.directory))
    if pruning.stop.is_set() or result.avg_reward is None:  # None: no game has ended
        raise optuna.TrialPruned
    return result.avg_reward


def search(arguments: argparse.Namespace) -> None:
    """Goes on with the study, or begins it, until it has its trials; prints the best one."""
    preset, seed, env_steps = arguments.preset, arguments.seed, arguments.env_steps
    common = {"envs.game": arguments.game, "seed": seed, "stop.max_env_steps": env_steps, "stop.reward": None}
    files = {"logging.directory": f"{arguments.storage}_runs", "checkpoint.keep": 1, "checkpoint.save_replay": False}
    fixed = [common, files, *arguments.set]
    load_config(preset, fixed)  # refuses a mistake before there is a study
    try:
        study = optuna.create_study(
            storage=f"sqlite:///{arguments.storage}",
            study_name=f"{preset} {arguments.game} {env_steps} {seed} {' '.join(arguments.set)}".strip(),
            direction="maximize", load_if_exists=True, pruner=optuna.pruners.MedianPruner(STARTUP_TRIALS),
        )  # fmt: skip
    except Exception as error:  # SQLAlchemy's, of many types
        raise UserError(f"--storage {arguments.storage} cannot be used: {str(error).splitlines()[0]}") from None
    # With the seed alone, a search that goes on would draw the same values again.
    study.sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP_TRIALS, seed=seed + len(study.trials))
    done = len(study.get_trials(states=[TrialState.COMPLETE, TrialState.PRUNED]))
    print(f"{done} of {arguments.trials} trials are done; every run has seed {seed}", flush=True)
    study.optimize(lambda trial: mean_return(trial, preset, fixed, env_steps), max(0, arguments.trials - done))
    whole = study.get_trials(states=[TrialState.COMPLETE])
    if not whole:
        raise UserError(f"--env-steps {env_steps}: no trial was left to its end; give them more")
    best, values = study.best_trial, " ".join(f"--set {name}={value:g}" for name, value in study.best_params.items())
    print(f"best of {len(whole)} not pruned: trial {best.number}, return {best.value:g}, {values}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--preset", default="fast_cpu")
    parser.add_argument("--game", default="pong")
    parser.add_argument("--trials", type=int, default=20, help="in all, those of earlier calls included")
    parser.add_argument("--env-steps", type=int, default=200_000, help="of a trial that is not pruned")
    parser.add_argument("--storage", default="optuna.db", help="file of the study; the runs lie in FILE_runs")
    parser.add_argument("--seed", type=int, default=0, help="of every run, and of the search")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="of every run")
    quiet_lightning()
    try:
        search(parser.parse_args())
    except UserError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on")
