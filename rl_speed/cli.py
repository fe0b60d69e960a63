"""The command line: parses, loads the configuration, calls one function.

Heavy imports wait until a command runs, so that --help answers at once.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rl_speed.bench.commands import bench_app
from rl_speed.emulator.commands import emulator_app
from rl_speed.system.errors import ActorError, ConfigError, UserError
from rl_speed.system.json_file import check_json_path, write_json

app = typer.Typer(
    help="Train a DQN on Atari as fast as this machine can, and see which speed-up paid.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(bench_app, name="bench")
app.add_typer(emulator_app, name="emulator")

CheckpointArgument = Annotated[
    Path, typer.Argument(help="Folder of a run or of one of its checkpoints, e.g. lightning_logs/version_0.")
]


def _max_seconds(text: str) -> float:
    match = re.fullmatch(r"(\d{1,4}):([0-5]?\d):([0-5]?\d)", text.strip())
    seconds = 0 if match is None else sum(int(x) * y for x, y in zip(match.groups(), (3600, 60, 1), strict=True))
    if seconds == 0:
        raise ConfigError(f"--max-time {text!r} must be HH:MM:SS and more than zero, e.g. 00:10:00")
    return float(seconds)


def _default_preset(console: Console) -> str:
    from rl_speed.system.machine import has_cuda

    preset, why = ("fast_gpu", "CUDA works here") if has_cuda() else ("fast_cpu", "no working CUDA device")
    console.print(f"preset {preset}: {why}", highlight=False)
    return preset


@app.command()
def train(
    config: Annotated[
        str | None,
        typer.Option(help="Preset or path of a YAML file. Default: fast_gpu where CUDA works, else fast_cpu."),
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
) -> None:
    """Train until the mean return of the last 100 games reaches 19.5.

    Ctrl-C saves the run; `--resume last` goes on with it. The exit status is 0 whether solved or at a limit, 130 or
    143 after Ctrl-C or SIGTERM, 2 for something that you can put right, 1 for a failure.
    """
    from rl_speed.config import load_config
    from rl_speed.training.checkpoint import find_last, resolve, resume_config

    console = Console()
    overrides = list(set_ or [])
    if seed is not None:
        overrides.append(f"seed={seed}")
    max_seconds = None if max_time is None else _max_seconds(max_time)
    if resume is not None and config is not None:
        raise ConfigError(
            "--config and --resume exclude each other: a resumed run has its configuration; use --set to change it"
        )
    folder = None
    if resume is None:
        preset = config or _default_preset(console)
        if max_seconds is not None:
            overrides.append(f"stop.max_seconds={max_seconds}")
        run_config = load_config(preset, overrides)
    else:
        logging = load_config("baseline", [text for text in overrides if text.startswith("logging.")]).logging
        folder = find_last(Path(logging.directory)) if resume == "last" else resolve(Path(resume))
        typer.echo(f"resuming {folder}")
        preset, run_config = resume_config(folder, overrides, max_seconds)
    from rl_speed.training.fit import fit

    outcome = fit(run_config, Path(preset).stem, folder, console)
    if outcome.signal is not None:
        raise typer.Exit(128 + outcome.signal)


@app.command()
def evaluate(
    checkpoint: CheckpointArgument,
    episodes: Annotated[int, typer.Option(min=1, max=10_000, help="Full games to play.")] = 30,
    epsilon: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of random actions.")] = 0.01,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the games.")] = 1,
    json_path: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
) -> None:
    """Play full games with a checkpoint's frozen weights and print the mean return."""
    import torch

    from rl_speed.system.machine import usable_cores
    from rl_speed.training.checkpoint import load_network, resolve
    from rl_speed.training.evaluation import play_games

    folder = resolve(checkpoint)
    check_json_path(json_path)
    network, config = load_network(folder)
    torch.set_num_threads(1)  # the games have the cores
    outcome = play_games(network, config, episodes, epsilon, seed, usable_cores())
    assert outcome is not None  # nobody stops it
    summary = outcome.summary()
    typer.echo(
        f"{config.envs.game}: mean {summary['mean']:.2f} +- {summary['std']:.2f}, min {summary['min']:g}, "
        f"max {summary['max']:g} over {episodes} games at epsilon {epsilon:g}"
    )
    content = {
        **summary,
        "game": config.envs.game,
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
    from rl_speed.training.checkpoint import load_network, resolve
    from rl_speed.training.evaluation import record_video

    network, config = load_network(resolve(checkpoint))
    episode_return = record_video(network, config, video, epsilon, seed)
    typer.echo(f"{config.envs.game}: return {episode_return:g}, video {video}")


@app.command()
def doctor() -> None:
    """Show cores, memory, GPU, versions and games, and which preset would run here."""
    from ale_py import roms

    from rl_speed.config import load_config
    from rl_speed.emulator.nvidia import nvrtc_version
    from rl_speed.system.machine import has_cpp_compiler, has_cuda, machine, versions
    from rl_speed.training.plan import plan_threads

    console = Console()
    found = machine()
    table = Table(show_header=False)
    table.add_row("system", found["system"])
    table.add_row("processor", found["processor"])
    table.add_row("cores", str(found["cores"]))
    table.add_row("memory", f"{found['memory_bytes'] / 1e9:.1f} GB")
    table.add_row("GPU", ", ".join(found["gpus"]) if has_cuda() else "none that works with this torch")
    table.add_row("C++ compiler", "found" if has_cpp_compiler() else "none (update.compile is then ignored)")
    table.add_row("NVRTC", nvrtc_version() or escape("none (`pip install 'rl-speed[cuda]'`; for envs.backend = cuda)"))
    table.add_row("games", f"{len(roms.get_all_rom_ids())} in ale-py")
    for name, version in versions().items():
        table.add_row(name, version)
    console.print(table)
    preset = _default_preset(console)
    threads = plan_threads(load_config(preset), found["cores"])
    console.print(f"threads: {threads.learner} for the learner, {threads.env} for the games", highlight=False)


@app.command()
def configs() -> None:
    """List the presets, each with one line."""
    from rl_speed.config import load_config, preset_names

    table = Table("preset", "what it is")
    for name in preset_names():
        table.add_row(name, escape(load_config(name).description))
    Console().print(table)


def main() -> None:
    """Runs the command line: what the user can put right ends with one sentence and exit status 2."""
    try:
        app()
    except UserError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except ActorError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
