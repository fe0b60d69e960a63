"""The commit that runs."""

from rl_speed.system import commit


def test_outside_a_checkout_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(commit, "__file__", str(tmp_path / "commit.py"))
    assert commit.commit() is None
    monkeypatch.setenv("PATH", "")  # nor without git
    assert commit.commit() is None
