"""The command line: parses, loads the configuration, calls one function.

Heavy imports wait until a command runs, so that --help answers at once.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rl_speed.bench.commands import bench_app
from rl_speed.emulator.commands import emulator_app
from rl_speed.exports.commands import export
from rl_speed.suite.commands import suite
from rl_speed.system.durations import seconds_of
from rl_speed.system.errors import ActorError, EndedBeforeStartError, RankError, UserError
from rl_speed.system.json_file import check_json_path, write_json
from rl_speed.system.output import make_streams_patient

app = typer.Typer(
    help="Train a DQN on Atari as fast as this machine can, and see which speed-up paid.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(bench_app, name="bench")
app.add_typer(emulator_app, name="emulator")
app.command()(export)
app.command()(suite)

GameArgument = Annotated[
    str | None, typer.Argument(help="Game of ale-py, e.g. breakout; short for --set envs.game=breakout.")
]
CheckpointArgument = Annotated[
    Path, typer.Argument(help="Folder of a run or of one of its checkpoints, e.g. lightning_logs/version_0.")
]


def _with_game(game: str | None, changes: list[str] | None) -> list[str]:
    """The changes of --set, and the game that was named by itself."""
    return [*([] if game is None else [f"envs.game={game}"]), *(changes or [])]


def _may_start_actors(preset: str | None, changes: list[str], resume: str | None) -> bool:
    """Whether a run may play in processes of its own, as far as this can be told before torch is imported."""
    from rl_speed.config import load_config

    if preset is None or resume is not None:
        return True
    try:
        return load_config(preset, changes).actors.kind == "subprocess"
    except UserError:  # which is told when the run is made
        return False


def _default_preset(console: Console, changes: list[str]) -> str:
    from rl_speed.training.plan import default_preset

    preset, why = default_preset(changes)
    console.print(f"preset {preset}: {why}", highlight=False)
    return preset


@app.command()
def train(
    context: typer.Context,
    game: GameArgument = None,
    config: Annotated[
        str | None,
        typer.Option(
            help="Preset or path of a YAML file. Default: for pong fast_gpu where CUDA works, else fast_cpu; for other "
            "games atari."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one field, e.g. --set envs.count=3; may be repeated."),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="'last', or the folder of a checkpoint or run, to go on from there.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of networks, exploration, replay and games.")] = None,
    max_time: Annotated[str | None, typer.Option(help="Give up after this wall time, HH:MM:SS.")] = None,
    launcher: Annotated[
        str | None, typer.Option(help="ray: learn in a Ray cluster; short for --set trainer.launcher=ray.")
    ] = None,
) -> None:
    """Train until the mean return of the last 100 games reaches the goal (Pong: 19.5), and fresh games bear it out.

    Ctrl-C saves the run; `--resume last` goes on with it. The exit status is 0 whether solved or at a limit, 130, 143
    or 129 after Ctrl-C, SIGTERM or SIGHUP, 2 for something that you can put right (a limit that is over before the
    first game, too), 1 for a failure.
    """
    import threading

    changes = _with_game(game, set_)
    max_seconds = None if max_time is None else seconds_of("--max-time", max_time)
    is_own_program = context.obj is not None  # `main` was called
    if is_own_program and _may_start_actors(config, changes, resume):
        from rl_speed.system.import_ahead import import_ahead

        import_ahead("rl_speed.experience.generators.actor_process")

    from rl_speed import api
    from rl_speed.training.fit import quiet_lightning
    from rl_speed.training.signals import stop_on_signals

    quiet_lightning()
    stop = threading.Event()
    with stop_on_signals(stop) as received:
        try:
            api.train(
                config,
                [*changes, *([] if launcher is None else [f"trainer.launcher={launcher}"])],
                seed=seed,
                max_seconds=max_seconds,
                resume=resume,
                stop=stop,
                verbose=True,
                started=context.obj,
            )
        except EndedBeforeStartError as error:
            if "signal" not in received:
                raise
            typer.echo(str(error), err=True)
    if "signal" in received:
        raise typer.Exit(128 + received["signal"])


@app.command()
def evaluate(
    checkpoint: CheckpointArgument,
    episodes: Annotated[int, typer.Option(min=1, max=10_000, help="Full games to play.")] = 30,
    epsilon: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of random actions.")] = 0.01,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the games.")] = 1,
    json_path: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
) -> None:
    """Play full games with a checkpoint's frozen weights and print the mean return."""
    from rl_speed import api
    from rl_speed.training.checkpoint.folders import resolve
    from rl_speed.training.checkpoint.reading import read_config

    folder = resolve(checkpoint)
    check_json_path(json_path)
    game = read_config(folder).envs.game
    outcome = api.evaluate(folder, episodes, epsilon, seed, verbose=True)
    summary = outcome.summary()
    typer.echo(
        f"{game}: mean {summary['mean']:.2f} +- {summary['std']:.2f}, min {summary['min']:g}, "
        f"max {summary['max']:g} over {episodes} games at epsilon {epsilon:g}"
    )
    content = {
        **summary,
        "game": game,
        "epsilon": epsilon,
        "seed": seed,
        "checkpoint": str(folder),
        "returns": outcome.returns,
        "lengths_env_steps": outcome.lengths_env_steps,
    }
    write_json(json_path, content)


