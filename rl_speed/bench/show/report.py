"""The files that a bench leaves behind: JSON, CSV, Markdown and the page."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl_speed.bench.session import JSON_FILE
from rl_speed.bench.show.page import page
from rl_speed.bench.show.tables import (
    EXPECTATION_HEADER,
    HEADER,
    SOLVE_HEADER,
    TITLES,
    cells,
    expectation_lines,
    groups,
    setting_line,
    solve_lines,
)
from rl_speed.system.errors import UserError
from rl_speed.system.json_file import write_whole


def _markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    def line(texts: Sequence[str]) -> str:
        return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"

    return [line(header), "|" + "---|" * len(header), *(line(texts) for texts in lines), ""]


def markdown(content: dict[str, Any]) -> str:
    """The whole report but the plots."""
    lines = ["# Bench", "", setting_line(content), ""]
    if not content["is_whole"]:
        lines += ["Not whole: the bench was stopped before its end.", ""]
    for group, rows in groups(content["rows"]).items():
        lines += [f"## {TITLES[group]}", "", *_markdown_table(("contestant", *HEADER[1:]), [cells(r) for r in rows])]
        for row in rows:
            facts = row["package"]
            text = f"`{row['name']}`: {row['about']}" if row["about"] else ""
            if facts:
                text += f" ({facts['package']} {facts['version']}, licence {facts['licence']})"
            if text and group in ("peers", "env_only"):
                lines += [f"- {text}"]
        lines += [""]
    if content["solve"]:
        lines += ["## Time to solve", "", *_markdown_table(SOLVE_HEADER, solve_lines(content))]
    lines += ["## Diagnosis", "", content["diagnosis"], ""]
    if content["expectations"]:
        lines += _markdown_table(EXPECTATION_HEADER, expectation_lines(content))
    lines += [line for text in content["answers"].values() for line in (text, "")]
    if content["problems"]:
        lines += ["## Problems", "", *(f"- {text}" for text in content["problems"]), ""]
    return "\n".join(lines)


CSV_FIELDS = (
    "group", "name", "repeats", "env_steps_per_second_median", "env_steps_per_second_min", "env_steps_per_second_max",
    "frames_per_second", "gradient_steps_per_second", "samples_per_second", "ratio_to_baseline", "cpu_percent",
    "gpu_percent", "peak_memory_bytes", "startup_seconds", "prefill_env_steps_per_second", "warmup_seconds",
    "act", "env", "wait", "replay", "transfer", "update", "other", "error",
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


def write_report(folder: Path, content: dict[str, Any]) -> Path:
    """Writes bench.json, .csv, .md and .html; into a temporary folder if `folder` has become unwritable.

    Returns:
        the folder that holds them.
    """
    for place in (folder, None):
        try:
            target = place or Path(tempfile.mkdtemp(prefix="rl_speed_bench_"))
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
    """The content of a bench's folder; raises UserError with a sentence."""
    path = folder / JSON_FILE if folder.is_dir() else folder
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a bench's result ({error}); give the folder of a bench") from None
    if not isinstance(content, dict) or "rows" not in content:
        raise UserError(f"{path} is not a bench's result; give the folder of a bench")
    return content
