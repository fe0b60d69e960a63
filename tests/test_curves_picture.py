"""benchmarks/curves.py: records in one picture."""

import json
import runpy
from pathlib import Path

import pytest

from tests.bench.measurements import solve_run

PROGRAM = str(Path(__file__).parents[1] / "benchmarks" / "curves.py")


@pytest.fixture
def main():
    return runpy.run_path(PROGRAM)["main"]


@pytest.fixture
def folder(tmp_path):
    runs = [solve_run(seed, seed > 0) | {"curve": [[1.0, 100, -20.0], [60.0, 9000, 19.5]]} for seed in range(2)]
    (tmp_path / "bench.json").write_text(json.dumps({"solve": [*runs, runs[0] | {"name": "another"}]}))
    return tmp_path


def test_each_rung_of_a_record_has_its_own_curves(main, folder):
    pytest.importorskip("matplotlib")
    main([f"now={folder}", "--out", str(folder / "curves.svg")])
    text = (folder / "curves.svg").read_text()
    assert "now, another (1 seed)" in text
    assert "(2 seeds)" in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "must be LABEL=FOLDER with a bench.json"),
        (["a=broken"], "must be LABEL=FOLDER with a bench.json"),
        (["a=empty"], "holds no runs of --to-solve"),
        (["a=.", "b=.", "c=."], "too many to tell apart"),
        (["a=.", "--out", "missing/curves.svg"], "--out missing/curves.svg cannot be written"),
        (["a=.", "--out", "curves.foo"], "--out curves.foo cannot be written"),
    ],
)
def test_bad_arguments_end_with_a_sentence(main, folder, monkeypatch, capsys, words, sentence):
    if "--out" in words:
        pytest.importorskip("matplotlib")
    monkeypatch.chdir(folder)
    for name, text in (("broken", "{"), ("empty", "{}")):
        (folder / name).mkdir()
        (folder / name / "bench.json").write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(words if "--out" in words else [*words, "--out", "curves.svg"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert sentence in " ".join(said.split())
    assert "Traceback" not in said
