"""torch.compile where it fails."""

import pytest
import torch

from rl_speed.learner.compiled import compiled
from rl_speed.system.errors import ConfigError


def test_a_failure_of_many_lines_is_one_sentence(monkeypatch):
    def fail(batch):
        raise torch._dynamo.exc.TorchDynamoException("\n\nCppCompileError: no header\n" + "more\n" * 137)

    monkeypatch.setattr(torch, "compile", lambda loss, **settings: fail)
    with pytest.raises(ConfigError) as caught:
        compiled(lambda batch: batch)(None)
    assert str(caught.value) == (
        "update.compile = true: torch cannot compile the loss here (CppCompileError: no header); set it to false"
    )


def test_other_errors_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda loss, **settings: loss)
    with pytest.raises(ZeroDivisionError):
        compiled(lambda batch: 1 / 0)(None)
