"""`rl-speed emulator`: is it exact, and how fast is it here?"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from rl_speed.system.errors import UserError
from rl_speed.system.json_file import check_json_path, write_json

if TYPE_CHECKING:
    from rl_speed.emulator.measure import Speed
    from rl_speed.emulator.verify import Verdict

MAX_ENVS = 65_536
Device = Literal["cpu", "cuda"]

emulator_app = typer.Typer(
    help="The project's own Atari 2600: compare it with ale-py, measure it, compile games ahead.", no_args_is_help=True
)


def _report(verdicts: Iterable[Verdict]) -> None:
    """Prints verdicts as they come; ends with exit status 1 if anything differs."""
    total = different = 0
    for verdict in verdicts:
        total += 1
        if verdict.differences:
            different += 1
            typer.echo(f"{verdict.game}: DIFFERS. " + "; ".join(verdict.differences))
        else:
            typer.echo(f"{verdict.game}: equal over {verdict.frames:,} frames and {verdict.ends} game ends")
    if total > 1:
        typer.echo(f"{total - different} of {total} games are equal")
    if different:
        raise typer.Exit(1)


@emulator_app.command()
def verify(
    game: Annotated[str | None, typer.Argument(help="A game, such as pong.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every game.")] = False,
    frames: Annotated[int, typer.Option(min=1, help="Frames with random actions, per game and seed.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the actions.")] = 0,
    sticky: Annotated[float, typer.Option(min=0.0, max=0.99, help="Sticky action probability.")] = 0.0,
    full_actions: Annotated[bool, typer.Option("--full-actions", help="All 18 actions, not the game's own.")] = False,
    interpret: Annotated[bool, typer.Option("--interpret", help="Without the recompiled ROM.")] = False,
    mode: Annotated[int | None, typer.Option(help="The game's mode; the default one if not given.")] = None,
    difficulty: Annotated[int, typer.Option(min=0, max=3, help="1: left switch at A, 2: right, 3: both.")] = 0,
    variants: Annotated[bool, typer.Option("--variants", help="Every mode in every difficulty, interpreted.")] = False,
    device: Annotated[
        Device, typer.Option(help="cuda: compare many consoles on the GPU with those on the CPU.")
    ] = "cpu",
    num_envs: Annotated[int, typer.Option(min=1, help="Consoles, with --device cuda.")] = 4096,
) -> None:
    """Play the same random actions here and on ale-py; print the first difference, if there is any.

    RAM, screen, reward, lives, end of game and frame counters are compared after every frame. The exit status is 1 if
    anything differs.
    """
    from rl_speed.emulator import verify as comparison
    from rl_speed.emulator.games import find_game, game_names
    from rl_speed.system.compiler import find_compiler
    from rl_speed.system.cores import usable_cores

    if all_ == (game is not None):
        raise UserError("emulator verify: give either a game or --all.")
    find_compiler()
    names = game_names() if all_ else [find_game(game or "").name]
    if variants and (sticky or full_actions or mode is not None or difficulty or device == "cuda"):
        raise UserError("--variants takes every mode and difficulty as it is: leave out the options for one of them.")
    if device == "cuda":
        if sticky or full_actions or interpret or mode is not None or difficulty:
            raise UserError("--device cuda compares the usual game only: leave out the options for another.")
        _report(comparison.verify_cuda(name, frames, seed, num_envs) for name in names)
        return
    arguments = (frames, seed, sticky, full_actions, not interpret, mode, difficulty)
    with ProcessPoolExecutor(min(usable_cores().count, len(names))) as pool:
        if variants:
            futures = [pool.submit(comparison.verify_variants, name, frames, seed) for name in names]
        else:
            futures = [pool.submit(comparison.verify, name, *arguments) for name in names]
        _report(future.result() for future in futures)


@emulator_app.command()
def warm(
    game: Annotated[list[str] | None, typer.Argument(help="Games, such as pong.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every game: minutes, and some MB of the cache.")] = False,
) -> None:
    """Compile games ahead, so that their first start does not wait for the compiler."""
    from rl_speed.emulator.games import find_game, game_names
    from rl_speed.emulator.libraries import warm as compile_ahead
    from rl_speed.system.code_cache import describe_cache
    from rl_speed.system.cores import usable_cores

    if all_ == bool(game):
        raise UserError("emulator warm: give either games or --all.")
    games = [find_game(name) for name in (game_names() if all_ else game or [])]
    for done, ready in enumerate(compile_ahead(games, usable_cores().count), 1):
        typer.echo(f"{ready.name} is ready ({done} of {len(games)})")
    typer.echo(describe_cache())


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part.replace("_", "")) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--num-envs {text!r} must be numbers with commas between, e.g. 16,64") from None
    if min(counts) < 1 or max(counts) > MAX_ENVS:
        raise UserError(f"--num-envs {text!r} must be numbers from 1 to {MAX_ENVS:,}")
    return counts


@emulator_app.command()
def bench(
    game: Annotated[str | None, typer.Argument(help="A game; pong if not given.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every game, beside ale-py's vector env only.")] = False,
    num_envs: Annotated[str, typer.Option(help="Numbers of consoles, e.g. 16,64.")] = "16",
    threads: Annotated[int, typer.Option(min=0, max=1024, help="Threads of every engine; 0: all cores.")] = 0,
    seconds: Annotated[float, typer.Option(min=0.05, max=600.0, help="Seconds per window.")] = 3.0,
    repeats: Annotated[int, typer.Option(min=1, max=100, help="Windows per engine; the median counts.")] = 3,
    device: Annotated[Device, typer.Option(help="cuda: also on the GPU.")] = "cpu",
    json_path: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
) -> None:
    """Frames per second of this emulator, ale-py's vector env and EnvPool: the same game with random actions."""
    from rl_speed.emulator.games import find_game, game_names
    from rl_speed.emulator.measure import FRAME_SKIP, kernel_milliseconds, measure
    from rl_speed.emulator.nvidia import check_cuda
    from rl_speed.system.cores import usable_cores
    from rl_speed.system.machine import machine, versions

    check_json_path(json_path)
    if all_ and (game is not None or device == "cuda"):
        raise UserError("emulator bench: --all goes together with neither a game nor --device cuda; leave one out.")
    on_gpu = device == "cuda"
    if on_gpu:
        check_cuda()
    games = [find_game(name) for name in (game_names() if all_ else [game or "pong"])]
    counts, threads = _counts(num_envs), threads or usable_cores().count
    console = Console()
    content: dict[str, Any] = {"threads": threads, "machine": machine(), "versions": versions(), "rows": []}
    for current, count in itertools.product(games, counts):
        try:
            with console.status(f"measuring {current.name}, {count:,} envs"):
                speeds = measure(current, count, threads, seconds, repeats, on_gpu, only_ale=all_)
                parts = kernel_milliseconds(current, count) if on_gpu else {}
        except UserError as error:
            if len(counts) == 1:
                raise
            typer.echo(f"{count:,} consoles are left out. {error}")
            continue
        content["rows"] += [
            {"game": current.name, **asdict(speed), "env_steps_per_second": speed.frames_per_second / FRAME_SKIP}
            for speed in speeds
        ]
        if all_:
            _print_ratio(current.name, speeds)
        else:
            console.print(_speed_table(f"{current.name}, {threads} threads, random actions", speeds))
        if on_gpu:
            content.setdefault("kernel_milliseconds", {})[count] = parts
            listed = ", ".join(f"{name} {milliseconds:.2f}" for name, milliseconds in parts.items())
            typer.echo(f"{count:,} consoles, milliseconds of a step on the GPU: {listed}")
        write_json(json_path, content)


