"""`export` on the command line; heavy imports wait until it runs."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from rl_speed.exports.hub import Pushed


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a run or of one of its checkpoints.")],
    out: Annotated[Path, typer.Option(help="Folder to write; a new one, or an older export, which is replaced.")],
    form: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="safetensors (default): rl_speed can load it; onnx: opset 18; torchscript: traced (torch 2.13 calls "
            "it deprecated); may be repeated.",
        ),
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option(help="Games that judge it; 0: none. Default: the run's confirmation of it, or else 30 games."),
    ] = None,
    video: Annotated[bool, typer.Option(help="Also film one game.")] = False,
    push: Annotated[
        str | None,
        typer.Option(help="Upload the folder to the Hugging Face hub, as USER/NAME; a new repository is private."),
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="With --push: everybody sees it.")] = False,
) -> None:
    """Write a checkpoint's acting network for other programs, with a page that tells all about it.

    Every format takes uint8 observations [batch, frames, rows, columns] and gives float32 values [batch, actions].
    """
    from rl_speed.exports.exporting import Wish, make_export
    from rl_speed.system.output import patient
    from rl_speed.training.signals import first_signal, interrupt

    wish = Wish(checkpoint, out, tuple(form or ("safetensors",)), episodes, video, push, public)
    with first_signal(interrupt) as received:  # half an export is removed
        try:
            pushed = make_export(wish, Console(file=patient(sys.stderr)))
        except KeyboardInterrupt:
            raise typer.Exit(128 + received.get("signal", signal.SIGINT)) from None
    typer.echo(f"exported to {out}" if pushed is None else f"exported to {out} and pushed to {_told(pushed)}")


def _told(pushed: Pushed) -> str:
    """Where it is, and who sees it."""
    seen = "private: nobody but you sees it; --public shows it to all" if pushed.is_private else "public: all see it"
    return f"{pushed.page} ({seen})"
