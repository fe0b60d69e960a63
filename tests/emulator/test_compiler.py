"""The emulator's source, as it is compiled."""

from rl_speed.emulator import compiler
from rl_speed.emulator.compiler import emulator_program, source_texts


def test_what_is_compiled_is_what_was_read_when_the_program_began(monkeypatch, tmp_path):
    monkeypatch.setattr(compiler, "SOURCE", tmp_path / "replaced")
    program = emulator_program("a game", {"rule.inc": "none"}, {"BLOCKS": 1}, ("-O1",))
    assert program.texts["batch.cpp"] == source_texts()["batch.cpp"]
    assert program.texts["rule.inc"] == "none"
    assert program.flags[-2:] == ("-O1", "-DBLOCKS=1")


def test_only_what_belongs_to_a_library_decides_whether_it_is_made_anew():
    assert "kernels.cu" not in emulator_program("a game", {}, {}).texts
    simulated = emulator_program("the simulated GPU", {}, {}, main="simulated_device.cpp").texts
    assert {"kernels.cu", "simulated_device.cpp", "console.h"} <= set(simulated)
    assert "batch.cpp" not in simulated
