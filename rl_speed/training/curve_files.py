"""Curves as two CSV files in the run's folder, one for each x axis."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rl_speed.system.durable import write_text_whole
from rl_speed.training.logger import ENV_STEPS, EPISODE, RunLogger

Row = dict[str, str]


def curve_file(folder: Path, axis: str) -> Path:
    """The file of an axis, whose first column it is."""
    return folder / f"curves_by_{axis}.csv"


def read_rows(path: Path) -> list[Row]:
    """The whole rows of a file, as texts; none where it is missing. Half a row, left by a kill, is no row."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    whole = text[: text.rfind("\n") + 1]
    return [row for row in csv.DictReader(io.StringIO(whole, newline="")) if None not in row]


def _write_rows(path: Path, columns: list[str], rows: list[Row]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text_whole(path, text.getvalue())


def cut_rows(folder: Path, episodes: int, env_steps: int) -> None:
    """Takes out of a run's files what lies beyond a checkpoint.

    Args:
        folder: of the run.
        episodes: of the run at the checkpoint.
        env_steps: likewise.

    Raises:
        OSError: a file cannot be written; it is left as it was.
    """
    for axis, most in ((EPISODE, episodes), (ENV_STEPS, env_steps)):
        path = curve_file(folder, axis)
        rows = read_rows(path)
        if rows:
            _write_rows(path, list(rows[0]), [row for row in rows if int(row[axis]) <= most])


class CsvTracker(RunLogger):
    """One row per call, written at once.

    Not Lightning's CSVLogger: that deletes its file when a run goes on, and knows one x axis.

    Args:
        folder: of the run.
        notify: prints a sentence for the user.
    """

    def __init__(self, folder: Path, notify: Callable[[str], None]) -> None:
        super().__init__()
        self._folder, self._notify = folder, notify
        self._columns: dict[str, list[str]] = {}

    @property
    def name(self) -> str:
        """The folder of the runs."""
        return self._folder.parent.name

    @property
    def version(self) -> str:
        """The run's folder."""
        return self._folder.name

    @property
    def save_dir(self) -> str:
        """The run's folder."""
        return str(self._folder)

    @property
    def place(self) -> str:
        """The run's folder."""
        return self.save_dir

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Nothing: config.yaml holds them."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """What a callback of the user's logs; its axis is Lightning's step."""
        self._attempt(lambda: self._write(metrics, "step", step or 0))

    def _write(self, points: Mapping[str, float], axis: str, x: int) -> None:
        path = curve_file(self._folder, axis)
        columns = self._columns.get(axis)
        if columns is None or not set(points) <= set(columns):
            rows = read_rows(path)
            columns = list(dict.fromkeys([axis, *(rows[0] if rows else ()), *points]))
            _write_rows(path, columns, rows)
            self._columns[axis] = columns
        with path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, columns, restval="", lineterminator="\n").writerow({axis: x, **points})
