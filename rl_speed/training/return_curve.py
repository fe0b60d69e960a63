"""The mean return of a run against its time and env steps, in few enough points for a checkpoint."""

from __future__ import annotations

from typing import Any

MOST_POINTS = 1000


class ReturnCurve:
    """Keeps every n-th point, and doubles n where there would be too many: the whole run, evenly over its games.

    Checkpoints hold it, so that it needs no tracker and is right after a resume.
    """

    def __init__(self) -> None:
        self.points: list[tuple[float, int, float]] = []  # seconds, env steps, mean return
        self._games_per_point = 1
        self._games = 0

    def add(self, seconds: float, env_steps: int, average_return: float) -> None:
        """Takes the mean after a game.

        Args:
            seconds: wall time of the run.
            env_steps: of the run.
            average_return: mean raw return of the games in the window.
        """
        if self._games % self._games_per_point == 0:
            self.points.append((seconds, env_steps, average_return))
        self._games += 1
        if len(self.points) > MOST_POINTS:
            self.points = self.points[::2]
            self._games_per_point *= 2

    def state_dict(self) -> dict[str, Any]:
        """What resumes."""
        points = [list(point) for point in self.points]
        return {"points": points, "games_per_point": self._games_per_point, "games": self._games}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.points = [(seconds, env_steps, average) for seconds, env_steps, average in state["points"]]
        self._games_per_point, self._games = state["games_per_point"], state["games"]