@app.command()
def play(
    checkpoint: CheckpointArgument,
    video: Annotated[Path, typer.Option(help="mp4 file to write.")],
    epsilon: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of random actions.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the game.")] = 1,
) -> None:
    """Play one full game with a checkpoint and write it as a video with the score."""
    from rl_speed import api
    from rl_speed.training.checkpoint.folders import resolve
    from rl_speed.training.checkpoint.reading import read_config
    from rl_speed.training.signals import first_signal, interrupt

    folder = resolve(checkpoint)
    with first_signal(interrupt) as received:  # half a video is removed
        try:
            episode_return = api.play(folder, video, epsilon, seed, verbose=True)
        except KeyboardInterrupt:
            raise typer.Exit(128 + received.get("signal", signal.SIGINT)) from None
    typer.echo(f"{read_config(folder).envs.game}: return {episode_return:g}, video {video}")


@app.command()
def doctor(
    game: GameArgument = None,
    config: Annotated[str | None, typer.Option(help="Preset or YAML file; default: as for train.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change one field; may be repeated.")] = None,
) -> None:
    """Show this machine, and the whole plan of a run here: each choice with its reason."""
    from rl_speed.config import game_remarks, load_config
    from rl_speed.training.plan import make_plan

    console = Console()
    facts = Table(show_header=False)
    for name, text in _machine_facts():
        facts.add_row(name, escape(text))
    console.print(facts)
    changes = _with_game(game, set_)
    preset = config or _default_preset(console, changes)
    plan = make_plan(load_config(preset, changes))
    decisions = Table("field", "value", "why", title=f"plan of {escape(preset)}", title_justify="left")
    for name, decision in plan.decisions.items():
        decisions.add_row(name, escape(str(decision.value)), escape(decision.reason))
    console.print(decisions)
    for remark in game_remarks(preset, changes):
        console.print(remark, highlight=False, markup=False, soft_wrap=True)


def _machine_facts() -> list[tuple[str, str]]:
    """What there is, by name, as text."""
    from rl_speed.emulator.games import game_names
    from rl_speed.emulator.nvidia import nvrtc_version
    from rl_speed.system.code_cache import describe_cache
    from rl_speed.system.compiler import CompilerMissingError, find_compiler
    from rl_speed.system.cores import usable_cores
    from rl_speed.system.machine import has_cuda, machine, processor_text, version_of, versions
    from rl_speed.system.memory import free_memory_bytes, shared_memory_free_bytes

    here = machine()
    try:
        compiler = " ".join(find_compiler())
    except CompilerMissingError as error:
        compiler = f"none. {error}"
    shared = shared_memory_free_bytes()
    return [
        ("system", here["system"]),
        ("processor", processor_text()),
        ("cores", usable_cores().reason),
        ("memory", f"{here['memory_bytes'] / 1e9:.1f} GB, {free_memory_bytes() / 1e9:.1f} GB free"),
        ("shared memory", "no folder of its own" if shared is None else f"{shared / 1e9:.2f} GB free"),
        ("GPU", ", ".join(here["gpus"]) if has_cuda() else "none that works with this torch"),
        ("C++ compiler", compiler),
        ("compiled code", describe_cache()),
        ("NVRTC", nvrtc_version() or "none (`pip install 'rl-speed[cuda]'`; for envs.backend = cuda)"),
        ("Ray", version_of("ray") or "none (`pip install 'rl-speed[ray]'`; for players and learners in a cluster)"),
        ("games", f"{len(game_names())} of ale-py's can be played"),
        *versions().items(),
    ]


@app.command()
def configs() -> None:
    """List the presets, each with one line."""
    from rl_speed.config import load_config, preset_names

    table = Table("preset", "what it is")
    for name in preset_names():
        table.add_row(name, escape(load_config(name).description))
    Console().print(table)


def _show_log() -> None:
    """What the library notes for its users, such as that it compiles, on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("rl_speed")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def main() -> None:
    """Runs the command line: what the user can put right ends with one sentence and exit status 2."""
    # Before torch is loaded: threads that wait for others of their team give the core away instead of spinning on it,
    # so that runs side by side do not stop each other (docs/notebook.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    started = time.monotonic()  # what a run's time counts from
    make_streams_patient()
    _show_log()
    try:
        app(obj=started)
    except UserError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except (ActorError, RankError) as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
