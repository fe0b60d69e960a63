"""What a suite is to do: read from its folder, added to by the command line, never contradicted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rl_speed.config import RunConfig, load_config, merge, parse_override, preset_names
from rl_speed.suite.folder import PLAN_FILE, SCORE_FILE, RunKey
from rl_speed.suite.reference import games_named
from rl_speed.system.commit import commit
from rl_speed.system.errors import ConfigError, UserError
from rl_speed.system.json_file import write_whole
from rl_speed.system.machine import machine, versions

FORMAT = 2  # 1: knew of the configurations nothing but a hash
DEFAULT_SEEDS, DEFAULT_EPISODES, DEFAULT_EPSILON = 5, 30, 0.001
# What the suite sets itself in every run.
_OWN_FIELDS = (
    "seed", "envs.game", "logging.directory", "logging.progress_bar", "stop.reward", "stop.max_env_steps",
    "stop.max_seconds", "stop.max_gradient_steps", "stop.confirm_unsolved",
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What the command line says; None or empty: nothing.

    Attributes:
        games: as `--games` takes them.
        seeds, first_seed: how many, from which one on.
        presets: names of presets, paths of files.
        env_steps: of each run.
        max_seconds: wall time of each run.
        episodes, epsilon, sticky: of the evaluation.
        overrides: texts `section.field=value`.
    """

    games: str | None = None
    seeds: int | None = None
    first_seed: int | None = None
    presets: tuple[str, ...] = ()
    env_steps: int | None = None
    max_seconds: float | None = None
    episodes: int | None = None
    epsilon: float | None = None
    sticky: float | None = None
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class SuitePlan:
    """Games x seeds x presets, and what holds for all of them.

    Attributes:
        games: ALE names.
        seeds: of runs.
        presets: name or absolute path, by label.
        env_steps: limit of each run; None: none.
        max_seconds: limit of each run's wall time; None: none.
        episodes: full games that judge a run.
        epsilon: share of random actions in them.
        sticky: chance that ALE repeats the last action in them; None: as in training.
        overrides: laid over every preset.
    """

    games: tuple[str, ...]
    seeds: tuple[int, ...]
    presets: dict[str, str]
    env_steps: int | None
    max_seconds: float | None
    episodes: int
    epsilon: float
    sticky: float | None
    overrides: tuple[str, ...]

    def runs(self) -> list[RunKey]:
        """All runs: every game with every preset before the next seed."""
        return [RunKey(seed, game, preset) for seed in self.seeds for game in self.games for preset in self.presets]

    def changes(self, key: RunKey) -> list[str | Mapping[str, Any]]:
        """What is laid over the preset of a run, its folder not included."""
        own = {
            "envs.game": key.game, "seed": key.seed, "stop.reward": None, "stop.max_env_steps": self.env_steps,
            "stop.max_seconds": self.max_seconds, "stop.max_gradient_steps": None, "stop.confirm_unsolved": False,
            "logging.progress_bar": False,
        }  # fmt: skip
        return [*self.overrides, own]


def make_plan(stored: SuitePlan | None, asked: Asked) -> SuitePlan:
    """The plan of a new suite, or the stored one with what is added.

    Raises:
        ConfigError: something is missing, unknown, or contradicts the stored plan.
    """
    _check_overrides(asked.overrides)
    games = () if asked.games is None else games_named(asked.games)
    seeds = _seeds(asked, stored)
    presets = _labelled(asked.presets)
    if stored is None:
        return _new_plan(asked, games, seeds, presets)
    _check_agrees(stored, asked)
    for label, source in presets.items():
        if stored.presets.get(label, source) != source:
            raise ConfigError(
                f"--preset {source}: this suite has another preset {label!r}, {stored.presets[label]}; rename the file"
            )
    return replace(
        stored,
        games=tuple(dict.fromkeys(stored.games + games)),
        seeds=tuple(sorted({*stored.seeds, *seeds})),
        presets={**stored.presets, **presets},
    )


def _new_plan(asked: Asked, games: tuple[str, ...], seeds: tuple[int, ...], presets: dict[str, str]) -> SuitePlan:
    wanted = {
        "--games": ("atari5", games), "--preset": ("baseline", presets),
        "--env-steps or --max-time": ("--env-steps 100000", asked.env_steps or asked.max_seconds),
    }  # fmt: skip
    for option, (example, value) in wanted.items():
        if not value:
            flag = "" if example.startswith("--") else f"{option} "
            raise ConfigError(f"{option} is missing: a new suite needs it, e.g. {flag}{example}")
    return SuitePlan(
        games, seeds, presets, asked.env_steps, asked.max_seconds,
        DEFAULT_EPISODES if asked.episodes is None else asked.episodes,
        DEFAULT_EPSILON if asked.epsilon is None else asked.epsilon,
        asked.sticky, asked.overrides,
    )  # fmt: skip


def _seeds(asked: Asked, stored: SuitePlan | None) -> tuple[int, ...]:
    if stored is not None and asked.seeds is None and asked.first_seed is None:
        return ()
    first = asked.first_seed
    if first is None:
        first = 0 if stored is None else stored.seeds[0]
    return tuple(range(first, first + (asked.seeds or DEFAULT_SEEDS)))


def _labelled(sources: tuple[str, ...]) -> dict[str, str]:
    """Presets by label: a preset's own name, or that of a file without folder and ending."""
    presets: dict[str, str] = {}
    for source in sources:
        is_name = source in preset_names()
        if not is_name:
            load_config(source)  # says what is wrong with the name that was typed
        label, whole = (source, source) if is_name else (Path(source).stem, str(Path(source).expanduser().absolute()))
        if label in presets or (not is_name and label in preset_names()):
            raise ConfigError(f"--preset {source}: there are two presets {label!r}; rename the file")
        presets[label] = whole
    return presets


