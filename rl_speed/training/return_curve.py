"""The mean return of a run against its time and env steps, in few enough points for a checkpoint."""

from __future__ import annotations

from typing import Any

MOST_POINTS = 1000


class ReturnCurve:
    """Keeps every n-th point and the newest, and doubles n where there would be too many: the whole run, evenly.

    Checkpoints hold it, so that it needs no tracker and is right after a resume.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[float, int, float]] = []  # seconds, env steps, mean return
        self._newest: list[tuple[float, int, float]] = []  # none or one, that is not among the kept
        self._games_per_point = 1
        self._games = 0

    @property
    def points(self) -> list[tuple[float, int, float]]:
        """Seconds, env steps and mean return, in order; the last is of the newest game."""
        return [*self._kept, *self._newest]

    def add(self, seconds: float, env_steps: int, average_return: float) -> None:
        """Takes the mean after a game.

        Args:
            seconds: wall time of the run.
            env_steps: of the run.
            average_return: mean raw return of the games in the window.
        """
        point = (seconds, env_steps, average_return)
        is_kept = self._games % self._games_per_point == 0
        self._newest = [] if is_kept else [point]
        if is_kept:
            self._kept.append(point)
        self._games += 1
        if len(self._kept) > MOST_POINTS:
            self._kept = self._kept[::2]  # an odd number of them: the newest stays
            self._games_per_point *= 2

    def state_dict(self) -> dict[str, Any]:
        """What resumes."""
        points = [list(point) for point in self.points]
        return {"points": points, "games_per_point": self._games_per_point, "games": self._games}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        points = [(seconds, env_steps, average) for seconds, env_steps, average in state["points"]]
        self._games_per_point, self._games = state["games_per_point"], state["games"]
        kept = -(-self._games // self._games_per_point)
        self._kept, self._newest = points[:kept], points[kept:]
