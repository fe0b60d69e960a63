"""The files that a bench leaves behind: JSON, CSV, Markdown and the page."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl_speed.bench.model.diagnosis import with_diagnosis
from rl_speed.bench.model.rows import make_rows
from rl_speed.bench.session import JSON_FILE
from rl_speed.bench.show.page import page
from rl_speed.bench.show.tables import (
    expectation_tables,
    setting_line,
    solve_tables,
    speed_tables,
    time_tables,
)
from rl_speed.report.tables import TextTable
from rl_speed.system.errors import UserError
from rl_speed.system.json_file import write_whole


def _markdown_table(table: TextTable) -> list[str]:
    def line(texts: Sequence[str]) -> str:
        return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"

    lines = [f"## {table.title}", "", line(table.header), "|" + "---|" * len(table.header), *map(line, table.lines), ""]
    return lines + [f"- {note}" for note in table.notes] + [""] * bool(table.notes)


def _markdown_list(title: str, lines: Sequence[dict[str, str]]) -> list[str]:
    return [f"## {title}", "", *(f"- **{line['label']}**: {line['text']}" for line in lines), ""] if lines else []


def markdown(content: dict[str, Any]) -> str:
    """The whole report but the plots."""
    lines = ["# Bench", "", setting_line(content), ""]
    if not content["is_whole"]:
        lines += ["Not whole: the bench was stopped before its end.", ""]
    lines += _markdown_list("Verdict", content["verdict"])
    for table in (*speed_tables(content), *solve_tables(content)):
        lines += _markdown_table(table)
    lines += _markdown_list("Details", content["details"])
    for table in (*time_tables(content), *expectation_tables(content)):
        lines += _markdown_table(table)
    if content["problems"]:
        lines += ["## Problems", "", *(f"- {text}" for text in content["problems"]), ""]
    return "\n".join(lines)


CSV_FIELDS = (
    "group", "name", "repeats", "samples_per_second", "samples_ratio_to_baseline", "env_steps_per_second_median",
    "env_steps_per_second_min", "env_steps_per_second_max", "ratio_to_baseline", "frames_per_second",
    "gradient_steps_per_second", "cpu_percent", "gpu_percent", "peak_memory_bytes", "startup_seconds",
    "prefill_env_steps_per_second", "warmup_seconds", "act", "env", "wait", "replay", "transfer", "update", "reduce",
    "other", "error",
)  # fmt: skip


def csv_text(content: dict[str, Any]) -> str:
    """One line per row, shares of time as columns."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_FIELDS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in content["rows"]:
        speeds = row["env_steps_per_second"] or {}
        flat = {f"env_steps_per_second_{name}": value for name, value in speeds.items()}
        writer.writerow({**row, **flat, **row["time_shares"]})
    return stream.getvalue()


def write_report(folder: Path, content: dict[str, Any], with_record: bool = True) -> Path:
    """Writes bench.json, .csv, .md and .html; into a temporary folder if `folder` has become unwritable.

    Args:
        folder: of the bench.
        content: see `Session.content`.
        with_record: whether bench.json is written; what was recorded stays as it is when a report is made anew.

    Returns:
        the folder that holds them.
    """
    for place in (folder, None):
        try:
            target = place or Path(tempfile.mkdtemp(prefix="rl_speed_bench_"))
            if with_record:
                write_whole(target / JSON_FILE, content)
            (target / "bench.csv").write_text(csv_text(content), encoding="utf-8")
            (target / "bench.md").write_text(markdown(content), encoding="utf-8")
            (target / "bench.html").write_text(page(content), encoding="utf-8")
        except OSError as error:
            failure = error
            continue
        return target
    raise UserError(f"--out {folder} cannot be written ({failure}), nor can a temporary folder; make room")


def read_report(folder: Path) -> dict[str, Any]:
    """The content of a bench's folder, with rows and diagnosis made anew; raises UserError with a sentence.

    So that an older record is shown, and judged, as a new one is.
    """
    path = folder / JSON_FILE if folder.is_dir() else folder
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a bench's result ({error}); give the folder of a bench") from None
    try:
        content["rows"] = make_rows(content["rows"], content["measurements"])
        return with_diagnosis(content)
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{path} is not a bench's result; give the folder of a bench") from None