def _ale_speed(speeds: list[Speed]) -> float | None:
    """Frames per second of ale-py's vector env, if it was measured."""
    return next((speed.frames_per_second for speed in speeds if speed.engine == "ale-vector"), None)


def _print_ratio(game: str, speeds: list[Speed]) -> None:
    ours, ale = speeds[0].frames_per_second, _ale_speed(speeds)
    beside = "" if ale is None else f", ale-py {ale:,.0f}, x {ours / ale:.2f}"
    typer.echo(f"{game}, {speeds[0].num_envs} envs: {ours:,.0f} frames/s{beside}")


def _speed_table(title: str, speeds: list[Speed]) -> Table:
    from rl_speed.emulator.measure import FRAME_SKIP

    table = Table(title=title)
    for column in ("engine", "envs", "84x84", "frames/s", "min .. max", "env steps/s", "x ale-py"):
        table.add_column(column, justify="left" if column in ("engine", "84x84") else "right")
    ale = _ale_speed(speeds)
    for speed in speeds:
        table.add_row(
            speed.engine,
            f"{speed.num_envs:,}",
            "yes" if speed.observations else "no",
            f"{speed.frames_per_second:,.0f}",
            f"{speed.least:,.0f} .. {speed.most:,.0f}",
            f"{speed.frames_per_second / FRAME_SKIP:,.0f}",
            "-" if ale is None else f"{speed.frames_per_second / ale:.2f}",
        )
    return table


