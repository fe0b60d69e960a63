"""What a result says about where it was measured."""

from rl_speed.system import machine

ZEN_3 = "processor : 0\nmodel name : AMD EPYC\ncpu family : 25\nmodel : 1\nflags : fpu avx avx2 fma\n\nprocessor : 1\n"
ZEN_4 = "processor : 0\nmodel name : AMD EPYC\ncpu family : 25\nmodel : 17\nflags : avx avx2 avx512f avx512_bf16\n\n"
ARM = "processor : 0\nFeatures : fp asimd bf16 sve\nCPU architecture: 8\nCPU part : 0xd40\n\n"


def facts(text, tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    monkeypatch.setattr(machine, "_cpu_facts", lambda: machine.read_cpu_facts(path))
    return machine.processor()


def test_two_processors_of_one_name_are_told_apart(tmp_path, monkeypatch):
    old = facts(ZEN_3, tmp_path, monkeypatch)
    assert machine.processor_text() == "AMD EPYC, family 25 model 1, avx avx2 fma"
    new = facts(ZEN_4, tmp_path, monkeypatch)
    assert old["name"] == new["name"] == "AMD EPYC"
    assert old != new
    assert new["instruction_sets"] == ["avx", "avx2", "avx512f", "avx512_bf16"]


def test_arm_names_its_features_otherwise(tmp_path, monkeypatch):
    found = facts(ARM, tmp_path, monkeypatch)
    assert (found["family"], found["model"], found["instruction_sets"]) == ("8", "0xd40", ["asimd", "bf16", "sve"])


def test_where_the_system_says_nothing_there_is_still_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_cpu_facts", lambda: machine.read_cpu_facts(tmp_path / "missing"))
    assert machine.processor()["name"]
    assert machine.processor_text().endswith("instruction sets unknown")


def test_a_result_names_family_model_and_instruction_sets():
    here = machine.machine()
    assert {"processor", "processor_family", "processor_model", "instruction_sets", "cores", "memory_bytes"} <= set(
        here
    )
