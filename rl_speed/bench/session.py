"""One bench: runs all contestants in turn, keeps every measurement as soon as it is there."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from rl_speed.bench.contestants import Contestant, actors_points, envs_point, measured_config, wrappers_points
from rl_speed.bench.measure.runner import STARTUP_LIMIT_SECONDS, run_child, spec_of
from rl_speed.bench.measure.sampler import GpuSampler
from rl_speed.bench.model.answers import STOPS_PAYING, answers
from rl_speed.bench.model.diagnosis import expect, paragraph
from rl_speed.bench.model.rows import make_rows, per_second
from rl_speed.config import validate
from rl_speed.system.cores import usable_cores
from rl_speed.system.errors import UserError
from rl_speed.system.json_file import write_whole
from rl_speed.system.machine import machine, versions
from rl_speed.training.plan import decided_fields, with_fields

MAX_ENVS = 256
ENV_ONLY_SECONDS = 10.0  # games alone are steady: longer windows say nothing new
JSON_FILE = "bench.json"


@dataclass(frozen=True)
class Settings:
    """What the user asked for."""

    seconds_per_rung: float
    repeats: int
    warmup_seconds: float
    overrides: tuple[str, ...]
    command: str
    seeds: int = 0  # of --to-solve; 0: not asked for
    solve_minutes: float = 0.0
    sweeps: tuple[str, ...] = ()
    peers: bool = False


def commit() -> str | None:
    """The source's commit, with a mark if files differ from it; None outside a checkout."""
    folder = str(Path(__file__).parent)
    with suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(
            ["git", "-C", folder, "describe", "--always", "--abbrev=9", "--dirty", "--exclude=*"],
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
        return found.stdout.strip() or None
    return None


def check_writable(folder: Path) -> None:
    """Makes the folder and tries a file in it; raises UserError with a sentence."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".rl_speed_probe"
        probe.write_text("", encoding="utf-8")
        probe.unlink()
    except OSError as error:
        raise UserError(f"--out {folder} cannot be written ({error}); choose another folder") from None


def package_facts(contestant: Contestant) -> dict[str, str] | None:
    """Version and licence of a peer, as its package states them."""
    if contestant.package is None:
        return None
    try:
        found: Any = metadata.metadata(contestant.package)
    except metadata.PackageNotFoundError:
        return None
    classifiers = found.get_all("Classifier") or []
    licences = [text.rpartition(":: ")[2] for text in classifiers if text.startswith("License ::")]
    licence = found.get("License-Expression") or ", ".join(licences) or (found.get("License") or "not stated")[:80]
    return {"package": contestant.package, "version": str(found["Version"]), "licence": licence}


class Session:
    """Measures, and knows what was measured.

    Args:
        settings: of the bench.
        out: folder that takes bench.json after every measurement, and the logs of the measured processes.
        notify: prints a line for the user.
        progress: told (name, repeat, phase) whenever one of them changes; may be None.
    """

    def __init__(
        self,
        settings: Settings,
        out: Path,
        notify: Callable[[str], None],
        progress: Callable[[str, int, str], None] | None = None,
    ) -> None:
        self.settings, self.out = settings, out
        self._notify, self._progress = notify, progress
        self._gpu = GpuSampler()
        self._started = datetime.now().astimezone()
        self._begun = time.monotonic()
        self._cannot_save = False
        self.contestants: list[Contestant] = []
        self.measurements: list[dict[str, Any]] = []
        self._configs: dict[str, Any] = {}
        self._plans: dict[str, Any] = {}  # what ran, by rung
        self._facts = {"commit": commit(), "machine": machine(), "versions": versions()}
        self.solve_runs: list[dict[str, Any]] = []
        self.calibration: dict[str, Any] | None = None
        self.problems: list[str] = []
        self.is_whole = False

    def close(self) -> None:
        """Ends what watches the GPU."""
        self._gpu.close()

    def problem(self, sentence: str) -> None:
        """Something the user has to hear, once."""
        if sentence not in self.problems:
            self.problems.append(sentence)
            self._notify(sentence)

    def _log(self, name: str) -> Path:
        plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
        folder = self.out / "logs"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{plain}.log").touch()
        except OSError:  # told by `save`
            folder = Path(tempfile.gettempdir())
        return folder / f"{plain}.log"

    @property
    def game(self) -> str:
        """The game of the rungs."""
        found = {config["envs"]["game"] for config in self._configs.values()}
        return found.pop() if len(found) == 1 else ("several" if found else "pong")

    def measure(self, contestant: Contestant, repeat: int) -> dict[str, Any] | None:
        """Measures one contestant once; None if it failed, which is noted and told."""
        if contestant not in self.contestants:
            self.contestants.append(contestant)
            if contestant.group == "ladder":
                # As it is now: the user may edit a file while others are measured.
                config = measured_config(contestant, self.settings.overrides)
                self._configs[contestant.name] = config.model_dump(mode="json")
        seconds = self.settings.seconds_per_rung
        if contestant.group == "env_only":
            seconds = min(seconds, ENV_ONLY_SECONDS)
        noted: dict[str, Any] = {"name": contestant.name, "group": contestant.group, "repeat": repeat}
        sentence = contestant.missing()
        if sentence is not None:
            answer: dict[str, Any] = {"error": sentence}
        else:
            answer = run_child(
                spec_of(contestant, list(self.settings.overrides), seconds, self.settings.warmup_seconds),
                self._log(contestant.name),
                STARTUP_LIMIT_SECONDS + 10 * (seconds + self.settings.warmup_seconds),
                self._gpu,
                lambda phase: self._show(contestant.name, repeat, phase),
            )
        if "error" in answer:
            self.measurements.append({**noted, "error": answer["error"]})
            self.problem(answer["error"] if sentence else f"{contestant.name} failed: {answer['error']}")
            self.save()
            return None
        self.measurements.append({**noted, "result": answer})
        if contestant.group == "ladder" and "plan" in answer:
            self._plans[contestant.name] = answer["plan"]
        self._notify(f"{contestant.name}: {per_second(answer, 'env_steps'):,.1f} env steps/s (repeat {repeat + 1})")
        self.save()
        return answer

    def _show(self, name: str, repeat: int, phase: str) -> None:
        if self._progress is not None:
            self._progress(name, repeat, phase)

    def interleave(self, contestants: Sequence[Contestant]) -> None:
        """A B C, B C A, ...: what slows the machine for a while does not hit one of them only, nor does its place."""
        failed: set[str] = set()
        for repeat in range(self.settings.repeats):
            shift = repeat % max(len(contestants), 1)
            for contestant in [*contestants[shift:], *contestants[:shift]]:
                if contestant.name not in failed and self.measure(contestant, repeat) is None:
                    failed.add(contestant.name)  # once is enough to know

    def sweep(self, name: str) -> None:
        """Measures the points of a sweep; that over envs doubles them until it stops paying twice."""
        if name == "envs":
            self._sweep_envs()
        else:
            self.interleave(actors_points() if name == "actors" else wrappers_points())

    def _sweep_envs(self) -> None:
        chosen = []
        for kind in ("train", "play"):
            before, poor, count = 0.0, 0, 1
            while count <= MAX_ENVS and poor < 2:
                point = envs_point(count, kind)
                result = self.measure(point, 0)
                if result is None:
                    break
                chosen.append(point)
                here = per_second(result, "env_steps")
                poor = poor + 1 if here < before * STOPS_PAYING else 0
                before, count = max(before, here), count * 2
        for repeat in range(1, self.settings.repeats):
            for point in chosen:
                self.measure(point, repeat)

    def calibrate(self, seconds: float = 1.0) -> None:
        """Measures what the diagnosis needs beside the rungs."""
        spec = {"kind": "calibrate", "seconds": seconds}
        answer = run_child(
            spec, self._log("calibration"), STARTUP_LIMIT_SECONDS, self._gpu,
            lambda phase: self._show("calibration", 0, phase),
        )  # fmt: skip
        if "error" in answer:
            self.problem(f"calibration failed, so there is no diagnosis: {answer['error']}")
        else:
            self.calibration = answer

    def solve(self, contestants: Sequence[Contestant], seeds: Sequence[int], limit_seconds: float) -> None:
        """Trains every contestant with every seed, interleaved, each until solved or the limit."""
        for seed in seeds:
            for contestant in contestants:
                spec = {
                    "kind": "solve",
                    "preset": contestant.preset,
                    "overrides": list(self.settings.overrides),
                    "seed": seed,
                    "limit_seconds": limit_seconds,
                }
                label = f"{contestant.name}, seed {seed}"
                answer = run_child(
                    spec,
                    self._log(f"solve_{contestant.name}_{seed}"),
                    limit_seconds + 2 * STARTUP_LIMIT_SECONDS,
                    self._gpu,
                    partial(self._show, label, 0),
                )
                self.solve_runs.append({"name": contestant.name, "seed": seed, **answer})
                if "error" in answer:
                    self.problem(f"{contestant.name} with seed {seed} failed: {answer['error']}")
                else:
                    how = "solved" if answer["solved"] else f"not solved (mean {answer['avg_reward']})"
                    self._notify(f"{contestant.name}, seed {seed}: {how} after {answer['seconds']:.0f} s")
                self.save()

    def _as_run(self) -> dict[str, Any]:
        """The rungs' configurations with what was left open as their plans decided it."""
        return {
            name: with_fields(validate(self._configs[name]), decided_fields(plan)).model_dump(mode="json")
            for name, plan in self._plans.items()
        }

    def content(self) -> dict[str, Any]:
        """What bench.json holds."""
        described = []
        for contestant in self.contestants:
            facts = package_facts(contestant)
            described.append(
                {
                    "name": contestant.name,
                    "group": contestant.group,
                    "point": contestant.point,
                    "about": contestant.about,
                    "package": facts,
                }
            )
        rows = make_rows(described, self.measurements)
        cores = usable_cores().count
        game = self.game
        # The model of the costs is one of CPUs.
        is_cpu = not any(row["gpu_memory_bytes"] for row in rows)
        expectations = expect(rows, self._as_run(), self.calibration, cores) if self.calibration and is_cpu else []
        return {
            "date": self._started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self._begun, 1),
            "command": self.settings.command,
            **self._facts,
            "settings": asdict(self.settings),
            "is_whole": self.is_whole,
            "rows": rows,
            "expectations": expectations,
            "diagnosis": paragraph(rows, expectations, cores) if rows else "",
            "answers": answers(rows, self.solve_runs, game),
            "solve": self.solve_runs,
            "calibration": self.calibration,
            "configs": self._configs,
            "plans": self._plans,
            "problems": self.problems,
            "measurements": self.measurements,
        }

    def save(self) -> None:
        """Writes bench.json so that nothing measured is lost; a full disk is told once, and the bench goes on."""
        try:
            write_whole(self.out / JSON_FILE, self.content())
        except OSError as error:
            if not self._cannot_save:
                self._cannot_save = True
                self.problem(f"{self.out / JSON_FILE} cannot be written ({error}); the bench goes on")