def _check_overrides(overrides: tuple[str, ...]) -> None:
    for text in overrides:
        parse_override(text)
        field = text.partition("=")[0].strip()
        if field in _OWN_FIELDS:
            raise ConfigError(
                f"--set {text}: the suite sets {field} itself; use its own options for games, seeds and limits"
            )


def _check_agrees(stored: SuitePlan, asked: Asked) -> None:
    names = {
        "env_steps": "--env-steps", "max_seconds": "--max-time (in seconds)", "episodes": "--episodes",
        "epsilon": "--epsilon", "sticky": "--sticky", "overrides": "--set",
    }  # fmt: skip
    for name, option in names.items():
        now, before = getattr(asked, name), getattr(stored, name)
        if now is not None and now != () and _settled(now) != _settled(before):
            shown = ["none" if value in (None, ()) else _shown(value) for value in (now, before)]
            raise ConfigError(
                f"{option} {shown[0]} contradicts this suite, which was started with {shown[1]}; leave it out, or give "
                f"another --out"
            )


def _shown(value: Any) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(value)


def _settled(value: Any) -> Any:
    """What texts of `--set` come to, in whatever order they stand; anything else as it is."""
    content: dict[str, Any] = {}
    for text in value if isinstance(value, tuple) else ():
        content = merge(content, parse_override(text))
    return content if isinstance(value, tuple) else value


def configs_of(plan: SuitePlan) -> dict[tuple[str, str], RunConfig]:
    """The configuration of every (preset, game), with the first seed.

    Raises:
        ConfigError: one cannot be used.
    """
    configs = {}
    for label, source in plan.presets.items():
        for game in plan.games:
            config = load_config(source, plan.changes(RunKey(plan.seeds[0], game, label)))
            if config.trainer.launcher == "ray" or config.trainer.num_nodes > 1:
                raise ConfigError(
                    f"preset {label}: trainer.launcher = {config.trainer.launcher} and trainer.num_nodes = "
                    f"{config.trainer.num_nodes} do not go into a suite, whose runs are processes of one machine; use "
                    f"--address to spread the runs over a cluster"
                )
            configs[label, game] = config
    return configs


def _content(config: RunConfig) -> dict[str, Any]:
    """What of a configuration decides about scores."""
    return config.model_dump(mode="json", exclude={"seed", "description", "logging"})


def _changed_field(before: Any, now: Any, default: Any, field: str = "") -> str | None:
    """The first field that differs; None if none does. One that was unknown before has to have its default."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return None if before == now else field
    known_defaults = default if isinstance(default, dict) else {}
    for name in (*before, *now):
        usual = known_defaults.get(name)
        old, new = before.get(name, usual), now.get(name, usual)
        changed = _changed_field(old, new, usual, f"{field}.{name}".lstrip("."))
        if changed is not None:
            return changed
    return None


def write_plan(out: Path, plan: SuitePlan, configs: Mapping[tuple[str, str], RunConfig]) -> None:
    """Writes suite.json; what it says of the first start stays.

    Raises:
        ConfigError: a preset has changed since it was entered.
        UserError: the folder cannot be written, or holds runs of a plan that is gone.
    """
    content = _read(out)
    if content is None:
        _check_new(out, plan)
        content = {
            "format": FORMAT, "started": datetime.now().astimezone().isoformat(timespec="seconds"), "commit": commit(),
            "versions": versions(), "machine": machine(), "configurations": {},
        }  # fmt: skip
    known = content["configurations"]
    for (label, game), config in configs.items():
        before = known.setdefault(f"{label}/{game}", _content(config))
        changed = _changed_field(before, _content(config), _content(RunConfig()))
        if changed is not None:
            raise ConfigError(
                f"preset {label} gives another configuration for {game} than when this suite was started: {changed} is "
                f"another; undo the change, or give another --out"
            )
    try:
        write_whole(out / PLAN_FILE, {**content, **asdict(plan)})
    except OSError as error:
        raise UserError(f"--out {out} cannot be written ({error}); choose another folder") from None


def _check_new(out: Path, plan: SuitePlan) -> None:
    """Scores and checkpoints of another plan are not taken for this one's."""
    for key in plan.runs():
        folder = key.folder(out)
        if (folder / SCORE_FILE).exists() or any(folder.glob("version_*")):
            raise UserError(
                f"--out {out} holds runs, such as {folder}, but not their plan, {PLAN_FILE}; bring it back, or give "
                f"another --out"
            )


def _read(out: Path) -> dict[str, Any] | None:
    path = out / PLAN_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a suite's plan ({error}); give another --out") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path} is not the plan of a suite of this version; give another --out")
    return content


def read_facts(out: Path) -> dict[str, Any]:
    """All of suite.json: the plan, and when, where and with what the suite was started.

    Raises:
        UserError: there is none.
    """
    content = _read(out)
    if content is None:
        raise UserError(f"--out {out} holds no suite; give the folder of one, or start it without --report-only")
    return content


def read_plan(out: Path) -> SuitePlan | None:
    """The plan of a folder; None if no suite was started there.

    Raises:
        UserError: it cannot be read.
    """
    content = _read(out)
    return None if content is None else plan_of(content, out)


def plan_of(content: Mapping[str, Any], out: Path) -> SuitePlan:
    """The plan in suite.json's content.

    Raises:
        UserError: it is not whole.
    """
    try:
        values = {field.name: content[field.name] for field in fields(SuitePlan)}
    except KeyError as error:
        raise UserError(f"{out / PLAN_FILE} lacks {error}; give another --out") from None
    lists = {name: tuple(values[name]) for name in ("games", "seeds", "overrides")}
    return SuitePlan(**{**values, **lists})
