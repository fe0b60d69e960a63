"""The line goes one way: a module imports only strictly lower levels."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "rl_speed"

# The package's face hands names on, lazily.
FACE = PACKAGE / "__init__.py"

# A room imports lower rooms only.
ROOMS = {
    "__init__": 0, "system": 0, "records": 1, "report": 1, "emulator": 1, "config": 2, "learner": 3, "experience": 4,
    "training": 5, "bench": 6, "exports": 6, "suite": 6, "api": 7, "cli": 8, "__main__": 9,
}  # fmt: skip


# The one file that imports packages which are not always there.
OWNED_BY = {
    "emulator/nvidia.py": "cuda", "emulator/stable_baselines.py": "stable_baselines3", "system/ray_cluster.py": "ray",
    "suite/estimates.py": "scipy", "exports/hub.py": "huggingface_hub", "exports/onnx_file.py": "onnx",
    "training/checkpoint/exported.py": "safetensors", "training/trackers.py": "wandb mlflow trackio",
}  # fmt: skip


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def room(path):
    """The folder of rl_speed that a file is in, or the file itself."""
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
    if path == FACE:
        return
    here = room(path)
    assert here in ROOMS, f"{here} needs a floor"
    for name in imports(path):
        other = name.split(".")[0]
        if other != here:
            assert ROOMS[other] < ROOMS[here], f"{path} imports {name}"


def module_of(name):
    """The file that an imported name lies in, relative to the package; None for the package itself."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        path = PACKAGE.joinpath(*parts[:length])
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def test_no_circles_even_inside_a_room():
    edges = {path: {module_of(name) for name in imports(path)} - {None, path, FACE} for path in modules()}
    edges[FACE] = set()
    done, open_now = set(), []

    def visit(path):
        assert path not in open_now, " -> ".join(str(p.relative_to(PACKAGE)) for p in [*open_now, path])
        if path in done:
            return
        open_now.append(path)
        for other in sorted(edges[path]):
            visit(other)
        open_now.pop()
        done.add(path)

    for path in modules():
        visit(path)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_packages_that_are_extras_stay_in_their_files(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        not_here = {"cupy", "numba", *" ".join(OWNED_BY.values()).split()}
        not_here -= {*OWNED_BY.get(str(path.relative_to(PACKAGE)), "").split()}
        for name in names:
            assert name.split(".")[0] not in not_here, f"{path} imports {name}"


def test_module_and_dataset_do_not_know_each_other():
    assert not any("dataset" in name for name in imports(PACKAGE / "learner" / "module.py"))
    assert not any("module" in name for name in imports(PACKAGE / "experience" / "dataset.py"))


def test_help_answers_without_importing_torch():
    code = (
        "import sys; import rl_speed.cli; from typer.testing import CliRunner; "
        "CliRunner().invoke(rl_speed.cli.app, ['train', '--help']); print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


@pytest.mark.parametrize("path", sorted(TESTS.glob("*/**/test_*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_a_test_file_in_a_room_is_named_after_a_module(path):
    module = PACKAGE / path.relative_to(TESTS).parent / path.name.removeprefix("test_")
    assert module.is_file() or module.with_suffix("").is_dir(), f"{path} tests no module of that name"


def test_test_files_do_not_import_each_other():
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert ".test_" not in f".{node.module}", f"{path} imports {node.module}"


def test_sizes_are_reported(capsys):
    """Not enforced: files stay near 300 lines, functions near 40."""
    with capsys.disabled():
        for path in modules():
            lines = path.read_text().splitlines()
            if len(lines) > 400:
                print(f"\n{path.relative_to(PACKAGE)}: {len(lines)} lines", end="")