@emulator_app.command()
def kernels(
    game: Annotated[str, typer.Argument(help="A game, such as pong.")] = "pong",
    architecture: Annotated[list[str] | None, typer.Option(help="Such as sm_90; may be repeated.")] = None,
    turns: Annotated[bool, typer.Option("--turns", help="Also count turns (docs/emulator.md).")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
) -> None:
    """Compile the CUDA source to cubins and print registers and local memory of its kernels; needs no GPU."""
    from rl_speed.emulator.cuda import kernel_parts
    from rl_speed.emulator.games import find_game
    from rl_speed.emulator.measure import count_turns
    from rl_speed.emulator.nvidia import compile_cubin

    check_json_path(json_path)
    chosen = find_game(game)
    console = Console()
    rows: list[dict[str, Any]] = []
    for name in architecture or ["sm_80", "sm_90"]:
        table = Table(title=f"{game}, {name}: memory per thread, warps of 64 on a multiprocessor")
        for column in ("ROM", "blocks", "kernel", "registers", "local", "spilled", "warps"):
            table.add_column(column, justify="left" if column in ("ROM", "kernel") else "right", no_wrap=True)
        for recompile, blocks in ((False, 8), (False, 16), (True, 8), (True, 16)):
            generated, defines = kernel_parts(chosen, recompile)
            _, report = compile_cubin(generated, {**defines, "BLOCKS_AT_ONCE": blocks}, name)
            code = "compiled" if recompile else "interpreted"
            for kernel in report[:2] if (recompile, blocks) == (False, 8) else report[:1]:
                warps = kernel.warps_at_once(1 if kernel.kernel == "run_consoles" else 8)
                row = {"architecture": name, "code": code, "blocks": blocks}
                rows.append({**row, **asdict(kernel), "warps_at_once": warps})
                table.add_row(
                    code, str(blocks), kernel.kernel, str(kernel.registers), f"{kernel.stack_bytes:,} B",
                    f"{kernel.spill_bytes:,} B", str(warps),
                )  # fmt: skip
        console.print(table)
    if turns:
        table = Table(title=f"{game}, turns per frame")
        for column in ("ROM", "one console", "32 together", "in a turn", "TIA: one", "32", "in a turn"):
            table.add_column(column, justify="left" if column == "ROM" else "right")
        for recompile in (False, True):
            count = count_turns(chosen, recompile)
            code = "compiled" if recompile else "interpreted"
            rows.append({"code": code, **asdict(count)})
            table.add_row(
                code, f"{count.alone:,.0f}", f"{count.together:,.0f}", f"{count.lanes:.1f}",
                f"{count.replay_alone:,.0f}", f"{count.replay_together:,.0f}", f"{count.replay_lanes:.1f}",
            )  # fmt: skip
        console.print(table)
    write_json(json_path, {"game": game, "rows": rows})
