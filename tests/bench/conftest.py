"""A bench without measured processes."""

import dataclasses

import pytest

from rl_speed.bench import session
from rl_speed.bench.session import Session, Settings
from tests.bench.measurements import answering


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """A session whose measured processes answer at once with what `speeds` says; None is a crash."""
    speeds = {"baseline": 40.0, "smoke": 400.0}
    asked = []

    monkeypatch.setattr(session, "run_child", answering(speeds, asked))
    settings = Settings(1.0, 2, 0.1, (), "rl-speed bench")
    messages = []
    made = Session(settings, tmp_path, messages.append)
    yield dataclasses.make_dataclass("Quick", ["session", "speeds", "asked", "messages"])(made, speeds, asked, messages)
    made.close()
