"""Curves as two CSV files in the run's folder, one for each x axis."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rl_speed.system.durable import write_text_whole
from rl_speed.training.logger import ENV_STEPS, EPISODE, RunLogger

STEP = "step"  # Lightning's axis: gradient steps

Row = dict[str, str]


class CurveFileError(Exception):
    """A file of curves that somebody else has changed, so that it is none any more; the message names it."""


def curve_file(folder: Path, axis: str) -> Path:
    """The file of an axis, whose first column it is."""
    return folder / f"curves_by_{axis}.csv"


def read_rows(path: Path, axis: str) -> list[Row]:
    """The whole rows of a file, as texts; none where it is missing. Half a row, left by a kill, is no row.

    Args:
        path: of the file.
        axis: its first column, of whole numbers.

    Raises:
        CurveFileError: it holds something else.
        OSError: it cannot be read.
    """
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # editors put a mark in front
            text = file.read()
        whole = text[: text.rfind("\n") + 1]
        rows = [row for row in csv.DictReader(io.StringIO(whole, newline="")) if None not in row]
        for row in rows:
            int(row[axis])
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise CurveFileError(
            f"{path} was changed and holds no curves by {axis} now ({type(error).__name__}: {error}); put it right or "
            f"move it away"
        ) from None
    return rows


def _write_rows(path: Path, columns: list[str], rows: list[Row]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text_whole(path, text.getvalue())


def cut_rows(folder: Path, episodes: int, env_steps: int, gradient_steps: int) -> None:
    """Takes out of a run's files what lies beyond a checkpoint.

    Args:
        folder: of the run.
        episodes: of the run at the checkpoint.
        env_steps: likewise.
        gradient_steps: likewise; the axis of what a callback of the user's logs.

    Raises:
        CurveFileError: one holds something else.
        OSError: a file cannot be written; it is left as it was.
    """
    for axis, most in ((EPISODE, episodes), (ENV_STEPS, env_steps), (STEP, gradient_steps)):
        path = curve_file(folder, axis)
        rows = read_rows(path, axis)
        if rows:
            _write_rows(path, list(rows[0]), [row for row in rows if int(row[axis]) <= most])


class CsvTracker(RunLogger):
    """One row per call, written at once.

    Not Lightning's CSVLogger: that deletes its file when a run goes on, and knows one x axis.

    Args:
        folder: of the run.
        notify: prints a sentence for the user.
    """

    failures = (OSError, CurveFileError)

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

    def _log(self, metrics: Mapping[str, float], step: int | None) -> None:
        self._write(metrics, STEP, step or 0)

    def _log_settings(self, *_: Any, **__: Any) -> None:
        """Nothing: config.yaml holds them."""

    def _write(self, points: Mapping[str, float], axis: str, x: int) -> None:
        path = curve_file(self._folder, axis)
        columns = self._columns.get(axis)
        if columns is None or not set(points) <= set(columns):
            rows = read_rows(path, axis)
            columns = list(dict.fromkeys([axis, *(rows[0] if rows else ()), *points]))
            _write_rows(path, columns, rows)
            self._columns[axis] = columns
        with path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, columns, restval="", lineterminator="\n").writerow({axis: x, **points})
