"""The local history of `bench stages`: one record per line, compared stage by stage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from rl_speed.system.errors import UserError


def append(path: Path, record: dict[str, Any] | None) -> int:
    """Adds a record (None: only tries whether that is possible); returns its number, from 1.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            if record is not None:
                stream.write(json.dumps(record) + "\n")
    except OSError as error:
        raise UserError(f"--history {path} cannot be written ({error}); choose another file") from None
    return len(read_history(path))


def read_history(path: Path) -> list[dict[str, Any]]:
    """All records, oldest first; raises UserError with a sentence for a broken line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        records = [json.loads(line) for line in lines if line.strip()]
        if not all(isinstance(record, dict) and "stages" in record for record in records):
            raise ValueError("a line is no record of stages")
    except (OSError, ValueError) as error:
        raise UserError(f"--history {path} cannot be read ({error}); repair or remove it") from None
    return records


def find_record(records: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """The record of a number (from 1), of the start of a commit (the newest such one), `last` or `previous`."""
    numbered = {"last": len(records), "previous": len(records) - 1}
    place = numbered.get(name, int(name) if name.isdecimal() and len(name) < 7 else None)
    if place is not None and 1 <= place <= len(records):
        return {"number": place, **records[place - 1]}
    for number in range(len(records), 0, -1):
        if len(name) >= 4 and str(records[number - 1].get("commit") or "").startswith(name):
            return {"number": number, **records[number - 1]}
    raise UserError(
        f"record {name!r} is not in the history, which has {len(records)}; use a number from 1, `last`, `previous` or "
        f"the first characters of a commit"
    )


def stage_table(record: dict[str, Any]) -> Table:
    """One record."""
    table = Table("stage", "unit", "median", "min", "max", title=_title(record), title_justify="left")
    for name, stage in record["stages"].items():
        table.add_row(name, stage["unit"], *(f"{stage[key]:,.2f}" for key in ("median", "min", "max")))
    return table


def _title(record: dict[str, Any]) -> str:
    return escape(f"{record['preset']} at {record['commit']}, {record['date']}")


def verdict(before: dict[str, float], after: dict[str, float], higher_is_better: bool) -> str:
    """Whether two spreads tell apart: only if they do not overlap."""
    if after["min"] <= before["max"] and before["min"] <= after["max"]:
        return "within the spread"
    is_higher = after["median"] > before["median"]
    return "faster" if is_higher == higher_is_better else "slower"


def compare_table(first: dict[str, Any], second: dict[str, Any]) -> Table:
    """Two records side by side; the ratio is the second's speed over the first's."""
    title = f"{first['number']}: {_title(first)}  ->  {second['number']}: {_title(second)}"
    differing = [name for name in ("preset", "config", "machine", "versions") if first.get(name) != second.get(name)]
    caption = f"not the same: {', '.join(differing)}" if differing else None
    table = Table("stage", "unit", "first", "second", "speed x", "", title=title, title_justify="left", caption=caption)
    for name, before in first["stages"].items():
        after = second["stages"].get(name)
        if after is None:
            continue
        is_speed = before["unit"].endswith("/s")
        ratio = after["median"] / before["median"] if is_speed else before["median"] / after["median"]
        table.add_row(
            name, before["unit"], f"{before['median']:,.2f}", f"{after['median']:,.2f}", f"{ratio:.2f}",
            verdict(before, after, is_speed),
        )  # fmt: skip
    return table
