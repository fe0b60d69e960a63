"""Fresh games with frozen weights: whether a goal that was reached in training is borne out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from rl_speed.system.ending import Ending, Stopwatch
from rl_speed.training.evaluation import OnStep, Protocol, play_games
from rl_speed.training.plan import Plan


class Confirmation:
    """Plays the games that judge a run, off its clock.

    Args:
        plan: the run; its game, protocol and seeds.
        ending: when the run has to end; a limit of wall time counts here too.
        watch: stands still meanwhile.
        notify: prints a sentence for the user.
        on_step: see `play_games`.
    """

    def __init__(
        self,
        plan: Plan,
        ending: Ending,
        watch: Stopwatch,
        notify: Callable[[str], None],
        on_step: OnStep | None = None,
    ) -> None:
        self._plan, self._ending, self._watch = plan, ending, watch
        self.notify, self._on_step = notify, on_step

    def play(self, network: nn.Module, attempt: int, ending: Ending | None = None) -> dict[str, Any] | None:
        """Plays `stop.confirm_episodes` games on ale-py.

        Args:
            network: the one that acts.
            attempt: number of this confirmation in the run, from 0: each has games of its own.
            ending: when playing has to end; by default the run's.

        Returns:
            episodes, mean, std, min and max; None if the run had to end before.
        """
        config, seeds = self._plan.config, self._plan.seeds
        protocol = Protocol(config.stop.confirm_episodes, config.stop.confirm_epsilon, seeds.confirmation + attempt)
        self.notify(f"confirming over {protocol.episodes} games at epsilon {protocol.epsilon:g} ...")
        was_training = network.training
        with self._watch.off_the_clock(), self._ending.alone():
            try:
                games = play_games(
                    network.eval(), config, protocol, self._plan.parts, ending or self._ending, self._on_step
                )
            finally:
                network.train(was_training)
        return None if games is None else games.summary()
