"""Makes each mistake of the catalogue in a copy of the program and runs the tests that have to notice it.

python -m tests.mutants [--only EXPRESSION]

Exit status: 0, all were noticed; 1, one was not; 2, the list does not fit the program any more, or the tests fail
without any mistake.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CATALOGUE = Path(__file__).with_name("catalogue.yaml")
COPIED = ("rl_speed", "tests", "configs", "benchmarks/peers", "cli.py", "pyproject.toml", "README.md")
PASSED, FAILED = 0, 1  # pytest's exit statuses; others say that it could not run the tests
# No mistake of the list makes anything wait for ever; this is for one that does.
LIMIT_SECONDS = 1200


@dataclass(frozen=True)
class Mutant:
    """A mistake: see the head of the catalogue."""

    name: str
    file: str
    old: str
    new: str
    tests: str


def read_catalogue() -> list[Mutant]:
    """All mistakes."""
    return [Mutant(**entry) for entry in yaml.safe_load(CATALOGUE.read_text())]


def copy_program(target: Path) -> None:
    """What the tests read, without the results of earlier work."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / name)


def run_tests(directory: Path, tests: Iterable[str]) -> tuple[int | None, str]:
    """Exit status of pytest, None if it did not end, and the last of what it said."""
    # Compiled files are told apart by second and size, which a mistake and its correction may share.
    environment = {**os.environ, "PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1"}
    names = [f"tests/{name}" for name in tests]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *names],
            cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, f"not ended after {LIMIT_SECONDS} s"
    return done.returncode, done.stdout[-3000:] + done.stderr[-1000:]


def judge(mutant: Mutant, directory: Path) -> tuple[str, str]:
    """ "killed", "SURVIVED" or "ERROR", and what there is to say about it; the copy is whole again afterwards."""
    path = directory / "rl_speed" / mutant.file
    content = path.read_text()
    found = content.count(mutant.old)
    if found != 1:
        return "ERROR", f"{mutant.file} holds {mutant.old!r} {found} times, not once: bring {CATALOGUE.name} up to date"
    path.write_text(content.replace(mutant.old, mutant.new))
    try:
        status, output = run_tests(directory, mutant.tests.split())
    finally:
        path.write_text(content)
    if status == FAILED:
        failed = [line for line in output.splitlines() if line.startswith("FAILED")]
        return "killed", failed[-1].removeprefix("FAILED tests/").split(" - ")[0] if failed else ""
    if status == PASSED:
        return "SURVIVED", f"write a test in {mutant.tests} that fails"
    return "ERROR", output


def check_program(directory: Path, mutants: list[Mutant]) -> bool:
    """Whether the tests pass without any mistake: otherwise they would fail for another reason."""
    tests = dict.fromkeys(name for mutant in mutants for name in mutant.tests.split())
    status, output = run_tests(directory, tests)
    if status != PASSED:
        print(output)
    return status == PASSED


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="mutants in whose name or file this regular expression is found")
    only = parser.parse_args().only
    try:
        mutants = [mutant for mutant in read_catalogue() if re.search(only, f"{mutant.name} {mutant.file}")]
    except re.error as error:
        parser.error(f"--only {only!r} is no regular expression ({error})")
    if not mutants:
        parser.error(f"--only {only!r} is in no mutant's name or file")
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="rl_speed_mutants_") as name:
        directory = Path(name)
        (directory / "benchmarks").mkdir()
        copy_program(directory)
        if not check_program(directory, mutants):
            print("the tests do not pass without any mistake: mend that first")
            return 2
        for mutant in mutants:
            verdict, reason = judge(mutant, directory)
            counts[verdict] += 1
            print(f"{verdict:8} {mutant.name} ({mutant.file}): {reason}", flush=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))
    return 2 if counts["ERROR"] else int(counts["SURVIVED"] > 0)


if __name__ == "__main__":
    sys.exit(main())
