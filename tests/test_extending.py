"""The example of docs/extending.md: the change fits the program as it is, and what it adds learns."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAM = """
import rl_speed
from tests.corridor import RUN, Corridor, merged

values = {"network": {"value": "histogram", "atoms": 21, "value_range": [-0.5, 1.5]}}
content = merged(merged(RUN, values), {"logging": {"directory": "runs"}})
result = rl_speed.train("baseline", content, seed=1, env=Corridor)
print(rl_speed.__file__)
print(rl_speed.evaluate(result.checkpoint, episodes=64, epsilon=0.02, env=Corridor).mean)
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="git applies the change")
def test_the_example_learns(tmp_path):
    (change,) = re.findall(r"```diff\n(.*?)```", (ROOT / "docs" / "extending.md").read_text(), re.DOTALL)
    for folder in ("rl_speed", "configs", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    # A line of context is enough: what stands further away may have changed since.
    apply = ["git", "apply", "-C1", "-"]
    subprocess.run(apply, cwd=tmp_path, input=change, text=True, check=True, env={**os.environ, "GIT_DIR": os.devnull})
    touched = re.findall(r"^\+\+\+ b/(\S+)", change, re.MULTILINE)
    assert touched == ["rl_speed/config/learning.py", "rl_speed/learner/values.py"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300
    )
    assert answer.returncode == 0, answer.stderr
    where, mean = answer.stdout.split()
    assert where.startswith(str(tmp_path))
    assert float(mean) > 0.85
