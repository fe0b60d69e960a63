"""One bench: runs all contestants in turn, keeps every measurement as soon as it is there."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from rl_speed.bench.contestants import (
    Contestant,
    actors_points,
    devices_points,
    envs_point,
    measured_config,
    wrappers_points,
)
from rl_speed.bench.measure.runner import STARTUP_LIMIT_SECONDS, run_child, spec_of
from rl_speed.bench.measure.sampler import GpuSampler
from rl_speed.bench.model.answers import STOPS_PAYING
from rl_speed.bench.model.diagnosis import with_diagnosis
from rl_speed.bench.model.expectations import expect
from rl_speed.bench.model.rows import make_rows, per_second
from rl_speed.bench.model.solving import why_not_solved
from rl_speed.bench.provenance import package_facts
from rl_speed.config import RunConfig, validate
from rl_speed.system.commit import commit
from rl_speed.system.cores import usable_cores
from rl_speed.system.errors import ConfigError
from rl_speed.system.json_file import write_whole
from rl_speed.system.machine import gpu_names, machine, versions
from rl_speed.training.decisions import with_fields
from rl_speed.training.plan import decided_fields

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
    seeds: tuple[int, ...] = ()  # of --to-solve; empty: not asked for
    solve_minutes: float = 0.0
    sweeps: tuple[str, ...] = ()
    peers: bool = False


class Session:
    """Measures, and knows what was measured.

    Args:
        settings: of the bench.
        out: folder that takes bench.json after every measurement, and the logs of the measured processes.
        notify: prints a line for the user.
        progress: called with (name, repeat, phase) whenever one of them changes; may be None.
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
        self._measured: dict[tuple[str, str], RunConfig] = {}  # by group and name
        self._configs: dict[str, Any] = {}
        self._plans: dict[str, Any] = {}  # what ran, by rung
        self._facts: dict[str, Any] = {"commit": commit(), "machine": machine(), "versions": versions()}
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
        except OSError:  # `save` says so
            folder = Path(tempfile.gettempdir())
        return folder / f"{plain}.log"

    def measure(self, contestant: Contestant, repeat: int) -> dict[str, Any] | None:
        """Measures one contestant once; None if it failed; the failure is kept and shown."""
        missing = contestant.missing()
        wrong = self._enter(contestant)  # also of a missing peer, who has a row that says so
        wrong = missing or wrong
        answer = {"error": wrong} if wrong else self._run(contestant, repeat)
        measurement = {"name": contestant.name, "group": contestant.group, "repeat": repeat}
        if "error" in answer:
            self.measurements.append({**measurement, "error": answer["error"]})
            self.problem(missing or f"{contestant.name} failed: {answer['error']}")
            self.save()
            return None
        self.measurements.append({**measurement, "result": answer})
        if contestant.group == "ladder" and "plan" in answer:
            self._plans[contestant.name] = answer["plan"]
        self._notify(f"{contestant.name}: {per_second(answer, 'env_steps'):,.1f} env steps/s (repeat {repeat + 1})")
        self.save()
        return answer

    def prepare(self, contestant: Contestant) -> None:
        """Keeps a contestant's configuration as it is now, since the user may edit a file meanwhile.

        Raises:
            ConfigError: it cannot be measured.
        """
        key = contestant.group, contestant.name
        if contestant.preset is not None and key not in self._measured:
            # Games alone are those that the others play, whatever a rung's are.
            overrides = () if contestant.group == "env_only" else self.settings.overrides
            self._measured[key] = measured_config(contestant, overrides)

    def _enter(self, contestant: Contestant) -> str | None:
        """Keeps who is measured; a sentence if he cannot be."""
        try:
            self.prepare(contestant)
        except ConfigError as error:
            return str(error)
        finally:
            if contestant not in self.contestants:
                self.contestants.append(contestant)
        if contestant.group == "ladder":
            self._configs[contestant.name] = self._config(contestant).model_dump(mode="json")
        return None

    def _config(self, contestant: Contestant) -> RunConfig:
        return self._measured[contestant.group, contestant.name]

    def _run(self, contestant: Contestant, repeat: int) -> dict[str, Any]:
        """Measures in a process of its own: its result, or `error`."""
        seconds, warmup = self.settings.seconds_per_rung, self.settings.warmup_seconds
        if contestant.group == "env_only":
            seconds = min(seconds, ENV_ONLY_SECONDS)
        return run_child(
            spec_of(contestant, self._measured.get((contestant.group, contestant.name)), seconds, warmup),
            self._log(contestant.name),
            STARTUP_LIMIT_SECONDS + 10 * (seconds + warmup),
            self._gpu,
            partial(self._show, contestant.name, repeat),
        )

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
            points: dict[str, Callable[[], list[Contestant]]] = {
                "actors": actors_points,
                "wrappers": wrappers_points,
                "devices": lambda: devices_points(len(gpu_names()), usable_cores().count),
            }
            self.interleave(points[name]())

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

    def solve(self, configs: Mapping[str, RunConfig], seeds: Sequence[int], limit_seconds: float) -> None:
        """Trains every rung with every seed, interleaved, each until solved or the limit.

        Args:
            configs: by name.
            seeds: of the runs.
            limit_seconds: of each.
        """
        for seed in seeds:
            for name, config in configs.items():
                self._solve(name, config, seed, limit_seconds)
                self.save()

    def _solve(self, name: str, config: RunConfig, seed: int, limit_seconds: float) -> None:
        label = f"{name}, seed {seed}"
        spec = {
            "kind": "solve",
            "preset": Path(name).stem,
            "config": config.model_dump(mode="json"),
            "seed": seed,
            "limit_seconds": limit_seconds,
            # The time counts from here, imports included; processes of one machine read one clock.
            "started": time.monotonic(),
        }
        log = self._log(f"solve_{name}_{seed}")
        limit = limit_seconds + 2 * STARTUP_LIMIT_SECONDS
        answer = run_child(spec, log, limit, self._gpu, partial(self._show, label, 0))
        run = {"name": name, "seed": seed, **answer}
        self.solve_runs.append(run)
        if "error" in run:
            self.problem(f"{name} with seed {seed} failed: {run['error']}")
            return
        reason = why_not_solved(run)
        how = f"solved after {run['seconds']:.0f} s" if reason is None else f"not solved: {reason}"
        self._notify(f"{label}: {how}")

    def _as_run(self) -> dict[str, Any]:
        """The rungs' configurations with what was left open as their plans decided it."""
        return {
            name: with_fields(validate(self._configs[name]), decided_fields(plan)).model_dump(mode="json")
            for name, plan in self._plans.items()
        }

    def _rows(self) -> list[dict[str, Any]]:
        contestants = [
            {
                "name": contestant.name,
                "group": contestant.group,
                "point": contestant.point,
                "about": contestant.about,
                "package": package_facts(contestant.package),
            }
            for contestant in self.contestants
        ]
        return make_rows(contestants, self.measurements)

    def content(self) -> dict[str, Any]:
        """What bench.json holds."""
        rows = self._rows()
        # The model of the costs is one of CPUs.
        is_cpu = not any(row["gpu_memory_bytes"] for row in rows)
        cores = self._facts["machine"]["cores"]
        expectations = expect(rows, self._as_run(), self.calibration, cores) if self.calibration and is_cpu else []
        return with_diagnosis(
            {
                "date": self._started.isoformat(timespec="seconds"),
                "seconds": round(time.monotonic() - self._begun, 1),
                "command": self.settings.command,
                **self._facts,
                "settings": asdict(self.settings),
                "is_whole": self.is_whole,
                "rows": rows,
                "expectations": expectations,
                "solve": self.solve_runs,
                "calibration": self.calibration,
                "configs": self._configs,
                "plans": self._plans,
                "problems": self.problems,
                "measurements": self.measurements,
            }
        )

    def save(self) -> None:
        """Writes bench.json so that nothing measured is lost; a full disk is reported once, and the bench goes on."""
        try:
            write_whole(self.out / JSON_FILE, self.content())
        except OSError as error:
            if not self._cannot_save:
                self._cannot_save = True
                self.problem(f"{self.out / JSON_FILE} cannot be written ({error}); the bench goes on")
