"""`rl-speed emulator`: is it exact, and how fast is it here?"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rl_speed.errors import UserError

emulator_app = typer.Typer(
    help="The project's own Atari 2600: compare it with ale-py, and measure it.", no_args_is_help=True
)


def _verdict_line(verdict: object) -> str:
    from rl_speed.emulator.verify import Verdict

    assert isinstance(verdict, Verdict)
    if verdict.differences:
        return f"{verdict.game}: DIFFERS. " + "; ".join(verdict.differences)
    return f"{verdict.game}: equal over {verdict.frames:,} frames and {verdict.ends} game ends"


@emulator_app.command()
def verify(
    game: Annotated[str | None, typer.Argument(help="A game, such as pong.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every game.")] = False,
    frames: Annotated[int, typer.Option(min=1, help="Frames with random actions, per game and seed.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the actions.")] = 0,
    sticky: Annotated[float, typer.Option(min=0.0, max=0.99, help="Sticky action probability.")] = 0.0,
    full_actions: Annotated[bool, typer.Option("--full-actions", help="All 18 actions, not the game's own.")] = False,
    interpret: Annotated[bool, typer.Option("--interpret", help="Without the recompiled ROM.")] = False,
) -> None:
    """Play the same random actions here and on ale-py; print the first difference, if there is any.

    RAM, screen, reward, lives, end of game and frame counters are compared after every frame. The exit status is 1 if
    anything differs.
    """
    from rl_speed.emulator import verify as comparison
    from rl_speed.emulator.compiler import find_compiler
    from rl_speed.emulator.games import find_game, game_names
    from rl_speed.machine import usable_cores

    if all_ == (game is not None):
        raise UserError("emulator verify: give either a game or --all.")
    find_compiler()
    names = game_names() if all_ else [find_game(game or "").name]
    arguments = (frames, seed, sticky, full_actions, not interpret)
    different = 0
    with ProcessPoolExecutor(min(usable_cores(), len(names))) as pool:
        futures = [pool.submit(comparison.verify, name, *arguments) for name in names]
        for future in futures:
            verdict = future.result()
            different += bool(verdict.differences)
            typer.echo(_verdict_line(verdict))
    if all_:
        typer.echo(f"{len(names) - different} of {len(names)} games are equal")
    if different:
        raise typer.Exit(1)


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part.replace("_", "")) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--num-envs {text!r} must be numbers with commas between, e.g. 16,64") from None
    if min(counts) < 1 or max(counts) > 4096:
        raise UserError(f"--num-envs {text!r} must be numbers from 1 to 4,096")
    return counts


@emulator_app.command()
def bench(
    game: Annotated[str, typer.Argument(help="A game, such as pong.")] = "pong",
    num_envs: Annotated[str, typer.Option(help="Numbers of consoles, e.g. 16,64.")] = "16",
    threads: Annotated[int, typer.Option(min=0, max=1024, help="Threads of every engine; 0: all cores.")] = 0,
    seconds: Annotated[float, typer.Option(min=0.05, max=600.0, help="Seconds per window.")] = 3.0,
    repeats: Annotated[int, typer.Option(min=1, max=100, help="Windows per engine; the median counts.")] = 3,
    json_path: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
) -> None:
    """Frames per second of this emulator, ale-py's vector env and EnvPool: the same game with random actions."""
    from rl_speed.emulator.games import find_game
    from rl_speed.emulator.measure import FRAME_SKIP, Speed, measure
    from rl_speed.machine import machine, usable_cores, versions

    if json_path is not None and not json_path.absolute().parent.is_dir():
        raise UserError(f"--json {json_path} lies in a folder that does not exist; make it or choose another path")
    found, counts = find_game(game), _counts(num_envs)
    threads = threads or usable_cores()
    console = Console()
    speeds: list[Speed] = []
    with console.status("measuring"):
        speeds = measure(found, counts, threads, seconds, repeats)
    table = Table(title=f"{game}, {threads} threads, random actions")
    for column in ("engine", "envs", "84x84 observations", "frames/s", "min .. max", "env steps/s", "x ale-py"):
        table.add_column(column, justify="left" if column in ("engine", "84x84 observations") else "right")
    reference = {speed.num_envs: speed.frames_per_second for speed in speeds if speed.engine.startswith("ale")}
    for speed in speeds:
        table.add_row(
            speed.engine,
            f"{speed.num_envs:,}",
            "yes" if speed.observations else "no",
            f"{speed.frames_per_second:,.0f}",
            f"{speed.least:,.0f} .. {speed.most:,.0f}",
            f"{speed.frames_per_second / FRAME_SKIP:,.0f}",
            f"{speed.frames_per_second / reference[speed.num_envs]:.2f}",
        )
    console.print(table)
    if json_path is not None:
        rows = [
            {**asdict(speed), "game": game, "env_steps_per_second": speed.frames_per_second / FRAME_SKIP}
            for speed in speeds
        ]
        content = {"threads": threads, "machine": machine(), "versions": versions(), "rows": rows}
        try:
            json_path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"--json {json_path} cannot be written ({error}); choose another path") from None
