"""`suite` on the command line; heavy imports wait until it runs."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from rl_speed.system.durations import seconds_of
from rl_speed.system.errors import ConfigError

if TYPE_CHECKING:
    from rl_speed.suite.plan import Asked


def _at_once(text: str) -> int | None:
    """Runs side by side; None: to be decided."""
    if text == "auto":
        return None
    if text.isdecimal() and 1 <= int(text) <= 1024:
        return int(text)
    raise ConfigError(f"--at-once {text!r} must be auto or a number from 1 to 1024")


def suite(
    out: Annotated[Path, typer.Option(help="Folder of the suite; started again on it, a suite goes on.")],
    games: Annotated[
        str | None, typer.Option(help="atari5, atari26, atari57, or games apart by commas, e.g. pong,breakout.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Number of seeds; more may be added later. Default: 5.")
    ] = None,
    first_seed: Annotated[
        int | None, typer.Option(min=0, max=2**31 - 1001, help="The first of them; others follow it. Default: 0.")
    ] = None,
    preset: Annotated[
        list[str] | None, typer.Option(help="Preset or YAML file; may be repeated, or several apart by commas.")
    ] = None,
    env_steps: Annotated[int | None, typer.Option(min=1, help="Env steps of each run.")] = None,
    max_time: Annotated[str | None, typer.Option(help="Wall time of each run, HH:MM:SS, instead or as well.")] = None,
    episodes: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Full games that judge each run. Default: 30.")
    ] = None,
    epsilon: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Share of random actions in them. Default: 0.001.")
    ] = None,
    sticky: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=0.99,
            help="Sticky actions in them, e.g. 0.25. Default: as trained, see --set envs.sticky_probability.",
        ),
    ] = None,
    at_once: Annotated[str, typer.Option(help="Runs side by side on each machine: auto, or a number.")] = "auto",
    address: Annotated[
        str | None,
        typer.Option(help="Runs are tasks of this Ray cluster, HOST:PORT or auto; all nodes have to see --out."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a field in every run; may be repeated.")
    ] = None,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Train nothing; write the report of what is there.")
    ] = False,
) -> None:
    """Train games x seeds x presets, play full games with each result, and report scores with error bars.

    Started again with the same --out it goes on: what is finished stays, what was interrupted goes on from its last
    checkpoint, what failed is tried again. More games, seeds and presets may be added then; the rest of the plan stays.
    The exit status is 0 when all runs are finished (with --report-only always), 1 if some failed, 130, 143 or 129 after
    a signal, 2 for something that you can put right.
    """  # fmt: skip
    from rl_speed.config.rules import address_problem
    from rl_speed.suite.plan import Asked

    asked = Asked(
        games, seeds, first_seed, _presets(preset or []), env_steps,
        None if max_time is None else seconds_of("--max-time", max_time), episodes, epsilon, sticky, tuple(set_ or ()),
    )  # fmt: skip
    side_by_side = _at_once(at_once)
    if address is not None and (problem := address_problem("--address", address)) is not None:
        raise ConfigError(problem)
    if report_only:
        _refuse_beside_report_only(asked, side_by_side, address)
        _report(out, Console())
        return
    _run(out.absolute(), asked, side_by_side, address)


def _refuse_beside_report_only(asked: Asked, side_by_side: int | None, address: str | None) -> None:
    """Who gives them expects something of them."""
    from rl_speed.suite.plan import Asked

    given = [name for name, value in vars(asked).items() if value != getattr(Asked(), name)]
    given += [name for name, value in (("at_once", side_by_side), ("address", address)) if value is not None]
    if given:
        names = {"presets": "preset", "max_seconds": "max-time", "overrides": "set"}
        options = ", ".join(f"--{names.get(name, name).replace('_', '-')}" for name in given)
        raise ConfigError(f"--report-only reports what is there, and takes --out alone; leave out {options}")


def _presets(texts: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip()))


def _run(out: Path, asked: Asked, side_by_side: int | None, address: str | None) -> None:
    from rl_speed.report.files import check_writable
    from rl_speed.suite.estimates import check_scipy
    from rl_speed.suite.folder import locked
    from rl_speed.suite.plan import configs_of, make_plan, read_plan, write_plan
    from rl_speed.suite.schedule import Suite, carry_out, make_runner
    from rl_speed.training.signals import first_signal, interrupt

    check_scipy()  # not after days of training
    console = Console()

    def notify(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    checked = make_plan(read_plan(out), asked)  # before anything is made
    configs = configs_of(checked)
    check_writable(out)
    with locked(out), first_signal(interrupt) as received:
        try:
            plan = make_plan(read_plan(out), asked)  # another suite may have added to it meanwhile
            if plan != checked:
                configs = configs_of(plan)
            write_plan(out, plan, configs)
            with make_runner(plan, configs, side_by_side, address) as runner:
                notify(runner.description)
                carry_out(Suite(plan, configs, out), runner, notify)
        except KeyboardInterrupt:
            notify(f"stopped; the same command goes on, `rl-speed suite --out {out} --report-only` shows what is there")
            raise typer.Exit(128 + received.get("signal", signal.SIGINT)) from None
    if not _report(out, console):
        raise typer.Exit(1)


def _report(out: Path, console: Console) -> bool:
    """Writes and prints the report of what is there; whether all runs are finished."""
    from rl_speed.suite.report import write_report

    page, is_whole = write_report(out, console)
    console.print(f"report: {page}", highlight=False, soft_wrap=True, markup=False)
    return is_whole
