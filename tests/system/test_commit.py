"""The commit that runs."""

import subprocess

from rl_speed.system import commit


def test_outside_a_checkout_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(commit, "__file__", str(tmp_path / "commit.py"))
    assert commit.commit() is None
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "commit.py").write_text("")  # installed inside of another project's checkout
    assert commit.commit() is None
    monkeypatch.setenv("PATH", "")  # nor without git
    assert commit.commit() is None
