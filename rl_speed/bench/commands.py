"""`bench` on the command line; heavy imports wait until a command runs."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from rl_speed.system.errors import ConfigError, UserError

if TYPE_CHECKING:
    from rl_speed.bench.contestants import Contestant
    from rl_speed.bench.session import Session, Settings
    from rl_speed.config import RunConfig

DEFAULT_OUT = Path("bench_results")


class DefaultGroup(TyperGroup):
    """`bench baseline --repeats 1` means `bench run baseline --repeats 1`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts `run` in front of what is not a command."""
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


bench_app = typer.Typer(
    cls=DefaultGroup,
    help="Measure which speed-up pays here, and what limits it. `bench RUNG ...` is short for `bench run RUNG ...`.",
    pretty_exceptions_enable=False,
)


def _choose(rungs: list[str], settings: Settings, session: Session) -> tuple[list[Contestant], bool]:
    """The rungs that exist, and whether others were named; a sentence for each that does not.

    All of this machine's ladder if none is named.
    """
    from rl_speed.bench.contestants import ladder, rung
    from rl_speed.config import game_remarks
    from rl_speed.system.machine import has_cuda

    wanted = [rung(name) for name in dict.fromkeys(rungs)] if rungs else ladder(has_cuda())
    names = [contestant.name for contestant in wanted]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"rung {name} is named twice; rows need different names")
    chosen, is_wrong = [], False
    for contestant in wanted:
        try:
            session.prepare(contestant)
        except ConfigError as error:
            session.problem(f"Error: rung {contestant.name}: {error}")
            is_wrong = True
        else:
            chosen.append(contestant)
            # A measurement ends with its window, with a goal or without.
            for remark in game_remarks(contestant.preset or "", [*settings.overrides, "stop.reward=0"]):
                session.problem(remark)
    if not chosen and not (settings.peers or settings.sweeps):
        raise ConfigError("no rung is left to measure; `rl-speed configs` lists the presets")
    return chosen, is_wrong


@bench_app.command()
def run(
    rungs: Annotated[
        list[str] | None, typer.Argument(help="Presets or YAML files; default: the whole ladder of this machine.")
    ] = None,
    seconds_per_rung: Annotated[float, typer.Option(min=0.5, max=3600, help="Measured seconds per rung.")] = 20.0,
    repeats: Annotated[int, typer.Option(min=1, max=100, help="Times that each rung is measured, in turn.")] = 3,
    warmup_seconds: Annotated[float, typer.Option(min=0, max=600, help="Training before the window opens.")] = 3.0,
    to_solve: Annotated[
        bool, typer.Option("--to-solve", help="Also train until solved: the named rungs, or the fast preset.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Number of seeds of --to-solve.")] = 3,
    first_seed: Annotated[int, typer.Option(min=0, max=2**31 - 101, help="The first of them; others follow it.")] = 0,
    solve_minutes: Annotated[float, typer.Option(min=0.05, max=10_000, help="Limit of one run of --to-solve.")] = 20.0,
    peers: Annotated[bool, typer.Option("--peers", help="Also others: DQNs on the same work, and envs alone.")] = False,
    sweep: Annotated[
        list[str] | None, typer.Option(help="Also a sweep: envs, actors, wrappers, devices or all; may be repeated.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a field in every rung, e.g. --set envs.game=breakout.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the report; default: bench_results/<date>.")] = None,
) -> None:
    """Measure rungs side by side, print verdict, tables and details, and write JSON, CSV, Markdown and a page.

    Each measurement is a process of its own; repeats are interleaved. Ctrl-C keeps what was measured.
    """
    from rl_speed.bench.session import JSON_FILE, Session, Settings
    from rl_speed.report.files import check_writable
    from rl_speed.training.signals import first_signal, interrupt

    overrides, sweeps = tuple(set_ or []), tuple(_sweeps(sweep or []))
    if peers:
        _check_peers_work(overrides)
    folder = out or _free_folder(datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))
    check_writable(folder)
    if (folder / JSON_FILE).exists():
        raise UserError(f"--out {folder} holds a bench already; choose another folder, or remove it")
    settings = Settings(
        seconds_per_rung, repeats, warmup_seconds, overrides, _command(sys.argv[1:]),
        tuple(range(first_seed, first_seed + seeds)) if to_solve else (), solve_minutes if to_solve else 0.0,
        sweeps, peers,
    )  # fmt: skip
    console = Console()
    with first_signal(interrupt) as received, _status(console) as (notify, progress, quiet):
        session, is_wrong = Session(settings, folder, notify, progress), False
        try:
            chosen, is_wrong = _choose(rungs or [], settings, session)
            if peers:
                _check_peers_game(chosen, overrides)
            _measure(session, chosen, is_named=bool(rungs))
            session.is_whole = True
        except KeyboardInterrupt:
            received.setdefault("signal", int(signal.SIGINT))
        except ConfigError:
            with suppress(OSError):
                folder.rmdir()  # nothing was measured
            raise
        finally:
            session.close()
        quiet()
        _finish(session, folder, console)
    _leave(session, received.get("signal"), is_wrong)


def _command(arguments: Sequence[str]) -> str:
    """What was typed, without the folder of the report: results are handed on, and it is a place of this machine."""
    kept, rest = [], iter(arguments)
    for argument in rest:
        if argument == "--out":
            next(rest, None)
        elif not argument.startswith("--out="):
            kept.append(argument)
    return shlex.join(["rl-speed", *kept])


def _measure(session: Session, chosen: list[Contestant], is_named: bool) -> None:
    """All that was asked for, in turn.

    Args:
        session: takes the measurements.
        chosen: rungs.
        is_named: whether the user named them.
    """
    from rl_speed.bench import contestants as who
    from rl_speed.system.machine import has_cuda

    settings = session.settings
    solving = chosen if is_named else [who.rung("fast_gpu" if has_cuda() else "fast_cpu")]
    solved = _with_goals(solving, settings.overrides) if settings.seeds else {}
    session.interleave(chosen + (who.peers() if settings.peers else []))
    if any(contestant.name == "baseline" for contestant in chosen):
        session.calibrate()
    if settings.peers:
        session.interleave(who.env_only())
    for name in settings.sweeps:
        session.sweep(name)
    if settings.seeds:
        session.solve(solved, settings.seeds, 60.0 * settings.solve_minutes)


def _leave(session: Session, signal_number: int | None, is_wrong: bool) -> None:
    """Ends with the status that says how it went."""
    if signal_number is not None:
        raise typer.Exit(128 + signal_number)
    if is_wrong:
        raise typer.Exit(2)
    failed = [m for m in session.measurements if "error" in m and m["group"] not in ("peers", "env_only")]
    if failed or any("error" in run for run in session.solve_runs):
        raise typer.Exit(1)


def _free_folder(name: str) -> Path:
    """A new folder of that name, or of the next one that is free; two benches that start at once get two."""
    for number in count(1):
        path = DEFAULT_OUT / (name if number == 1 else f"{name}_{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError:  # `check_writable` says why
            return path
        return path
    raise AssertionError("numbers do not end")


def _with_goals(contestants: list[Contestant], overrides: Sequence[str]) -> dict[str, RunConfig]:
    """The configurations of runs that are to be solved, by name; one without a goal cannot be."""
    from rl_speed.config import load_config

    configs = {}
    for contestant in contestants:
        assert contestant.preset is not None
        config = configs[contestant.name] = load_config(contestant.preset, list(overrides))
        if config.stop.reward is None:
            raise ConfigError(
                f"--to-solve: rung {contestant.name} has no goal (stop.reward = null); give one, for example "
                f"--set stop.reward=19.5"
            )
    return configs


def _check_peers_work(overrides: Sequence[str]) -> None:
    """The peers do the work of `baseline` as it comes, with its settings; only who does it may be changed."""
    from rl_speed.config import RunConfig, as_changes, load_config, merge

    content: dict[str, Any] = (plain := load_config("baseline")).model_dump(mode="json")
    for change in as_changes(overrides):
        content = merge(content, change)
    try:
        changed = RunConfig.model_validate(content)
    except ValueError:
        return  # each rung says what is wrong
    for section in ("envs", "replay", "network", "update"):
        before, now = getattr(plain, section), getattr(changed, section)
        for name in type(before).model_fields:
            if name not in ("count", "backend", "threads") and getattr(before, name) != getattr(now, name):
                raise ConfigError(
                    f"--peers do the work of `baseline` as it comes, but --set asks for {section}.{name} = "
                    f"{getattr(now, name)}; leave one of the two out"
                )


def _check_peers_game(chosen: list[Contestant], overrides: Sequence[str]) -> None:
    """They play Pong; rungs beside them have to."""
    from rl_speed.config import load_config

    for contestant in chosen:
        assert contestant.preset is not None
        envs = load_config(contestant.preset, list(overrides)).envs
        if envs.name != "pong" or envs.sticky_probability:
            raise ConfigError(
                f"--peers play pong without sticky actions, and rung {contestant.name} plays {envs.name} with "
                f"envs.sticky_probability = {envs.sticky_probability:g}; leave one of the two out"
            )


def _sweeps(names: list[str]) -> list[str]:
    from rl_speed.bench.contestants import SWEEPS

    for name in names:
        if name not in (*SWEEPS, "all"):
            raise ConfigError(f"--sweep {name} is not known; use one of {', '.join(SWEEPS)} or all")
    return list(SWEEPS) if "all" in names else list(dict.fromkeys(names))


@contextmanager
def _status(console: Console) -> Iterator[tuple[Any, Any, Any]]:
    """A live line with what is being measured, above it one line per measurement, and what ends the live line."""
    from rich.markup import escape

    with console.status("starting") as status:

        def notify(text: str) -> None:
            console.print(text, highlight=False, soft_wrap=True, markup=False)

        def progress(name: str, repeat: int, phase: str) -> None:
            status.update(escape(f"{name}, repeat {repeat + 1}: {phase}"))

        yield notify, progress, status.stop


def _finish(session: Session, folder: Path, console: Console) -> None:
    """Prints tables and sentences, writes the report."""
    from rl_speed.bench.show.report import write_report
    from rl_speed.bench.show.terminal import print_report

    content = session.content()
    print_report(content, console)
    if not session.measurements and not session.solve_runs:
        return
    target = write_report(folder, content)
    if target != folder:
        console.print(f"--out {folder} can no longer be written", highlight=False, markup=False)
    console.print(f"report: {target / 'bench.html'}", highlight=False, soft_wrap=True, markup=False)


@bench_app.command()
def report(folder: Annotated[Path, typer.Argument(help="Folder with a bench.json.")]) -> None:
    """Write CSV, Markdown and page anew from a bench.json, and print it."""
    from rl_speed.bench.show.report import read_report, write_report
    from rl_speed.bench.show.terminal import print_report

    content = read_report(folder)
    console = Console()
    print_report(content, console)
    target = write_report(folder if folder.is_dir() else folder.parent, content, with_record=False)
    console.print(f"report: {target / 'bench.html'}", highlight=False, soft_wrap=True, markup=False)


@bench_app.command()
def stages(
    config: Annotated[str | None, typer.Option(help="Preset or YAML file; default: this machine's fast one.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change one field; may be repeated.")] = None,
    seconds: Annotated[float, typer.Option(min=0.05, max=600, help="For each stage and repeat.")] = 1.0,
    repeats: Annotated[int, typer.Option(min=1, max=100, help="Times that each stage is measured, in turn.")] = 5,
    history: Annotated[Path, typer.Option(help="File that the result is appended to.")] = DEFAULT_OUT / "stages.jsonl",
) -> None:
    """Measure each stage of the line alone, and append the result to a local history."""
    from rl_speed.bench.measure.stages import measure_stages
    from rl_speed.bench.show.history import append, stage_table
    from rl_speed.config import load_config
    from rl_speed.system.machine import has_cuda

    preset = config or ("fast_gpu" if has_cuda() else "fast_cpu")
    run_config = load_config(preset, list(set_ or []))
    append(history, None)
    record = measure_stages(run_config, Path(preset).stem, seconds, repeats, history.with_suffix(".log"))
    number = append(history, record)
    console = Console()
    console.print(stage_table(record))
    text = f"record {number} of {history}; compare with `rl-speed bench compare A B`"
    console.print(text, highlight=False, markup=False, soft_wrap=True)


@bench_app.command()
def compare(
    first: Annotated[str, typer.Argument(help="Number of a record, start of its commit, `last` or `previous`.")],
    second: Annotated[str, typer.Argument(help="The other one.")],
    history: Annotated[Path, typer.Option(help="File of the history.")] = DEFAULT_OUT / "stages.jsonl",
) -> None:
    """Compare two records of `bench stages`, stage by stage."""
    from rl_speed.bench.show.history import compare_table, find_record, read_history

    records = read_history(history)
    if not records:
        raise UserError(f"--history {history} holds no record; run `rl-speed bench stages` first")
    Console().print(compare_table(find_record(records, first), find_record(records, second)))
