"""What confirms a run: games on ale-py, whatever the run was played on."""

from threading import Event

import pytest
import torch

from rl_speed.config import load_config
from rl_speed.experience import parts
from rl_speed.system.ending import Ending
from rl_speed.training import evaluation


@pytest.mark.parametrize(
    ("override", "backend"),
    [
        ("envs.backend=native", "ale_vector"),
        ("envs.backend=cuda", "ale_vector"),
        ("envs.backend=classic", "ale_vector"),
        ("envs.backend=native envs.mode=1", "classic"),
    ],
)
def test_our_own_emulator_never_grades_itself(override, backend, monkeypatch):
    seen = []

    def make_env(config, *arguments, **named):
        seen.append(config.backend)
        return real(config, *arguments, **named)

    real = parts.make_env
    monkeypatch.setattr(parts, "make_env", make_env)
    config = load_config("baseline", override.split())
    stop = Event()
    stop.set()
    protocol = evaluation.Protocol(2, 0.01, 0)
    assert evaluation.play_games(torch.nn.Linear(1, 1), config, protocol, ending=Ending(stop)) is None
    assert seen == [backend]
