"""The commands in the README run, each for a few seconds."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rl_speed.config import preset_names
from tests.command_line import HANG_SECONDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^\| `rl-speed ([^`]+)` \|", README, re.MULTILINE)


def test_the_readme_shows_every_command():
    assert {command.split()[0] for command in COMMANDS} == {
        "train", "evaluate", "play", "export", "doctor", "configs", "bench", "emulator", "suite",
    }  # fmt: skip


def test_the_readme_names_every_preset():
    for name in preset_names():
        assert f"`{name}`" in README, name


def test_make_targets_of_the_readme_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^    make ([a-z-]+)$", README, re.MULTILINE)) <= targets


@pytest.mark.slow
@pytest.mark.long
def test_the_commands_run(tmp_path):
    # One short run first, so that there is something to resume and to evaluate.
    short = ["--max-time", "00:00:04", "--set", "stop.confirm_episodes=0"]
    done: list[list[str]] = []
    for text in ["train --config smoke", *COMMANDS]:
        arguments = shlex.split(text)
        if arguments[0] == "train":
            if "--max-time" in arguments:
                place = arguments.index("--max-time")
                del arguments[place : place + 2]
            arguments += short
        if arguments[0] in ("evaluate", "export"):
            arguments[arguments.index("--episodes") + 1] = "1"
        if arguments[:2] == ["bench", "stages"]:
            arguments += ["--seconds", "0.1", "--repeats", "1"]
        elif arguments[0] == "bench" and "compare" not in arguments:
            # One small rung stands for the ladder, and no peers: their programs have tests of their own.
            left_out = ("baseline", "fast_cpu", "--repeats", "1", "--peers", "--sweep", "all")
            arguments = [text for text in arguments if text not in left_out]
            arguments += ["smoke", "--seconds-per-rung", "1", "--repeats", "1", "--warmup-seconds", "0.5"]
        if arguments[:2] == ["emulator", "verify"]:
            arguments += ["--frames", "100"]
        if arguments[:2] == ["emulator", "bench"]:
            arguments[arguments.index("--num-envs") + 1] = "2,4"
            arguments += ["--seconds", "0.1", "--repeats", "1"]
        if arguments[0] == "suite":
            arguments += ["--episodes", "1"]
            for option, small in (("games", "pong"), ("seeds", "1"), ("preset", "smoke"), ("env-steps", "1200")):
                arguments[arguments.index(f"--{option}") + 1] = small
        if arguments in done:  # what was different was taken out
            continue
        done.append(arguments)
        answer = subprocess.run(
            [sys.executable, str(ROOT / "cli.py"), *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        assert answer.returncode == 0, f"{text}: {answer.stderr}"
    assert (tmp_path / "game.mp4").stat().st_size > 10_000
    assert (tmp_path / "result.json").is_file()


@pytest.mark.parametrize("name", ["bench", "emulator"])
def test_every_command_of_a_page_is_one_of_the_program(name):
    """Their options parse; that they run is shown above and in the tests of the parts."""
    page = (ROOT / "docs" / f"{name}.md").read_text()
    commands = re.findall(r"^\| `rl-speed ([^`]+)` \|", page, re.MULTILINE)
    assert len(commands) >= 7
    from typer.testing import CliRunner

    from rl_speed.cli import app

    for text in commands:
        arguments = shlex.split(text)
        assert CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0, text


def rows_of(text, headers):
    """The rows of the first table whose header names all of these, as dictionaries of their cells."""
    for match in re.finditer(r"^\|.*\|\n\|[-|]+\|\n((?:\|.*\|\n)+)", text, re.MULTILINE):
        first, _, *lines = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in match[0].splitlines()]
        if set(headers) <= {header.replace("`", "") for header in first}:
            return [dict(zip((header.replace("`", "") for header in first), line, strict=True)) for line in lines]
    raise AssertionError(f"no table with {headers}")


def test_speeds_in_the_readme_are_those_of_the_record_it_names():
    section = README[README.index("**The ladder**") :]
    record = ROOT / re.search(r"\((benchmarks/results/[^)]*/bench\.md)\)", section)[1]
    recorded = {row["name"]: row for part in record.read_text().split("\n## ") if "x baseline" in part
                for row in rows_of("## " + part, ["name", "samples/s (min .. max)"])}  # fmt: skip
    shown = rows_of(section, ["rung", "samples/s (min .. max)"])
    assert len(shown) >= 12
    for row in shown:
        name = row.pop("rung")
        assert row == {header: recorded[name][header] for header in row}, name
