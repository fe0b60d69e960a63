"""The line goes one way: a module imports only strictly lower levels."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "rl_speed"

LEVELS = {
    "__init__": 0, "errors": 0, "clock": 0, "config": 1, "records": 1, "machine": 1, "signals": 1, "json_file": 1,
    "network": 2, "td": 2, "threads": 2, "shards": 2, "emulator": 2,
    "policy": 3, "envs": 3,
    "generators": 4,
    "replay": 5,
    "dataset": 6, "module": 6, "logger": 6,
    "checkpoint": 7, "evaluation": 7, "callbacks": 7,
    "result": 8,
    "progress": 9,
    "train": 10,
    "bench": 11,
    "cli": 12,
}  # fmt: skip


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def unit(path):
    """The module, or for a file of a subpackage the subpackage."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path):
    """The parts of rl_speed that a file imports, at any depth of its code."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "rl_speed":
                yield ".".join(parts[1:]) or "__init__"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_strictly_down(path):
    here = unit(path)
    assert here in LEVELS, f"{here} needs a level"
    for name in imports(path):
        other = name.split(".")[0]
        if other != here:
            assert LEVELS[other] < LEVELS[here], f"{here} imports {other}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_ray_and_cuda_packages_stay_in_their_files(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        owned = {"cuda"} if path == PACKAGE / "emulator" / "nvidia.py" else set()
        for name in names:
            assert name.split(".")[0] not in {"ray", "cuda", "cupy", "numba"} - owned, f"{path} imports {name}"


def test_module_and_dataset_do_not_know_each_other():
    assert "dataset" not in set(imports(PACKAGE / "module.py"))
    assert "module" not in set(imports(PACKAGE / "dataset.py"))


def test_help_answers_without_importing_torch():
    code = (
        "import sys; import rl_speed.cli; from typer.testing import CliRunner; "
        "CliRunner().invoke(rl_speed.cli.app, ['train', '--help']); print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


def test_sizes_are_reported(capsys):
    """Not enforced: files stay near 300 lines, functions near 40."""
    with capsys.disabled():
        for path in modules():
            lines = path.read_text().splitlines()
            if len(lines) > 400:
                print(f"\n{path.relative_to(PACKAGE)}: {len(lines)} lines", end="")
